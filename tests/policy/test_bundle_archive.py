"""Bundles as archives: read within bounds, refused by name where readers could differ or machines could suffer."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import BundleInvalid, BundleRefused
from guard.policy.bundles import archive
from guard.policy.bundles.archive import MAX_FILE_BYTES, read_directory, unpack
from guard.policy.bundles.build import pack
from tests.policy.bundling import bundle_files, tarball

LIMIT = 2**20


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """A header."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("name", ["/rules/a.rego", "./rules/a.rego", "rules/a.rego"])
def test_the_spellings_of_a_name_are_one_file(name: str) -> None:
    """``opa build`` writes a slash before names, ``tar`` writes ``./``."""
    assert unpack(tarball((member(name), b"x")), "b", max_unpacked_bytes=LIMIT) == {"rules/a.rego": b"x"}


@pytest.mark.parametrize(
    "name",
    ["../a.rego", "a/../../b.rego", "//etc/x.rego", "a//b.rego", "a/./b.rego", "a\\b.rego", "a\nb.rego", "a\x7f"],
)
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    """Nothing is written to disk; still no two readers may see two different files."""
    with pytest.raises(BundleInvalid, match="leads out of the bundle") as caught:
        unpack(tarball((member(name), b"x")), "b", max_unpacked_bytes=LIMIT)
    assert caught.value.where.startswith("b/")
    assert caught.value.where.isprintable()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.CHRTYPE, "a device"),
    ],
)
def test_what_is_no_file_is_refused_by_name(kind: bytes, said: str) -> None:
    """Links and devices have no place in a bundle."""
    with pytest.raises(BundleInvalid, match=said) as caught:
        unpack(tarball((member("a.rego", kind, "/etc/passwd"), b"")), "b", max_unpacked_bytes=LIMIT)
    assert caught.value.where == "b/a.rego"


def test_a_file_that_stands_twice_is_refused() -> None:
    """Also under another spelling of its name: readers take the first or the last."""
    twice = tarball((member("/a.rego"), b"one"), (member("a.rego"), b"two"))
    with pytest.raises(BundleInvalid, match="twice"):
        unpack(twice, "b", max_unpacked_bytes=LIMIT)


def test_directories_are_passed_over() -> None:
    """``tar`` writes them, ``opa`` does not."""
    held = tarball(
        (member("./", tarfile.DIRTYPE), b""), (member("./rules", tarfile.DIRTYPE), b""), (member("./a"), b"x")
    )
    assert unpack(held, "b", max_unpacked_bytes=LIMIT) == {"a": b"x"}


