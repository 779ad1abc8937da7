"""The one walker: a parsed JSON value and a place of a shape in, segments with pointers out. Linear in the values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Raw

from guard.carried import text_of_base64
from guard.content import coverage, strict
from guard.content.adjacent import read_seams
from guard.content.documents import Document, Slot
from guard.content.markup import declares_entities, fold_markup
from guard.content.places import LOOSE, UNKNOWN, FactName, Kind, Place
from guard.errors import ContentRefused
from guard.keyed import KeyedHash
from guard.readings import see
from guard.types import Named, Provenance, Segment, Skipped

_STARTS_LIKE_JSON: Final = re.compile(r'[ \t\n\r]*[\[{"]').match
# Possessive, so that what does not match is left in linear time.
_DATA_URL: Final = re.compile(r"data:([^;,]*+)[^,]*;base64,[A-Za-z0-9+/_\s-]*+={0,2}+\s*+", re.IGNORECASE).fullmatch
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_\s-]*+={0,2}+\s*+").fullmatch
_INDEX: Final = re.compile(rb"[0-9]{1,6}").fullmatch
_NAMED_INDEX: Final = re.compile(r"\{([a-z_]+)\}")
_MIN_MEDIA_CHARACTERS: Final = 64
"""Shorter values are inspected as texts, too, whatever they are declared as: a card number is base64."""
_MIN_NUMBER_DIGITS: Final = 8
_MAX_MEASURE_DIGITS: Final = 10
MEDIA_REASONS: Final = {
    "image": coverage.IMAGE,
    "audio": coverage.AUDIO,
    "video": coverage.VIDEO,
    "text": coverage.DATA_URL,
}


class ReadLimits(msgspec.Struct, frozen=True):
    """Bounds of reading. Depth counts nested arrays and objects, through JSON in strings too; past
    ``inspect_limit_bytes`` (UTF-8 bytes of the texts, in reading order) texts are skipped. ``max_fields`` counts the
    fields and parts of a form; ``max_field_bytes`` is the size of one field as it is sent (files have no bound but the
    body's)."""

    max_json_depth: int = 64
    max_json_values: int = 100_000
    inspect_limit_bytes: int = 2 * 2**20
    max_fields: int = 1000
    max_field_bytes: int = 2**20


class At(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Where the walker is: the pointer, the place of the shape, whose words stand there, how many containers deep."""

    pointer: str
    place: Place
    provenance: Provenance
    depth: int = 0


class Walk:
    """The state of one reading: collects segments, their slots, and what was skipped."""

    def __init__(self, keyed: KeyedHash, limits: ReadLimits, field_names: frozenset[str], *, size_bytes: int) -> None:
        """``size_bytes`` is the size of the whole body: texts are only measured if it is past the limit."""
        self.segments: list[Segment] = []
        self.slots: list[Slot] = []
        self.skipped: dict[Skipped, None] = {}
        self.named: list[tuple[FactName, Named]] = []
        self.documents: list[Document] = []
        self.fragments: list[Slot] = []
        self.past_limit: list[str] = []
        self._keyed = keyed
        self._field_names = field_names
        self._max_depth = limits.max_json_depth
        self._max_values = limits.max_json_values
        self._values_seen = 0
        self._room: int | None = limits.inspect_limit_bytes if size_bytes > limits.inspect_limit_bytes else None
        self._tokens: dict[str, str] = {}

    def parse(self, text: str, depth: int = 0) -> Any:
        """A JSON text inside ``depth`` containers, within what is left of the limits: the values read so far count.
        Raises as ``strict.parse``."""
        return strict.parse(
            text, max_depth=self._max_depth - depth, max_values=max(0, self._max_values - self._values_seen)
        )

    def open_document(self, value: Any, held_in: tuple[Slot, ...] = ()) -> Slot:
        """A new document around ``value``, and the slot of its root."""
        holder = [value]
        self.documents.append(Document(holder, held_in))
        return Slot(len(self.documents) - 1, holder, 0)

    def root(self, value: Any, slot: Slot, at: At) -> None:
        """Read ``value``, which stands in ``slot``, and all below it."""
        if isinstance(value, str):
            self.string(value, slot, at)
        elif isinstance(value, (dict, list)):
            self._container(value, slot.document, at)
        elif isinstance(value, Raw):
            self._number(value, slot, at)

    def _container(self, node: Any, document: int, at: At) -> None:
        pointer, place, provenance, depth = at.pointer, at.place, at.provenance, at.depth + 1
        self._values_seen += len(node)
        is_object = type(node) is dict
        if place.roles is not None and is_object:
            role = node.get("role")
            provenance = place.roles.get(role, "unknown") if type(role) is str else "unknown"
        members, items = place.members, place.items or place
        pairs: Iterable[tuple[Any, Any]] = node.items() if is_object else enumerate(node)
        for key, value in pairs:
            below = ""
            if not is_object:
                child = items
            elif key in members:
                child = members[key]
            else:
                child = place.rest or UNKNOWN
                below = self._unrecognised(key, Slot(document, node, key, True), pointer)
            kind = type(value)
            if kind is str:
                if value in child.words:
                    continue
            elif value is None or kind is bool or (kind is Raw and not is_number_text(_spelled(value), child.kind)):
                continue
            below = below or _below(pointer, place, child, node, key)
            if kind is str:
                slot = Slot(document, node, key)
                self.string(value, slot, At(below, child, child.provenance or provenance, depth))
            elif child.kind == "fragments":
                self._fragments(value, Slot(document, node, key), below)
            elif kind is dict or kind is list:
                self._container(value, document, At(below, child, child.provenance or provenance, depth))
            elif kind is Raw:
                self._number(value, Slot(document, node, key), At(below, child, child.provenance or provenance, depth))

    def _unrecognised(self, key: str, slot: Slot, pointer: str) -> str:
        """The pointer of a member that the shape does not know; its key is a text of its own."""
        below = f"{pointer}/{self.token(key)}"
        if key and key not in self._field_names:
            self.emit(key, slot, below, "key")
        return below

    def is_recognised(self, key: str) -> bool:
        """Whether the key keeps its name in pointers; then it is no text."""
        return key in self._field_names

    def token(self, key: str) -> str:
        """What stands for a key of no shape in pointers: itself if it is recognised, else its keyed hash."""
        if key in self._field_names:
            return key
        token = self._tokens.get(key)
        if token is None:
            token = self._tokens[key] = self._keyed.token(key)
        return token

    def string(self, text: str, slot: Slot, at: At) -> None:
        """Read one string: as text, as JSON that it holds, or as something that is not text."""
        place = at.place
        if place.fact is not None and not place.joined:
            self.named.append((place.fact, Named(text, at.pointer)))
        if not text or self._is_media(text, slot, at):
            return
        if place.joined:
            self.join(text, slot, at)
        elif place.again:
            self.repeat(text, slot, at)
        else:
            self.alone(text, slot, at)

    def alone(self, text: str, slot: Slot, at: At) -> None:
        """A string by itself: the texts of the JSON that it holds, or one text."""
        if not (self._may_hold_json(text, at) and self.embedded(text, (slot,), at)):
            self.emit(text, slot, at.pointer, at.provenance)

    def _is_media(self, text: str, slot: Slot, at: At) -> bool:
        """Whether the string is no text but an image or the like, which is then said as skipped. A text in base64 is a
        text, whatever it is declared as: its folded form holds what it decodes to."""
        kind = at.place.kind
        if kind == "media" and _BASE64(text):
            if text_of_base64(text):
                return False
            self.skip(at.pointer, at.place.reason or _media_reason(slot.container))
            return len(text) >= _MIN_MEDIA_CHARACTERS
        match = _DATA_URL(text) if text[:5].lower() == "data:" else None
        if match is None or text_of_base64(text[text.index(",") + 1 :]):
            return False
        if kind in ("url", "media"):
            self.skip(at.pointer, MEDIA_REASONS.get(match[1].partition("/")[0].lower(), coverage.FILE))
            return True
        self.skip(at.pointer, coverage.DATA_URL)
        return False

    def _may_hold_json(self, text: str, at: At) -> bool:
        # Tool results are mostly JSON, and what their escapes spell is what the model reads.
        kind = at.place.kind
        if kind == "json":
            return True
        return (kind == "open" or (kind == "text" and at.provenance == "tool")) and bool(_STARTS_LIKE_JSON(text))

    def embedded(self, text: str, held_in: tuple[Slot, ...], at: At) -> bool:
        """Read a string as the JSON that it holds; ``False`` if it holds none that every reader reads alike."""
        try:
            value = self.parse(text, at.depth)
        except (strict.NotJson, ContentRefused):
            if "\\" in text:
                self.skip(at.pointer, coverage.EMBEDDED_JSON)
            return False
        place = at.place if at.place.kind == "open" else LOOSE
        self.root(value, self.open_document(value, held_in), At(at.pointer, place, at.provenance, at.depth))
        return True

    def emit(self, text: str, slot: Slot, pointer: str, provenance: Provenance) -> None:
        """One text becomes a segment, if it still fits the inspection limit."""
        if self._fits(text, pointer):
            self.segments.append(Segment(text, pointer, provenance, see(text)))
            self.slots.append(slot)

    def emit_markup(self, text: str, slot: Slot, pointer: str) -> None:
        """The same for XML and HTML, whose character references are read."""
        if declares_entities(text):
            self.skip(pointer, coverage.XML_ENTITIES)
        if self._fits(text, pointer):
            self.segments.append(Segment(text, pointer, "unknown", fold_markup(text)))
            self.slots.append(slot)

    def _fits(self, text: str, pointer: str) -> bool:
        if self._room is None:
            return True
        self._room -= len(text) if text.isascii() else len(text.encode())
        if self._room >= 0:
            return True
        self._room = -1
        self.past_limit.append(pointer)
        return False

    def read_seams(self) -> None:
        """What is spelled over neighbouring text parts is read, too (``guard.content.adjacent``)."""
        # Most bodies have no two such pointers, and need no token.
        if sum([segment.pointer.endswith("/text") or "/~" in segment.pointer for segment in self.segments]) > 1:
            read_seams(self.segments, frozenset({"text", self.token("text")}))

    def join(self, text: str, slot: Slot, at: At) -> None:
        """A piece of a streamed text; outside streams it is a text like others."""
        self.emit(text, slot, at.pointer, at.provenance)

    def repeat(self, text: str, slot: Slot, at: At) -> None:
        """A text that pieces of a stream said before; outside streams that pass it is a text like others."""
        self.alone(text, slot, at)

    def skip(self, pointer: str, reason: str) -> None:
        """A position that is not inspected."""
        self.skipped[Skipped(pointer, reason)] = None

    def _fragments(self, value: Any, slot: Slot, pointer: str) -> None:
        if isinstance(value, (dict, list)) and value:
            self.skip(pointer, coverage.TOKEN_FRAGMENTS)
            self.fragments.append(slot)

    def _number(self, raw: Raw, slot: Slot, at: At) -> None:
        """A number is a text if it is long enough to name somebody: eight digits, or any fraction where the shape does
        not expect a number."""
        text = _spelled(raw)
        if is_number_text(text, at.place.kind):
            self.emit(text, slot, at.pointer, at.provenance)

    def all_skipped(self) -> tuple[Skipped, ...]:
        """What was skipped; the positions past the inspection limit are gathered into at most 16 pointers."""
        if self.past_limit:
            for pointer in _gathered(self.past_limit):
                self.skip(pointer, coverage.INSPECT_LIMIT)
        return tuple(self.skipped)


def _spelled(number: Raw) -> str:
    return bytes(number).decode()


def is_number_text(text: str, kind: Kind = "open") -> bool:
    """Whether a number is a text of its own, as it is written at a place of this kind."""
    if len(text) < _MIN_NUMBER_DIGITS and text.isdecimal():
        return False
    if kind == "measure" and len(text.lstrip("-").partition(".")[0]) <= _MAX_MEASURE_DIGITS:
        return False
    digits = sum(map(str.isdecimal, text))
    return digits >= _MIN_NUMBER_DIGITS or (kind != "number" and not text.lstrip("-").isdecimal())


def is_data_url(text: str) -> bool:
    """Whether a text is a ``data:`` URL of what is no text."""
    return (
        text[:5].lower() == "data:" and _DATA_URL(text) is not None and not text_of_base64(text[text.index(",") + 1 :])
    )


def _gathered(pointers: list[str]) -> list[str]:
    """At most 16 pointers above all of these: the deepest common level that is short enough."""
    for level in (6, 5, 4, 3, 2, 1):
        gathered = dict.fromkeys("/".join(pointer.split("/", level + 1)[: level + 1]) for pointer in pointers)
        if len(gathered) <= 16:
            return list(gathered)
    return [""]


def _below(pointer: str, place: Place, child: Place, node: Any, key: Any) -> str:
    """The pointer of a recognised member, or of an element."""
    if type(node) is list:
        return f"{pointer}/{_index(node[key], key) if place.indexed else key}"
    return f"{pointer}/{key}" if child.token is None else pointer + _token(child.token, node)


def _index(value: Any, position: int, name: str = "index") -> str:
    """The ``index`` member of an element of a stream, or its position."""
    index = value.get(name) if isinstance(value, dict) else None
    if isinstance(index, Raw) and _INDEX(bytes(index)):
        return bytes(index).decode()
    return str(position)


def _token(token: str, node: Any) -> str:
    return _NAMED_INDEX.sub(lambda name: _index(node, 0, name[1]), token) if "{" in token else token


def _media_reason(container: Any) -> str:
    media_type = container.get("media_type") if isinstance(container, dict) else None
    if not isinstance(media_type, str):
        return coverage.FILE
    return MEDIA_REASONS.get(media_type.partition("/")[0].lower(), coverage.FILE)
