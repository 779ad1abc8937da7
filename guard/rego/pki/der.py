"""As much of DER (X.690) as finds the parts of a certificate as they stand in it."""

from __future__ import annotations

from typing import NamedTuple

VERSION = 0xA0


class Element(NamedTuple):
    """One element: its tag, where it begins, where its content begins and ends."""

    tag: int
    start: int
    content: int
    end: int

    def raw(self, data: bytes) -> bytes:
        """The whole element."""
        return data[self.start : self.end]

    def inside(self, data: bytes) -> bytes:
        """Its content."""
        return data[self.content : self.end]


def element(data: bytes, at: int, limit: int) -> Element:
    """The element at an offset. Raises ValueError where there is none."""
    if at + 2 > limit:
        raise ValueError("truncated element")
    tag, size, content = data[at], data[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4 or content + count > limit:
            raise ValueError("invalid length")
        size = int.from_bytes(data[content : content + count])
        content += count
    if content + size > limit:
        raise ValueError("truncated element")
    return Element(tag, at, content, content + size)


def elements(data: bytes, start: int = 0, end: int | None = None) -> list[Element]:
    """The elements one behind the other in a range. Raises ValueError."""
    limit = len(data) if end is None else end
    found: list[Element] = []
    while start < limit:
        each = element(data, start, limit)
        found.append(each)
        start = each.end
    return found


def children(data: bytes, parent: Element) -> list[Element]:
    """The elements inside an element. Raises ValueError."""
    return elements(data, parent.content, parent.end)
