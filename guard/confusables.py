"""Letters of other scripts that look like Latin ones.

Derived from the data file ``confusables.txt`` of Unicode Technical Standard 39 (Unicode License v3): the letters of the
basic plane that are confusable with one ASCII letter and are not folded to it by NFKC; with a few small Cyrillic and
Greek letters that the file leaves out and people use.
"""

from __future__ import annotations

from typing import Final

_BY_LETTER: Final = {
    "A": "391 410 13AA 15C5 A4EE",
    "B": "392 412 13F4 15F7 A4D0 A7B4",
    "C": "421 13DF 2CA4 A4DA",
    "D": "13A0 15DE 15EA A4D3",
    "E": "395 415 13AC 2D39 A4F0",
    "F": "3DC 15B4 A4DD A798",
    "G": "50C 13C0 13F3 A4D6",
    "H": "397 41D 13BB 157C 2C8E A4E7",
    "I": "196 399 406 4C0 2C92",
    "J": "37F 408 13AB 148D A4D9 A7B2",
    "K": "39A 41A 13E6 16D5 2C94 A4D7",
    "L": "13DE 14AA 2CD0 A4E1",
    "M": "39C 3FA 41C 13B7 15F0 16D6 2C98 A4DF",
    "N": "39D 2C9A A4E0",
    "O": "39F 41E 555 B20 12D0 2C9E 2D54 3007 A4F3",
    "P": "3A1 420 13E2 146D 2CA2 A4D1",
    "Q": "2D55",
    "R": "1A6 13A1 13D2 1587 A4E3",
    "S": "405 54F 13D5 13DA A4E2",
    "T": "3A4 422 13A2 2CA6 A4D4",
    "U": "54D 1200 144C A4F4",
    "V": "474 13D9 142F 2D38 A4E6 A6DF",
    "W": "51C 13B3 13D4 A4EA",
    "X": "3A7 425 16B7 2CAC 2D5D A4EB A7B3",
    "Y": "3A5 423 4AE 13A9 13BD 2CA8 A4EC",
    "Z": "396 13C3 A4DC",
    "a": "251 3B1 430",
    "b": "184 3B2 42C 432 13CF 1472 15AF",
    "c": "441 1D04 2CA5 ABAF",
    "d": "501 13E7 146F A4D2",
    "e": "3B5 435 4BD AB32",
    "f": "584 1E9D A799 AB35",
    "g": "18D 261 581 1D83",
    "h": "43D 4BB 570 13C2",
    "i": "131 269 26A 3B9 456 4CF 13A5 A647 AB75",
    "j": "3F3 458",
    "k": "3BA 43A",
    "l": "1C0 16C1 2D4F A4F2",
    "m": "43C",
    "n": "3B7 43F 578 57C",
    "o": "3BF 3C3 43E 585 D20 101D 10FF 1D0F 1D11 2C9F AB3D",
    "p": "3C1 440 2CA3",
    "q": "51B 563 566",
    "r": "433 1D26 2C85 AB47 AB48 AB81",
    "s": "1BD 455 A731 ABAA",
    "t": "3C4 442",
    "u": "28B 3C5 438 57D 1D1C A79F AB4E AB52",
    "v": "3BD 475 1D20 ABA9",
    "w": "26F 461 51D 561 1D21 AB83",
    "x": "445 1541 157D",
    "y": "263 28F 3B3 443 4AF 10E7 1D8C 1EFF AB5A",
    "z": "1D22 AB93",
}
"""ASCII letter -> the code points, in hex, that look like it."""

CONFUSABLES: Final[dict[int, str]] = {
    int(code_point, 16): letter for letter, code_points in _BY_LETTER.items() for code_point in code_points.split()
}
"""Code point -> the ASCII letter."""

EAST: Final = "\u2e80-\u3006\u3008-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
"""Ideographs, kana and hangul with their punctuation, as the inside of a character class; none is confusable."""
FULL_STOP: Final = rf"(?<![{EAST}])[。｡](?![{EAST}])"
"""U+3002 where it may be a full stop of a host name (UTS 46): beside an ideograph or a kana it ends a sentence."""
