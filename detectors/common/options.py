"""Options of a detector: a table of guard.toml or keywords, validated into a frozen struct."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from guard.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)


class Rebuilt:
    """A detector that is pickled as its options, and made anew from them: automata and models do not travel."""

    _given: Mapping[str, Any]

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), dict(self._given))


def _rebuild(kind: type[Any], options: Mapping[str, Any]) -> Any:
    return kind(**options)


def parse_options(kind: type[T], options: Mapping[str, Any], detector: str) -> T:
    """``options`` as a ``kind``. Raises ``ConfigError`` that names the option and the mend."""
    where = f"detectors.options.{detector}"
    known = [field.name for field in msgspec.structs.fields(kind)]
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            mend = f"did you mean {close[0]!r}?" if close else f"known options: {', '.join(known) or 'none'}"
            raise ConfigError(f"unknown option {name!r}", where=where, mend=mend)
    try:
        return msgspec.convert(dict(options), type=kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"invalid option: {error}", where=where, mend="see docs/detectors.md") from error


def digest(*parts: object) -> str:
    """SHA-256, in hex, of the parts as canonical JSON: identifies a configuration."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
