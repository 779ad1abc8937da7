"""``guard vault``: what is kept of conversations, by keyed names only, and its erasure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.cli import main
from guard.config import load_config
from guard.obligations.sealing import Binding
from guard.starting import open_conversations


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a guard.toml that keeps conversations."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.toml").write_text('[vault]\nscope = "conversation"\n')
    return tmp_path


def keep(tenant: str | None, conversation: str = "c") -> None:
    """A conversation of a tenant with one value."""
    store = open_conversations(load_config())
    assert store is not None
    binding = Binding(tenant, "user", "jwt", "jane-unmistakable", conversation)
    store.use(binding, list, lambda vault: vault.placeholder("PERSON", "Jane Roe"))
    store.close()


def test_an_empty_vault_is_shown_and_not_made(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Looking at a vault that was never used, or erasing it, makes no files."""
    assert main(["vault", "show"]) == 0
    assert "holds no conversation" in capsys.readouterr().out
    assert main(["vault", "destroy", "--all"]) == 0
    assert not (project / ".guard").exists()


def test_show_counts_and_names_nobody(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tenants stand there under keyed names; no value, no id."""
    keep("acme-unmistakable")
    keep("acme-unmistakable", "d")
    keep(None)
    assert main(["vault", "show", "--json"]) == 0
    out = capsys.readouterr().out
    assert sorted(one["conversations"] for one in json.loads(out)) == [1, 2]
    assert main(["vault", "show"]) == 0
    out += capsys.readouterr().out
    assert "unmistakable" not in out
    assert "Jane" not in out


def test_destroy_takes_the_tenant_that_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One tenant, those without one, or all."""
    for tenant in ("acme", "other", None):
        keep(tenant)
    assert main(["vault", "destroy", "--tenant", "acme"]) == 0
    assert capsys.readouterr() == ("destroyed 1 conversation\n", "")
    assert main(["vault", "destroy", "--tenant", "acmee"]) == 0
    assert capsys.readouterr() == (
        "destroyed 0 conversations\n",
        "warning: there was nothing to destroy; if there should have been, look at the name\n",
    )
    assert len(list((project / ".guard" / "vault" / "keys").iterdir())) == 2
    assert main(["vault", "destroy", "--no-tenant", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"destroyed": 1}
    assert main(["vault", "destroy", "--all"]) == 0
    assert list((project / ".guard" / "vault" / "keys").iterdir()) == []


@pytest.mark.parametrize("words", [[], ["--all", "--tenant", "a"], ["--no-tenant", "--all"]])
def test_destroy_wants_exactly_one_choice(project: Path, words: list[str]) -> None:
    """Erasing is never a guess."""
    keep("acme")
    assert main(["vault", "destroy", *words]) == 3
    assert len(list((project / ".guard" / "vault" / "keys").iterdir())) == 1


def test_without_a_vault_the_command_says_how_to_have_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What, where, and how to mend."""
    monkeypatch.chdir(tmp_path)
    assert main(["vault", "show"]) == 1
    assert "vault.scope" in capsys.readouterr().err


def test_a_damaged_store_is_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is no store is an error with its place, not a traceback."""
    keep("acme")
    store = project / ".guard" / "vault" / "conversations.sqlite3"
    store.write_bytes(b"not a database" * 100)
    assert main(["vault", "show"]) == 1
    error = capsys.readouterr().err
    assert "conversations.sqlite3" in error
    assert "Traceback" not in error
