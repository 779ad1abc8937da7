"""google-re2 where it is installed; else the same answers from ``regex``, slower and bounded by time.

Every pattern here runs over ASCII bytes. Without google-re2 (there are no wheels for musl) a set opens for every
pattern, and a matcher backtracks: what takes longer than ``FALLBACK_SECONDS`` is ``Unfinished``, never "no match".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from detectors.common.budget import ONE_CALL_SECONDS, Budget, Unfinished
from guard.errors import DetectorMissing

try:
    import re2
except ImportError:
    re2 = None

# RE2 keeps the states that it has met, up to this much for the process, then begins anew. A text of known words costs
# the same from 8 MiB to 64; one full of new numbers costs a fourth less with 32, and a tenth more with 8.
SET_MEMORY_BYTES: Final = 16 << 20
_MATCHER_MEMORY_BYTES: Final = 16 << 20

FALLBACK_SECONDS: Final = ONE_CALL_SECONDS
"""The longest that a fallback matcher goes on when no budget is given."""

DEGRADED: Final = (
    ""
    if re2 is not None
    else "google-re2 is not installed: patterns are matched one by one, with backtracking; what is found is the same, "
    "slower, and hostile texts end at the deadline"
)
"""What a user should know about speed; empty where all is well."""


class Refused(Exception):
    """A pattern that the library cannot compile."""


def _options(max_mem: int) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = max_mem
    return options


def matcher(source: str) -> Any:
    """A matcher of ``source`` (RE2 syntax) over ASCII bytes, with ``finditer``. Raises ``Refused``."""
    if re2 is None:
        return _Backtracking(source)
    try:
        return re2.compile(source.encode("latin-1"), _options(_MATCHER_MEMORY_BYTES))
    except re2.error as error:
        raise Refused(str(error)) from None


def each(compiled: Any, data: bytes, budget: Budget) -> Iterator[Any]:
    """The matches of a ``matcher``, left to right. Raises ``Unfinished`` where the fallback reaches the deadline."""
    found: Iterator[Any]
    if isinstance(compiled, _Backtracking):
        found = compiled.finditer(data, budget.remaining_s())
    else:
        found = compiled.finditer(data)
    return found


def search_set(sources: Sequence[str], max_mem: int) -> Any:
    """A set with ``Match(data)``: the indices of the sources that match somewhere in ``data``. Raises ``Refused``."""
    return _set(sources, max_mem, whole=False)


def full_match_set(sources: Sequence[str]) -> Any:
    """A set with ``Match(data)``: the indices of the sources that match all of ``data``. Raises ``Refused``."""
    return _set(sources, SET_MEMORY_BYTES, whole=True)


def _set(sources: Sequence[str], max_mem: int, *, whole: bool) -> Any:
    if re2 is None:
        return _EachAlone(sources) if whole else _Everything(len(sources))
    made = (re2.Set.FullMatchSet if whole else re2.Set.SearchSet)(_options(max_mem))
    try:
        for source in sources:
            made.Add(source.encode("latin-1"))
        made.Compile()
    except re2.error as error:
        raise Refused(str(error)) from None
    return made


def _compile(source: str) -> Any:
    try:
        import regex  # type: ignore[import-untyped]
    except ImportError:
        raise DetectorMissing(
            "the detectors need google-re2, or regex in its place; neither is installed",
            where="detectors.enabled",
            mend="pip install google-re2 (or: pip install regex)",
        ) from None
    try:
        return regex.compile(source.encode("latin-1"))
    except regex.error as error:
        raise Refused(str(error)) from None


class _Backtracking:
    """A matcher without google-re2."""

    def __init__(self, source: str) -> None:
        self._compiled = _compile(source)

    def finditer(self, data: bytes, seconds: float = FALLBACK_SECONDS) -> Iterator[Any]:
        """The matches within ``seconds``. Raises ``Unfinished("deadline")``."""
        try:
            # Concurrent: a pattern that backtracks does not hold the interpreter's lock meanwhile.
            yield from self._compiled.finditer(data, timeout=seconds, concurrent=True)
        except TimeoutError:
            raise Unfinished("deadline") from None


class _Everything:
    """Opens for every pattern: trying each to learn whether to try it saves nothing."""

    def __init__(self, count: int) -> None:
        self._all = range(count)

    def Match(self, data: bytes) -> list[int]:  # noqa: ARG002, N802 - RE2's name
        return list(self._all)


class _EachAlone:
    """Full matches of short texts, pattern by pattern."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._compiled = [_compile(source) for source in sources]

    def Match(self, data: bytes | str) -> list[int]:  # noqa: N802 - RE2's name
        """RE2 takes both; digits are ASCII."""
        raw = data.encode("ascii") if isinstance(data, str) else data
        try:
            return [
                at for at, one in enumerate(self._compiled) if one.fullmatch(raw, timeout=FALLBACK_SECONDS) is not None
            ]
        except TimeoutError:
            raise Unfinished("deadline") from None
