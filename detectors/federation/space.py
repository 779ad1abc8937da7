"""What all gateways agree on before anything is counted: the features and the fixed bins of each.

A value becomes a whole number, its level, and everything after that is integer arithmetic: the same levels give the
same counts on every machine.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError

LEVELS: Final = 1 << 20
"""Steps between ``low`` and ``high``: below 2^24, since scikit-learn splits in single precision, which holds each."""
BINS: Final = 256
"""Bins of a histogram; each holds ``LEVELS / BINS`` levels."""
MOST_FEATURES: Final = 256
MOST_BYTES: Final = 1 << 20

Levels = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]


class Axis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One feature: ``low`` to ``high`` in its own unit; what lies outside counts as the nearest end.

    ``scale`` ``log`` spaces the steps evenly in ``sign(x) log(1 + |x|)``. ``missing``: what an event counts as that
    does not tell the feature; ``None``: such an event is left out, and that is said.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9._:/-]{1,64}$")]
    low: float
    high: float
    scale: Literal["linear", "log"] = "log"
    missing: float | None = None


class Space(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The features in their order. Raises ``ValueError`` if two share a name or one has no width."""

    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.axes) <= MOST_FEATURES:
            raise ValueError(f"a space has 1 to {MOST_FEATURES} features, not {len(self.axes)}")
        if len(set(self.names)) != len(self.axes):
            raise ValueError("two features share a name")
        for axis in self.axes:
            if not (axis.low < axis.high and math.isfinite(axis.high - axis.low)):
                raise ValueError(f"feature {axis.name!r}: low must lie below high, and both must be finite")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(axis.name for axis in self.axes)

    def encoded(self) -> bytes:
        """The space as JSON; equal spaces give equal bytes."""
        return msgspec.json.encode(self, order="sorted")

    def levels(self, rows: npt.NDArray[np.float64]) -> Levels:
        """Values, ``(n, features)``, as levels 0..``LEVELS - 1``. Raises ``ValueError`` for a NaN or another width."""
        if rows.ndim != 2 or rows.shape[1] != len(self.axes):
            raise ValueError(f"rows have the shape {rows.shape}, not (n, {len(self.axes)})")
        if np.isnan(rows).any():
            raise ValueError("a value is not a number")
        levels = np.empty(rows.shape, np.int32)
        for at, axis in enumerate(self.axes):
            low, high = (float(_scaled(np.float64(end), axis.scale)) for end in (axis.low, axis.high))
            part = (_scaled(np.clip(rows[:, at], axis.low, axis.high), axis.scale) - low) / (high - low)
            levels[:, at] = np.minimum(np.floor(part * LEVELS), LEVELS - 1)
        return levels

    def value(self, at: int, level: float) -> float:
        """The value of feature ``at`` in the middle of a level, in the feature's unit."""
        axis = self.axes[at]
        low, high = (float(_scaled(np.float64(end), axis.scale)) for end in (axis.low, axis.high))
        scaled = low + (level + 0.5) / LEVELS * (high - low)
        return math.copysign(math.expm1(abs(scaled)), scaled) if axis.scale == "log" else scaled


def _scaled(values: Any, scale: str) -> Any:
    return np.sign(values) * np.log1p(np.abs(values)) if scale == "log" else values


def decode(data: bytes, where: str) -> Space:
    """A space from its JSON. Raises ``ConfigError``."""
    try:
        return msgspec.json.decode(data, type=Space)
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigError(
            f"it does not describe a space: {error}", where=where, mend="see docs/federation.md, Space"
        ) from error


def load(path: Path) -> Space:
    """A space from a JSON file. Raises ``ConfigError``."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"the space cannot be read: {error.strerror}", where=str(path)) from error
    if len(data) > MOST_BYTES:
        raise ConfigError(f"the space is longer than {MOST_BYTES} bytes", where=str(path))
    return decode(data, str(path))


def histograms(levels: Levels) -> Counts:
    """How many rows fall into each bin of each feature: ``(features, BINS)``."""
    bins = levels // (LEVELS // BINS)
    return np.stack([np.bincount(column, minlength=BINS) for column in bins.T]).astype(np.int64)


def quantile(histogram: Counts, part: float) -> float:
    """The level below which ``part`` (0..1) of a histogram's rows lie, even within each bin. 0 if it holds none."""
    heights = np.maximum(histogram, 0)
    edges = np.concatenate([[0], np.cumsum(heights)])
    if edges[-1] == 0:
        return 0.0
    at = min(int(np.searchsorted(edges, part * edges[-1], side="right")) - 1, BINS - 1)
    within = (part * edges[-1] - edges[at]) / heights[at] if heights[at] else 0.0
    return (at + float(within)) * (LEVELS // BINS)
