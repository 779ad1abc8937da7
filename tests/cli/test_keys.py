"""``guard keys``: the life of keys as an operator meets it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from guard.cli.command import run
from guard.config import load_config
from guard.record.boot import BootFacts
from guard.record.keys import PSEUDONYM_KEY, load_pseudonym_key
from guard.record.slot import Slot
from guard.record.tenant_keys import TenantKeys
from guard.record.trust import parse_trust, read_trust
from guard.record.verify import verify
from guard.record.writer import Writer
from guard.starting import deployment_keys
from tests.record.logs import NAME, decision, outcome


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a guard.toml, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.toml").write_text('state_directory = "state"\n[record]\ntenant_keys = true\n')
    return tmp_path


def boot(place: Path, number: int = 0) -> None:
    """A guard that starts, records one exchange and stops."""
    slot = Slot(place / "state" / "log", NAME)
    writer = Writer(slot.path, deployment_keys(load_config(place / "guard.toml")).origin(slot.origin), BootFacts())
    writer.open()
    writer.commit([decision(number)])
    writer.commit([outcome(number)])
    writer.close({})
    slot.release()


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What a command prints on stdout; on stderr where it fails."""
    capsys.readouterr()
    assert run(["keys", *arguments]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def test_new_makes_all_keys_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Signing, pseudonym and vault key, 0600 in 0700; a second call overwrites nothing and says what to do."""
    text = said(capsys, "new")
    keys = place / "state" / "keys"
    made = {path.name: path.read_bytes() for path in keys.iterdir()}
    assert sorted(made) == ["log-signing.pem", "pseudonym.key", "vault.key"]
    assert all(f"made {Path('state/keys') / name}" in text for name in made)
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {0o600}
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert "all keys are there already" in said(capsys, "new", code=1)
    assert made == {path.name: path.read_bytes() for path in keys.iterdir()}
    private = made["log-signing.pem"].splitlines()[1].decode()
    assert private not in text + said(capsys, "show") + said(capsys, "show", "--json")


def test_what_is_printed_is_a_trust_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines of ``new --root`` and of ``show`` verify the log, before and after a rotation."""
    trust = json.loads(said(capsys, "new", "--root", "root.key", "--json"))["trust"]
    assert trust[0].startswith("root ")
    assert stat.S_IMODE((place / "root.key").stat().st_mode) == 0o600
    boot(place)
    said(capsys, "rotate", "--root", "root.key")
    assert json.loads(said(capsys, "show", "--json"))["origins"][0]["pending"] is True
    boot(place, 1)
    shown = json.loads(said(capsys, "show", "--json"))
    assert (shown["origins"][0]["pending"], shown["origins"][0]["epochs"]) == (False, 2)
    assert shown["roots"] == [f"{NAME}-root"]
    log = place / "state" / "log"
    for lines in (trust, trust[:1], shown["trust"]):
        assert verify(log, trust=parse_trust(lines, "trust")).exit_code == 0
    assert [line.split()[1] for line in shown["trust"]] == ["[1-7]", "[8-]"]
    assert verify(log, trust=parse_trust([trust[1] + " [1-4]"], "trust")).exit_code == 1


def test_the_offline_ceremony(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Request -> endorse on the other machine -> accept -> rotate: the root's file never meets the keys."""
    said(capsys, "new")
    boot(place)
    (place / "request.json").write_text(said(capsys, "request"))
    offline = place / "offline"
    offline.mkdir()
    from guard.record.pem import create_root

    assert create_root(offline / "root.key", "ops-root")
    (place / "notes.json").write_text(said(capsys, "endorse", "request.json", "--root", "offline/root.key"))
    assert said(capsys, "accept", "notes.json") == "kept 1 endorsement\n"
    (place / "request.json").write_text(said(capsys, "request", "--next"))
    (place / "notes.json").write_text(said(capsys, "endorse", "request.json", "--root", "offline/root.key"))
    said(capsys, "accept", "notes.json")
    assert json.loads(said(capsys, "rotate", "--json"))["endorsed"] is True
    boot(place, 1)
    report = verify(place / "state" / "log", trust=None)
    assert report.exit_code == 0
    (place / "notes.json").write_text(said(capsys, "endorse", "request.json", "--root", "offline/root.key"))
    (place / "guard.toml").write_text('state_directory = "state"\n[record]\nname = "other"\n')
    assert "of another key or another log" in said(capsys, "accept", "notes.json", code=1)


def test_rotate_says_when_the_root_did_not_speak(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A deployment with a root that rotates without it is warned."""
    said(capsys, "new", "--root", "root.key")
    capsys.readouterr()
    assert run(["keys", "rotate"]) == 0
    captured = capsys.readouterr()
    assert "the root has not endorsed this key" in captured.err
    assert "is destroyed after it" in captured.out


def test_rotation_of_a_key_that_is_elsewhere_is_explained(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is in no file is rotated where it is, and ``previous`` signs the change."""
    said(capsys, "new")
    key = json.loads(said(capsys, "show", "--json"))["key"]
    (place / "guard.toml").write_text(
        f'state_directory = "state"\n[record.signer]\ncommand = ["false"]\npublic_key = "{key}"\n'
    )
    assert "record.signer.previous" in said(capsys, "rotate", code=1)
    assert json.loads(said(capsys, "show", "--json"))["key"] == key


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["show"], 1, "there are no keys yet"),
        (["rotate"], 1, "cannot be read"),
        (["rotate", "--root", "missing"], 1, "cannot be read"),
        (["endorse", "missing", "--root", "missing"], 1, "cannot be read"),
        (["destroy"], 3, "--tenant"),
        (["bogus"], 3, "No such command"),
        (["show", "--config", "missing.toml"], 1, "missing.toml"),
    ],
)
def test_mistakes_are_told_with_their_mend(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, told: str
) -> None:
    """Exit 1 for what cannot be done, 3 for wrong usage; nothing is made on the way."""
    assert told in said(capsys, *arguments, code=code)
    assert not (place / "state").exists()


