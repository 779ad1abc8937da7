"""How a policy document stays small: names, pointers and lists within a byte budget, without losing a finding in
silence.

A list that outgrows its budget is told more coarsely, level by level: array indexes become ``*``, then only the first
tokens of a pointer stay (``/messages/**`` is everything below), then the whole body (``""``). Entries that become
equal are merged: the highest score and the sum of counts stand for all. What even then does not fit is dropped and
named in ``overflow``, which becomes ``coverage.incomplete``, so that a policy never takes the rest for the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from guard.keyed import KeyedHash
from guard.types import Coverage, Finding, Named, Segment, Skipped

LIMIT_BYTES: Final = 32 * 1024
"""No document is longer than this as compact JSON; the budgets below and the fixed fields add up to less."""

_FINDINGS: Final = 10 * 1024
_INSPECTED: Final = 5 * 1024
_SKIPPED: Final = 3 * 1024
_CALLS: Final = 3 * 1024
_NAMES: Final = 1536
_MEMBERS: Final = 1536
_INCOMPLETE: Final = 1024
_POINTER: Final = 160
_MANY: Final = 256
_TOO_MANY: Final = 4096

_NAME: Final = re.compile(r"[A-Za-z0-9._:/-]{1,128}")
_INDEX: Final = re.compile(r"/\d+(?=/|$)")

_Groups = dict[tuple[str, ...], tuple[float, int]]
"""(…, pointer) -> (highest score, count)."""


def _indexes(pointer: str) -> str:
    return _INDEX.sub("/*", pointer)


def _below(tokens: int) -> Callable[[str], str]:
    def coarse(pointer: str) -> str:
        parts = pointer.split("/", tokens + 1)
        return pointer if len(parts) <= tokens + 1 else _indexes("/".join(parts[: tokens + 1])) + "/**"

    return coarse


def _whole(_pointer: str) -> str:
    return ""


_LEVELS: Final = (_indexes, _below(3), _below(2), _below(1), _whole)


def _merged(groups: _Groups, coarser: Callable[[str], str]) -> _Groups:
    merged: _Groups = {}
    for key, (score, count) in groups.items():
        coarse = (*key[:-1], coarser(key[-1]))
        known = merged.get(coarse)
        merged[coarse] = (score, count) if known is None else (max(score, known[0]), count + known[1])
    return merged


def _fitting(groups: _Groups, budget: int, overhead: int) -> tuple[_Groups, _Groups]:
    """The groups as finely as the budget allows, and those for which there is no room at all (the least suspicious).

    An entry costs ``overhead`` and the length of its strings, in bytes.
    """
    if len(groups) <= _MANY and _cost(groups, overhead) <= budget:
        return groups, {}
    for coarser in _LEVELS if len(groups) <= _TOO_MANY else _LEVELS[-2:]:
        groups = _merged(groups, coarser)
        if _cost(groups, overhead) <= budget:
            return groups, {}
    kept: _Groups = {}
    dropped: _Groups = {}
    for key, value in sorted(groups.items(), key=lambda item: (-item[1][0], item[0])):
        budget -= overhead + sum(map(len, key))
        (kept if budget >= 0 else dropped)[key] = value
    return kept, dropped


def _cost(groups: _Groups, overhead: int) -> int:
    return sum(overhead + sum(map(len, key)) for key in groups)


class Bounds:
    """Builds the variable parts of one document. ``overflow`` names whose entries found no room."""

    __slots__ = ("_keyed", "overflow")

    def __init__(self, keyed: KeyedHash) -> None:
        self._keyed = keyed
        self.overflow: set[str] = set()

    def name(self, purpose: str, value: str) -> str:
        """A string that somebody outside chose, if it looks like a name; its pseudonym otherwise."""
        return value if _NAME.fullmatch(value) else self._keyed.pseudonym(purpose, value)

    def pointer(self, pointer: str) -> str:
        """The pointer, or its beginning and a keyed token that stands for the rest."""
        if len(pointer) <= _POINTER:
            return pointer
        head = pointer[: _POINTER - 14]
        return head[: head.rfind("/")] + "/" + self._keyed.token(pointer)

    def names(self, values: Iterable[str]) -> list[str]:
        """Names that were made safe, each once, in their order."""
        kept = dict.fromkeys(values)
        if len(kept) * 131 <= _NAMES:
            return list(kept)
        left, listed = _NAMES, []
        for value in kept:
            left -= len(value) + 3
            if left < 0:
                self.overflow.add("document")
                break
            listed.append(value)
        return listed

    def members(self, values: Mapping[str, str | int | bool]) -> dict[str, str | int | bool]:
        """Members with safe names and values, in their order."""
        left, kept = _MEMBERS, {}
        for key, value in values.items():
            left -= len(key) + len(str(value)) + 6
            if left < 0:
                self.overflow.add("document")
                break
            kept[key] = value
        return kept

    def findings(self, findings: Sequence[Finding], segments: Sequence[Segment]) -> list[dict[str, Any]]:
        """One entry for each type, detector, pointer and provenance: the highest score, in thousandths of 0..1, and
        the count."""
        groups: _Groups = {}
        for finding in findings:
            segment = segments[finding.segment]
            key = (finding.type, finding.detector, segment.provenance, segment.pointer)
            score = finding.score
            known = groups.get(key)
            # A score that is not a number is as suspicious as can be.
            score = 1.0 if score != score else min(max(score, 0.0), 1.0)  # noqa: PLR0124
            groups[key] = (score, 1) if known is None else (max(score, known[0]), known[1] + 1)
        groups = {
            (self.name("type", key[0]), self.name("detector", key[1]), key[2], self.pointer(key[3])): value
            for key, value in groups.items()
        }
        kept, dropped = _fitting(groups, _FINDINGS, 96)
        self.overflow.update(detector for _, detector, _, _ in dropped)
        return [
            {
                "type": type_,
                "detector": detector,
                "score": round(score * 1000) / 1000,
                "pointer": pointer,
                "provenance": provenance,
                "count": count,
            }
            for (type_, detector, pointer, provenance), (score, count) in sorted(
                ((*key[:2], key[3], key[2]), value) for key, value in kept.items()
            )
        ]

    def calls(self, calls: Iterable[Named], tainted: Collection[str]) -> list[dict[str, Any]]:
        """Tool calls by name and pointer. ``facts`` is empty until a room derives some."""
        groups: _Groups = {(self.named("tool", call, tainted), self.pointer(call.pointer)): (1.0, 1) for call in calls}
        kept, dropped = _fitting(groups, _CALLS, 40)
        if dropped:
            self.overflow.add("document")
        return [{"name": name, "pointer": pointer, "facts": {}} for name, pointer in kept]

    def named(self, purpose: str, named: Named, tainted: Collection[str]) -> str:
        """As ``name``, for a string of the body: one at whose position something was found never enters."""
        if named.pointer in tainted:
            return self._keyed.pseudonym(purpose, named.value)
        return self.name(purpose, named.value)

    def coverage(self, coverage: Coverage, skipped: Iterable[Skipped]) -> dict[str, Any]:
        """The coverage statement, with ``skipped`` of the body's reading and every overflow taken in. Comes last."""
        pointers: Collection[str] = coverage.inspected
        if len(pointers) > _TOO_MANY:
            # The coarsest level at once: an enormous body must not hold the event loop for long.
            heads = {pointer.split("/", 2)[1] for pointer in pointers if pointer}
            pointers = {"/*/**" if head.isdigit() else f"/{head}/**" for head in heads}
        if len(pointers) * (_POINTER + 3) <= _INSPECTED and max(map(len, pointers), default=0) <= _POINTER:
            inspected = sorted(set(pointers))  # the ordinary request
        else:
            inspected = [pointer for (pointer,) in self._listed([(pointer,) for pointer in pointers], _INSPECTED, 3)]
        passed = self._listed([(s.reason, s.pointer) for s in (*coverage.skipped, *skipped)], _SKIPPED, 30)
        incomplete = {(self.name("detector", i.detector), i.reason) for i in coverage.incomplete}
        incomplete.update((detector, "limit") for detector in self.overflow)
        return {
            "inspected": inspected,
            "skipped": [{"pointer": pointer, "reason": reason} for reason, pointer in passed],
            "incomplete": [
                {"detector": detector, "reason": reason} for detector, reason in _within(sorted(incomplete))
            ],
        }

    def _listed(self, keys: list[tuple[str, ...]], budget: int, overhead: int) -> list[tuple[str, ...]]:
        if not keys:
            return []
        groups: _Groups = {(*key[:-1], self.pointer(key[-1])): (1.0, 1) for key in keys}
        kept, dropped = _fitting(groups, budget, overhead)
        if dropped:
            self.overflow.add("document")
        return sorted(kept)


def _within(entries: list[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """The first entries within the budget: that something is incomplete is told even if not all of it is."""
    left = _INCOMPLETE
    for detector, reason in entries:
        left -= len(detector) + len(reason) + 28
        if left < 0:
            return
        yield detector, reason
