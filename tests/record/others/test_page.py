"""A stranger follows docs/verify-without-us.md with Debian's packages only. Every command of the page is run here."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.components import GO_MOD, require
from tests.record.others import material, page

PROGRAMS = ("openssl", "signify-openbsd", "ssh-keygen", "go", GO_MOD)
TO_THE_CHECKPOINT = ["setup", "key", "split", "id"]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole log beside its keys."""
    return material.state_directory(tmp_path_factory.mktemp("state"))


def altered(log: Path, target: Path, tampering: Callable[[Path], None]) -> Path:
    """A copy of the log beside its keys, tampered with."""
    shutil.copytree(log.parents[1], target)
    copy = target / "log" / log.name
    tampering(copy)
    return copy


@pytest.mark.slow
def test_every_command_of_the_page_does_what_it_says(log: Path, tmp_path: Path) -> None:
    """All blocks in order, in one directory: each succeeds, and prints what the page promises."""
    for program in PROGRAMS:
        require(program)
    blocks = page.blocks()
    done = page.run(tmp_path, [block.name for block in blocks], LOG=str(log))
    assert done.stopped == "", done.outputs.get(done.stopped)
    for block in blocks:
        if block.promised is not None:
            assert page.as_promised(done.outputs[block.name], block.promised), done.outputs[block.name]


@pytest.mark.slow
def test_a_log_with_replaced_keys_is_followed_as_the_page_says(tmp_path: Path) -> None:
    """The first key is not the one that signed; ``verifylog seg`` prints the one that did, and with it all is well."""
    for program in PROGRAMS:
        require(program)
    log = material.rotated_log(tmp_path / "state")
    assert page.run(tmp_path, TO_THE_CHECKPOINT, LOG=str(log)).stopped == "id"
    followed = page.run(tmp_path, ["setup", "go-build", "go-seg"], LOG=str(log))
    assert followed.stopped == ""
    now = followed.outputs["go-seg"].splitlines()[-1]
    (tmp_path / "now.vkey").write_text(f"{now}\n", encoding="utf-8")
    for block in [*TO_THE_CHECKPOINT, "go-seg"]:
        (tmp_path / f"done.{block}").unlink(missing_ok=True)
    names = [block.name for block in page.blocks() if block.name not in ("go-build", "go-seg")]
    done = page.run(tmp_path, names, LOG=str(log), VKEY=str(tmp_path / "now.vkey"))
    assert done.stopped == "", done.outputs.get(done.stopped)


def test_every_block_of_the_page_has_a_name_of_its_own() -> None:
    """A block without a name would not be run; two of one name would hide each other."""
    names = [block.name for block in page.blocks()]
    assert len(names) == 15
    assert all(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "tampering", [material.edited_size, material.edited_root, material.flipped_signature], ids=lambda t: t.__name__
)
@pytest.mark.parametrize(("tool", "block"), [("openssl", "openssl"), ("signify-openbsd", "signify")])
def test_an_altered_checkpoint_is_refused(
    log: Path, tmp_path: Path, tool: str, block: str, tampering: Callable[[Path], None]
) -> None:
    """OpenSSL and signify refuse a checkpoint with another size, root or signature."""
    require(tool)
    copy = altered(log, tmp_path / "state", tampering)
    assert page.run(tmp_path, [*TO_THE_CHECKPOINT, block], LOG=str(copy)).stopped == block


@pytest.mark.parametrize(
    ("tampering", "block"), [(material.signed_by_another, "id"), (material.unsigned, "split")], ids=["key", "none"]
)
def test_a_checkpoint_without_the_keys_signature_is_refused(
    log: Path, tmp_path: Path, tampering: Callable[[Path], None], block: str
) -> None:
    """A checkpoint that another key signed is noticed by its key id; one without a signature has none to take apart."""
    copy = altered(log, tmp_path / "state", tampering)
    done = page.run(tmp_path, TO_THE_CHECKPOINT, LOG=str(copy))
    assert done.stopped == block


@pytest.mark.parametrize(("tool", "block"), [("openssl", "openssl"), ("signify-openbsd", "signify")])
def test_another_key_is_refused(log: Path, tmp_path: Path, tool: str, block: str) -> None:
    """The signature does not verify under a key that did not make it."""
    require(tool)
    (tmp_path / "other.vkey").write_text(f"{material.OTHER_VKEY}\n", encoding="utf-8")
    names = ["setup", "key", "split", block]
    assert page.run(tmp_path, names, LOG=str(log), VKEY=str(tmp_path / "other.vkey")).stopped == block


@pytest.mark.parametrize("name", ["text", "text.sig"])
def test_ssh_keygen_refuses_what_was_altered_after_signing(log: Path, tmp_path: Path, name: str) -> None:
    """An altered text, or an altered signature, does not verify: neither does a text that is not the log's."""
    require("ssh-keygen")
    made = page.run(tmp_path, [*TO_THE_CHECKPOINT, "sshsig-made-by-the-holder", "ssh"], LOG=str(log))
    assert made.stopped == ""
    if name == "text":
        copy = altered(log, tmp_path / "state", material.edited_size)
        text = (copy / "checkpoint").read_text(encoding="utf-8").partition("\n\n")[0] + "\n"
        (tmp_path / "ssh-signed" / log.name / "text").write_text(text, encoding="utf-8")
    else:
        copy = log
        material.flip(tmp_path / "ssh-signed" / log.name / "text.sig")
    (tmp_path / "done.ssh").unlink()
    done = page.run(tmp_path, ["setup", "key", "split", "ssh"], LOG=str(copy))
    assert done.stopped == "ssh"
    assert "Good" not in done.outputs["ssh"]
    assert "differ" not in done.outputs["ssh"], "it was cmp that refused"


def test_ssh_keygen_refuses_another_namespace(log: Path, tmp_path: Path) -> None:
    """The signature of a checkpoint serves for checkpoints only: not for a file, not for a Git commit."""
    require("ssh-keygen")
    names = [*TO_THE_CHECKPOINT, "sshsig-made-by-the-holder", "ssh"]
    assert page.run(tmp_path, names, LOG=str(log)).stopped == ""
    signers = tmp_path / "signers"
    signers.write_text(signers.read_text(encoding="utf-8").replace("checkpoint@policy-guard", "file,git"))
    check = f'ssh-keygen -Y verify -f signers -I {log.name} -n file -s "ssh-signed/{log.name}/text.sig" < text'
    done = page.shell(tmp_path, check)
    assert done.returncode != 0
