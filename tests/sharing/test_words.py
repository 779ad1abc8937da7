"""What an operator is told of ``[detectors.sharing]`` by the configuration, ``guard check`` and ``guard doctor``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from guard.cli import main
from guard.cli.checking.keys import Keys
from guard.cli.checking.sharing import check_sharing
from guard.cli.diagnosis.sharing import check_sharing as ask_server
from guard.config import load_config
from guard.config.sharing import SharingConfig
from guard.errors import ConfigError
from guard.exchange.sharing.sealing import Seal
from guard.exchange.sharing.store import Store
from guard.keyed import KeyedHash
from guard.record.keys import load_or_create_pseudonym_key
from tests.sharing.replicas import OTHER_KEY
from tests.sharing.server import RedisServer


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, no GUARD_* of the machine, and a detector that loads in no time."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GUARD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GUARD_DETECTORS__ENABLED", '["secrets"]')


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "redis://cache",
        "redis://[::1]:6379",
        "rediss://cache.example:6380/12",
        "unix:///run/redis.sock",
        "unix:///run/redis.sock?db=3",
    ],
)
def test_addresses_of_servers(url: str) -> None:
    """Plain, with TLS, and a socket file, each with its database."""
    assert SharingConfig(url=url).url == url


FORM = "must be redis://host:6379/0"
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"url": "http://cache:6379"}, FORM),
    ({"url": "cache:6379"}, FORM),
    ({"url": "redis:///0"}, FORM),
    ({"url": "redis://cache:port/0"}, FORM),
    ({"url": "redis://cache/name"}, FORM),
    ({"url": "redis://cache/0?timeout=5"}, FORM),
    ({"url": "redis://cache/0#x"}, FORM),
    ({"url": "redis://ca che/0"}, FORM),
    ({"url": "unix://run/redis.sock"}, FORM),
    ({"url": "unix:///run/redis.sock?db=x"}, FORM),
    ({"url": "redis://user:s3cret@cache/0"}, "use username and password_file"),
    ({"url": "redis://:s3cret@cache/0"}, "use username and password_file"),
    ({"url": "unix:///run/s?password=s3cret"}, "use username and password_file"),
    ({"url": "redis://cache", "password": "s3cret"}, "unknown key 'detectors.sharing.password'"),
    ({"url": "redis://cache", "username": "guard"}, "username needs password_file"),
    ({"url": "redis://cache", "ca_file": "ca.pem"}, "are for rediss:// addresses"),
    ({"url": "rediss://cache", "client_key_file": "key.pem"}, "needs client_cert_file"),
    ({"url": "redis://cache", "name": "a b"}, "must be a name"),
    ({"url": "redis://cache", "stream_messages": 5}, "must be at least 100"),
    ({"name": "x"}, "detectors.sharing.url: is missing"),
]


@pytest.mark.parametrize(("wrong", "told"), WRONG)
def test_mistakes_are_told_without_the_value(wrong: dict[str, Any], told: str) -> None:
    """Each by its rule; a password that stands where none belongs is not repeated."""
    with pytest.raises(ConfigError) as refused:
        load_config(environ={}, detectors={"sharing": wrong})
    assert told in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_the_environment_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As every key; files of a guard.toml lie beside it."""
    environ = {"GUARD_DETECTORS__SHARING__URL": "rediss://cache/0", "GUARD_DETECTORS__SHARING__PASSWORD_FILE": "/p"}
    assert load_config(environ=environ).detectors.sharing == SharingConfig(
        url="rediss://cache/0", password_file=Path("/p")
    )
    Path("conf").mkdir()
    Path("conf/guard.toml").write_text(
        '[detectors.sharing]\nurl = "rediss://cache"\npassword_file = "p"\nca_file = "c"\n'
    )
    sharing = load_config("conf/guard.toml", environ={}).detectors.sharing
    assert sharing is not None
    assert (sharing.password_file, sharing.ca_file) == (Path("conf/p"), Path("conf/c"))


def checked(text: str) -> list[tuple[str, str, str]]:
    """Level, place and words of what ``guard check`` remarks on the table."""
    Path("guard.toml").write_text(text)
    found = check_sharing(load_config("guard.toml"), Keys(Path("guard.toml")))
    return [(remark.level, remark.place, remark.message) for remark in found]


