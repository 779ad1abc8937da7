"""A witness's state: one key, one name, one process."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from guard.errors import ConfigError, KeyInvalid
from guard.record.cosignature import CosignerKey
from guard.record.note import VerifierKey
from guard.record.trust import TrustedKey
from guard.witness.keyring import Keyring, read_keys
from guard.witness.state import WitnessState, WitnessStateInvalid
from tests.witness.logs import KEY, THIEF


def test_the_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    """Mode 0600 in a directory of 0700; the vkey beside it is what clients configure; a restart has the same."""
    state = WitnessState(tmp_path / "w", "witness.example/w1")
    key = state.key
    state.close()
    assert stat.S_IMODE((tmp_path / "w" / "witness.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "w").stat().st_mode) == 0o700
    assert CosignerKey.parse((tmp_path / "w" / "witness.vkey").read_text().strip()) == key
    again = WitnessState(tmp_path / "w", None)
    assert again.key == key
    again.close()


def test_a_state_has_one_process(tmp_path: Path) -> None:
    """Two witnesses over one memory could cosign two futures."""
    state = WitnessState(tmp_path / "w", "w")
    with pytest.raises(WitnessStateInvalid, match="another process"):
        WitnessState(tmp_path / "w", "w")
    state.close()


@pytest.mark.parametrize("name", [None, "", "two words", "a+b", "line\nbreak"])
def test_a_name_is_needed_and_must_read(tmp_path: Path, name: str | None) -> None:
    """The name is part of every key id; nothing is left behind by one that does not read."""
    with pytest.raises(ConfigError):
        WitnessState(tmp_path / "w", name)
    state = WitnessState(tmp_path / "w", "good")
    assert state.key.name == "good"
    state.close()


def test_a_name_does_not_change(tmp_path: Path) -> None:
    """Who configured the key under its name must not find another there."""
    WitnessState(tmp_path / "w", "one").close()
    with pytest.raises(ConfigError, match="this witness is one"):
        WitnessState(tmp_path / "w", "two")


def test_a_key_that_is_lost_open_or_another_is_refused(tmp_path: Path) -> None:
    """Never a new key in silence, never one that others could have read."""
    WitnessState(tmp_path / "w", "one").close()
    WitnessState(tmp_path / "v", "one").close()
    pem = tmp_path / "w" / "witness.pem"
    own = pem.read_bytes()
    pem.chmod(0o644)
    with pytest.raises(KeyInvalid, match="open to others"):
        WitnessState(tmp_path / "w", None)
    pem.chmod(0o600)
    pem.write_bytes((tmp_path / "v" / "witness.pem").read_bytes())
    with pytest.raises(WitnessStateInvalid, match="does not belong"):
        WitnessState(tmp_path / "w", None)
    pem.unlink()
    with pytest.raises(KeyInvalid, match="cannot be read"):
        WitnessState(tmp_path / "w", "one")
    pem.write_bytes(own)
    pem.chmod(0o600)
    WitnessState(tmp_path / "w", "one").close()


def test_the_file_of_keys(tmp_path: Path) -> None:
    """Keys as in a trust file, with their sizes; anything else is told with its file."""
    path = tmp_path / "logs"
    path.write_text(f"# first host\n{KEY.encode()}\n\n")
    assert read_keys(path) == [TrustedKey(KEY)]
    path.write_text(f"{KEY.encode()} [1-24]\nroot {KEY.encode()}\n{VerifierKey.of(THIEF).encode()} [25-]\n")
    assert read_keys(path) == [TrustedKey(KEY, 1, 24), TrustedKey(VerifierKey.of(THIEF), 25)]
    for text in ("", "# nothing\n", "not a key\n"):
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            read_keys(path)
        assert caught.value.where in (str(path), f"{path}:1")
    with pytest.raises(ConfigError):
        read_keys(tmp_path / "missing")


def test_keys_are_taken_when_their_file_changes(tmp_path: Path) -> None:
    """A new key is learned at the next request; a file that does not read leaves the keys as they were."""
    path = tmp_path / "logs"
    path.write_text(f"{KEY.encode()}\n")
    ring = Keyring([path])
    told: list[list[TrustedKey]] = []
    ring.refresh(lambda keys: told.append(list(keys)))
    own, other = TrustedKey(KEY), TrustedKey(VerifierKey.of(THIEF))
    assert (ring.keys, told) == ([own], [])
    path.write_text(f"{KEY.encode()}\n{other.key.encode()}\n{KEY.encode()}\n")
    ring.refresh(lambda keys: told.append(list(keys)))
    assert told == [[own, other]]
    path.write_text("no key\n")
    ring.refresh(lambda keys: told.append(list(keys)))
    path.unlink()
    ring.refresh(lambda keys: told.append(list(keys)))
    assert (ring.keys, len(told)) == ([own, other], 1)
