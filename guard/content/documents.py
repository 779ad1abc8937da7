"""JSON documents that can be written again with some strings replaced, also where one document is held in a string
of another (tool-call arguments)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from guard.content.edits import Edits
from guard.content.markup import edited
from guard.content.strict import encode
from guard.errors import ObligationFailed
from guard.types import Segment


class Slot(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Where a text stands: a member (or, with ``is_key``, the key of a member) of ``container`` in a document."""

    document: int
    container: Any
    key: Any
    is_key: bool = False


class Document(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One parsed JSON text. ``holder[0]`` is its root, so that the root too has a container.

    A document held in strings of another is written to the first slot of ``held_in``; the others become empty (the
    pieces of a streamed text).
    """

    holder: list[Any]
    held_in: tuple[Slot, ...] = ()


def changes_of(slots: Sequence[Slot], segments: Sequence[Segment], edits: Edits) -> list[tuple[Slot, Any]]:
    """What ``rewrite`` is asked to change for these edits. Raises ``ObligationFailed`` as ``edited`` does."""
    return [(slots[index], edited(segments[index], done)) for index, done in edits.items() if done]


def emptied(fragments: Iterable[Slot]) -> list[tuple[Slot, Any]]:
    """The changes that leave nothing there: a list stays a list, since clients go through it."""
    return [(slot, [] if isinstance(slot.container[slot.key], list) else None) for slot in fragments]


def rewrite(documents: Sequence[Document], changes: Iterable[tuple[Slot, Any]]) -> dict[int, list[Any]]:
    """The changed holders of the outermost documents, by document index.

    Nothing is changed in place: containers on the way to a change are copied, all others shared. Inner documents come
    after the outer ones in ``documents`` and are written first. Raises ``ObligationFailed`` if two keys of one object
    become equal.
    """
    pending: dict[int, list[tuple[Slot, Any]]] = {}
    for slot, new in changes:
        pending.setdefault(slot.document, []).append((slot, new))
    written: dict[int, list[Any]] = {}
    for index in range(len(documents) - 1, -1, -1):
        if index not in pending:
            continue
        document = documents[index]
        holder = _changed(document.holder, pending.pop(index))
        if not document.held_in:
            written[index] = holder
            continue
        text = encode(holder[0]).decode()
        for slot in document.held_in:
            pending.setdefault(slot.document, []).append((slot, text))
            text = ""
    return written


def _changed(holder: list[Any], changes: Sequence[tuple[Slot, Any]]) -> list[Any]:
    parents = _parents(holder)
    clones: dict[int, Any] = {}

    def clone(node: Any) -> Any:
        known = clones.get(id(node))
        if known is not None:
            return known
        copy = clones[id(node)] = node.copy()
        while id(node) in parents:
            parent, key = parents[id(node)]
            above = clones.get(id(parent))
            if above is not None:
                above[key] = clones[id(node)]
                break
            above = clones[id(parent)] = parent.copy()
            above[key] = clones[id(node)]
            node = parent
        return copy

    renamed: dict[int, dict[str, str]] = {}
    for slot, new in changes:
        target = clone(slot.container)
        if slot.is_key:
            renamed.setdefault(id(slot.container), {})[slot.key] = new or ""
        else:
            target[slot.key] = new
    for identity, names in renamed.items():
        _rename(clones[identity], names)
    return clone(holder)  # type: ignore[no-any-return]


def _parents(holder: list[Any]) -> dict[int, tuple[Any, Any]]:
    """Container identity -> the container around it and the key there."""
    parents: dict[int, tuple[Any, Any]] = {}
    stack: list[Any] = [holder]
    while stack:
        node = stack.pop()
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            if isinstance(child, (dict, list)):
                parents[id(child)] = (node, key)
                stack.append(child)
    return parents


def _rename(node: dict[str, Any], names: Mapping[str, str]) -> None:
    members = [(names.get(key, key), value) for key, value in node.items()]
    node.clear()
    node.update(members)
    if len(node) != len(members):
        raise ObligationFailed(
            "Two keys of one object become equal",
            where="rewriting the body",
            mend="Use an operator that keeps values apart, such as pseudonym or hash.",
        )


class JsonTree(msgspec.Struct, frozen=True, eq=False):
    """A JSON body. ``slots[i]`` is where segment ``i`` stands; ``fragments`` are emptied by any change."""

    documents: Sequence[Document]
    slots: Sequence[Slot]
    fragments: Sequence[Slot] = ()

    def write(self, segments: Sequence[Segment], edits: Edits) -> bytes:
        """The body with the edits done, as UTF-8 JSON."""
        changes = changes_of(self.slots, segments, edits)
        if not changes:
            return encode(self.documents[0].holder[0])
        changes += emptied(self.fragments)
        return encode(rewrite(self.documents, changes)[0][0])
