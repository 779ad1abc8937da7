"""Histograms, structures and counts as artefacts: arrays in ``NAME.npz`` and a card in ``NAME.json``.

What is believed stands in the arrays, whose digest the card holds; the rest of the card is for people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.common import artefact
from detectors.federation import space as spaces
from detectors.federation.noise import check_noise
from detectors.federation.space import BINS, LEVELS, Space
from detectors.federation.structure import LEAF, Structure
from detectors.federation.sums import Kind, Source, Sums, check
from guard.errors import ConfigError

STRUCTURE: Final = "federation-structure"
KINDS: Final[Mapping[str, Kind]] = {"federation-histograms": "histograms", "federation-counts": "counts"}
_NODES: Final = ("feature", "threshold", "left", "right", "roots")
_AGAIN: Final = "get or make the file again: docs/federation.md"


T = TypeVar("T")


class Held(NamedTuple):
    """Sums as a file holds them: ``structure`` only for counts."""

    sums: Sums
    space: Space
    structure: Structure | None


def space_digest(space: Space) -> str:
    """SHA-256 of a space and of how it is divided, in hex."""
    return hashlib.sha256(f"{LEVELS} {BINS} ".encode() + space.encoded()).hexdigest()


def write_structure(path: Path, structure: Structure, card: Mapping[str, Any]) -> str:
    """Returns the digest of the structure. Raises ``ConfigError``."""
    own = {"trees": len(structure.roots), "leaves": structure.leaves, "structure_sha256": structure.digest}
    _write(path, STRUCTURE, _nodes(structure), {**card, **own, "features": list(structure.space.names)})
    return structure.digest


def read_structure(path: Path) -> Structure:
    """Raises ``ConfigError`` where it is missing, damaged or no structure."""
    found = _read(path)
    if found.card["kind"] != STRUCTURE:
        raise ConfigError(f"it holds {found.card['kind']}, not a structure", where=str(path), mend=_AGAIN)
    return _checked(path, lambda: _structure(found.arrays, str(path)))


def write_sums(path: Path, held: Held) -> None:
    """Raises ``ConfigError``."""
    sums, space = held.sums, held.space
    arrays: dict[str, npt.NDArray[Any]] = {"counts": sums.counts, "sources": _text(msgspec.json.encode(sums.sources))}
    arrays |= _nodes(held.structure) if held.structure else {"space": _text(space.encoded())}
    kind = next(name for name, meaning in KINDS.items() if meaning == sums.kind)
    card = {
        "over": sums.basis,
        "features": list(space.names),
        "rows": rows_in(held),
        "gateways": [source.gateway for source in sums.sources],
        "exact": not any(source.epsilon for source in sums.sources),
    }
    _write(path, kind, arrays, card)


def read_sums(path: Path) -> Held:
    """Raises ``ConfigError`` where they are missing, damaged, or cannot be those of their sources."""
    found = _read(path)
    if found.card["kind"] not in KINDS:
        raise ConfigError(f"it holds {found.card['kind']}, not histograms or counts", where=str(path), mend=_AGAIN)
    return _checked(path, lambda: _held(KINDS[found.card["kind"]], found.arrays, str(path)))


def rows_in(held: Held) -> int:
    """How many rows were counted: exact without noise, else an estimate."""
    over = len(held.structure.roots) if held.structure else len(held.space.axes)
    return max(0, round(int(held.sums.counts.sum()) / over))


def _held(kind: Kind, arrays: artefact.Arrays, where: str) -> Held:
    sources = tuple(msgspec.json.decode(arrays["sources"].tobytes(), type=list[Source]))
    structure = _structure(arrays, where) if kind == "counts" else None
    space = structure.space if structure else spaces.decode(arrays["space"].tobytes(), where)
    basis = structure.digest if structure else space_digest(space)
    sums = Sums(kind, basis, arrays["counts"], sources)
    shape = (structure.leaves,) if structure else (len(space.axes), BINS)
    if sums.counts.shape != shape:
        raise ValueError(f"its counts have the shape {sums.counts.shape}, not {shape}")
    check(sums)
    check_noise(sums.counts, sources, len(structure.roots) if structure else len(space.axes))
    totals = _totals(sums.counts, structure)
    if len(set(totals.tolist())) > 1 and not any(source.epsilon for source in sources):
        raise ValueError("its counts do not hold one row as often as another, and no source says that it added noise")
    return Held(sums, space, structure)


def _totals(counts: npt.NDArray[np.int64], structure: Structure | None) -> npt.NDArray[np.int64]:
    """The rows of each feature, or of each tree: all the same."""
    if structure is None:
        return np.asarray(counts.sum(axis=1), np.int64)
    tree = np.searchsorted(structure.roots, np.flatnonzero(structure.feature == LEAF), side="right") - 1
    totals = np.zeros(len(structure.roots), np.int64)
    np.add.at(totals, tree, counts)
    return totals


def _nodes(structure: Structure) -> dict[str, npt.NDArray[Any]]:
    nodes = dict[str, npt.NDArray[Any]](zip(_NODES, structure[1:], strict=True))
    return {**nodes, "space": _text(structure.space.encoded())}


def _structure(arrays: artefact.Arrays, where: str) -> Structure:
    feature, *others = (arrays[name] for name in _NODES)
    if feature.dtype != np.int16 or any(nodes.dtype != np.int32 for nodes in others):
        raise ValueError("its nodes are of other types")
    structure = Structure(spaces.decode(arrays["space"].tobytes(), where), feature, *others)
    structure.check()
    return structure


def _text(data: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


def _write(path: Path, kind: str, arrays: artefact.Arrays, card: Mapping[str, Any]) -> None:
    if path.suffix != ".npz":
        raise ConfigError("the name must end in .npz; its card goes beside it", where=str(path))
    try:
        artefact.write(path, kind, arrays, card)
    except OSError as error:
        raise ConfigError(f"it cannot be written: {error.strerror}", where=str(path)) from error


def _read(path: Path) -> artefact.Artefact:
    try:
        return artefact.read_any(path)
    except ConfigError as error:
        raise ConfigError(error.what.replace("the model", "the file"), where=error.where, mend=_AGAIN) from error


def _checked(path: Path, make: Callable[[], T]) -> T:
    try:
        return make()
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, msgspec.DecodeError) as error:
        said = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"the file is damaged: {said}", where=str(path), mend=_AGAIN) from error


def summary(held: Held) -> list[dict[str, Any]]:
    """Median and interquartile range of each feature of histograms, in its unit."""
    found = []
    for at, name in enumerate(held.space.names):
        low, middle, high = (
            held.space.value(at, spaces.quantile(held.sums.counts[at], part)) for part in (0.25, 0.5, 0.75)
        )
        found.append({"feature": name, "median": middle, "iqr": high - low})
    return found
