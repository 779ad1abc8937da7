"""A bundle that was read and verified, before anybody looks at its policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from guard.config import BundleConfig
from guard.errors import BundleUnavailable
from guard.policy.bundles.archive import read_directory, unpack
from guard.policy.bundles.manifest import DataPath, Held, Manifest, check_roots, read_manifest
from guard.policy.bundles.signatures import key_of, verify
from guard.policy.sources import label_of
from guard.rego import Capabilities, CompileError
from guard.rego.nodes import Var
from guard.rego.parser import parse_module

_NAMELESS: Final = "bundle"


class Opened(msgspec.Struct, frozen=True):
    """The files of a bundle by name, verified if a key is configured. ``label`` names it in places and errors."""

    label: str
    files: Mapping[str, bytes]
    manifest: Manifest

    def check(self, data: list[tuple[str, Any]], owned: Mapping[DataPath, str]) -> None:
        """Hold modules and data against the roots. ``data`` has what each data file adds, by its name with the label.
        Raises ``BundleOutsideRoots``."""
        prefix = f"{self.label}/"
        trees = [Held(name.removeprefix(prefix), tree=tree) for name, tree in data if name.startswith(prefix)]
        check_roots(self.manifest, [*self._modules(), *trees], owned, self.label)

    def _modules(self) -> Iterator[Held]:
        for name, content in self.files.items():
            if name.endswith(".rego"):
                try:
                    yield Held(name, *paths_of(name, content.decode("utf-8")))
                except (CompileError, UnicodeDecodeError):
                    continue  # said with its line, and refused, by who reads the annotations


def paths_of(name: str, source: str) -> tuple[DataPath, frozenset[DataPath]]:
    """The package of a module, and the paths at which its rules begin. Raises ``CompileError``."""
    module = parse_module(name, source, Capabilities().future_keywords)
    package = tuple(module.package)
    heads = (rule.head.ref.terms[0] for rule in module.rules)
    return package, frozenset((*package, head.name) for head in heads if isinstance(head, Var))


def label_for(config: BundleConfig) -> str:
    """How a bundle is called: its path, or the last part of its address."""
    if not config.remote:
        return label_of(Path(config.source))
    name = PurePosixPath(urlsplit(config.source).path).name
    return name if name.isascii() and name.isprintable() and name else _NAMELESS


def open_bundle(config: BundleConfig, data: bytes | None = None) -> Opened:
    """Read and verify a bundle: the archive that was downloaded, or what lies at the configured path.

    Raises ``BundleRefused``, and ``KeyInvalid`` where the key cannot be used.
    """
    label = label_for(config)
    key = key_of(config)
    if data is None:
        data = _read(Path(config.source), label, config.max_archive_bytes)
    if data is None:
        files = read_directory(Path(config.source), label, max_unpacked_bytes=config.max_unpacked_bytes)
    else:
        files = unpack(data, label, max_unpacked_bytes=config.max_unpacked_bytes)
    verify(files, key, label)
    return Opened(label, files, read_manifest(files, label))


def _read(path: Path, label: str, limit: int) -> bytes | None:
    """The bytes of an archive; ``None`` for a directory."""
    try:
        if path.is_dir():
            return None
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        mend = "build it there, or correct policy.bundle.source"
        raise BundleUnavailable(f"the bundle cannot be read: {error.strerror}", where=label, mend=mend) from None
    if len(data) > limit:
        raise too_large(label, limit)
    return data


def too_large(label: str, limit: int) -> BundleUnavailable:
    """The error for an archive that is larger than it may be."""
    mend = "leave out what no rule reads, or raise policy.bundle.max_archive_bytes"
    return BundleUnavailable(f"the bundle is larger than {limit} bytes", where=label, mend=mend)
