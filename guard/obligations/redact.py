"""Redaction: findings and obligations become edits of segments.

Operators: ``mask`` keeps the last ``keep_last`` characters, ``replace`` writes ``<ENTITY>``, ``pseudonym`` writes a
placeholder that is restored in the answer, ``hash`` a keyed hash, ``drop`` nothing; ``keep`` leaves the value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from guard.errors import ObligationFailed
from guard.keyed import KeyedHash
from guard.obligations.vault import Vault
from guard.types import Finding, Obligation, Segment, Stage

Edit: TypeAlias = tuple[int, int, str]
"""``(start, end, new text)`` in code points of the original text."""
Edits: TypeAlias = dict[int, list[Edit]]
"""Segment index -> edits, sorted by start, without overlap."""

# When two rules name one entity, or two findings overlap, the more protective operator wins.
_STRENGTH: Final = {"keep": 0, "pseudonym": 1, "mask": 2, "hash": 3, "replace": 4, "drop": 5}
OPERATORS: Final = frozenset(_STRENGTH)
_ENTITY: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_MASK: Final = "*"


class Redaction(msgspec.Struct, frozen=True):
    """Edits to be made, and how many values of each entity they hide."""

    edits: Edits
    counts: Mapping[str, int]


class Operator(msgspec.Struct, frozen=True):
    """One validated ``redact`` obligation."""

    name: str
    keep_last: int = 0


def operators(obligations: Sequence[Obligation], stage: Stage) -> dict[str, Operator]:
    """Entity -> operator of the ``redact`` obligations. Raises ``ObligationFailed`` on one that makes no sense."""
    chosen: dict[str, Operator] = {}
    for obligation in obligations:
        if obligation.type != "redact":
            continue
        entity, operator = _validated(obligation, stage)
        known = chosen.get(entity)
        if known is None or _STRENGTH[operator.name] > _STRENGTH[known.name]:
            chosen[entity] = operator
    return chosen


def united(first: Mapping[str, Operator], second: Mapping[str, Operator]) -> dict[str, Operator]:
    """Both, and of two operators for one entity the more protective."""
    both = dict(first)
    for entity, operator in second.items():
        known = both.get(entity)
        if known is None or _STRENGTH[operator.name] > _STRENGTH[known.name]:
            both[entity] = operator
    return both


def _validated(obligation: Obligation, stage: Stage) -> tuple[str, Operator]:
    params: Mapping[str, Any] = obligation.params
    entity, name, keep_last = params.get("entity"), params.get("operator"), params.get("keep_last", 4)
    where = f"rule {obligation.rule}"
    if not isinstance(entity, str) or not _ENTITY.fullmatch(entity):
        raise ObligationFailed("redact names no entity", where=where, mend='use "entity": "EMAIL_ADDRESS"')
    if name not in _STRENGTH:
        mend = f'use "operator": one of {", ".join(_STRENGTH)}'
        raise ObligationFailed("redact names an unknown operator", where=where, mend=mend)
    if stage == "response" and name == "pseudonym":
        mend = "use replace, mask, hash or drop: there is no later answer in which it could be restored"
        raise ObligationFailed("an answer cannot be redacted with pseudonyms", where=where, mend=mend)
    if not isinstance(keep_last, int) or isinstance(keep_last, bool) or not 0 <= keep_last <= 8:
        raise ObligationFailed("keep_last is not an integer of 0 to 8", where=where, mend='use "keep_last": 4')
    return entity, Operator(name, keep_last)


def redact(
    segments: Sequence[Segment],
    findings: Sequence[Finding],
    chosen: Mapping[str, Operator],
    *,
    vault: Vault,
    keyed: KeyedHash,
    protected: Mapping[int, Sequence[Edit]] | None = None,
) -> Redaction:
    """The edits that carry out ``chosen``.

    Overlapping findings are hidden as one, over their union. ``protected`` spans (restored placeholders) are left
    alone; what a finding covers beside them is hidden all the same.
    """
    edits: Edits = {}
    counts: dict[str, int] = {}
    relevant = [f for f in findings if f.type in chosen and chosen[f.type].name != "keep"]
    for span in _merged(relevant, chosen):
        keep_out = protected.get(span.segment, ()) if protected else ()
        for start, end in _outside(span.start, span.end, keep_out):
            value = segments[span.segment].text[start:end]
            new = _rewritten(span.type, value, chosen[span.type], vault, keyed)
            edits.setdefault(span.segment, []).append((start, end, new))
            counts[span.type] = counts.get(span.type, 0) + 1
    return Redaction(edits, counts)


def _merged(findings: Sequence[Finding], chosen: Mapping[str, Operator]) -> list[Finding]:
    merged: list[Finding] = []
    for finding in sorted(findings, key=lambda f: (f.segment, f.start, -f.end)):
        last = merged[-1] if merged else None
        if last is None or last.segment != finding.segment or finding.start >= last.end:
            merged.append(finding)
            continue
        stronger = max(last, finding, key=lambda f: (_STRENGTH[chosen[f.type].name], f.score, f.end - f.start))
        merged[-1] = msgspec.structs.replace(stronger, start=last.start, end=max(last.end, finding.end))
    return merged


def _outside(start: int, end: int, keep_out: Sequence[Edit]) -> list[tuple[int, int]]:
    pieces = []
    for out_start, out_end, _ in keep_out:
        if out_end <= start or out_start >= end:
            continue
        if start < out_start:
            pieces.append((start, out_start))
        start = max(start, out_end)
    if start < end:
        pieces.append((start, end))
    return pieces


def _rewritten(entity: str, value: str, operator: Operator, vault: Vault, keyed: KeyedHash) -> str:
    match operator.name:
        case "mask":
            # A value that is hardly longer than what may be kept is masked whole.
            kept = operator.keep_last if len(value) >= 2 * operator.keep_last else 0
            return _MASK * (len(value) - kept) + (value[-kept:] if kept else "")
        case "replace":
            return f"<{entity}>"
        case "pseudonym":
            return vault.placeholder(entity, value)
        case "hash":
            return f"<{entity}:{keyed.digest('redact', value)[:8].hex()}>"
        case _:
            return ""


def restore(segments: Sequence[Segment], vault: Vault) -> Edits:
    """The edits that put this exchange's values back in place of their placeholders."""
    edits: Edits = {}
    for index, segment in enumerate(segments):
        if spans := vault.spans(segment.text, markup=segment.folded.escaped):
            edits[index] = spans
    return edits


def combine(first: Edits, second: Edits) -> Edits:
    """Both sets of edits, which do not overlap, sorted by start."""
    combined = {index: list(edits) for index, edits in first.items()}
    for index, edits in second.items():
        combined[index] = sorted([*combined.get(index, ()), *edits])
    return combined
