"""The files on which a configuration stands: where it came from, and what tells one state of them from another."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from guard.config.bundle import BundleConfig
from guard.config.load import find_config_file, load_config
from guard.config.model import GuardConfig

Prints: TypeAlias = Mapping[str, tuple[int, ...] | None]
"""What tells one state of files, and of other sources, from another; ``None`` for what is not there."""

_SUFFIXES: Final = (".rego", ".json", ".yaml", ".yml", ".toml", ".manifest")
_ARCHIVES: Final = (".gz", ".tgz")


class ConfigSource(msgspec.Struct, frozen=True):
    """Where a configuration came from, so that it can be read again: its file and the keywords over it.

    ``file`` is ``None`` where there was none; then only policies are watched.
    """

    file: Path | None
    keywords: Mapping[str, Any] = {}

    @classmethod
    def of(cls, path: str | Path | None, keywords: Mapping[str, Any]) -> ConfigSource:
        """The source that ``load_config(path, **keywords)`` reads. Raises ``ConfigError``."""
        file = find_config_file(path)
        # Made absolute once: a file that is removed later is an error then, and not a fall back to the defaults.
        return cls(None if file is None else file.absolute(), dict(keywords))

    def load(self) -> GuardConfig:
        """The configuration as it stands now. Raises ``ConfigError``."""
        return load_config(self.file, **self.keywords)


def watched(source: ConfigSource | None, config: GuardConfig) -> list[str]:
    """The files and directories on which a configuration stands; none without a source."""
    if source is None:
        return []
    opa = config.policy.opa
    credentials = (opa.token_file, opa.ca_file) if config.policy.engine == "opa" else ()
    candidate = (config.policy.candidate and config.policy.candidate.directories) or ()
    named = (source.file, *config.policy.directories, *candidate, *credentials)
    bundles = (config.policy.bundle, config.policy.candidate and config.policy.candidate.bundle)
    named += tuple(path for bundle in bundles if isinstance(bundle, BundleConfig) for path in _files_of(bundle))
    return list(dict.fromkeys(str(path) for path in named if path is not None))


def _files_of(bundle: BundleConfig) -> tuple[Path | None, ...]:
    keys = (bundle.public_key_file, bundle.hmac_secret_file, bundle.ca_file)
    return keys if bundle.remote else (Path(bundle.source), *keys)


def fingerprint(paths: Sequence[str]) -> Prints:
    """What tells one state of the files from another; ``None`` for what is not there. Reads no content."""
    prints: dict[str, tuple[int, ...] | None] = {}
    for path in paths:
        prints[path] = _print(path)
        for root, directories, files in os.walk(path):
            directories[:] = [name for name in directories if not name.startswith(".")]
            for name in files:
                if name.endswith(_SUFFIXES):
                    file = os.path.join(root, name)  # noqa: PTH118 - walked every few seconds
                    prints[file] = _print(file)
    return prints


def _print(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    if os.path.isdir(path):  # noqa: PTH112
        return (status.st_ino,)
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def matters(path: str) -> bool:
    """Whether a change of it may be one of policies: files of the kinds that are read; and names without an ending,
    which are directories, and links that are swapped."""
    _, ending = os.path.splitext(path)  # noqa: PTH122
    return not ending or ending in _SUFFIXES or ending in _ARCHIVES
