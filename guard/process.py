"""What a started guard sets in its process (ADR 8), each thing only where its owner has not chosen otherwise."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Mapping
from typing import Final

_USUAL_SECONDS: Final = 0.005
"""``sys.getswitchinterval()`` of an interpreter that nobody has told otherwise."""
_PATIENCE_SECONDS: Final = 0.001
# mallopt(3) of glibc.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_MAPPED_BYTES: Final = 128 * 1024
_TRIMMED_BYTES: Final = 256 * 1024
_OWNERS: Final = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")


def settle() -> None:
    """Make all three settings."""
    take_turns()
    spare_collections()
    map_large_blocks()


def take_turns() -> None:
    """Let a thread that computes hand over after a millisecond: at the interpreter's five, an event loop that waits
    for its turn several times in a request falls far behind a few busy threads. What an owner has set stays."""
    if sys.getswitchinterval() == _USUAL_SECONDS:
        sys.setswitchinterval(_PATIENCE_SECONDS)


def spare_collections() -> None:
    """Keep what a started process holds for good (modules, recognizers, policies) out of the garbage collector, once
    in a process: with it, a full collection during a big body holds up all threads for a tenth of a second.

    Source: ``gc.freeze`` of the standard library.
    """
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()


def map_large_blocks(environ: Mapping[str, str] | None = None) -> bool:
    """Keep glibc's thresholds where they begin, and say whether that was done.

    Freed blocks of up to 32 MiB raise them, large bodies then come from the heap, and what is allocated between them
    keeps it from shrinking: 15 MiB more after 100,000 requests of the soak, none of it in use. Another allocator, or
    thresholds that an owner has chosen, stay. Source: ``mallopt(3)``.
    """
    environ = os.environ if environ is None else environ
    if not sys.platform.startswith("linux") or any(name in environ for name in _OWNERS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)) and bool(mallopt(_M_TRIM_THRESHOLD, _TRIMMED_BYTES))
