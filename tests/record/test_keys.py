"""Key files: private, made once, never over another's, refused when others could have read them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from guard.errors import KeyInvalid
from guard.record.keyfiles import destroy
from guard.record.keys import PSEUDONYM_KEY, SIGNING_KEY, load_keys, load_or_create_keys, load_signing_key
from guard.record.note import VerifierKey


def test_keys_are_made_once_and_kept(tmp_path: Path) -> None:
    """The first start makes the keys and says where; later ones load the same, and make nothing."""
    directory = tmp_path / "state" / "keys"
    made = load_or_create_keys(directory)
    again = load_or_create_keys(directory)
    assert made.created == (directory / SIGNING_KEY, directory / PSEUDONYM_KEY)
    assert again.created == ()
    assert VerifierKey.of(again.signer("a-0")) == VerifierKey.of(made.signer("a-0"))
    assert again.keyed.pseudonym("subject", "alice") == made.keyed.pseudonym("subject", "alice")
    assert load_keys(directory).keyed.key_id == made.keyed.key_id
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
    assert sorted(path.name for path in directory.iterdir()) == [SIGNING_KEY, PSEUDONYM_KEY]


def test_keys_differ_between_deployments(tmp_path: Path) -> None:
    """Two directories, two signing keys and two pseudonym keys."""
    first, second = (load_or_create_keys(tmp_path / name) for name in "ab")
    assert VerifierKey.of(first.signer("a-0")) != VerifierKey.of(second.signer("a-0"))
    assert first.keyed.pseudonym("subject", "alice") != second.keyed.pseudonym("subject", "alice")


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    """Several workers start at once: one makes each file, all load it."""
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(load_or_create_keys, [tmp_path / "keys"] * 8))
    assert len({VerifierKey.of(key.signer("a-0")) for key in keys}) == 1
    assert len({key.keyed.key_id for key in keys}) == 1
    assert sorted(path.name for key in keys for path in key.created) == [SIGNING_KEY, PSEUDONYM_KEY]


@pytest.mark.parametrize("name", [SIGNING_KEY, PSEUDONYM_KEY])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    """A key file open to group or others may be known to them: refused with the mode and the remedy."""
    load_or_create_keys(tmp_path / "keys")
    (tmp_path / "keys" / name).chmod(mode)
    with pytest.raises(KeyInvalid, match=f"mode {mode:04o}") as caught:
        load_or_create_keys(tmp_path / "keys")
    assert "chmod 600" in caught.value.mend


def test_an_open_key_directory_is_refused(tmp_path: Path) -> None:
    """Whoever may write the directory may replace the keys."""
    load_or_create_keys(tmp_path / "keys")
    (tmp_path / "keys").chmod(0o755)
    with pytest.raises(KeyInvalid, match="directory is open"):
        load_or_create_keys(tmp_path / "keys")


@pytest.mark.parametrize("name", [SIGNING_KEY, PSEUDONYM_KEY])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"hmac-sha256 00000000 AAAA\n", b"\xff\xfe"])
def test_a_malformed_key_is_refused_and_left_alone(tmp_path: Path, name: str, content: bytes) -> None:
    """A damaged key file is an error that names it, never a reason to make a new key."""
    load_or_create_keys(tmp_path / "keys")
    (tmp_path / "keys" / name).write_bytes(content)
    with pytest.raises(KeyInvalid) as caught:
        load_or_create_keys(tmp_path / "keys")
    assert caught.value.where == str(tmp_path / "keys" / name)
    assert (tmp_path / "keys" / name).read_bytes() == content


@pytest.mark.parametrize("name", [SIGNING_KEY, PSEUDONYM_KEY])
def test_a_link_in_the_place_of_a_key_is_refused(tmp_path: Path, name: str) -> None:
    """A symbolic link, even to a good key: whoever made it chooses the key."""
    load_or_create_keys(tmp_path / "keys")
    (tmp_path / "keys" / name).rename(tmp_path / "moved")
    (tmp_path / "keys" / name).symlink_to(tmp_path / "moved")
    with pytest.raises(KeyInvalid, match="symbolic link") as caught:
        load_or_create_keys(tmp_path / "keys")
    assert "mode 0600" in caught.value.mend
    assert (tmp_path / "keys" / name).is_symlink()


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    """A directory or a pipe in the place of a key: refused, and nobody waits for a writer of the pipe."""
    load_or_create_keys(tmp_path / "keys")
    for make in (lambda path: path.mkdir(0o700), lambda path: os.mkfifo(path, 0o600)):
        path = tmp_path / "keys" / SIGNING_KEY
        path.unlink() if path.is_file() else path.rmdir()
        make(path)
        with pytest.raises(KeyInvalid, match="no plain file"):
            load_or_create_keys(tmp_path / "keys")


@pytest.mark.parametrize("name", [SIGNING_KEY, PSEUDONYM_KEY])
@pytest.mark.parametrize("left", [0, 10, 30, -2])
def test_a_truncated_key_is_refused_and_left_alone(tmp_path: Path, name: str, left: int) -> None:
    """Any cut of a key file: an error that names it."""
    load_or_create_keys(tmp_path / "keys")
    path = tmp_path / "keys" / name
    cut = path.read_bytes()[:left]
    path.write_bytes(cut)
    with pytest.raises(KeyInvalid) as caught:
        load_or_create_keys(tmp_path / "keys")
    assert (caught.value.where, "backup" in caught.value.mend) == (str(path), True)
    assert path.read_bytes() == cut


def test_another_users_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that belongs to somebody else may be replaced by him at any time; root's is taken, as services get them."""
    load_or_create_keys(tmp_path / "keys")
    owner = (tmp_path / "keys").stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: owner + 4242)
    if owner == 0:
        load_keys(tmp_path / "keys")
        os.chown(tmp_path / "keys" / SIGNING_KEY, 4243, -1)
    with pytest.raises(KeyInvalid, match=f"belongs to user {4243 if owner == 0 else owner}") as caught:
        load_keys(tmp_path / "keys")
    assert "chown" in caught.value.mend


def test_destroying_overwrites_and_removes(tmp_path: Path) -> None:
    """The blocks behind the last name are overwritten; a file with another name loses only this one."""
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"secret" * 10)
    other.hardlink_to(path)
    destroy(path)
    assert (path.exists(), other.read_bytes()) == (False, b"secret" * 10)
    with other.open("rb") as held:
        destroy(other)
        left = held.read()
    assert (len(left), b"secret" in left, other.exists()) == (60, False, False)
    destroy(other)


def test_a_missing_key_is_an_error_where_none_may_be_made(tmp_path: Path) -> None:
    """Loading does not create."""
    with pytest.raises(KeyInvalid, match="cannot be read"):
        load_keys(tmp_path)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Only Ed25519 signs a log."""
    path = tmp_path / "key.pem"
    key = generate_private_key(SECP256R1())
    path.touch(0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyInvalid, match="no Ed25519 key"):
        load_signing_key(path)


def test_a_key_made_by_openssl_is_taken(tmp_path: Path) -> None:
    """An owner may bring a key from OpenSSL."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl binary: apt-get install openssl")
    path = tmp_path / "key.pem"
    path.touch(0o600)
    command = [openssl, "genpkey", "-algorithm", "ed25519", "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    assert len(load_signing_key(path).public_key().public_bytes_raw()) == 32
