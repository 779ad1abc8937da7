"""``guard policy bundle``: a bundle built, signed and verified on the command line, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.cli.command import run
from tests.policy.bundling import Keys, acme_rule, bundle_files


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Keys for the whole file: making them takes a while."""
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with policies in ``acme``."""
    for name, content in {
        **bundle_files(),
        "rules/acme_test.rego": acme_rule(package="guard.rules.acme.x_test"),
    }.items():
        (tmp_path / "acme" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "acme" / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """All that was printed."""
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_a_bundle_is_built_signed_and_verified(place: Path, keys: Keys, capsys: pytest.CaptureFixture[str]) -> None:
    """The same files give the same bytes; ``--json`` gives revision and digest."""
    key = str(keys.private("ec"))
    assert run(["policy", "bundle", "build", "acme", "-r", "v2", "--signing-key", key, "--scope", "prod"]) == 0
    assert "bundle.tar.gz: built, signed; revision v2, 5 files" in said(capsys)
    options = ["--public-key", str(keys.public("ec")), "--scope", "prod"]
    assert run(["policy", "bundle", "verify", "bundle.tar.gz", *options, "--json"]) == 0
    told = json.loads(said(capsys))
    assert (told["revision"], told["signature_verified"], told["files"]) == ("v2", True, 5)
    assert run(["policy", "bundle", "verify", "bundle.tar.gz", "--public-key", str(keys.public("ec"))]) == 1
    assert "another scope" in said(capsys)
    assert run(["policy", "bundle", "verify", "bundle.tar.gz", "--public-key", str(keys.public("ed"))]) == 1
    assert "does not verify" in said(capsys)
    assert run(["policy", "bundle", "verify", "bundle.tar.gz"]) == 1
    assert "no key is configured" in said(capsys)


def test_without_tests_and_with_other_roots(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is given wins over the manifest in the directory."""
    roots = ["--root", "guard/rules/acme", "--root", "acme"]
    assert run(["policy", "bundle", "build", "acme", "-o", "b.tgz", "--without-tests", *roots]) == 0
    assert "not signed; revision r1, 3 files" in said(capsys)
    assert run(["policy", "bundle", "build", "acme", "-o", "c.tgz", "--root", "guard/rules/other"]) == 1
    assert "outside of the bundle's roots" in said(capsys)
    assert not (place / "c.tgz").exists()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["build", "nowhere"], "there is no such directory"),
        (["build", "acme", "--scope", "x"], "a signature needs a key"),
        (["build", "acme", "--signing-key", "nowhere"], "the key cannot be read"),
        (["build", "acme", "--signing-key", "acme/.manifest"], "this is no private key"),
        (["build", "acme", "-o", "nowhere/b.tgz"], "cannot be read or written"),
        (["build", "acme", "-r", "[bold]"], "the revision is no plain text"),
        (["verify", "nowhere"], "the bundle cannot be read"),
        (["verify", "acme/.manifest"], "no gzip file"),
        (["verify", "acme", "--algorithm", "RS256"], "need public_key_file"),
        (["verify", "acme", "--public-key", "k", "--algorithm", "XX"], "RS256"),
    ],
)
def test_a_mistake_is_named(place: Path, arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What, where, and how to mend it."""
    assert run(["policy", "bundle", *arguments]) == 1
    printed = said(capsys)
    assert part in printed
    assert "error:" in printed


def test_a_policy_that_does_not_compile_is_not_packed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its line, as ``guard policy check`` has it."""
    (place / "acme" / "rules" / "more.rego").write_text("package guard.rules.acme\n\ndeny contains x if y\n")
    assert run(["policy", "bundle", "build", "acme"]) == 1
    assert "acme/rules/more.rego:3" in said(capsys)
    assert not (place / "bundle.tar.gz").exists()
