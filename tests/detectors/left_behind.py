"""A program: looks for private values in all objects after a detection whose text was dropped, and after one kept.

The values stand reversed here, so that no constant of the program holds one.
"""

from __future__ import annotations

import gc
from typing import Any

from detectors.pii import PiiDetector
from detectors.secrets import SecretsDetector

_TEXT = "2DKL7WVLTZ5RGE3QAIKA yek ,1377 6497 02 44+ enohp ,moc.liam-proc@yranac7qz liam ,notlefQ nouqraZ rM raeD"
_PARTS = ("nouqra", "yranac7q", "1377 6497", "2DKL7WVLTZ5RGE3QAIK")

_KEPT: list[str] = []


def texts_in_memory() -> str:
    """All strings and bytes in objects that the garbage collector knows, and in what those hold."""
    seen: set[int] = set()
    found: list[str] = []
    waiting = gc.get_objects()
    while waiting:
        inner = []
        for item in gc.get_referents(*waiting):
            if id(item) in seen:
                continue
            seen.add(id(item))
            if isinstance(item, str):
                found.append(item)
            elif isinstance(item, bytes):
                found.append(item.decode("latin-1"))
            elif not gc.is_tracked(item):
                inner.append(item)
        waiting = inner
    return "\0".join(found)[::-1]


def left() -> int:
    """How many of the values some object holds."""
    gc.collect()
    kept = texts_in_memory()
    assert len(kept) > 1_000_000
    return sum(part in kept for part in _PARTS)


def main() -> None:
    """Prints the types found, then how many values stay without the text, and with it."""
    detectors: list[Any] = [PiiDetector(), SecretsDetector()]
    print(*sorted({finding.type for detector in detectors for finding in detector.detect_text(_TEXT[::-1])}))
    print(left())
    _KEPT.append(_TEXT[::-1])
    print(left())


if __name__ == "__main__":
    main()
