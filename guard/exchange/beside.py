"""What stands beside the body of a request: its query string, its path, its headers and a method of its own making.
Read together, judged with the body, and each rewritten on its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
from starlette.types import Scope

from guard import content as reading
from guard.content import ReadLimits
from guard.errors import ContentRefused, ObligationFailed
from guard.exchange.services import Matched
from guard.keyed import KeyedHash
from guard.obligations.redact import Edits
from guard.types import Content, Segment, Skipped

# RFC 9110 and RFC 5789. Another method is the client's free text.
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"})
_QUERY: Final = "query"
_METHOD: Final = "method"
_PROTOCOLS: Final = b"sec-websocket-protocol"
_MEND: Final = "let the policy deny such a request, or take the value out of it"

Changes: TypeAlias = dict[str, Any]
"""Members of a scope and their new values."""


class Part(msgspec.Struct, frozen=True, eq=False):
    """One part of a scope: its texts, and what their edits change. ``written`` raises ``ObligationFailed``."""

    content: Content
    written: Callable[[Scope, Content, Edits], Changes]


class Beside(msgspec.Struct, frozen=True, eq=False):
    """The parts of one request that hold texts or gaps, in their order."""

    parts: tuple[Part, ...] = ()

    @property
    def size(self) -> int:
        """The number of texts."""
        return sum(len(part.content.segments) for part in self.parts)

    def written(self, scope: Scope, edits: Edits, first: int) -> Scope:
        """The scope with its edits, of which ``first`` is the index of the first text; the very scope without any.

        Raises ``ObligationFailed``.
        """
        changes: Changes = {}
        for part in self.parts:
            end = first + len(part.content.segments)
            own = {index - first: spans for index, spans in edits.items() if first <= index < end}
            if own:
                changes.update(part.written(scope, part.content, own))
            first = end
        return {**scope, **changes} if changes else scope


def joined(body: Content, *others: Content) -> Content:
    """All as one content: the texts of the body first."""
    others = tuple(other for other in others if other.segments or other.skipped)
    if not others:
        return body
    segments, skipped = list(body.segments), list(body.skipped)
    for other in others:
        segments += other.segments
        skipped += other.skipped
    return msgspec.structs.replace(body, segments=tuple(segments), skipped=tuple(skipped))


def size_of(scope: Scope) -> int:
    """The bytes that ``read_beside`` reads."""
    headers = sum([len(name) + len(value) for name, value in scope["headers"]])
    return headers + len(scope["query_string"]) + len(scope["path"])


def read_beside(scope: Scope, matched: Matched, *, keyed: KeyedHash, limits: ReadLimits) -> Beside:
    """The texts beside the body. Raises nothing: what cannot be read is a gap."""
    parts: list[Part] = []
    query = scope["query_string"]
    if query:
        parts.append(Part(_read_query(query, matched, keyed=keyed, limits=limits), _written_query))
    raw_path = scope.get("raw_path")
    if not reading.is_wordless(scope["path"], raw_path, matched.literal, limits):
        path = reading.read_path(scope["path"], raw_path, keyed=keyed, limits=limits, literal=matched.literal)
        parts.append(Part(path, _path_writer(matched)))
    headers = reading.read_headers(scope["headers"], keyed=keyed, limits=limits, field_names=matched.field_names)
    parts.append(Part(headers, _written_headers))
    if scope.get("method", "GET") not in METHODS:
        method = Content(media_type="", size_bytes=0, segments=(Segment.of(scope["method"], _METHOD, "metadata"),))
        parts.append(Part(method, _written_method))
    return Beside(tuple([part for part in parts if part.content.segments or part.content.skipped]))


def _read_query(query: bytes, matched: Matched, *, keyed: KeyedHash, limits: ReadLimits) -> Content:
    """One that does not read like a form is coverage, not a refusal: apps take any."""
    try:
        return reading.read_query(query, keyed=keyed, limits=limits, field_names=matched.field_names)
    except ContentRefused as error:
        return Content(media_type="", size_bytes=len(query), skipped=(Skipped(_QUERY, error.refusal),))


def _written_query(_scope: Scope, content: Content, edits: Edits) -> Changes:
    return {"query_string": reading.write_query(content, edits)}


def _written_headers(scope: Scope, content: Content, edits: Edits) -> Changes:
    headers = list(reading.write_headers(content, edits))
    if not scope.get("subprotocols"):
        return {"headers": headers}
    # The server has parsed this header for the app.
    offered = b",".join(value for name, value in headers if name == _PROTOCOLS).decode("latin-1")
    return {"headers": headers, "subprotocols": [offer.strip() for offer in offered.split(",") if offer.strip()]}


def _written_method(_scope: Scope, _content: Content, _edits: Edits) -> Changes:
    raise ObligationFailed("the method of a request cannot be rewritten", mend=_MEND)


def _path_writer(matched: Matched) -> Callable[[Scope, Content, Edits], Changes]:
    def written(scope: Scope, content: Content, edits: Edits) -> Changes:
        path, raw_path = reading.write_path(content, edits)
        _require_same_place(scope, matched, path)
        changes: Changes = {"path": path}
        if raw_path is not None:
            changes["raw_path"] = raw_path
        return changes

    return written


def _require_same_place(scope: Scope, matched: Matched, path: str) -> None:
    """Raises ``ObligationFailed`` if the app would not find its way by this path as it did by the path of the scope."""
    before: str = scope["path"]
    shape = matched.route.shape
    method = scope.get("method", "WEBSOCKET")
    same = matched.same_route(path, method) and reading.choose(shape, path) is reading.choose(shape, before)
    if not same:
        raise ObligationFailed("the path with its redactions would be that of another route", mend=_MEND)
    old, new = before.split("/"), path.split("/")
    mounted: str = scope.get("root_path", "").rstrip("/")
    depth = mounted.count("/") + 1 if mounted and before.startswith(mounted) else 0
    if old[:depth] != new[:depth]:
        raise ObligationFailed("a redaction is due in the path under which the app is mounted", mend=_MEND)
    taken = [str(value) for value in (scope.get("path_params") or {}).values()]
    if any(was in value for was, now in zip(old, new, strict=True) if was != now for value in taken):
        raise ObligationFailed("a redaction is due in a path that was routed already", mend=_MEND)
