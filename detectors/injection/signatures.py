"""Signs that belong to no ordinary text: marks of chat templates, a key word of a known attack, and pictures whose
address carries data away. Each is certain of what it says, so it needs no weights."""

from __future__ import annotations

from typing import Final, NamedTuple

from detectors.common import automata
from detectors.common.budget import Budget
from detectors.common.gate import Gate, matcher


class Signature(NamedTuple):
    """``source``: RE2 syntax over the folded text in ASCII. ``score``: 0..1."""

    name: str
    source: str
    score: float


SIGNATURES: Final = (
    Signature("chat template", r"<\|(?:im_start|im_end|start_header_id|end_header_id|eot_id|endoftext|system)\|>", 0.9),
    Signature("chat template", r"(?i)\[/?INST\]|<</?SYS>>", 0.8),
    Signature("role in text", r"(?im)^\s{0,8}(?:#{2,6}\s{0,4})?system(?: message| prompt| override)?\s{0,4}:\s", 0.5),
    Signature("known jailbreak", r"(?i)\bdo anything now\b|\b(?:DAN|STAN|DUDE) mode\b|\[(?:DAN|JAILBREAK)\]", 0.9),
    Signature(
        "picture that carries data",
        r"(?i)!\[[^\]\n]{0,80}\]\(https?://[^)\s]{1,200}[?&][a-z_]{1,24}=(?:\{|\[|<|%7B|\$)",
        0.8,
    ),
    Signature(
        "instructions for an assistant in a comment",
        r"(?i)<!--[^>]{0,60}\b(?:ai|llm|assistant|language model)s?\b[^>]{0,99}\b(?:ignore|must|do not|send)\b",
        0.7,
    ),
)


class Signatures:
    """All of them behind one automaton. Thread-safe."""

    def __init__(self) -> None:
        self._gate = Gate([signature.source for signature in SIGNATURES])
        self._matchers = [matcher(signature.source) for signature in SIGNATURES]

    def found(self, text: str, budget: Budget) -> list[tuple[int, int, Signature]]:
        """Spans of the folded text. Raises ``Unfinished``."""
        data = text.encode("ascii", "replace")
        spans: list[tuple[int, int, Signature]] = []
        for at in self._gate.open(data, budget.check):
            for count, match in enumerate(automata.each(self._matchers[at], data, budget)):
                if not count & 31:
                    budget.check()
                spans.append((*match.span(), SIGNATURES[at]))
        return spans
