"""The events that one piece of a stream completes, read so that nobody else waits for it."""

from __future__ import annotations

import asyncio
from typing import Final

from guard.content import Event, FrameReader
from guard.exchange.services import Services

_MANY: Final = 16
"""An app that never waits may hand over piece after piece: after so many events at once, others get their turn."""


async def events_of(services: Services, reader: FrameReader, body: bytes, *, more: bool) -> list[Event]:
    """The events that ``body`` completes, and with the last piece what the stream's end cuts off.

    What may be long to read is read in a worker thread. Raises ``ContentRefused`` as the reader does, and as
    ``Services.offload``.
    """
    events = await services.offload(len(body) + reader.pending_bytes, _read, reader, body, more)
    if len(events) > _MANY:
        await asyncio.sleep(0)
    return events


def _read(reader: FrameReader, body: bytes, more: bool) -> list[Event]:
    events = reader.feed(body)
    return events if more else events + reader.finish()
