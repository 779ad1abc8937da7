"""One member of a JSON body that was read, by its pointer."""

from __future__ import annotations

from guard.content.documents import JsonTree
from guard.types import Content


def member(content: Content, pointer: str) -> str | None:
    """The string at a JSON pointer (RFC 6901, without ``~`` escapes and array indices) of a JSON body; ``None`` where
    there is none."""
    if not isinstance(content.tree, JsonTree):
        return None
    node = content.tree.documents[0].holder[0]
    for token in pointer.split("/")[1:]:
        node = node.get(token) if isinstance(node, dict) else None
    return node if isinstance(node, str) else None
