"""JSON of no recognised shape: every string, key and long number is read; no position has a name."""

from __future__ import annotations

from typing import Final

from guard.content.shapes.shape import Shape

GENERIC: Final = Shape("generic")
