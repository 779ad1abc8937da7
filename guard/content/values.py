"""One value of a body that is made of several (a part, a record): JSON or text, as a piece."""

from __future__ import annotations

from guard.content import strict
from guard.content.media_types import is_markup
from guard.content.pieces import Pieces
from guard.content.places import UNKNOWN
from guard.content.text import decode_text
from guard.content.walk import At
from guard.errors import ContentRefused


def read_json(pieces: Pieces, start: int, end: int, pointer: str, *, what: str, charset: str | None = None) -> None:
    """Read ``body[start:end]``, which is ``what`` (for people), as JSON.

    Raises ``ContentRefused``: ``json_invalid`` and as ``strict.parse``, ``charset_unsupported``, ``text_invalid``.
    """
    if charset not in (None, "utf-8", "ascii"):
        raise ContentRefused("charset_unsupported", "JSON is UTF-8", where="body", mend="Send UTF-8.")
    text, _ = decode_text(pieces.body[start:end], charset)
    try:
        value = pieces.walk.parse(text)
    except strict.NotJson:
        raise ContentRefused(
            "json_invalid", f"{what} is not valid JSON", where="body", mend="Send strict JSON (RFC 8259) in UTF-8."
        ) from None
    pieces.walk.root(value, pieces.add(value, start, end, strict.encode), At(pointer, UNKNOWN, "unknown"))


def read_text(pieces: Pieces, start: int, end: int, pointer: str, *, media_type: str, charset: str | None) -> None:
    """Read ``body[start:end]`` as text, or as the JSON that it is. Raises ``ContentRefused`` as ``decode_text``."""
    text, tree = decode_text(pieces.body[start:end], charset)
    if not text:
        return
    walk = pieces.walk
    slot = pieces.add(text, start, end, tree.encode)
    if not is_markup(media_type):
        walk.string(text, slot, At(pointer, UNKNOWN, "unknown"))
        return
    walk.emit_markup(text, slot, pointer)