def test_check_reads_the_files() -> None:
    """A password that is missing, empty, open to others or sent in the clear; certificates that are not there."""
    Path("p").write_text("s3cret\n")
    Path("p").chmod(0o644)
    table = '[detectors.sharing]\nurl = "{}"\npassword_file = "{}"\n'
    assert checked(table.format("redis://cache", "p")) == [
        ("warning", "guard.toml:3 (detectors.sharing.password_file)", "p is open to others (mode 0644)"),
        ("warning", "guard.toml:2 (detectors.sharing.url)", "the password goes over the network as it is"),
    ]
    Path("p").chmod(0o600)
    assert checked(table.format("redis://127.0.0.1", "p")) == []
    assert checked(table.format("rediss://cache", "p")) == []
    ((level, _, what),) = checked(table.format("rediss://cache", "none"))
    assert (level, what) == ("error", "none: password_file cannot be read: FileNotFoundError")
    Path("empty").touch()
    ((_, _, what),) = checked(table.format("rediss://cache", "empty"))
    assert what == "empty: password_file holds no password: one line is expected"
    ((_, where, what),) = checked(table.format("rediss://cache", "p") + 'ca_file = "ca.pem"\n')
    assert (where, what) == (
        "guard.toml:4 (detectors.sharing.ca_file)",
        "ca.pem cannot be read: No such file or directory",
    )


def test_check_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    """The server and the name, among what would run; a file that is missing is an error."""
    Path("guard.toml").write_text('[detectors.sharing]\nurl = "redis://127.0.0.1:6379/0"\nname = "shop"\n')
    assert main(["check"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "sharing behaviour, through redis://127.0.0.1:6379/0 under the name shop" in said
    main(["check", "--json"])
    assert json.loads(capsys.readouterr().out)["sharing"] == "redis://127.0.0.1:6379/0"
    Path("guard.toml").write_text('[detectors.sharing]\nurl = "redis://127.0.0.1"\npassword_file = "none"\n')
    assert main(["check"]) == 1
    assert "password_file cannot be read" in " ".join(capsys.readouterr().err.split())


def test_check_tells_what_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model, tenants' own keys, no library."""
    table = '[detectors.sharing]\nurl = "redis://127.0.0.1"\n'
    told = checked(f'[record]\ntenant_keys = true\n[detectors]\nbehaviour = ""\n{table}')
    assert [level for level, _, _ in told] == ["warning", "warning"]
    assert {what.partition(":")[0] for _, _, what in told} == {
        "nothing is shared",
        "tenants have pseudonym keys of their own",
    }
    monkeypatch.setattr("guard.exchange.sharing.store.find_spec", {}.get)
    ((level, _, what),) = checked(table)
    assert level == "error"
    assert "not installed" in what


def asked(url: str) -> tuple[str, str, str]:
    """Verdict, words and mend of what ``guard doctor`` says of the server."""
    (found,) = ask_server(load_config(detectors={"sharing": {"url": url, "name": "test"}}))
    assert (found.check, found.where) == ("sharing", url)
    return found.verdict, found.what, found.mend


def put(server: RedisServer, keyed: KeyedHash) -> None:
    """A message in the stream."""
    store = Store(SharingConfig(url=server.url, name="test"))
    store.add([Seal(keyed, "test").seal(b"L", 0, b"")])
    store.close()


def test_doctor_asks_the_server(server: RedisServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It answers or not, and what the others share opens under this machine's key or not."""
    keyed, _ = load_or_create_pseudonym_key(tmp_path / ".guard" / "keys")
    assert asked(server.url)[:2] == ("ok", "the server answers; nothing is shared there yet")
    put(server, keyed)
    assert asked(server.url)[:2] == ("ok", "the server answers, and what is shared there opens")
    put(server, OTHER_KEY)
    verdict, what, mend = asked(server.url)
    assert (verdict, "another pseudonym key" in what) == ("warning", True)
    assert mend.startswith("give all replicas one pseudonym key")
    verdict, what, mend = asked("redis://127.0.0.1:1/0")
    assert (verdict, "does not answer" in what) == ("warning", True)
    assert "requests do not wait" in mend
    Path("guard.toml").write_text('[detectors.sharing]\nurl = "redis://127.0.0.1:1/0"\n')
    main(["doctor", "--json"])
    said = json.loads(capsys.readouterr().out)["checks"]
    assert [each["verdict"] for each in said if each["check"] == "sharing"] == ["warning"]
