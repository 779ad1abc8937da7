"""The recognised shapes. A new one is a file of places and an entry in ``SHAPES``."""

from __future__ import annotations

import re
from typing import Final, Literal

from guard.content.shapes.anthropic_messages import ANTHROPIC_MESSAGES
from guard.content.shapes.generic import GENERIC
from guard.content.shapes.openai_chat import OPENAI_CHAT
from guard.content.shapes.openai_responses import OPENAI_RESPONSES
from guard.content.shapes.shape import Shape

ShapeName = Literal["auto", "openai.chat", "openai.responses", "anthropic.messages", "generic"]

SHAPES: Final[dict[str, Shape]] = {
    shape.name: shape for shape in (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES, GENERIC)
}

_SLASHES: Final = re.compile(r"/+")


def choose(name: ShapeName, path: str) -> Shape:
    """The shape of that name; ``auto`` chooses by the end of the path, whatever its case and however many slashes."""
    if name != "auto":
        return SHAPES[name]
    plain = (_SLASHES.sub("/", path) if "//" in path else path).rstrip("/").lower()
    for shape in SHAPES.values():
        if plain.endswith(shape.path_suffixes):
            return shape
    return GENERIC


__all__ = ["SHAPES", "Shape", "ShapeName", "choose"]