def test_the_unpacked_size_is_bounded_in_memory() -> None:
    """A small archive that unpacks to a gigabyte costs no more than the limit."""
    bomb = gzip.compress(b"\0" * 64 * 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(BundleInvalid, match="more than 200 times its size"):
            unpack(bomb, "b", max_unpacked_bytes=512 * 2**20)
        with pytest.raises(BundleInvalid, match="unpacks to more than 1048576 bytes"):
            unpack(bomb, "b", max_unpacked_bytes=LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    finally:
        tracemalloc.stop()


def test_files_are_bounded_in_size_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bound is named, and so is the file."""
    large = tarfile.TarInfo("/big.json")
    large.size = MAX_FILE_BYTES + 1
    with pytest.raises(BundleInvalid, match="larger than 32 MiB") as caught:
        unpack(gzip.compress(large.tobuf() + b"\0" * 1024), "b", max_unpacked_bytes=LIMIT)
    assert caught.value.where == "b/big.json"
    monkeypatch.setattr(archive, "MAX_FILES", 2)
    with pytest.raises(BundleInvalid, match="more than 2 files"):
        unpack(pack(bundle_files()), "b", max_unpacked_bytes=LIMIT)


def test_a_damaged_header_is_no_end() -> None:
    """Python's reader would take it for the end of the archive, and leave out every file behind it."""
    raw = bytearray(gzip.decompress(pack(bundle_files())))
    second = raw.index(b"/acme/data.json")
    raw[second] ^= 1
    with pytest.raises(BundleInvalid, match="damaged"):
        unpack(gzip.compress(bytes(raw)), "b", max_unpacked_bytes=LIMIT)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda data: data[:-1], "cut short"),
        (lambda data: data[: len(data) // 2], "cut short"),
        (lambda data: data + b"x", "follows"),
        (lambda data: data + data, "follows"),
        (lambda _: b"", "cut short"),
        (lambda _: b"<html>", "no gzip file"),
        (lambda _: gzip.compress(b"hello"), "no tar archive"),
        (lambda data: gzip.compress(gzip.decompress(data)[:600]), "no tar archive|damaged|cut short"),
    ],
)
def test_what_is_not_whole_is_refused(make: Callable[[bytes], bytes], said: str) -> None:
    """Nothing is taken of an archive that is cut short, or that more follows."""
    with pytest.raises(BundleInvalid, match=said):
        unpack(make(pack(bundle_files())), "b", max_unpacked_bytes=LIMIT)


@given(st.binary(max_size=2000))
def test_any_tar_is_read_or_refused(raw: bytes) -> None:
    """Whatever the bytes: files, or our own error."""
    for data in (raw, gzip.compress(raw), gzip.compress(member("a").tobuf() + raw)):
        with suppress(BundleRefused):
            assert sum(map(len, unpack(data, "b", max_unpacked_bytes=LIMIT).values())) <= len(raw)


@given(st.integers(0, 10_239), st.integers(0, 7))
def test_any_flipped_bit_of_a_tar_changes_nothing_unseen(position: int, bit: int) -> None:
    """Of files' contents it is the signature's; of the archive's structure: refused, or the same names and sizes, or
    another name that is not signed."""
    raw = bytearray(gzip.decompress(pack(bundle_files())))
    raw[position % len(raw)] ^= 1 << bit
    try:
        files = unpack(gzip.compress(bytes(raw)), "b", max_unpacked_bytes=LIMIT)
    except BundleRefused:
        return
    assert len(files) == len(bundle_files())
    assert sorted(map(len, files.values())) == sorted(map(len, bundle_files().values()))


def test_extended_headers_cannot_move_backwards() -> None:
    """A negative size in a pax header once made Python's reader run in circles."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("a.rego")
        info.pax_headers = {"size": "-1024"}
        tar.addfile(info, io.BytesIO(b""))
    with pytest.raises(BundleRefused):
        unpack(gzip.compress(held.getvalue()), "b", max_unpacked_bytes=LIMIT)


# --- directories ----------------------------------------------------------------------------------------------------


def test_a_directory_is_read_as_its_archive(tmp_path: Path) -> None:
    """Without what is hidden, but with manifest and signatures."""
    wanted = {**bundle_files(), ".signatures.json": b"{}"}
    for name, content in {**wanted, ".git/config": b"x", ".hidden.rego": b"x", "rules/.swp": b"x"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert read_directory(tmp_path, "b", max_unpacked_bytes=LIMIT) == wanted


def test_mounted_configuration_is_read_through_its_links(tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap; but no link may lead out."""
    (tmp_path / "b" / "..2026").mkdir(parents=True)
    (tmp_path / "b" / "..2026" / "a.rego").write_text("package a")
    (tmp_path / "b" / "..data").symlink_to("..2026")
    (tmp_path / "b" / "a.rego").symlink_to("..data/a.rego")
    assert read_directory(tmp_path / "b", "b", max_unpacked_bytes=LIMIT) == {"a.rego": b"package a"}
    (tmp_path / "secret").write_text("x")
    (tmp_path / "b" / "out.rego").symlink_to(tmp_path / "secret")
    with pytest.raises(BundleInvalid, match="leads out") as caught:
        read_directory(tmp_path / "b", "b", max_unpacked_bytes=LIMIT)
    assert caught.value.where == "b/out.rego"


def test_equal_files_are_equal_bytes() -> None:
    """So that a digest or an ETag over an archive says something."""
    files = bundle_files()
    assert pack(files) == pack(dict(reversed(files.items())))
    assert unpack(pack(files), "b", max_unpacked_bytes=LIMIT) == files
