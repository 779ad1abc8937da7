"""``guard policy status`` and ``push`` against a real OPA: what an operator reads, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from guard.cli.opa_status import good, told
from guard.cli.policy import app
from guard.errors import ConfigError
from guard.policy.bundle import load_bundle
from guard.policy.opa import BundleStatus, ServerStatus
from tests.policy.opa_rig import ALLOW, built
from tests.policy.servers import free_url, opa_server, real_opa

POLICY = "package guard\n\ndecision := {json}\n".replace("{json}", json.dumps(ALLOW))
UP = ServerStatus(url="http://opa", version="1.18.1", revision="authz@v1", defined=True, bundles_active=True)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No guard.toml of another folder."""
    monkeypatch.chdir(tmp_path)


def guard(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.slow
def test_a_server_before_and_after_a_push(tmp_path: Path) -> None:
    """First it knows no entrypoint: 1. Then it decides by the local policies: 0. A renamed file leaves nothing."""
    (tmp_path / "guard.toml").write_text('[policy]\ndirectories = ["own"]\n')
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "first.rego").write_text("package mine\n\ndefault x := 1\n")
    with opa_server() as url:
        empty = guard("status", "--url", url)
        assert empty.exit_code == 1
        assert "is undefined: every request is denied" in empty.stdout
        assert guard("push", "own", "--url", url, "--config", "guard.toml").exit_code == 0
        (tmp_path / "own" / "first.rego").rename(tmp_path / "own" / "second.rego")
        stale = guard("status", "--url", url)
        assert (stale.exit_code, ": other policies" in stale.stdout) == (0, True)
        pushed = guard("push", "own", "--url", url, "--config", "guard.toml")
        assert "removed own/first.rego, which an earlier push had put there" in pushed.stdout
        done = guard("status", "--url", url)
        as_json = guard("status", "--url", url, "--json")
    assert (done.exit_code, ": the same policies" in done.stdout) == (0, True)
    said = json.loads(as_json.stdout)
    assert (said["ok"], said["same_as_local"], said["revision"]) == (True, True, said["local_revision"])


def test_policies_that_are_not_accepted(tmp_path: Path) -> None:
    """Told with the consequence, and 1: a deployment can wait for 0."""
    archive = built(tmp_path / "b.tar.gz", "v1", POLICY)
    (tmp_path / "guard.toml").write_text(f'[policy.opa.revisions]\n"{archive}" = ["v2"]\n')
    with real_opa("-b", str(archive)) as opa:
        done = guard("status", "--url", opa.url)
    assert done.exit_code == 1
    assert "has revision 'v1', not v2. Every request is answered 503." in done.stdout


def test_a_server_that_is_not_there() -> None:
    """One line with the mend, not a traceback."""
    done = guard("status", "--url", free_url())
    assert done.exit_code == 1
    assert "OPA cannot be reached. (start it, or correct policy.opa.url)" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_local_policies_that_do_not_load_hide_nothing_of_the_server(tmp_path: Path) -> None:
    """The server decides, not they: it is asked all the same."""
    (tmp_path / "guard.toml").write_text('[policy]\ndirectories = ["own"]\nshipped = false\n')
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "broken.rego").write_text("package mine\n\nx := (\n")
    with opa_server() as url:
        done = guard("status", "--url", url)
    assert "own/broken.rego:4:1" in done.stderr
    assert "OPA 1." in done.stdout
    assert "local " not in done.stdout


@pytest.mark.parametrize("address", ["ftp://opa", "localhost:8181", "unix://relative", "http://opa/v1"])
def test_an_address_that_is_none(address: str) -> None:
    """Refused before anything is asked."""
    done = guard("status", "--url", address)
    assert isinstance(done.exception, ConfigError)
    assert address in done.exception.where


@pytest.mark.parametrize(
    ("changes", "decides", "says"),
    [
        ({}, True, "authz@v1"),
        ({"revision": ""}, True, "policies that it does not name"),
        ({"bundles_active": None}, True, "authz@v1"),
        ({"bundles_active": False}, False, "a bundle was never activated"),
        ({"defined": False}, False, "is undefined"),
        ({"unexpected": "No."}, False, "No. Every request"),
        ({"error": "OPA is gone."}, False, "OPA is gone."),
        (
            {
                "bundles": (
                    BundleStatus(name="a", revision="v1", activated="2026-11-22T23:00:00Z", silent_seconds=7),
                    BundleStatus(name="b", revision="", error="Not Found"),
                )
            },
            True,
            "a: v1, activated 2026-11-22T23:00:00Z, last got through to its service 7 s ago",
        ),
    ],
)
def test_what_is_good_and_what_is_said(changes: dict[str, Any], decides: bool, says: str) -> None:
    """Not being allowed to ask for health is no fault; an undefined entrypoint is."""
    from msgspec.structs import replace

    found = replace(UP, **changes)
    assert good(found) is decides
    assert says in "\n".join(told(found, "data.guard.decision", load_bundle()))
