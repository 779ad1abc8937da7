"""Bundles from directories, in the form that ``opa build --bundle`` gives, and the same bytes from the same files."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from guard.errors import BundleInvalid
from guard.policy.bundles.archive import MAX_FILES, place, read_directory
from guard.policy.bundles.hashing import parse_json
from guard.policy.bundles.manifest import MANIFEST, read_manifest
from guard.policy.bundles.signatures import SIGNATURES, BundleKey, sign
from guard.policy.sources import is_policy, is_test

_MAX_BYTES: Final = 128 * 2**20


def build_files(
    directory: Path,
    label: str,
    *,
    revision: str | None = None,
    roots: Sequence[str] = (),
    tests: bool = True,
    key: BundleKey | None = None,
) -> dict[str, bytes]:
    """The files of a bundle: the policies and data of a directory, a manifest, and signatures if there is a key.

    What is given wins over the manifest that lies in the directory. ``tests`` keeps ``*_test.rego``. Raises
    ``BundleRefused`` for what could not be taken from a bundle either.
    """
    found = read_directory(directory, label, max_unpacked_bytes=_MAX_BYTES)
    files = {name: found[name] for name in found if is_policy(name) and (tests or not is_test(name))}
    if not files:
        raise BundleInvalid("there is no .rego file and no data.json in it", where=label, mend="name another directory")
    files[MANIFEST] = _manifest(found, label, revision, roots)
    read_manifest(files, label)
    if key is not None:
        try:
            files[SIGNATURES] = sign(files, key)
        except ValueError as error:
            raise BundleInvalid(f"a file cannot be signed: {error}", where=label, mend="correct the file") from None
    return files


def pack(files: Mapping[str, bytes]) -> bytes:
    """A gzipped tarball without times, owners and order of their own, so that equal files are equal bytes."""
    assert len(files) <= MAX_FILES  # noqa: S101 - reading them is bounded
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            member = tarfile.TarInfo(f"/{name}")
            member.size, member.mode = len(files[name]), 0o600
            archive.addfile(member, io.BytesIO(files[name]))
    return gzip.compress(raw.getvalue(), mtime=0)


def _manifest(found: Mapping[str, bytes], label: str, revision: str | None, roots: Sequence[str]) -> bytes:
    try:
        held: Any = parse_json(found.get(MANIFEST, b"{}"))
    except (ValueError, RecursionError):
        held = None
    if not isinstance(held, dict):
        raise BundleInvalid("the manifest is no JSON object", where=place(label, MANIFEST))
    held = {"revision": "", "rego_version": 1, **held}
    if revision is not None:
        held["revision"] = revision
    if roots:
        held["roots"] = list(roots)
    return json.dumps(held, separators=(",", ":"), sort_keys=True).encode()
