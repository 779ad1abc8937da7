"""A model as files: arrays in ``NAME.npz`` without pickle; ``NAME.json``, its card, which holds the SHA-256 of the
arrays; and ``NAME.sig``, the Ed25519 signature of the card, if it is signed. The same model gives the same bytes: no
times, no compression."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.common.signature import sign, verifies
from guard.errors import ConfigError

FORMAT: Final = 1
"""Of the card and the files. A card without ``format`` is of the first."""
LARGEST_BYTES: Final = 64 << 20
"""Of the file, and of what is in it unpacked."""
LARGEST_CARD_BYTES: Final = 1 << 20
MOST_ARRAYS: Final = 64
_ENCRYPTED: Final = 1
"""A flag of a zip archive's member."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_HEADERS: Final = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
_TRAIN: Final = "train it again: guard model train"

Arrays = Mapping[str, npt.NDArray[Any]]


class Artefact(NamedTuple):
    """A model that was read. ``digest``: SHA-256 of its arrays' file, in hex. ``card_digest``: of its card, which names
    the former. ``signed``: the signature was checked and is right."""

    arrays: Arrays
    card: Mapping[str, Any]
    digest: str
    card_digest: str = ""
    signed: bool = False


def packed(arrays: Arrays) -> bytes:
    """The arrays as the bytes of an ``.npz``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), content.getvalue())
    return buffer.getvalue()


def write(path: Path, kind: str, arrays: Arrays, card: Mapping[str, Any], *, signing_key: Path | None = None) -> str:
    """Writes the files, each whole or not at all; with ``signing_key`` (PEM) also the signature. Returns the digest.

    A signature of what stood there before is removed. Raises ``OSError``, ``KeyInvalid``.
    """
    data = packed(arrays)
    digest = hashlib.sha256(data).hexdigest()
    whole = {"format": FORMAT, "kind": kind, **card, "sha256": digest}
    text = (json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    signature = None if signing_key is None else sign(text, signing_key)
    path.with_suffix(".sig").unlink(missing_ok=True)
    place(path, data)
    place(path.with_suffix(".json"), text)
    if signature is not None:
        place(path.with_suffix(".sig"), signature)
    return digest


def place(target: Path, content: bytes) -> None:
    """Write a file whole or not at all, durable on return. Raises ``OSError``."""
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(target)


def read(path: Path, kind: str, *, model_key: Path | None = None) -> Artefact:
    """A model of ``kind``. With ``model_key`` (a public key in PEM) only one that this key signed.

    Raises ``ConfigError`` where it is missing, damaged, unsigned, of another kind or of a later format; ``KeyInvalid``.
    """
    found = read_any(path, model_key=model_key)
    if found.card["kind"] != kind:
        what = f"it is a model of kind {found.card['kind']!r}, not {kind!r}"
        raise ConfigError(f"the model cannot be loaded: {what}", where=str(path), mend="name a model of that kind")
    return found


def read_any(path: Path, *, model_key: Path | None = None) -> Artefact:
    """A model of whatever kind its card names. Raises as ``read`` does."""
    try:
        data = _bounded(path, LARGEST_BYTES)
        text = _bounded(path.with_suffix(".json"), LARGEST_CARD_BYTES)
        card = _card(text)
        digest = hashlib.sha256(data).hexdigest()
        if card["sha256"] != digest:
            raise ValueError("its bytes are not those that its card names")
        if model_key is not None:
            _check_signature(path, text, model_key)
        arrays = unpacked(data)
    except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, zipfile.BadZipFile) as error:
        raise ConfigError(f"the model cannot be loaded: {_said(error)}", where=str(path), mend=_TRAIN) from error
    return Artefact(arrays, card, digest, hashlib.sha256(text).hexdigest(), model_key is not None)


def unpacked(data: bytes) -> Arrays:
    """The arrays of an ``.npz`` that is not compressed, as all of ours. Nothing is made before it is known to fit:
    members that share bytes must not come to more than ``LARGEST_BYTES``, and each holds just what its header says.

    Raises ``ValueError`` for anything else, ``zipfile.BadZipFile`` for what is no archive.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it is compressed, which models are not: unpacked it could be of any size")
        if len(members) > MOST_ARRAYS or sum(member.file_size for member in members) > LARGEST_BYTES:
            raise ValueError(f"it holds more than {MOST_ARRAYS} arrays, or {LARGEST_BYTES} bytes unpacked")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name == member.filename or name in arrays:
                raise ValueError("it holds something else than arrays of different names")
            if member.flag_bits & _ENCRYPTED:
                raise ValueError("an array in it is encrypted")
            arrays[name] = _array(archive.read(member))
    return arrays


def _array(content: bytes) -> npt.NDArray[Any]:
    """One array in the format of numpy, which itself would set memory aside for whatever size a header claims."""
    file = io.BytesIO(content)
    major, _ = np.lib.format.read_magic(file)
    if major not in _HEADERS:
        raise ValueError("an array in it is of another format")
    shape, columns_first, kind = _HEADERS[major](file)
    if kind.hasobject:
        raise ValueError("an array in it holds objects, not numbers")
    start = file.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * kind.itemsize != len(content) - start:
        raise ValueError("an array in it is not as large as it says")
    return np.ndarray(shape, kind, content, start, order="F" if columns_first else "C").copy()


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{Path(str(error.filename)).name}: {error.strerror}"
    return f"its card has no {error}" if isinstance(error, KeyError) else str(error)


def _card(text: bytes) -> dict[str, Any]:
    card = json.loads(text)
    if not isinstance(card, dict) or not isinstance(card["kind"], str):
        raise ValueError("its card is no object with a kind")
    form = card.get("format", FORMAT)
    if not isinstance(form, int) or form > FORMAT:
        raise ValueError(f"its card is of format {form}, and this version reads {FORMAT}")
    return card


def _check_signature(path: Path, text: bytes, key: Path) -> None:
    beside = path.with_suffix(".sig")
    sign_it = "sign it: guard model train --signing-key FILE, or take the key out of the options"
    if not beside.is_file():
        raise ConfigError(
            "the model is not signed, and a key is named that must have signed it", where=str(path), mend=sign_it
        )
    if not verifies(text, _bounded(beside, LARGEST_CARD_BYTES), key):
        raise ConfigError(
            f"the signature is not one of {key} over this card",
            where=str(beside),
            mend="take the model from its maker again, or name the maker's key; do not use it",
        )


def _bounded(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise ValueError(f"{path.name} has more than {most} bytes")
        return file.read(size)
