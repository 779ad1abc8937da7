"""Whether two answers agree, and which disagreements are known.

Each entry of `KNOWN` is a section of ``docs/rego-differences.md``; a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from .engines import Answer, Opa


class Asking(Protocol):
    """Asks both engines again."""

    def __call__(self, ref: str, *, strict: bool) -> tuple[Answer, Answer]:
        """Our answer and OPA's."""


@dataclass(frozen=True)
class Difference:
    """Two answers that do not agree. ``ref`` is empty where it is about loading."""

    source: str
    refs: tuple[str, ...]
    ref: str
    input: object
    ours: Answer
    opa: Answer

    def __str__(self) -> str:
        return f"{self.source}\n{self.ref} of {self.input!r}\n  ours: {self.ours}\n  OPA:  {self.opa}"


def same(ours: Answer, opa: Answer) -> bool:
    """Whether two answers agree: the same kind, the same value, or the same class of error."""
    if ours.kind != opa.kind:
        return False
    if ours.kind in {"refused", "error"}:
        return bool(ours.codes & opa.codes)
    return ours.kind != "crash" and ours.value == opa.value and _shape(ours.value) == _shape(opa.value)


def _shape(value: object) -> str:
    """Types, which Python's equality does not tell apart: ``True == 1``."""
    if isinstance(value, list):
        return "[" + ",".join(map(_shape, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{_shape(value[key])}" for key in sorted(value)) + "}"
    return type(value).__name__


def _inferred_types(difference: Difference, _: Asking) -> bool:
    opa = difference.opa
    return opa.kind == "refused" and opa.codes == {"rego_type_error"} and difference.ours.kind == "loaded"


def _first_failure(difference: Difference, ask: Asking) -> bool:
    """Without strict errors, the same module gives the same answer on both sides (or one meets a conflict)."""
    if "error" not in {difference.ours.kind, difference.opa.kind}:
        return False
    ours, opa = ask(difference.ref, strict=False)
    return same(ours, opa) or _conflict_met(replace(difference, ours=ours, opa=opa), ask)


def _conflict_met(difference: Difference, ask: Asking) -> bool:
    """One side met a conflict of another document than the one that was asked for, or in the midst of a body."""
    met = difference.ours if difference.ours.codes == _CONFLICT else difference.opa
    if met.codes != _CONFLICT:
        return False
    if "object keys must be unique" in met.message:
        return True
    both = (ask(ref, strict=False) for ref in difference.refs if ref != difference.ref)
    elsewhere = document_at(difference.source, met.row) != difference.ref.rpartition("/")[2]
    return elsewhere or any(ours.codes == opa.codes == _CONFLICT for ours, opa in both)


def document_at(source: str, row: int) -> str:
    """The name of the document whose rule stands at a row, from 1; empty where none does."""
    heads = [re.match(r"(?:default )?(r\d+)", line) for line in source.split("\n")[:row]]
    return next((head.group(1) for head in reversed(heads) if head), "")


def _which_operand(difference: Difference, _: Asking) -> bool:
    """Both sides say that the same built-in fails: one finds the type of an operand wrong, the other what it holds."""
    both = (difference.ours, difference.opa)
    if any(answer.kind != "error" or not answer.codes <= _BUILTIN_FAILURES for answer in both):
        return False
    names = [re.search(r"(?:eval_\w+): ([\w.]+): ", answer.message) for answer in both]
    return all(names) and len({name.group(1) for name in names if name}) == 1


def _undeclared(difference: Difference, _: Asking) -> bool:
    """OPA loses a variable that ``:=`` assigns under ``with`` where a template mentions it."""
    lost = re.fullmatch(r"(?:(?:; )?rego_compile_error: var (\w+) is undeclared)+", difference.opa.message)
    if lost is None or difference.ours.kind not in {"loaded", "refused"}:
        return False
    return re.search(rf"{lost.group(1)} := .* with .* as ", difference.source) is not None and "$" in difference.source


def _number_text(difference: Difference, _: Asking) -> bool:
    """The values are the same once every number in a text or a key is written in one form."""
    return difference.ours.kind == difference.opa.kind == "value" and _in_one_form(
        difference.ours.value
    ) == _in_one_form(difference.opa.value)


def _in_one_form(value: object) -> object:
    if isinstance(value, str):
        return _NUMBER.sub(lambda found: str(Decimal(found.group()).normalize()), value)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return _in_one_form("".join(value))  # a text that was split may have been cut inside of a number
    if isinstance(value, list):
        return sorted((_in_one_form(item) for item in value), key=repr)
    if isinstance(value, dict):
        return {_in_one_form(key): _in_one_form(item) for key, item in value.items()}
    return value


def _unprintable(difference: Difference, _: Asking) -> bool:
    """OPA has a value that is no JSON: ``to_number("07")`` keeps its zero."""
    return difference.opa.codes == {"internal_error"} and "invalid number literal" in difference.opa.message


def _index_fault(difference: Difference, _: Asking) -> bool:
    """Where OPA tries every rule, it answers as this engine does."""
    if not difference.ref:
        return False
    answers = (
        Opa.ask_unindexed(difference.source, difference.ref, difference.input, strict=strict)
        for strict in (True, False)
    )
    return any(same(difference.ours, answer) for answer in answers)


def _yaml_rest(difference: Difference, _: Asking) -> bool:
    """Only answers of ``yaml.is_valid`` differ: true in OPA, which does not look behind the first document."""
    ours, opa = difference.ours, difference.opa
    if "yaml.is_valid(" not in difference.source or not ours.kind == opa.kind == "value":
        return False
    return _milder(ours.value, opa.value)


def _milder(ours: object, opa: object) -> bool:
    if isinstance(ours, dict) and isinstance(opa, dict) and ours.keys() == opa.keys():
        return all(_milder(ours[key], opa[key]) for key in ours)
    return (ours is False and opa is True) or (ours == opa and _shape(ours) == _shape(opa))


_BUILTIN_FAILURES = frozenset({"eval_type_error", "eval_builtin_error"})
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?")
_CONFLICT = frozenset({"eval_conflict_error"})

# The first that holds names the difference; each looks for evidence that it is this one and no other.
KNOWN: dict[str, Callable[[Difference, Asking], bool]] = {
    "inferred-types": _inferred_types,
    "undeclared": _undeclared,
    "which-operand": _which_operand,
    "first-failure": _first_failure,
    "conflict-met": _conflict_met,
    "number-text": _number_text,
    "no-json": _unprintable,
    "yaml-rest": _yaml_rest,
    "index-fault": _index_fault,
}


def reason(difference: Difference, ask: Asking) -> str:
    """The name of the known difference that this is; empty where it is none. ``ask(ref, strict=...)`` gives both
    answers for another document, or other strictness, of the same module and input."""
    return next((name for name, holds in KNOWN.items() if holds(difference, ask)), "")
