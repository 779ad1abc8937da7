"""What a shape is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from guard.content.places import UNKNOWN, Place


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The places of one API: of its request, of its answer, and of the events of its streamed answer.

    ``events`` gives the place of an event's data by its ``type`` member; ``".delta"`` is any other that ends
    so, ``""`` any other. ``stream_words`` are data and event names that say nothing but what the shape says
    (``[DONE]``). ``joins``: the stream's texts are joined, so that what is spelled over several events is seen; it
    ``repeats`` them when they are whole. ``in_order``: no event may overtake another, or be sent in two.
    """

    name: str
    operation: Literal["chat", "messages"] | None = None
    path_suffixes: tuple[str, ...] = ()
    request: Place = UNKNOWN
    response: Place = UNKNOWN
    events: Mapping[str, Place] = field(default_factory=lambda: {"": UNKNOWN})
    stream_words: frozenset[str] = frozenset()
    joins: bool = False
    repeats: bool = False
    in_order: bool = False

    def event(self, data: Any) -> Place:
        """The place of the data of one event."""
        kind = data.get("type") if isinstance(data, dict) else None
        if not isinstance(kind, str):
            return self.events[""]
        place = self.events.get(kind) or (self.events.get(".delta") if kind.endswith(".delta") else None)
        return place or self.events[""]
