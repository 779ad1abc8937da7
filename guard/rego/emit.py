"""Writing Python source: lines, indentation, frames (one per ``def``) and a pool of constants.

A body fails by leaving its innermost loop turn (``continue``) or, outside loops, its function. A search function
returns its first solution and ``U`` without one; a collecting function returns nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .errors import Location

_MAX_LOOPS = 12


@dataclass(slots=True)
class Frame:
    """One ``def`` being written. ``miss`` is the statement that fails outside loops."""

    miss: str
    loops: int = 0
    searching: bool = True
    carries: str = ""
    pending: list[tuple[int, str, str]] = field(default_factory=list)


class Emitter:
    """Collects source text and the constants that it names."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.indent = 0
        self.count = 0
        self.constants: dict[str, Any] = {}
        self.locations: dict[Location, str] = {}
        self.frames: list[Frame] = []

    def line(self, text: str) -> None:
        """One line at the current depth."""
        self.lines.append(" " * self.indent + text)

    def name(self, prefix: str = "t") -> str:
        """A fresh Python name."""
        self.count += 1
        return f"{prefix}{self.count}"

    def constant(self, value: Any) -> str:
        """A name for a value made once."""
        name = self.name("K")
        self.constants[name] = value
        return name

    def location(self, loc: Location) -> str:
        """A name for a place in the source."""
        name = self.locations.get(loc)
        if name is None:
            name = self.locations[loc] = self.constant(loc)
        return name

    @property
    def frame(self) -> Frame:
        """The function being written."""
        return self.frames[-1]

    def fail_if(self, condition: str) -> None:
        """The body fails where the condition holds."""
        self.line(f"if {condition}: {self.miss()}")

    def miss(self) -> str:
        """The statement by which the body fails here."""
        frame = self.frames[-1]
        return "continue" if frame.loops else frame.miss

    @contextmanager
    def function(self, header: str, miss: str = "return U", *, searching: bool = True) -> Iterator[Frame]:
        """A ``def``; closes the parts that were split off and adds the final answer."""
        self.line(f"def {header}:")
        outer = self.indent
        self.indent += 1
        frame = Frame(miss, searching=searching)
        self.frames.append(frame)
        yield frame
        self.close(frame)
        self.indent = outer + 1
        self.line(miss)
        self.frames.pop()
        self.indent = outer

    def loop(self, header: str) -> None:
        """A ``for`` around the rest of the body."""
        self.split()
        self.line(header)
        self.indent += 1
        self.frame.loops += 1

    def split(self) -> None:
        """Move the rest of the body to an inner function before loops nest deeper than Python allows."""
        frame = self.frame
        if frame.loops < _MAX_LOOPS:
            return
        name = self.name("r")
        self.line(f"def {name}():")
        frame.pending.append((self.indent, name, frame.miss))
        self.indent += 1
        if frame.carries:
            self.line(f"nonlocal {frame.carries}")
        frame.loops = 0
        frame.miss = "return U" if frame.searching else "return"

    def close(self, frame: Frame) -> None:
        """Call the parts that were split off, innermost first."""
        while frame.pending:
            indent, name, miss = frame.pending.pop()
            self.indent = indent + 1
            self.line(frame.miss)
            self.indent = indent
            if frame.searching:
                found = self.name()
                self.line(f"{found} = {name}()")
                self.line(f"if {found} is not U: return {found}")
            else:
                self.line(f"{name}()")
            frame.miss = miss

    def take(self) -> str:
        """The text written since the last call."""
        source = self.source()
        self.lines.clear()
        return source

    def source(self) -> str:
        """The text written so far."""
        return "\n".join(self.lines) + "\n"
