"""Server-sent events that are inspected, redacted and restored as they flow.

Decided at the head, whenever a new type of finding appears, and at the end. A text leaves once no value that is still
to come can reach into it (``guard.stream``) and it was inspected in its context, so that what is found is hidden, or
stops the stream, before it has left. Arguments of a tool call leave when they are whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from guard import content as reading
from guard.content import Edit
from guard.errors import ContentRefused, ObligationFailed
from guard.exchange.held import Channel, Entry, Held
from guard.exchange.judge import Judgement
from guard.exchange.pieces import events_of
from guard.exchange.verdicts import Verdicts
from guard.obligations.redact import combine, redact
from guard.stream import CONTEXT_CHARACTERS, MAX_CHANNELS, TooManyChannels, Window
from guard.types import Decision, Detector, Finding, Segment, Skipped

if TYPE_CHECKING:
    from guard.exchange.answer import Answer

_MAX_EVENT_BYTES: Final = 1 << 20
_MAX_EVENTS: Final = 20_000
_WIDE_CONTEXT: Final = 512
"""For detectors that do not say how far they look."""


class _Source(msgspec.Struct, eq=False):
    """One text that is to be inspected: ``segment.text[fresh:ready]`` may leave. It belongs to a channel (with its
    ``window``, or whole as ``arguments``) or stands alone in an event."""

    segment: Segment
    fresh: int
    ready: int
    channel: Channel | None = None
    window: Window | None = None
    arguments: reading.Arguments | None = None
    entry: Entry | None = None
    part: int = 0


class FlowingEvents:
    """Inspects events and lets them pass until a verdict stops them."""

    def __init__(self, answer: Answer, head: Judgement) -> None:
        self._answer = answer
        services = answer.exchange.services
        self._limit = services.config.limits.stream_buffer_bytes
        self._reader = reading.EventReader(_MAX_EVENT_BYTES)
        self._verdicts = Verdicts(answer, head)
        self._local = {d.info.name: local_types(d) for d in services.pipeline.detectors}
        is_local = all(local_types(d) for d in services.pipeline.detectors)
        self._context = CONTEXT_CHARACTERS if is_local else _WIDE_CONTEXT
        # Where the guard may have to go on with what came, it must know what of that has left: a beginning.
        in_order = answer.exchange.fails_open or answer.exchange.shape.name == "anthropic.messages"
        self._held = Held(in_order=in_order)
        self._channels: dict[str, Channel] = {}
        self._touched: dict[str, Channel] = {}
        self._alone: list[_Source] = []
        self._keys: dict[str, Segment] = {}
        self._counts = dict(answer.redactions)  # those of the headers
        self._sent = 0

    async def feed(self, body: bytes, *, more: bool) -> None:
        """Inspect the events that this piece completes, and let go what may leave."""
        self._verdicts.size_bytes += len(body)
        try:
            events = await events_of(self._answer.exchange.services, self._reader, body, more=more)
            self._answer.exchange.spending.passing(events)
            verdict = await self._inspect(events)
            if verdict is None and not more:
                verdict = await self._settle(("",)) or await self._verdicts.ask()
        except (ContentRefused, TooManyChannels, ObligationFailed) as error:
            what = "the stream opens too many channels" if isinstance(error, TooManyChannels) else error.what
            verdict = await self._verdicts.refuse(ObligationFailed(what), Skipped("", "unreadable_stream"))
        leaving = self._held.release(last=verdict is not None)
        self._sent += leaving.events
        self._answer.redactions = self._counts
        ends = not more and verdict is None
        if leaving.body or ends:
            await self._answer.send_body(leaving.body, more=not ends, raw_bytes=leaving.raw_bytes)
        if verdict is not None:
            await self.stop(verdict)
        elif ends:
            await self._answer.record(None)

    async def stop(self, verdict: Decision) -> None:
        """End the stream with this verdict; what is held back does not leave."""
        await self._answer.stop(verdict, events_sent=self._sent)

    async def _inspect(self, events: list[reading.Event]) -> Decision | None:
        """The decision that stops the stream, if these events lead to one."""
        for event in events:
            entry = self._taken(event)
            if entry.read.ends:
                verdict = await self._settle(entry.read.ends)
                if verdict is not None:
                    return verdict
        verdict = await self._settle(())
        if verdict is None and (self._held.size_bytes > self._limit or self._held.events > _MAX_EVENTS):
            what = "the stream holds back more than limits.stream_buffer_bytes"
            return await self._verdicts.refuse(ObligationFailed(what))
        return verdict

    def _taken(self, event: reading.Event) -> Entry:
        """The event among those that wait, its texts in their channels."""
        exchange = self._answer.exchange
        read = exchange.read_event(event)
        self._verdicts.gaps(read.skipped)
        entry = Entry(read)
        for index, part in enumerate(read.parts):
            exchange.spending.said(part.text)
            if part.at is not None:
                channel = self._channel(part.at)
                entry.add(index, channel)
                self._touched[part.at.pointer] = channel
            elif part.segment is not None:
                entry.waiting += 1
                self._alone.append(_Source(part.segment, 0, len(part.text), entry=entry, part=index))
                if part.segment.provenance == "key" and len(self._keys) < MAX_CHANNELS:
                    self._keys[part.segment.pointer] = part.segment
        self._held.add(entry)
        return entry

    def _channel(self, at: reading.At) -> Channel:
        channel = self._channels.get(at.pointer)
        if channel is None:
            if len(self._channels) >= MAX_CHANNELS:
                raise TooManyChannels
            channel = self._channels[at.pointer] = Channel(at, self._context)
        return channel

    # Inspecting ------------------------------------------------------------------------------------------------------

    async def _settle(self, ends: Sequence[str]) -> Decision | None:
        """Inspect what may leave, with all of the channels that ``ends`` ends; the decision that stops the stream."""
        sources = [*self._alone, *self._windows(ends)]
        self._alone = []
        if not sources:
            return None
        segments = [source.segment for source in sources]
        detection = await self._answer.exchange.services.pipeline.detect([*segments, *self._keys.values()], "response")
        found: dict[int, list[Finding]] = {}
        for finding in detection.findings:
            found.setdefault(finding.segment, []).append(finding)
        if self._verdicts.unfinished(detection):
            verdict = await self._verdicts.ask()
            if verdict is not None:
                return verdict
        documents: dict[str, tuple[_Source, dict[int, list[Edit]]]] = {}
        leaf = 0
        for index, source in enumerate(sources):
            self._verdicts.inspected(source.segment.pointer)
            edits, verdict = await self._edits(segments, index, source, found.get(index, ()))
            if verdict is not None:
                if source.window is not None:
                    _apply(source, edits)
                return verdict
            if source.arguments is None:
                _apply(source, edits)
                continue
            pointer = source.segment.pointer if source.channel is None else source.channel.at.pointer
            if pointer not in documents:
                documents[pointer], leaf = (source, {}), 0
            if edits:
                documents[pointer][1][leaf] = edits
            leaf += 1
        for source, changes in documents.values():
            if source.channel is not None and source.arguments is not None:
                source.channel.replace(source.arguments.write(changes) if changes else None)
        return None

    def _windows(self, ends: Sequence[str]) -> Iterator[_Source]:
        """What may leave of the channels that were fed, and all of those that are over."""
        over = [channel for pointer, channel in self._channels.items() if channel.pieces and _is_over(pointer, ends)]
        touched, self._touched = self._touched, {}
        for channel in dict.fromkeys([*touched.values(), *over]):
            closed = channel in over
            if channel.is_document:
                if closed:
                    yield from self._leaves(channel)
                continue
            window = channel.tail.window(closed=closed)
            if window is None:
                continue
            held = 0 if closed else self._answer.exchange.vault.could_begin(window.text)
            ready = min(window.ready, len(window.text) - held)
            if ready > window.fresh:
                segment = Segment.of(window.text, channel.at.pointer, channel.at.provenance)
                yield _Source(segment, window.fresh, ready, channel, window)

    def _leaves(self, channel: Channel) -> Iterator[_Source]:
        """The texts of a document that is whole."""
        arguments = self._answer.exchange.read_arguments(channel.text, channel.at)
        self._verdicts.gaps(arguments.skipped)
        if not arguments.segments:
            channel.replace(None)
        for segment in arguments.segments:
            yield _Source(segment, 0, len(segment.text), channel, arguments=arguments)

    def _is_local(self, finding: Finding) -> bool:
        return finding.type in self._local.get(finding.detector, ())

    async def _edits(
        self, segments: Sequence[Segment], index: int, source: _Source, findings: Sequence[Finding]
    ) -> tuple[list[Edit], Decision | None]:
        """What changes in the ready part of a text, and the decision that stops the stream instead.

        What straddles the end of the ready part is held back with it. A verdict on a finding holds from the finding on.
        """
        text, fresh = source.segment.text, source.fresh
        exchange = self._answer.exchange
        standing = None if source.channel is None else source.channel.standing
        origin = 0 if standing is None or source.arguments is not None else fresh
        back = [span for span in exchange.vault.spans(text, standing=standing, origin=origin) if span[1] > fresh]
        local = [f for f in findings if self._is_local(f)]
        spans = [*((f.start, f.end) for f in local), *((start, end) for start, end, _ in back)]
        ready = source.ready = max(fresh, _unstraddled(source.ready, spans))
        back = [span for span in back if span[1] <= ready]
        edits: dict[int, list[Edit]] = {index: back} if back else {}
        self._answer.restored += len(back)
        seen = [f for f in findings if f.end > fresh and (f.end <= ready or not self._is_local(f))]
        for cluster in _clusters(seen):
            # All of them are taken note of, whichever is news.
            news = [self._verdicts.is_news(finding, source.segment) for finding in cluster]
            verdict = await self._verdicts.ask() if any(news) else None
            if verdict is None and any(self._verdicts.hides(f) and (f.start < fresh or f.end > ready) for f in cluster):
                what = "a redaction became due in a text that has left already"
                mend = 'set streams = "buffer" on this route'
                verdict = await self._verdicts.refuse(ObligationFailed(what, mend=mend))
            if verdict is not None:
                source.ready = min(ready, max(fresh, cluster[0].start))
                return [edit for edit in edits.get(index, ()) if edit[1] <= source.ready], verdict
            redaction = redact(
                segments, cluster, self._verdicts.redactions, vault=exchange.vault,
                keyed=exchange.services.keyed, protected={index: back},
            )  # fmt: skip
            edits = combine(edits, redaction.edits)
            for entity, count in redaction.counts.items():
                self._counts[entity] = self._counts.get(entity, 0) + count
        swallowed = source.window.swallowed if source.window is not None else ()
        outside = [e for e in edits.get(index, ()) if not any(e[0] < s[1] and e[1] > s[0] for s in swallowed)]
        return sorted([*outside, *(e for e in swallowed if e[1] <= ready)]), None


def local_types(detector: Detector) -> Collection[str]:
    """The types of finding that are certain before the text has ended: a detector says them in its attribute
    ``local`` (``docs/detectors.md``)."""
    return getattr(detector, "local", frozenset())


def _apply(source: _Source, edits: Sequence[Edit]) -> None:
    if source.channel is not None and source.window is not None:
        if source.ready > source.fresh:
            source.channel.settle(source.window, source.ready, edits)
    elif source.entry is not None:
        source.entry.waiting -= 1
        if edits:
            source.entry.changed[source.part] = reading.apply_edits(source.segment.text, edits)


def _is_over(pointer: str, ends: Sequence[str]) -> bool:
    return any(pointer == end or pointer.startswith(f"{end}/") for end in ends)


def _unstraddled(ready: int, spans: Sequence[tuple[int, int]]) -> int:
    """The end of the ready part, before every span that would reach over it."""
    for start, end in sorted(spans, reverse=True):
        if start < ready < end:
            ready = start
    return ready


def _clusters(findings: Sequence[Finding]) -> Iterator[list[Finding]]:
    """Findings that overlap, together, by position."""
    cluster: list[Finding] = []
    end = -1
    for finding in sorted(findings, key=lambda f: (f.start, f.end)):
        if cluster and finding.start >= end:
            yield cluster
            cluster = []
        cluster.append(finding)
        end = max(end, finding.end) if len(cluster) > 1 else finding.end
    if cluster:
        yield cluster
