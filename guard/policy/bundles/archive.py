"""Bundles as bytes: a gzipped tarball or a directory becomes files by name, within bounds, or is refused by name.

Nothing is written to disk. Names are those that OPA uses: relative, with ``/``; ``opa build`` writes them with a slash
before, ``tar`` with ``./``, and both mean the same file.
"""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from guard.errors import BundleInvalid, BundleUnavailable

MAX_FILES: Final = 10_000
MAX_FILE_BYTES: Final = 32 * 2**20
MAX_NAME: Final = 512
MAX_RATIO: Final = 200
"""Unpacked size over packed size: that of text is below 20. Small archives are left alone."""

_SMALL_BYTES: Final = 2**20
_BLOCK: Final = 512
_SHOWN: Final = 120
_GZIP: Final = 16 + zlib.MAX_WBITS
# Of a directory, what is hidden is an editor's or a version control's, but for these.
_SPEAKING: Final = frozenset({".manifest", ".signatures.json"})
_KINDS: Final[Mapping[bytes, str]] = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}


def unpack(data: bytes, label: str, *, max_unpacked_bytes: int) -> dict[str, bytes]:
    """The regular files of a gzipped tarball by name. ``label`` names the bundle in errors.

    Raises ``BundleInvalid`` for what is damaged, cut short or followed by more; for an archive of more than
    ``max_unpacked_bytes``, ``MAX_FILES`` or ``MAX_RATIO``; for a file of more than ``MAX_FILE_BYTES``; for a name that
    leads out of the bundle or stands twice; for links and devices.
    """
    raw = _inflated(data, label, max_unpacked_bytes)
    files: dict[str, bytes] = {}
    try:
        with tarfile.TarFile(fileobj=io.BytesIO(raw)) as archive:
            for name, content in _members(archive, label):
                if name in files:
                    raise BundleInvalid("the file stands twice in the bundle", where=place(label, name))
                files[name] = content
            # The module takes a damaged header for the end, and would leave out what comes behind it.
            if raw.count(0, archive.offset) != len(raw) - archive.offset:
                raise _damaged(label, "the tar archive is damaged")
    except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError):
        raise _damaged(label, "this is no tar archive, or a damaged one") from None
    return files


def read_directory(root: Path, label: str, *, max_unpacked_bytes: int) -> dict[str, bytes]:
    """The files below a directory by name, under the same bounds. Hidden files and directories are left out, but for
    the manifest and the signatures; links are followed as long as they stay below the directory.

    Raises ``BundleUnavailable`` for what cannot be read, ``BundleInvalid`` as ``unpack`` does.
    """
    files: dict[str, bytes] = {}
    total = 0
    base = root.resolve()
    for path in _walk(root):
        name = path.relative_to(root).as_posix()
        where = place(label, name)
        try:
            if not path.resolve().is_relative_to(base):
                raise BundleInvalid("a symbolic link leads out of the bundle", where=where)
            size = path.stat().st_size
            _check_size(size, where)
            total += size
            if total > max_unpacked_bytes:
                raise _too_large(label, max_unpacked_bytes)
            files[_checked(name, label)] = path.read_bytes()
        except OSError as error:
            raise BundleUnavailable(f"the file cannot be read: {error.strerror}", where=where) from None
        if len(files) > MAX_FILES:
            raise _too_many(label)
    return files


def place(label: str, name: str) -> str:
    """A file of a bundle, for people and records: printable, and bounded."""
    shown = name.removeprefix("/").encode("ascii", "backslashreplace").decode()
    shown = "".join(character if character.isprintable() else "?" for character in shown)
    return f"{label}/{shown[:_SHOWN]}"


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if (not name.startswith(".") or name in _SPEAKING) and path.is_file():
                yield path


def _inflated(data: bytes, label: str, limit: int) -> bytes:
    allowed = min(limit, max(_SMALL_BYTES, len(data) * MAX_RATIO))
    inflater = zlib.decompressobj(_GZIP)
    try:
        raw = inflater.decompress(data, allowed + 1)
    except zlib.error:
        raise _damaged(label, "this is no gzip file, or a damaged one") from None
    if len(raw) > allowed:
        if allowed < limit:
            raise BundleInvalid(f"the bundle unpacks to more than {MAX_RATIO} times its size", where=label)
        raise _too_large(label, limit)
    if not inflater.eof:
        raise _damaged(label, "the gzip file is cut short")
    if inflater.unused_data:
        raise _damaged(label, "something follows the gzip file")
    return raw


def _members(archive: tarfile.TarFile, label: str) -> Iterator[tuple[str, bytes]]:
    for count, member in enumerate(archive):
        if count >= MAX_FILES:
            raise _too_many(label)
        if member.isdir():
            continue
        where = place(label, member.name)
        if not member.isreg() or member.issparse():
            kind = _KINDS.get(member.type, "no regular file")
            raise BundleInvalid(f"this is {kind}", where=where, mend="put the file itself into the bundle")
        _check_size(member.size, where)
        stream: Any = archive.extractfile(member)
        content: bytes = stream.read()
        if len(content) != member.size:
            raise BundleInvalid("the file is cut short", where=where)
        yield _checked(member.name, label), content


def _checked(name: str, label: str) -> str:
    """The name as OPA compares it. Raises ``BundleInvalid`` for one that readers may take differently."""
    name = name.removeprefix("./") if name.startswith("./") else name.removeprefix("/")
    bad = not name.isprintable() or "\\" in name or len(name) > MAX_NAME
    if bad or any(part in {"", ".", ".."} for part in name.split("/")):
        raise BundleInvalid(
            "the name leads out of the bundle, or is not in its plain form",
            where=place(label, name),
            mend="build the bundle with: opa build, or: guard policy bundle build",
        )
    return name


def _check_size(size: int, where: str) -> None:
    if not 0 <= size <= MAX_FILE_BYTES:
        raise BundleInvalid(f"the file is larger than {MAX_FILE_BYTES // 2**20} MiB", where=where)


def _too_large(label: str, limit: int) -> BundleInvalid:
    mend = "leave out what no rule reads, or raise policy.bundle.max_unpacked_bytes"
    return BundleInvalid(f"the bundle unpacks to more than {limit} bytes", where=label, mend=mend)


def _too_many(label: str) -> BundleInvalid:
    return BundleInvalid(f"the bundle holds more than {MAX_FILES} files", where=label)


def _damaged(label: str, what: str) -> BundleInvalid:
    return BundleInvalid(what, where=label, mend="build the bundle again, and compare what arrives with what was built")
