"""One text redacted as it streams, by the same parts as an exchange but without one: for measures and properties."""

from __future__ import annotations

import time
from collections.abc import Sequence

from guard.content import apply_edits
from guard.keyed import KeyedHash
from guard.obligations.redact import Operator, redact
from guard.obligations.vault import Vault
from guard.stream import Tail
from guard.types import DetectContext, Detector, Finding, Segment

KEYED = KeyedHash("test", b"k" * 32)


def findings(detectors: Sequence[Detector], text: str) -> list[Finding]:
    """What all detectors find in one text."""
    context = DetectContext("response", time.monotonic() + 60)
    found = [f for detector in detectors for f in detector.detect([Segment.of(text)], context)]
    return sorted(found, key=lambda f: (f.start, f.end, f.type))


def whole(detectors: Sequence[Detector], operators: dict[str, Operator], text: str, vault: Vault | None = None) -> str:
    """The text, redacted and restored at once."""
    vault = vault or Vault()
    back = {0: vault.spans(text)}
    done = redact([Segment.of(text)], findings(detectors, text), operators, vault=vault, keyed=KEYED, protected=back)
    return apply_edits(text, sorted([*done.edits.get(0, ()), *back[0]]))


class Late(AssertionError):
    """A value was recognised after its beginning had left."""


class Redacting:
    """The text as it leaves, piece by piece."""

    def __init__(
        self, detectors: Sequence[Detector], operators: dict[str, Operator], vault: Vault | None = None
    ) -> None:
        self._detectors = detectors
        self._operators = operators
        self._vault = vault or Vault()
        self._tail = Tail()

    @property
    def held(self) -> int:
        """How many characters wait."""
        return self._tail.held

    def feed(self, piece: str) -> str:
        """What leaves after this piece."""
        self._tail.feed(piece)
        return self._leave(closed=False)

    def close(self) -> str:
        """The rest."""
        return self._leave(closed=True)

    def _leave(self, *, closed: bool) -> str:
        window = self._tail.window(closed=closed)
        if window is None:
            return ""
        text, fresh, ready = window.text, window.fresh, window.ready
        found = findings(self._detectors, text)
        back = [span for span in self._vault.spans(text) if span[1] > fresh]
        spans = [(f.start, f.end) for f in found] + [(start, end) for start, end, _ in back]
        for start, end in sorted(spans, reverse=True):
            ready = start if start < ready < end else ready
        ready = max(fresh, ready)
        back = [span for span in back if span[1] <= ready]
        found = [f for f in found if fresh < f.end <= ready]
        late = [f for f in found if f.start < fresh and f.type in self._operators]
        if late:
            raise Late(f"{late[0].type} {text[late[0].start : late[0].end]!r}")
        done = redact([Segment.of(text)], found, self._operators, vault=self._vault, keyed=KEYED, protected={0: back})
        edits = sorted([*done.edits.get(0, ()), *back])
        swallowed = [edit for edit in window.swallowed if edit[1] <= ready]
        edits = [e for e in edits if not any(e[0] < s[1] and e[1] > s[0] for s in swallowed)] + swallowed
        self._tail.pass_on(window, ready, edits)
        return apply_edits(text[fresh:ready], [(s - fresh, e - fresh, new) for s, e, new in sorted(edits)])


def streamed(
    detectors: Sequence[Detector], operators: dict[str, Operator], pieces: Sequence[str], vault: Vault | None = None
) -> str:
    """The text of these pieces as it leaves."""
    redacting = Redacting(detectors, operators, vault)
    return "".join([*(redacting.feed(piece) for piece in pieces), redacting.close()])
