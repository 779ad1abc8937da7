"""What gateways hand over: integer sums, and whose they are. Neither order nor grouping changes a sum of sums."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
import numpy as np

from detectors.federation.space import Counts
from guard.errors import ConfigError

LARGEST: Final = 1 << 53
"""No count may reach this: what doubles hold exactly."""

Kind = Literal["histograms", "counts"]


class Source(msgspec.Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """One gateway's part in a sum. ``contribution``: SHA-256 over what it counted, or a random number where even that
    may not be known (secure aggregation), in hex. ``cap``: most rows of one principal, 0 for no bound. ``epsilon``: of
    its noise, 0 for none."""

    gateway: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9._:/-]{1,64}$")]
    contribution: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32,64}$")]
    cap: Annotated[int, msgspec.Meta(ge=0)]
    epsilon: Annotated[float, msgspec.Meta(ge=0)]


class Sums(NamedTuple):
    """Counts of one or more gateways. ``basis``: the digest of what was counted over, space or structure, in hex."""

    kind: Kind
    basis: str
    counts: Counts
    sources: tuple[Source, ...]


def contributed(kind: Kind, basis: str, counts: Counts, gateway: str, *, cap: int = 0, epsilon: float = 0.0) -> Sums:
    """The sums of one gateway. Raises ``ConfigError`` if its name is not of the form that a source has."""
    whole = hashlib.sha256(f"{kind} {basis} {gateway}\n".encode() + counts.astype("<i8").tobytes())
    return Sums(kind, basis, counts, (source_of(gateway, whole.hexdigest(), cap, epsilon),))


def source_of(gateway: str, contribution: str, cap: int, epsilon: float) -> Source:
    """A source that is known to be valid. Raises ``ConfigError``."""
    try:
        told = {"gateway": gateway, "contribution": contribution, "cap": cap, "epsilon": epsilon}
        return msgspec.convert(told, Source)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"this cannot stand for a gateway: {error}", mend="a name has 1 to 64 of A-Z a-z 0-9 . _ : / -"
        ) from error


def check(sums: Sums) -> None:
    """Raises ``ValueError`` where counts cannot be those of their sources."""
    if sums.counts.dtype != np.int64:
        raise ValueError("its counts are no 64-bit integers")
    if sums.counts.size and (sums.counts.max() >= LARGEST or sums.counts.min() <= -LARGEST):
        raise ValueError("a count is too large")
    if not sums.sources or list(sums.sources) != sorted(sums.sources):
        raise ValueError("it names no sources, or not in order")
    if len({source.gateway for source in sums.sources}) != len(sums.sources):
        raise ValueError("it names a gateway twice")
    exact = not any(source.epsilon for source in sums.sources)
    if exact and sums.counts.size and sums.counts.min() < 0:
        raise ValueError("a count is below zero, and no source says that it added noise")


def merged(parts: Sequence[Sums]) -> Sums:
    """The sum of all parts, exactly, in whichever order. Raises ``ConfigError`` where they do not belong together or a
    contribution or a gateway would count twice."""
    first = parts[0]
    for part in parts[1:]:
        if part.kind != first.kind:
            raise ConfigError(f"{first.kind} and {part.kind} cannot be merged", mend="merge files of one step")
        if part.basis != first.basis or part.counts.shape != first.counts.shape:
            raise ConfigError(
                f"the files count over different {'spaces' if first.kind == 'histograms' else 'structures'}: "
                f"{first.basis[:12]} and {part.basis[:12]}",
                mend="count again over one, the same for all gateways",
            )
    sources = sorted(source for part in parts for source in part.sources)
    _refuse_doubles(sources)
    total = np.zeros_like(first.counts)
    for part in parts:
        total += part.counts
        if total.size and (total.max() >= LARGEST or total.min() <= -LARGEST):
            raise ConfigError("the sum of the counts is too large")
    return Sums(first.kind, first.basis, total, tuple(sources))


def _refuse_doubles(sources: Sequence[Source]) -> None:
    seen: dict[str, Source] = {}
    for source in sources:
        if source.contribution in seen:
            raise ConfigError(
                f"contribution {source.contribution[:12]} of gateway {source.gateway!r} would count twice",
                mend="name each file once, and none that a merged one holds already",
            )
        seen[source.contribution] = source
    gateways = [source.gateway for source in sources]
    for gateway in gateways:
        if gateways.count(gateway) > 1:
            raise ConfigError(
                f"gateway {gateway!r} has contributed twice, and its events may be the same",
                mend="keep its newest file, or give each gateway a name of its own",
            )
