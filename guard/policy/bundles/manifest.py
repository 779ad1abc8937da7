"""The manifest of a bundle, and what it may hold: policies and data below its roots, and nowhere else.

A root is a path of ``data`` without the word ``data``, with ``/``: ``guard/rules/acme``. ``""`` is everything, and what
a bundle without roots has (OPA, "Bundle File Format").
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from guard.errors import BundleInvalid, BundleOutsideRoots
from guard.policy.bundles.archive import place
from guard.policy.bundles.hashing import parse_json

MANIFEST: Final = ".manifest"
MAX_ROOTS: Final = 1000
_SHOWN: Final = 120
DataPath: TypeAlias = tuple[str, ...]
"""A path below ``data``."""

# What may stand in a record and on a terminal as it is.
_REVISION: Final = re.compile(r"[A-Za-z0-9._:/+@=, -]{0,128}")
_UNSUPPORTED: Final[Mapping[str, str]] = {
    "patch.json": "a delta bundle, which is not supported; let the server send snapshots",
    "policy.wasm": "WebAssembly, which is not evaluated; build the bundle with: opa build --target rego",
    "plan.json": "an evaluation plan, which is not evaluated; build the bundle with: opa build --target rego",
}


class Manifest(msgspec.Struct, frozen=True):
    """What a bundle says about itself. ``revision`` is ``""`` where it says none; ``metadata`` is its author's."""

    revision: str = ""
    roots: tuple[DataPath, ...] = ((),)
    metadata: Mapping[str, Any] = {}


def read_manifest(files: Mapping[str, bytes], label: str) -> Manifest:
    """The manifest among the files of a bundle, or what stands for a missing one.

    Raises ``BundleInvalid`` for one that cannot be read, for a second one, and for bundles of kinds that are not
    supported: deltas, WebAssembly, plans, Rego v0.
    """
    for name in files:
        base = PurePosixPath(name).name
        if base in _UNSUPPORTED:
            raise BundleInvalid(f"this is {_UNSUPPORTED[base]}", where=place(label, name))
        if name != MANIFEST and name.endswith(MANIFEST):
            raise BundleInvalid("a bundle has one manifest, at its top", where=place(label, name))
    if MANIFEST not in files:
        return Manifest()
    where = place(label, MANIFEST)
    try:
        held = parse_json(files[MANIFEST])
    except (ValueError, RecursionError):
        raise BundleInvalid("the manifest is not valid JSON", where=where) from None
    if not isinstance(held, dict):
        raise BundleInvalid("the manifest is no JSON object", where=where)
    revision, metadata = held.get("revision", ""), held.get("metadata", {})
    if not isinstance(revision, str) or not _REVISION.fullmatch(revision):
        mend = "use up to 128 letters, digits, spaces and ._:/+@=,-"
        raise BundleInvalid("the revision is no plain text", where=where, mend=mend)
    if not isinstance(metadata, dict):
        raise BundleInvalid("the metadata is no object", where=where)
    if held.get("wasm"):
        raise BundleInvalid(f"this is {_UNSUPPORTED['policy.wasm']}", where=where)
    _check_rego_version(held, where)
    return Manifest(revision, _roots(held.get("roots"), where), metadata)


class Held(NamedTuple):
    """What a file of a bundle holds: the package of a module and the paths of its rules, or the tree that it adds to
    ``data``."""

    name: str
    package: DataPath = ()
    rules: Iterable[DataPath] = ()
    tree: Mapping[str, Any] | None = None


def check_roots(manifest: Manifest, contents: Iterable[Held], owned: Mapping[DataPath, str], label: str) -> None:
    """Hold what a bundle has against its roots, and both against what others own.

    ``owned`` says of a path below ``data`` whose it is. Roots that name something may not reach into that, as two
    bundles may not in OPA; where they name nothing (``""``), each file counts. Raises ``BundleOutsideRoots``.
    """
    mend = "name a root of your own, like guard/rules/NAME, or set policy.shipped = false"
    for root in manifest.roots:
        if root and (path := _overlapped(root, owned)) is not None:
            what = f"the root {_shown(root)} overlaps with {_shown(path)}, which is {owned[path]}"
            raise BundleOutsideRoots(what, where=place(label, MANIFEST), mend=mend)
    # A path that is none of these is inside, outside, or another's with everything below it.
    stems = {path[:length] for path in (*manifest.roots, *owned) for length in range(len(path))}
    for name, package, rules, tree in contents:
        where = place(label, name)
        leaves = None if tree is None else list(_leaves(tree, stems))
        for path in [package] if leaves is None else leaves:
            if not any(_within(path, root) for root in manifest.roots):
                allowed = ", ".join(map(_shown, manifest.roots)) or "none"
                what = f"{_shown(path)} is outside of the bundle's roots ({allowed})"
                outside = f"add a root to {MANIFEST}, or move this below one"
                raise BundleOutsideRoots(what, where=where, mend=outside)
        for path in rules if leaves is None else leaves:
            if (own := _overlapped(path, owned)) is not None:
                raise BundleOutsideRoots(f"{_shown(own)} is {owned[own]}", where=where, mend=mend)


def _overlapped(path: DataPath, owned: Iterable[DataPath]) -> DataPath | None:
    return next((own for own in owned if _within(path, own) or _within(own, path)), None)


def _within(path: DataPath, root: DataPath) -> bool:
    return path[: len(root)] == root


def _leaves(tree: Mapping[str, Any], stems: AbstractSet[DataPath], path: DataPath = ()) -> Iterator[DataPath]:
    """The topmost paths of a tree that lead to no root any more."""
    for key, value in tree.items():
        below = (*path, key)
        if below in stems and isinstance(value, dict):
            yield from _leaves(value, stems, below)
        else:
            yield below


def _shown(path: DataPath) -> str:
    """A path as a manifest writes it, printable and bounded."""
    shown = "/".join(path).encode("ascii", "backslashreplace").decode()
    return f'"{shown[:_SHOWN]}"' if shown.isprintable() else '"?"'


def _check_rego_version(held: Mapping[str, Any], where: str) -> None:
    versions = held.get("file_rego_versions") or {}
    each = versions.values() if isinstance(versions, dict) else [None]
    if any(version != 1 or isinstance(version, bool) for version in [held.get("rego_version", 1), *each]):
        mend = "write the policies in Rego v1 (opa fmt --v0-v1) and build the bundle again"
        raise BundleInvalid("the bundle holds another version of Rego than v1", where=where, mend=mend)


def _roots(held: Any, where: str) -> tuple[DataPath, ...]:
    if held is None:
        return ((),)
    if not isinstance(held, list) or len(held) > MAX_ROOTS or not all(isinstance(root, str) for root in held):
        raise BundleInvalid(f"roots must be a list of at most {MAX_ROOTS} paths", where=where)
    roots = sorted(tuple(trimmed.split("/")) if (trimmed := root.strip("/")) else () for root in held)
    for root, following in itertools.pairwise(roots):
        if _within(following, root):
            raise BundleInvalid(f"the roots {_shown(root)} and {_shown(following)} overlap", where=where)
    return tuple(roots)
