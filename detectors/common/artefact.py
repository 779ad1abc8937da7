"""A model as files: arrays in ``NAME.npz`` without pickle, and ``NAME.json``, its card, which holds the SHA-256 of the
arrays. The same model gives the same bytes: no times, no compression."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from guard.errors import ConfigError

LARGEST_BYTES: Final = 64 << 20
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)

Arrays = Mapping[str, npt.NDArray[Any]]


class Artefact(NamedTuple):
    """A model that was read. ``digest``: SHA-256 of its arrays' file, in hex."""

    arrays: Arrays
    card: Mapping[str, Any]
    digest: str


def packed(arrays: Arrays) -> bytes:
    """The arrays as the bytes of an ``.npz``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), content.getvalue())
    return buffer.getvalue()


def write(path: Path, kind: str, arrays: Arrays, card: Mapping[str, Any]) -> str:
    """Writes both files, each whole or not at all. Returns the digest. Raises ``OSError``."""
    data = packed(arrays)
    digest = hashlib.sha256(data).hexdigest()
    text = json.dumps({"kind": kind, **card, "sha256": digest}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    for target, content in ((path, data), (path.with_suffix(".json"), text.encode())):
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        beside.write_bytes(content)
        beside.replace(target)
    return digest


def read(path: Path, kind: str) -> Artefact:
    """A model of ``kind``. Raises ``ConfigError`` where it is missing, damaged or of another kind."""
    try:
        data = path.read_bytes() if path.stat().st_size <= LARGEST_BYTES else b""
        card = json.loads(path.with_suffix(".json").read_text("utf-8"))
        digest = hashlib.sha256(data).hexdigest()
        if card["kind"] != kind:
            raise ValueError(f"it is a model of kind {card['kind']!r}, not {kind!r}")
        if card["sha256"] != digest:
            raise ValueError("its bytes are not those that its card names")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"the model cannot be loaded: {error}", where=str(path), mend="train it again: guard model train"
        ) from error
    return Artefact(arrays, card, digest)
