"""The texts that headers hold, of requests and of answers.

Every value is read but credentials (named in coverage) and values that fit the fixed grammar of their header. A value
that does not fit its grammar is read like any other; percent-encoding and backslashes in quoted strings are undone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias
from urllib.parse import quote

import msgspec

from guard.content import coverage
from guard.content.documents import Document, Slot, changes_of, rewrite
from guard.content.edits import Edits
from guard.content.header_grammar import (
    CREDENTIAL_HEADERS,
    FIXED_GRAMMAR,
    FRAMING_HEADERS,
    TEXT_HEADERS,
    URI_HEADERS,
    USER_AGENT_WORDS,
    is_fixed,
)
from guard.content.places import METADATA
from guard.content.spelled import Spelled, meaning, spelled
from guard.content.walk import At, ReadLimits, Walk
from guard.errors import ObligationFailed
from guard.keyed import KeyedHash
from guard.types import Content, Segment

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Names and values as ASGI has them."""

_NAMED: Final = TEXT_HEADERS | CREDENTIAL_HEADERS | FIXED_GRAMMAR
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_VALUES: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LETTER_OR_DIGIT: Final = re.compile(r"[^\W_]")
_USER_AGENT: Final = b"user-agent"
_JSON_STARTS: Final = ("[", "{", '"')


class _Target(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Which header a document is: the name or the value of ``headers[index]``. ``encoded``: it is JSON that stands
    percent-encoded."""

    index: int
    is_name: bool
    encode: Callable[[str], bytes]
    encoded: bool = False


class HeadersTree(msgspec.Struct, frozen=True, eq=False):
    """Headers, and where each text stands in them. ``spelled`` are the values that mean something else than they say,
    by segment."""

    headers: Headers
    documents: Sequence[Document]
    slots: Sequence[Slot]
    targets: Mapping[int, _Target]
    spelled: Mapping[int, Spelled]

    def write(self, segments: Sequence[Segment], edits: Edits) -> Headers:
        """The headers with the edits done. Raises ``ObligationFailed``."""
        headers = list(self.headers)
        plain = {index: done for index, done in edits.items() if index not in self.spelled}
        texts = [
            (self.slots[index].document, value.edited(edits[index]))
            for index, value in self.spelled.items()
            if edits.get(index)
        ]
        written = rewrite(self.documents, changes_of(self.slots, segments, plain))
        for document, holder in written.items():
            new = holder[0]
            texts.append((document, quote(new, safe="") if self.targets[document].encoded else new))
        for document, text in texts:
            target = self.targets[document]
            name, value = headers[target.index]
            if name.lower() in FRAMING_HEADERS:
                raise _failed(f"The header {name.decode('latin-1').lower()} cannot be rewritten")
            raw = target.encode(text)
            headers[target.index] = (raw, value) if target.is_name else (name, raw)
        return tuple(headers)


def _decoded(value: bytes) -> tuple[str, str]:
    """The text and its codec: UTF-8 where it is valid, else ISO-8859-1, in which every header is."""
    try:
        return value.decode(), "utf-8"
    except UnicodeDecodeError:
        return value.decode("latin-1"), "latin-1"


def _failed(what: str) -> ObligationFailed:
    return ObligationFailed(what, where="rewriting the headers")


def _value_in(codec: str) -> Callable[[str], bytes]:
    def encode(text: str) -> bytes:
        if _NOT_IN_VALUES.search(text):
            raise _failed("The new text cannot stand in a header")
        try:
            return text.encode(codec)
        except UnicodeEncodeError:
            raise _failed("The new text cannot be written in the header's charset") from None

    return encode


_IN_UTF8: Final = _value_in("utf-8")
_IN_LATIN1: Final = _value_in("latin-1")


def _name(text: str) -> bytes:
    if not _TOKEN.fullmatch(text):
        raise _failed("The new text cannot be the name of a header")
    return text.lower().encode()


def _meaning(name: bytes, raw: str) -> Spelled | None:
    """What a value means; ``None`` for a user agent of nothing but well-known software."""
    if name != _USER_AGENT:
        return spelled(raw, reference=name in URI_HEADERS)
    value = meaning(raw, [(match.start(), match.end(), " ") for match in USER_AGENT_WORDS.finditer(raw)])
    return value if _LETTER_OR_DIGIT.search(value.text) else None


class _Reader:
    """One reading of headers."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.targets: dict[int, _Target] = {}
        self.spelled: dict[int, Spelled] = {}

    def read(self, index: int, name: bytes, raw: bytes, number: int | None) -> None:
        """Read one header that is not of a fixed grammar; ``number`` counts those of one name."""
        walk = self.walk
        recognised = name in _NAMED
        label = name.decode("latin-1")
        pointer = f"headers/{label if recognised else walk.token(label)}"
        if number is not None:
            pointer += f"/{number}"
        if name in CREDENTIAL_HEADERS:
            walk.skip(pointer, coverage.CREDENTIAL)
            return
        text, codec = _decoded(raw)
        value = _meaning(name, text)
        if value is None:
            return
        if not recognised and label and not walk.is_recognised(label):
            walk.emit(label, self._document(label, _Target(index, True, _name)), pointer, "key")
        encode = _IN_UTF8 if codec == "utf-8" else _IN_LATIN1
        at = At(pointer, METADATA, "metadata")
        plain = value.text == text
        maybe_json = text[:1] in _JSON_STARTS
        slot = self._document(text, _Target(index, False, encode, not plain and not maybe_json))
        if plain or not maybe_json or not walk.embedded(text, (slot,), at):
            walk.string(value.text, slot, at)
        if walk.slots and walk.slots[-1] is slot:
            self.spelled[len(walk.slots) - 1] = value

    def _document(self, text: str, target: _Target) -> Slot:
        slot = self.walk.open_document(text)
        self.targets[slot.document] = target
        return slot


def read_headers(
    headers: Iterable[tuple[bytes, bytes]],
    *,
    keyed: KeyedHash,
    limits: ReadLimits,
    field_names: frozenset[str] = frozenset(),
) -> Content:
    """The texts of headers, as METADATA; pointers are ``headers/<name>`` for known names and names in ``field_names``,
    ``headers/~<hash>`` for others, with ``/<n>`` for names that come more than once. Raises nothing.
    """
    kept: Headers = tuple(headers)
    texts = [(index, lower, raw) for index, (name, raw) in enumerate(kept) if not is_fixed(lower := name.lower(), raw)]
    if not texts:
        return Content(media_type="", size_bytes=0, tree=HeadersTree(kept, (), (), {}, {}))
    size = sum([len(name) + len(raw) for _, name, raw in texts])
    reader = _Reader(walk := Walk(keyed, limits, field_names, size_bytes=size))
    counts = Counter([name for name, _ in kept]) if len({name for name, _ in kept}) < len(kept) else {}
    seen: Counter[bytes] = Counter()
    for index, name, raw in texts:
        repeated = counts.get(kept[index][0], 1) > 1
        reader.read(index, name, raw, seen[name] if repeated else None)
        seen[name] += 1
    return Content(
        media_type="",
        size_bytes=size,
        segments=tuple(walk.segments),
        skipped=walk.all_skipped(),
        tree=HeadersTree(kept, walk.documents, walk.slots, reader.targets, reader.spelled),
    )


def write_headers(content: Content, edits: Edits) -> Headers:
    """The headers again, with texts edited; all others as they came. Raises ``ObligationFailed`` for a text that no
    header can hold, and for one in a header that frames the message."""
    return content.tree.write(content.segments, edits)  # type: ignore[no-any-return]
