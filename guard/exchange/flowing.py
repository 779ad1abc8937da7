"""Server-sent events, JSON lines and plain text that are inspected, redacted and restored as they flow.

Decided at the head, whenever a new type of finding appears, and at the end. A text leaves once no value that is still
to come can reach into it (``guard.stream``) and it was inspected in its context, so that what is found is hidden, or
stops the stream, before it has left. What the provider says again when it is whole is said again as it left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from guard import content as reading
from guard.content import Edit
from guard.errors import ContentRefused, ObligationFailed
from guard.exchange.documents import Document
from guard.exchange.held import Channel, Entry, Held
from guard.exchange.judge import Judgement
from guard.exchange.pieces import events_of
from guard.exchange.sources import Said, Source, alone, document
from guard.exchange.verdicts import Verdicts
from guard.obligations.redact import combine, redact
from guard.stream import CONTEXT_CHARACTERS, MAX_CHANNELS, TooManyChannels
from guard.types import Decision, Detector, Finding, Segment, Skipped

if TYPE_CHECKING:
    from guard.exchange.answer import Answer
    from guard.exchange.spoken import Spoken

_MAX_EVENT_BYTES: Final = 1 << 20
_MAX_EVENTS: Final = 20_000
_AT_ONCE: Final = 64
_WIDE_CONTEXT: Final = 512
"""For detectors that do not say how far they look."""


class _Copy(msgspec.Struct, eq=False):
    """A text that says again what a channel said."""

    at: reading.At
    text: str
    settle: Callable[[str | None], None]


class Flow:
    """Inspects events and says which of them may pass, until a verdict stops them. Who sends them is a subclass."""

    def __init__(self, answer: Answer | Spoken, head: Judgement, framing: reading.Framing) -> None:
        self._answer = answer
        self._shape = reading.shape_of(framing, answer.exchange.shape)
        services = answer.exchange.services
        self._limit = services.config.limits.stream_buffer_bytes
        self._reader = reading.reader_of(framing, _MAX_EVENT_BYTES)
        self._verdicts = Verdicts(answer, head)
        self._local = {d.info.name: local_types(d) for d in services.pipeline.detectors}
        is_local = all(local_types(d) for d in services.pipeline.detectors)
        self._context = CONTEXT_CHARACTERS if is_local else _WIDE_CONTEXT
        # Where the guard may have to go on with what came, it must know what of that has left: a beginning.
        self._held = Held(in_order=answer.exchange.fails_open or self._shape.in_order)
        self._channels: dict[str, Channel | Document] = {}
        self._touched: dict[str, Channel | Document] = {}
        self._alone: list[Source] = []
        self._copies: list[_Copy] = []
        self._keys: dict[str, Segment] = {}
        # What most events say again (an id, a model), and what nothing was found in.
        self._clean: set[tuple[str, str]] = set()
        self._counts = dict(answer.redactions)  # those of the headers
        self._ended = False

    async def _decided(self, body: bytes, *, more: bool) -> Decision | None:
        self._verdicts.size_bytes += len(body)
        try:
            events = await events_of(self._answer.exchange.services, self._reader, body, more=more)
            self._answer.exchange.spending.passing(events)
            verdict = await self._inspect(events)
            if verdict is None and not more:
                verdict = await self._settle(("",)) or await self._verdicts.ask()
            return verdict
        except (ContentRefused, TooManyChannels, ObligationFailed) as error:
            what = "the stream opens too many channels" if isinstance(error, TooManyChannels) else error.what
            return await self._verdicts.refuse(ObligationFailed(what), Skipped("", "unreadable_stream"))

    async def _inspect(self, events: list[reading.Event]) -> Decision | None:
        """The decision that stops the stream, if these events lead to one."""
        for number, event in enumerate(events, 1):
            entry = self._taken(event)
            self._ended = "" in entry.read.ends
            if entry.read.ends or not number % _AT_ONCE:
                verdict = await self._settle(entry.read.ends)
                if verdict is not None:
                    return verdict
            if not number % _AT_ONCE:
                await asyncio.sleep(0)  # others wait for the loop
        verdict = await self._settle(())
        if verdict is None and (self._held.size_bytes > self._limit or self._held.events > _MAX_EVENTS):
            what = "the stream holds back more than limits.stream_buffer_bytes"
            return await self._verdicts.refuse(ObligationFailed(what))
        return verdict

    def _taken(self, event: reading.Event) -> Entry:
        """The event among those that wait, its texts in their channels."""
        exchange = self._answer.exchange
        read = exchange.read_event(event, self._shape, self._clean)
        self._verdicts.gaps(read.skipped)
        entry = Entry(read)
        for index, part in enumerate(read.parts):
            exchange.spending.said(len(part.text))
            if part.at is not None and part.again:
                self._copies.append(_Copy(part.at, part.text, entry.wait_for(index)))
            elif part.at is not None:
                channel = self._channel(part.at)
                entry.add(index, channel)
                self._touched[part.at.pointer] = channel
            elif part.segment is not None:
                self._alone.append(alone(part.segment, entry.wait_for(index)))
                if part.segment.provenance == "key" and len(self._keys) < MAX_CHANNELS:
                    self._keys[part.segment.pointer] = part.segment
        exchange.spending.said(read.known_characters)
        self._held.add(entry)
        return entry

    def _channel(self, at: reading.At) -> Channel | Document:
        channel = self._channels.get(at.pointer)
        if channel is None:
            if len(self._channels) >= MAX_CHANNELS:
                raise TooManyChannels
            exchange, verdicts = self._answer.exchange, self._verdicts
            said = Said(verdicts.redactions) if self._shape.repeats else None
            if reading.is_document(at):
                channel = Document(at, self._context, exchange, verdicts, said)
            else:
                channel = Channel(at, self._context, said)
            self._channels[at.pointer] = channel
        return channel

    # Inspecting ------------------------------------------------------------------------------------------------------

    async def _settle(self, ends: Sequence[str]) -> Decision | None:
        """Inspect what may leave, with all of the channels that ``ends`` ends; the decision that stops the stream."""
        alone, self._alone = self._alone, []
        verdict = await self._inspect_all([*alone, *self._windows(ends)])
        if verdict is None and self._copies:
            copies, self._copies = self._copies, []
            self._held.stir()
            verdict = await self._inspect_all([source for copy in copies for source in self._repeated(copy)])
        return verdict

    async def _inspect_all(self, sources: Sequence[Source]) -> Decision | None:
        touched, self._touched = self._touched.values(), {}
        verdict = await self._inspected(sources) if sources else None
        moved = [channel.settled() for channel in touched]
        if sources or any(moved):
            self._held.stir()
        return verdict

    async def _inspected(self, sources: Sequence[Source]) -> Decision | None:
        segments = [source.segment for source in sources]
        keys = dict(self._keys)
        for source in sources:
            for key in source.keys:
                keys[key.pointer] = key
        detection = await self._answer.exchange.services.pipeline.detect([*segments, *keys.values()], "response")
        found: dict[int, list[Finding]] = {}
        for finding in detection.findings:
            found.setdefault(finding.segment, []).append(finding)
        if self._verdicts.unfinished(detection):
            verdict = await self._verdicts.ask()
            if verdict is not None:
                return verdict
        for index, source in enumerate(sources):
            self._verdicts.inspected(source.segment.pointer)
            edits, verdict = await self._edits(segments, index, source, found.get(index, ()))
            if not (found.get(index) or edits or detection.incomplete):
                self._learn(source)
            if verdict is None or source.window is not None:
                source.settle(source.ready, edits)
            if verdict is not None:
                return verdict
        return None

    def _learn(self, source: Source) -> None:
        """Nothing was found in a text; where it stands alone it need not be inspected again."""
        text = source.segment.text
        if source.window is None and not source.keys and len(self._clean) < MAX_CHANNELS >= len(text):
            self._clean.add((source.segment.pointer, text))

    def _windows(self, ends: Sequence[str]) -> Iterator[Source]:
        """What may leave of the channels that were fed, and all of those that are over."""
        for pointer, channel in self._channels.items():
            closed = bool(ends) and _is_over(pointer, ends)
            if closed or pointer in self._touched:
                self._touched[pointer] = channel
                yield from channel.sources(self._answer.exchange.vault, closed=closed)

    def _repeated(self, copy: _Copy) -> Iterator[Source]:
        """What a channel said is known; whatever else stands in its place is a text by itself."""
        exchange = self._answer.exchange
        channel = self._channels.get(copy.at.pointer)
        said = channel.said if channel is not None else None
        text = said.again(copy.text) if said is not None and said.armed == self._verdicts.redactions else None
        if text is not None:
            copy.settle(None if text == copy.text else text)
        elif reading.is_document(copy.at):
            arguments = exchange.read_arguments(copy.text, copy.at)
            self._verdicts.gaps(arguments.skipped)
            yield from document(arguments, copy.settle)
        else:
            yield alone(Segment.of(copy.text, copy.at.pointer, copy.at.provenance), copy.settle)

    def _is_local(self, finding: Finding) -> bool:
        return finding.type in self._local.get(finding.detector, ())

    async def _edits(
        self, segments: Sequence[Segment], index: int, source: Source, findings: Sequence[Finding]
    ) -> tuple[list[Edit], Decision | None]:
        """What changes in the ready part of a text, and the decision that stops the stream instead.

        What straddles the end of the ready part is held back with it. A verdict on a finding holds from the finding on.
        """
        text, fresh = source.segment.text, source.fresh
        exchange = self._answer.exchange
        if not (findings or exchange.vault.used or (source.window is not None and source.window.swallowed)):
            return [], None
        origin = 0 if source.standing is None else fresh
        back = [span for span in exchange.vault.spans(text, standing=source.standing, origin=origin) if span[1] > fresh]
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
                keyed=exchange.keyed, protected={index: back},
            )  # fmt: skip
            edits = combine(edits, redaction.edits)
            for entity, count in redaction.counts.items():
                self._counts[entity] = self._counts.get(entity, 0) + count
        # Where nothing is hidden, nothing has to be left out for its length.
        hides = bool(self._verdicts.redactions) or exchange.vault.used
        swallowed = source.window.swallowed if hides and source.window is not None else ()
        outside = [e for e in edits.get(index, ()) if not any(e[0] < s[1] and e[1] > s[0] for s in swallowed)]
        return sorted([*outside, *(e for e in swallowed if e[1] <= ready)]), None


def local_types(detector: Detector) -> Collection[str]:
    """The types of finding that are certain before the text has ended: a detector says them in its attribute
    ``local`` (``docs/detectors.md``)."""
    return getattr(detector, "local", frozenset())


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
