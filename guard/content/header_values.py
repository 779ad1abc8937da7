"""The texts that a client can put into headers.

Every value is read but three kinds: credentials (named in coverage), values that fit the fixed grammar of their header
(negotiation, lengths, dates, addresses of proxies), and connection headers. A value that does not fit its grammar is
read like any other. Sources: RFC 9110, RFC 9111, RFC 9112, Fetch Metadata, Trace Context.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from guard.content import coverage
from guard.content.documents import Document, Slot, changes_of, rewrite
from guard.content.edits import Edits
from guard.content.places import METADATA
from guard.content.walk import At, ReadLimits, Walk
from guard.errors import ObligationFailed
from guard.keyed import KeyedHash
from guard.types import Content, Segment

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Names and values as ASGI has them."""

CREDENTIAL_HEADERS: Final = frozenset(
    {
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"set-cookie",
        b"x-api-key",
        b"api-key",
        b"x-goog-api-key",
        b"x-amz-security-token",
        b"x-csrf-token",
        b"x-xsrf-token",
    }
)
"""Not read, since they are credentials by definition: ``credential`` in coverage."""

TEXT_HEADERS: Final = frozenset(
    {
        b"anthropic-beta",
        b"anthropic-version",
        b"baggage",
        b"content-disposition",
        b"from",
        b"idempotency-key",
        b"openai-beta",
        b"openai-organization",
        b"openai-project",
        b"prefer",
        b"referer",
        b"tracestate",
        b"user-agent",
        b"x-client-request-id",
        b"x-correlation-id",
        b"x-request-id",
        b"x-requested-with",
    }
)
"""Names that stand in pointers; all other names that are read are hashed, and are texts themselves."""

# Possessive throughout, so that what does not match is left in linear time.
_WORD: Final = r"[A-Za-z0-9*+._/-]++"
_QUOTED: Final = r"\"[A-Za-z0-9 ._;:()?*+=/-]*+\""
_ELEMENT: Final = rf"(?:{_WORD}(?:=(?:{_WORD}|{_QUOTED}))?+|{_QUOTED})?+"
_LIST: Final = re.compile(rf"{_ELEMENT}(?:[ \t]*+[;,][ \t]*+{_ELEMENT})*+")
_NUMBER_RUN: Final = re.compile(r"[0-9](?:[ .-]?[0-9]){6}")
"""Digits that could be a phone or card number: no list of words holds them."""
_BOUNDARY: Final = re.compile(r";[ \t]*+boundary=(?:\"[^\"]*+\"|[^;]*+)", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_DATE: Final = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT")
_AUTHORITY: Final = re.compile(r"(?!.*[0-9]{7})(?:https?://)?+[A-Za-z0-9.:\[\]-]{0,255}")
_IPV4: Final = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?::[0-9]{1,5})?+"
_IPV6: Final = r"\[?+[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}+\]?+"
_NODE: Final = rf"(?:{_IPV4}|{_IPV6}|unknown)"
_ADDRESSES: Final = re.compile(rf"{_NODE}(?:, ?+{_NODE})*+")
_FORWARDED: Final = re.compile(
    rf"(?:[;,] ?+|(?:for|by)=\"?+{_NODE}\"?+(?=[;,]|\Z)|proto=https?+(?=[;,]|\Z)|host=[A-Za-z.:-]++(?=[;,]|\Z))*+",
    re.IGNORECASE,
)
_TRACE: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_VALIDATOR: Final = re.compile(r"\*|(?:W/)?\"[0-9A-Za-z_+/=:.-]{0,64}\"(?:, ?(?:W/)?\"[0-9A-Za-z_+/=:.-]{0,64}\")*")
_MAX_GRAMMAR_CHARACTERS: Final = 1024


def _grammars(*rows: tuple[re.Pattern[str], str]) -> Mapping[bytes, re.Pattern[str]]:
    return {name.encode(): pattern for pattern, names in rows for name in names.split()}


FIXED_GRAMMAR: Final = _grammars(
    (
        _LIST,
        """accept accept-charset accept-encoding accept-language accept-ranges allow cache-control connection
        content-encoding content-language content-type dnt expect keep-alive pragma priority proxy-connection range
        sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user
        sec-gpc te trailer transfer-encoding upgrade upgrade-insecure-requests vary x-forwarded-port
        x-forwarded-proto""",
    ),
    (_NUMBER, "age content-length max-forwards"),
    (_DATE, "date expires if-modified-since if-unmodified-since last-modified"),
    (_AUTHORITY, "host origin x-forwarded-host"),
    (_ADDRESSES, "x-forwarded-for x-real-ip"),
    (_FORWARDED, "forwarded"),
    (_TRACE, "traceparent"),
    (_VALIDATOR, "etag if-match if-none-match"),
)
"""Header -> what its values look like; those that do are no texts."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_VALUES: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class _Target(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Which header a document is: the name or the value of ``headers[index]``."""

    index: int
    is_name: bool
    encode: Callable[[Any], bytes]