def test_destroy_erases_one_tenant(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The key is gone, the record stands, and nobody computes the pseudonyms again."""
    said(capsys, "new")
    keys = place / "state" / "keys"
    tenants = TenantKeys(keys, load_pseudonym_key(keys / PSEUDONYM_KEY))
    before = tenants.of("acme").pseudonym("subject", "alice")
    shown = json.loads(said(capsys, "show", "--tenant", "acme", "--json"))
    assert shown["key_id"] == before.split(":")[1]
    boot(place)
    assert before in hashed(capsys, "acme", "alice")
    erased = json.loads(said(capsys, "destroy", "--tenant", "acme", "--json"))
    assert "the key of this tenant was destroyed on" in hashed(capsys, "acme", "alice", code=1)
    assert (erased["key_id"], erased["tenant"]) == (shown["key_id"], shown["pseudonym"])
    assert "this tenant has no key" in said(capsys, "show", "--tenant", "acme")
    assert "this tenant has no key" in said(capsys, "destroy", "--tenant", "acme", code=1)
    assert TenantKeys(keys, load_pseudonym_key(keys / PSEUDONYM_KEY)).of("acme").pseudonym("subject", "alice") != before
    assert verify(place / "state" / "log").exit_code == 0


def hashed(capsys: pytest.CaptureFixture[str], tenant: str, value: str, *, code: int = 0) -> str:
    """What ``guard log hash`` says of a tenant's subject."""
    capsys.readouterr()
    arguments = ["log", "hash", "--dir", "state", "--tenant", tenant, "--kind", "subject", "--json", value]
    assert run(arguments) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def test_the_command_runs_as_a_process(place: Path) -> None:
    """As a user calls it: sentences on stdout, exit codes, the umask of others does not open a key."""
    command = [str(Path(sys.executable).with_name("guard")), "keys"]
    old = os.umask(0)
    try:
        made = subprocess.run([*command, "new", "--root", "root.key"], capture_output=True, text=True, check=True)
    finally:
        os.umask(old)
    assert "for an auditor's trust file" in made.stdout
    files = [place / "root.key", *(place / "state" / "keys").iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    trust = place / "trust"
    trust.write_text("\n".join(line.strip() for line in made.stdout.splitlines() if "+" in line))
    assert len(read_trust(trust).roots) == 1


@pytest.mark.parametrize(
    ("signer", "told"),
    [
        ('command = ["no-such-signer"]\npublic_key = "{key}"', "no command of this machine"),
        ('command = ["true"]\npublic_key = "nonsense"', "neither a vkey"),
        ('module = "/no/such.so"\ntoken = "t"\nkey = "k"', "no file"),
        ('module = "{here}/guard.toml"\ntoken = "t"\nkey = "k"\npin_file = "{here}/pin"', "open to others"),
    ],
)
def test_check_looks_at_the_signer(place: Path, capsys: pytest.CaptureFixture[str], signer: str, told: str) -> None:
    """``guard check`` tells what a start would refuse, and asks no token."""
    said(capsys, "new")
    key = json.loads(said(capsys, "show", "--json"))["key"]
    (place / "pin").write_text("1234")
    (place / "pin").chmod(0o644)
    section = signer.format(key=key, here=place)
    (place / "guard.toml").write_text(
        f'state_directory = "state"\n[detectors]\nenabled = []\n[record.signer]\n{section}\n'
    )
    assert run(["check"]) == 1
    captured = capsys.readouterr()
    assert told in captured.out + captured.err
