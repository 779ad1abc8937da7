"""The job: generate, ask both, compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import inputs
from .dice import Dice
from .engines import Answer, Opa, Ours
from .judge import Difference, reason, same
from .rules import module

INPUTS_PER_MODULE = 3


@dataclass(frozen=True)
class Case:
    """A module, the documents to ask for, the inputs to ask with, and whether built-in errors are errors."""

    source: str
    refs: tuple[str, ...]
    inputs: tuple[dict[str, Any], ...]
    strict: bool


def case(dice: Dice) -> Case:
    """A generated case."""
    generated = module(dice)
    strict = dice.chance(50)
    return Case(
        generated.source, generated.refs, tuple(inputs.document(dice) for _ in range(INPUTS_PER_MODULE)), strict
    )


@dataclass
class Tally:
    """What was done: evaluations and loads by the kind of OPA's answer, and known differences by name."""

    kinds: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)

    @property
    def evaluations(self) -> int:
        """Answers that were compared, those of loading a sound module left out."""
        return sum(count for kind, count in self.kinds.items() if kind not in {"loaded", "panic"})


class Job:
    """One case after another on both engines."""

    def __init__(self, opa: Opa) -> None:
        self.opa = opa
        self.ours = Ours()
        self.tally = Tally()

    def differences(self, made: Case) -> Iterator[Difference]:
        """The differences of a case that are not known."""
        ours, theirs = self.ours.load(made.source), self.opa.load(made.source)
        self.tally.kinds[theirs.kind] += 1
        if theirs.kind != "panic" and not same(ours, theirs):
            yield from self.unknown(Difference(made.source, made.refs, "", None, ours, theirs))
        if ours.kind != "loaded" or theirs.kind != "loaded":
            return
        for document in made.inputs:
            for ref in made.refs:
                ours, theirs = self.ask(ref, document, strict=made.strict)
                self.tally.kinds[theirs.kind] += 1
                if theirs.kind == "panic":
                    return
                if not same(ours, theirs):
                    yield from self.unknown(Difference(made.source, made.refs, ref, document, ours, theirs))

    def ask(self, ref: str, document: Any, *, strict: bool) -> tuple[Answer, Answer]:
        """Both answers."""
        return self.ours.ask(ref, document, strict=strict), self.opa.ask(ref, document, strict=strict)

    def unknown(self, difference: Difference) -> Iterator[Difference]:
        """The difference, unless it is known; then it is counted."""

        def again(ref: str, *, strict: bool) -> tuple[Answer, Answer]:
            return self.ask(ref, difference.input, strict=strict)

        name = reason(difference, again)
        if name:
            self.tally.known[name] += 1
        else:
            yield difference