class HeadersTree(msgspec.Struct, frozen=True, eq=False):
    """Headers, and where each text stands in them."""

    headers: Headers
    documents: Sequence[Document]
    slots: Sequence[Slot]
    targets: Mapping[int, _Target]

    def write(self, segments: Sequence[Segment], edits: Edits) -> Headers:
        """The headers with the edits done. Raises ``ObligationFailed``."""
        headers = list(self.headers)
        for document, holder in rewrite(self.documents, changes_of(self.slots, segments, edits)).items():
            target = self.targets[document]
            name, value = headers[target.index]
            new = target.encode(holder[0])
            headers[target.index] = (new, value) if target.is_name else (name, new)
        return tuple(headers)


def _decoded(value: bytes) -> tuple[str, str]:
    """The text and its codec: UTF-8 where it is valid, else ISO-8859-1, in which every header is."""
    try:
        return value.decode(), "utf-8"
    except UnicodeDecodeError:
        return value.decode("latin-1"), "latin-1"


def _failed(what: str) -> ObligationFailed:
    return ObligationFailed(what, where="rewriting the headers")


def _value_in(codec: str) -> Callable[[Any], bytes]:
    def encode(text: str) -> bytes:
        if _NOT_IN_VALUES.search(text):
            raise _failed("The new text cannot stand in a header")
        try:
            return text.encode(codec)
        except UnicodeEncodeError:
            raise _failed("The new text cannot be written in the header's charset") from None

    return encode


def _name(text: str) -> bytes:
    if not _TOKEN.fullmatch(text):
        raise _failed("The new text cannot be the name of a header")
    return text.lower().encode()


def _is_fixed(name: bytes, text: str) -> bool:
    grammar = FIXED_GRAMMAR.get(name)
    if grammar is None or len(text) > _MAX_GRAMMAR_CHARACTERS:
        return False
    if name == b"content-type":
        text = _BOUNDARY.sub("", text)
    return grammar.fullmatch(text) is not None and (grammar is not _LIST or _NUMBER_RUN.search(text) is None)


def read_headers(
    headers: Iterable[tuple[bytes, bytes]],
    *,
    keyed: KeyedHash,
    limits: ReadLimits,
    field_names: frozenset[str] = frozenset(),
) -> Content:
    """The texts of a request's headers, as METADATA; pointers are ``headers/<name>`` for ``TEXT_HEADERS`` and names in
    ``field_names``, ``headers/~<hash>`` for others, with ``/<n>`` for names that come more than once. Raises nothing.
    """
    kept: Headers = tuple(headers)
    size = sum([len(name) + len(value) for name, value in kept])
    walk = Walk(keyed, limits, field_names, size_bytes=size)
    targets: dict[int, _Target] = {}
    counts = Counter([name.lower() for name, _ in kept])
    seen: Counter[bytes] = Counter()

    def add(text: str, index: int, encode: Callable[[Any], bytes], *, is_name: bool) -> Slot:
        slot = walk.open_document(text)
        targets[slot.document] = _Target(index, is_name, encode)
        return slot

    for index, (raw_name, raw) in enumerate(kept):
        name = raw_name.lower()
        number = seen[name]
        seen[name] += 1
        text, codec = _decoded(raw)
        if _is_fixed(name, text):
            continue
        label = name.decode("latin-1")
        recognised = name in TEXT_HEADERS or name in CREDENTIAL_HEADERS or name in FIXED_GRAMMAR
        pointer = f"headers/{label if recognised else walk.token(label)}"
        if counts[name] > 1:
            pointer += f"/{number}"
        if name in CREDENTIAL_HEADERS:
            walk.skip(pointer, coverage.CREDENTIAL)
            continue
        if not recognised and label and not walk.is_recognised(label):
            walk.emit(label, add(label, index, _name, is_name=True), pointer, "key")
        walk.string(text, add(text, index, _value_in(codec), is_name=False), At(pointer, METADATA, "metadata"))
    return Content(
        media_type="",
        size_bytes=size,
        segments=tuple(walk.segments),
        skipped=walk.all_skipped(),
        tree=HeadersTree(kept, walk.documents, walk.slots, targets),
    )


def write_headers(content: Content, edits: Edits) -> Headers:
    """The headers again, with texts edited; all others as they came. Raises ``ObligationFailed`` for a text that no
    header can hold."""
    return content.tree.write(content.segments, edits)  # type: ignore[no-any-return]
