"""One pass over a text that says which patterns can match in it at all.

google-re2's ``Set`` walks one automaton for all patterns. Its Python ``Match`` swallows the error "DFA out of memory"
and answers "no match" (re2/set.cc), which would let everything pass: so the set holds a sentinel, a pattern that
matches every text. When the sentinel is missing from the answer, every pattern may match.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import re2

# RE2 keeps the states that it has met, up to this much for the process, then begins anew. A text of known words costs
# the same from 8 MiB to 64; one full of new numbers costs a fourth less with 32, and a tenth more with 8.
_SET_MEMORY_BYTES: Final = 16 << 20
_MATCHER_MEMORY_BYTES: Final = 16 << 20


def _options(max_mem: int) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = max_mem
    return options


def matcher(source: str) -> Any:
    """An RE2 matcher over ASCII bytes. Raises ``re2.error`` if RE2 cannot compile ``source``."""
    return re2.compile(source.encode("latin-1"), _options(_MATCHER_MEMORY_BYTES))


class Gate:
    """Which of ``sources`` (RE2 syntax) match somewhere in a text. Thread-safe after construction."""

    def __init__(self, sources: Sequence[str], *, max_mem: int = _SET_MEMORY_BYTES) -> None:
        """Raises ``re2.error`` if RE2 cannot compile one of the sources or the whole set in ``max_mem`` bytes."""
        self.all: Final = frozenset(range(len(sources)))
        self._sentinel = len(sources)
        self._set = re2.Set.SearchSet(_options(max_mem))
        for source in (*sources, ""):
            self._set.Add(source.encode("latin-1"))
        self._set.Compile()

    def open(self, data: bytes) -> Sequence[int] | frozenset[int]:
        """Indices of the patterns that may match in ``data``; all of them when RE2 gave up."""
        hits: list[int] = self._set.Match(data)
        if len(hits) == 1 and hits[0] == self._sentinel:
            return ()
        if self._sentinel not in hits:
            return self.all
        hits.remove(self._sentinel)
        return hits
