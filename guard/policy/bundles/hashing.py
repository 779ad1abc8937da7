"""The digests of signed bundles: of a file's bytes, or of the value that a structured file holds, as OPA takes them.

``data.json``, ``data.yaml`` and ``.manifest`` are hashed as JSON without spaces, with sorted keys, strings as Go's
encoder writes them and JSON's numbers as they stand in the file; every other file byte by byte (OPA, "Signature
Format").
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Final

import yaml

from guard.policy.yaml_data import load_yaml

DIGESTS: Final[Mapping[str, str]] = {
    "SHA-224": "sha224",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
    "SHA-512-224": "sha512_224",
    "SHA-512-256": "sha512_256",
}
"""What a signature may name, and how ``hashlib`` calls it. OPA also knows MD5 and SHA-1, which are broken."""

_STRUCTURED: Final = frozenset({"data.json", "data.yaml", ".manifest"})
_SEPARATORS: Final = re.compile("[\u2028\u2029]")
# Where Go's encoder of floating-point numbers changes to exponents.
_SMALL: Final = 1e-6
_LARGE: Final = 1e21


class _Literal(str):
    """A number as its file writes it."""

    __slots__ = ()


def digest(name: str, content: bytes, algorithm: str) -> str:
    """The digest of a file, in hex. ``algorithm`` is a key of ``DIGESTS``.

    Raises ``ValueError`` for a structured file that does not hold what it should.
    """
    return hashlib.new(DIGESTS[algorithm], canonical(name, content)).hexdigest()


def canonical(name: str, content: bytes) -> bytes:
    """The bytes whose digest is signed. Raises ``ValueError``."""
    base = PurePosixPath(name).name
    if base not in _STRUCTURED:
        return content
    try:
        value = load_yaml(content) if base == "data.yaml" else strict_json(content)
        written: list[str] = []
        _write(value, written)
        return "".join(written).encode()
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(type(error).__name__) from None


def strict_json(content: bytes) -> Any:
    """A JSON value whose numbers are the text that stands in the file, and whose objects name a key once. Raises
    ``ValueError``."""
    return parse_json(content, _Literal)


def parse_json(content: bytes, number: Callable[[str], Any] | None = None) -> Any:
    """A JSON value whose objects name a key once; numbers through ``number``. Raises ``ValueError``."""
    return json.loads(
        content.decode("utf-8"),
        parse_int=number,
        parse_float=number,
        parse_constant=_no_constant,
        object_pairs_hook=_once,
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names a key twice")
    return found


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _write(value: Any, out: list[str]) -> None:
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("a key is no string")
        between = "{"
        for key in sorted(value):
            out.append(f"{between}{_string(key)}:")
            _write(value[key], out)
            between = ","
        out.append("}" if value else "{}")
    elif isinstance(value, list):
        between = "["
        for item in value:
            out.append(between)
            _write(item, out)
            between = ","
        out.append("]" if value else "[]")
    else:
        out.append(_scalar(value))


def _scalar(value: Any) -> str:
    if isinstance(value, _Literal):
        return value
    if isinstance(value, str):
        return _string(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value)
    raise ValueError(f"a {type(value).__name__} is no JSON")


def _string(text: str) -> str:
    written = json.dumps(text, ensure_ascii=False)
    return _SEPARATORS.sub(lambda found: f"\\u{ord(found[0]):x}", written)


def _float(value: float) -> str:
    """A floating-point number as Go's ``encoding/json`` writes it. Raises ``ValueError`` for what is no number."""
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN differs from itself
        raise ValueError("a number is not finite")
    digits = repr(value)
    if value and not _SMALL <= abs(value) < _LARGE:
        return re.sub(r"\.0(?=e)|(?<=e-)0", "", digits)
    if "e" in digits:
        digits = format(Decimal(digits), "f")
    return digits.removesuffix(".0")
