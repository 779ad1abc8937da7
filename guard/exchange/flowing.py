"""Server-sent events that are inspected as they flow, where nothing is redacted or restored.

Decided at the head, whenever a new type of finding appears, and at the end. An event leaves only after its text was
inspected in its context; what has left cannot be rewritten, so a redaction that becomes due on the way stops it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from guard import content as reading
from guard.errors import ContentRefused, ObligationFailed
from guard.exchange.judge import Judgement, denied_by_obligation, judge
from guard.exchange.pieces import events_of
from guard.pipeline import Detection
from guard.stream import MAX_CHANNELS, TooManyChannels, Windows
from guard.types import Content, Decision, Finding, Incomplete, Segment, Skipped

if TYPE_CHECKING:
    from guard.exchange.answer import Answer

_MAX_EVENT_BYTES: Final = 1 << 20
_MAX_KEPT: Final = 64
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/]))")


class FlowingEvents:
    """Inspects and passes events until a verdict stops them."""

    def __init__(self, answer: Answer, head: Judgement) -> None:
        self._answer = answer
        self._reader = reading.EventReader(_MAX_EVENT_BYTES)
        self._windows = Windows()
        self._pointers: dict[str, None] = {}
        self._skipped: dict[Skipped, None] = dict.fromkeys(head.content.skipped)
        self._seen: dict[tuple[str, str], float] = {}
        # The texts of the head, then one segment for each new type of finding and each higher score of it: enough for
        # the policy, bounded for us.
        self._kept: list[Segment] = list(head.segments)
        self._most = len(self._kept) + _MAX_KEPT
        self._findings: list[Finding] = list(head.findings)
        self._incomplete: tuple[Incomplete, ...] = head.detection.incomplete
        self._outcomes = head.detection.outcomes
        self._headers = frozenset(head.duties.headers)
        self._size = 0
        self._sent = 0

    async def feed(self, body: bytes, *, more: bool) -> None:
        """Inspect the events that this piece completes, then pass them."""
        self._size += len(body)
        try:
            events = await events_of(self._answer.exchange.services, self._reader, body, more=more)
            self._answer.exchange.spending.passing(events)
            verdict = await self._inspect(events)
        except (ContentRefused, TooManyChannels) as error:
            what = error.what if isinstance(error, ContentRefused) else "the stream opens too many channels"
            judgement = await self._judge(Skipped("", "unreadable_stream"))
            verdict = denied_by_obligation(judgement.decision, ObligationFailed(what))
        if verdict is None and not more:
            verdict = _stopping(await self._judge(), self._headers)
        if verdict is not None:
            await self.stop(verdict)
            return
        self._sent += len(events)
        await self._answer.send_body(b"".join(event.raw for event in events), more=more)
        if not more:
            await self._answer.record(None)

    async def stop(self, verdict: Decision) -> None:
        """End the stream with this verdict."""
        await self._answer.stop(verdict, events_sent=self._sent)

    async def _inspect(self, events: list[reading.Event]) -> Decision | None:
        """The decision that stops the stream, if these events lead to one."""
        segments, fresh = self._windows_of(events)
        if not segments:
            return None
        detection = await self._answer.exchange.services.pipeline.detect(segments, "response")
        self._outcomes = detection.outcomes or self._outcomes
        news = bool(detection.incomplete) and detection.incomplete != self._incomplete
        self._incomplete = detection.incomplete or self._incomplete
        for finding in detection.findings:
            kind = (finding.type, finding.detector)
            if finding.end <= fresh[finding.segment] or finding.score <= self._seen.get(kind, -1.0):
                continue
            self._seen[kind] = finding.score
            if len(self._kept) < self._most:
                self._findings.append(msgspec.structs.replace(finding, segment=len(self._kept)))
                self._kept.append(segments[finding.segment])
            news = True
        return _stopping(await self._judge(), self._headers) if news else None

    def _windows_of(self, events: list[reading.Event]) -> tuple[list[Segment], list[int]]:
        """The new texts in their context, and where in each the new part begins."""
        segments: list[Segment] = []
        fresh: list[int] = []
        joined: dict[str, reading.Delta] = {}
        for event in events:
            read = self._answer.exchange.deltas(event)
            for gap in read.skipped:
                if len(self._skipped) < MAX_CHANNELS:
                    self._skipped[gap] = None
            for delta in read.texts:
                self._answer.exchange.spending.said(delta.text)
                if len(self._pointers) < MAX_CHANNELS:
                    self._pointers[delta.channel] = None
                if not delta.joined:
                    segments.append(Segment.of(delta.text, delta.channel, delta.provenance))
                    fresh.append(0)
                elif known := joined.get(delta.channel):
                    joined[delta.channel] = msgspec.structs.replace(known, text=known.text + delta.text)
                else:
                    joined[delta.channel] = delta
        for channel, delta in joined.items():
            window = self._windows.feed(channel, delta.text)
            segments.append(Segment.of(window.text, channel, delta.provenance))
            fresh.append(window.fresh)
            if "\\" in window.text:
                # Arguments of a tool call pass as pieces of JSON text, in which an escape hides a character.
                segments.append(Segment.of(_unescaped(window.text), channel, delta.provenance))
                fresh.append(0)
        return segments, fresh

    async def _judge(self, *skipped: Skipped) -> Judgement:
        answer, exchange = self._answer, self._answer.exchange
        # Every channel was inspected; those without a finding stand here with their pointer only.
        empty = [Segment.of("", pointer) for pointer in self._pointers]
        content = Content(
            media_type=answer.head.media_type,
            size_bytes=self._size,
            segments=(*self._kept, *empty),
            skipped=(*self._skipped, *skipped),
        )
        judgement = await judge(
            exchange.services,
            exchange.caller,
            content,
            stage="response",
            anomaly=exchange.anomaly,
            asked=exchange.asked,
            detection=Detection(tuple(self._findings), self._incomplete, self._outcomes),
        )
        answer.note(judgement)
        return judgement


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else match[2], text)


def _stopping(judgement: Judgement, sent: frozenset[tuple[bytes, bytes]]) -> Decision | None:
    """The decision that ends the stream, if this verdict does. ``sent`` are the headers that left with its head."""
    if judgement.decision.effect == "deny":
        return judgement.decision
    if not sent.issuperset(judgement.duties.headers):
        mend = "state the annotate obligation at the response stage whatever the findings are"
        return denied_by_obligation(
            judgement.decision, ObligationFailed("a header became due after the head of the stream", mend=mend)
        )
    redactions = judgement.duties.redactions
    if any(f.type in redactions and redactions[f.type].name != "keep" for f in judgement.findings):
        what = "a redaction became due in a stream that already flows"
        mend = "state the redact obligation at the response stage whatever the findings are"
        return denied_by_obligation(judgement.decision, ObligationFailed(what, mend=mend))
    return None
