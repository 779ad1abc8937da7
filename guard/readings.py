"""What a text says to whoever undoes its spelling: a model reads ``leak%40corp.com``, ``leak (at) corp (dot) com`` or a
text in base64 as well as the plain address.

``see`` folds a text and appends a *reading* of every line that spells something, so that detectors, which look at the
folded form only, see both. Each character of a reading knows the span of the original that spells it: what is found
there is hidden where it stands. The limits are in ``docs/positions.md``.

Sources: RFC 3986 section 2.1, HTML standard ("Named character references"), RFC 4648, RFC 8259 section 7, YAML 1.2
section 5.7, ECMA-262 section 12.9.4, UTS 39.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from guard.carried import carried, hidden
from guard.confusables import CONFUSABLES, FULL_STOP
from guard.folding import Folded, fold
from guard.spelling import MARKS, SAID, glued, grouped, meaning, spoken

SEPARATOR: Final = "\n\0\n"
"""Between a text and its readings, and between two readings. Folded texts hold no NUL, so nothing reaches over it."""
_MOST_LAYERS: Final = 3
_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_RUN: Final = b"a" * 24
_SLICE: Final = 32 * 1024
_FEWEST_DIGITS: Final = 13
_CLASSES: Final = bytes(0x61 if byte in _LETTERS else 0x20 for byte in range(256))
_INNOCENT: Final = bytes(byte for byte in range(128) if byte not in b"0123456789%\\&([{<@")
_NOT_DIGITS: Final = bytes(byte for byte in range(256) if byte not in b"0123456789")
_LOOKALIKE: Final = re.compile("[" + "".join(map(chr, CONFUSABLES)) + "。]")
_FULL_STOP: Final = re.compile(FULL_STOP)
_MIXED_WORD: Final = re.compile(r"(?<!\S)[^\sA-Za-z0-9@]*+[A-Za-z0-9@]\S*+")


class Reading(NamedTuple):
    """A text whose character ``i`` is spelled by ``[starts[i], ends[i])`` of the folded text."""

    text: str
    starts: array[int]
    ends: array[int]

    @classmethod
    def of(cls, text: str, start: int, end: int) -> Reading:
        """A part of the folded text, which spells itself."""
        return cls(text[start:end], array("I", range(start, end)), array("I", range(start + 1, end + 1)))

    def replaced(self, changes: Iterable[tuple[int, int, str]]) -> Reading:
        """With parts that mean something else; each as a whole spells every character of its meaning."""
        parts: list[str] = []
        starts, ends = array("I"), array("I")
        position = 0
        for start, end, new in changes:
            parts += (self.text[position:start], new)
            starts += self.starts[position:start]
            ends += self.ends[position:start]
            starts.extend([self.starts[start]] * len(new))
            ends.extend([self.ends[end - 1]] * len(new))
            position = end
        if not position:
            return self
        parts.append(self.text[position:])
        return Reading("".join(parts), starts + self.starts[position:], ends + self.ends[position:])


def see(text: str) -> Folded:
    """The folded text and the readings of what it spells. Linear; its size is at most some four times the text's.

    A text of letters, spaces and punctuation costs one pass more than ``fold``.
    """
    return _seen(text, layers=2)


def _seen(text: str, *, layers: int) -> Folded:
    folded = fold(text)
    plain = folded.text
    ascii_only = text.isascii()
    data = plain.encode("ascii", "replace")
    marks = data.translate(None, _INNOCENT)
    has_run = len(plain) >= len(_RUN) and _RUN in data.translate(_CLASSES)
    if ascii_only and not (
        has_run
        or (marks and (len(marks) >= _FEWEST_DIGITS or not marks.isdigit()))
        or " dot " in plain
        or " DOT " in plain
    ):
        return folded
    readings = [_traced(reading, folded.offsets) for reading in _readings(plain, has_run=has_run, layers=layers)]
    if not ascii_only:
        # What shows nothing is not in the folded text: it stands in the original's terms already.
        readings += [Reading(*found) for found in hidden(text)]
    return joined(folded, readings, len(text)) if readings else folded


def _readings(text: str, *, has_run: bool, layers: int) -> Iterator[Reading]:
    for start, end in _lines(text):
        plain = Reading.of(text, start, end)
        reading = _unspelled(plain)
        if reading is not plain:
            yield reading
            if layers:
                yield from _carried(reading, layers)
    if has_run and layers:
        yield from _carried(text, layers)


def _carried(source: Reading | str, layers: int) -> Iterator[Reading]:
    """The texts in base64 or hex that a text or a reading carries."""
    text = source if isinstance(source, str) else source.text
    for start, end, decoded in carried(text):
        if not isinstance(source, str):
            start, end = source.starts[start], max(source.ends[start:end])  # noqa: PLW2901 - in the folded text's terms
        inner = _seen(decoded, layers=layers - 1).text
        yield Reading(inner, array("I", [start]) * len(inner), array("I", [end]) * len(inner))


def unspelled(folded: str) -> Folded:
    """A folded text in which every mark stands as what it spells, instead of beside it; the way back leads to the
    folded text. Where a text that grows may be cut is asked of this form too."""
    reading = _folded(_meant(Reading.of(folded, 0, len(folded))))
    reading.starts.append(len(folded))
    return Folded(reading.text, reading.starts, reading.ends)


def _meant(reading: Reading) -> Reading:
    for _ in range(_MOST_LAYERS):
        simpler = reading.replaced(meaning(reading.text))
        if simpler is reading:
            break
        reading = simpler
    return reading


def _unspelled(reading: Reading) -> Reading:
    """The line as it reads once nothing is spelled any more, or after three layers."""
    reading = _meant(reading)
    reading = reading.replaced(spoken(reading.text))
    reading = reading.replaced(glued(reading.text))
    if not reading.text.isascii():
        folded = _FULL_STOP.sub(".", reading.text).translate(CONFUSABLES)
        if folded != reading.text:
            reading = Reading(folded, reading.starts, reading.ends)
    return _folded(reading.replaced(grouped(reading.text)))


def _folded(reading: Reading) -> Reading:
    """What was spelled may have to be folded in its turn."""
    folded = fold(reading.text)
    if folded.offsets is None:
        return reading
    kept = folded.offsets[:-1]
    starts = array("I", (reading.starts[at] for at in kept))
    return Reading(folded.text, starts, array("I", (reading.ends[at] for at in kept)))


def _lines(text: str) -> list[tuple[int, int]]:
    """The spans of the lines that spell something, neighbours joined; in order, apart from each other."""
    lines: list[tuple[int, int]] = []
    for begin, stop in sorted(_places(text)):
        if lines and stop <= lines[-1][1]:
            continue
        start = text.rfind("\n", 0, begin) + 1
        end = text.find("\n", max(stop - 1, begin))
        end = len(text) if end < 0 else end
        if lines and start <= lines[-1][1] + 1:
            lines[-1] = lines[-1][0], end
        else:
            lines.append((start, end))
    return lines


def _places(text: str) -> Iterator[tuple[int, int]]:
    for signs, marks in MARKS:
        if any(sign in text for sign in signs):
            yield from (match.span() for match in marks.finditer(text))
    yield from ((start, end) for start, end, _ in glued(text))
    if " dot " in text or " DOT " in text:
        yield from (match.span() for match in SAID.finditer(text))
    if len(text.encode("ascii", "replace").translate(None, _NOT_DIGITS)) >= _FEWEST_DIGITS:
        yield from ((start, end) for start, end, _ in grouped(text))
    if not text.isascii():
        yield from _disguised(text)


def _disguised(text: str) -> Iterator[tuple[int, int]]:
    """Words with letters that look like Latin ones, and with Latin ones, digits or an ``@``."""
    if not _LOOKALIKE.search(text):
        return
    for word in _MIXED_WORD.finditer(text):
        if not word[0].isascii() and _LOOKALIKE.search(text, *word.span()):
            yield word.span()


def _traced(reading: Reading, origins: Sequence[int] | None) -> Reading:
    """In terms of the original instead of the folded text."""
    if origins is None:
        return reading
    starts = array("I", (origins[start] for start in reading.starts))
    return Reading(reading.text, starts, array("I", (origins[end - 1] + 1 for end in reading.ends)))


def joined(folded: Folded, readings: Sequence[Reading], length: int) -> Folded:
    """A folded text with readings behind it, which are in terms of the original; that has ``length`` characters."""
    if folded.offsets is None:
        starts, ends = _counted(0, length), _counted(1, length + 1)
    else:
        starts = array("I", folded.offsets[:-1])
        ends = array("I", (start + 1 for start in starts) if folded.ends is None else folded.ends)
    parts = [folded.text]
    gap = array("I", [length] * len(SEPARATOR))
    for reading in readings:
        parts += (SEPARATOR, reading.text)
        starts += gap + reading.starts
        ends += gap + reading.ends
    starts.append(length)
    return Folded("".join(parts), starts, ends)


def _counted(first: int, stop: int) -> array[int]:
    """The numbers from ``first`` to before ``stop``, in slices: one call into C holds the interpreter's lock."""
    numbers = array("I")
    for begin in range(first, stop, _SLICE):
        numbers.extend(range(begin, min(begin + _SLICE, stop)))
    return numbers
