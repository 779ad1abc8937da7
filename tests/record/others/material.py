"""Whole logs for others' tools, and the ways of altering them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from guard.record.boot import BootFacts
from guard.record.canonical import canonical
from guard.record.deployment import DeploymentKeys, prepare_next, rotate
from guard.record.endorse import endorse
from guard.record.keys import LogKeys, load_or_create_keys
from guard.record.note import VerifierKey, checkpoint_text, sign_note
from guard.record.segment import commit_line
from guard.record.slot import Slot
from guard.record.tree import CompactRange, leaf_hash
from guard.record.writer import Writer
from guard.types import Checkpoint, Signer
from tests.record.logs import KEY, NAME, ORIGIN, OTHER_KEY, decision, outcome, write_closed

RECORDS = 402
"""``open``, 200 pairs, ``close``: two full tiles wide, in several segments."""


def state_directory(path: Path) -> Path:
    """A state directory with the keys and the log of one origin; returns the origin's directory."""
    keys = path / "keys"
    keys.mkdir(mode=0o700, parents=True)
    pem = KEY.signing_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (keys / "log-signing.pem").touch(mode=0o600)
    (keys / "log-signing.pem").write_bytes(pem)
    load_or_create_keys(keys)
    pairs = [(decision(number), outcome(number)) for number in range(200)]
    batches = [[record for pair in pairs[at : at + 8] for record in pair] for at in range(0, 200, 8)]
    return write_closed(path / "log", batches, segment_records=160)


OTHER_VKEY = VerifierKey.of(OTHER_KEY.signer(ORIGIN)).encode()
"""A key of the log's name that is not the log's."""


def flip(path: Path, place: float = 0.5) -> None:
    """Flip one bit at this share of a file."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)


def cut(path: Path, drop: int) -> None:
    """Take the last bytes off a file."""
    data = path.read_bytes()
    path.write_bytes(data[:-drop])


def replace(path: Path, old: str, new: str) -> None:
    """Replace a text that stands in the file, once."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def edited_size(directory: Path) -> None:
    """A checkpoint that states one record more."""
    replace(directory / "checkpoint", f"\n{RECORDS}\n", f"\n{RECORDS + 1}\n")


def edited_root(directory: Path) -> None:
    """A checkpoint over another root."""
    path = directory / "checkpoint"
    root = path.read_text(encoding="utf-8").split("\n")[2]
    replace(path, root, ("B" if root[0] == "A" else "A") + root[1:])


def signed_other_root(directory: Path) -> None:
    """Another root, signed with the very key of the log."""
    text = checkpoint_text(Checkpoint(ORIGIN, RECORDS, b"r" * 32))
    (directory / "checkpoint").write_text(sign_note(text, [KEY.signer(ORIGIN)]), encoding="utf-8")


def signed_by_another(directory: Path) -> None:
    """The same text, signed by a key of the same name."""
    path = directory / "checkpoint"
    text = path.read_text(encoding="utf-8").partition("\n\n")[0] + "\n"
    path.write_text(sign_note(text, [OTHER_KEY.signer(ORIGIN)]), encoding="utf-8")


def flipped_signature(directory: Path) -> None:
    """A checkpoint with another signature."""
    path = directory / "checkpoint"
    text = path.read_text(encoding="utf-8")
    at = len(text) - 20
    path.write_text(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :], encoding="utf-8")


def unsigned(directory: Path) -> None:
    """A checkpoint without its signature line."""
    path = directory / "checkpoint"
    path.write_text(path.read_text(encoding="utf-8").partition("\n\n")[0] + "\n\n", encoding="utf-8")


def segment_lines(directory: Path, number: int, change: Callable[[list[bytes]], None]) -> None:
    """Change the lines of one segment."""
    path = directory / "seg" / f"{number:06}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    change(lines)
    path.write_bytes(b"".join(lines))


def deleted_record(directory: Path) -> None:
    """A record is gone."""
    segment_lines(directory, 0, lambda lines: lines.__delitem__(2))


def swapped_records(directory: Path) -> None:
    """Two records of one commit in the other order."""

    def swap(lines: list[bytes]) -> None:
        lines[2], lines[3] = lines[3], lines[2]

    segment_lines(directory, 0, swap)


def repeated_record(directory: Path) -> None:
    """A record stands twice."""
    segment_lines(directory, 0, lambda lines: lines.insert(2, lines[2]))


def edited_record(directory: Path) -> None:
    """A denial that was an allowance: valid, canonical, and not what was signed."""

    def edit(lines: list[bytes]) -> None:
        record = json.loads(lines[2])
        record["decision"]["effect"] = "deny"
        lines[2] = json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    segment_lines(directory, 0, edit)


def edited_commit(directory: Path) -> None:
    """A commit that states another root, validly signed: the key's holder lies."""

    def edit(lines: list[bytes]) -> None:
        note = sign_note(checkpoint_text(Checkpoint(ORIGIN, 1, b"r" * 32)), [KEY.signer(ORIGIN)])
        lines[1] = commit_line(note)

    segment_lines(directory, 0, edit)


def without_last_commit(directory: Path) -> None:
    """The newest commit and its records are cut off; the ``checkpoint`` file still states them."""
    last = max((directory / "seg").iterdir())
    lines = last.read_bytes().splitlines(keepends=True)
    commits = [number for number, line in enumerate(lines) if line.startswith(b'{"commit":')]
    last.write_bytes(b"".join(lines[: commits[-2] + 1]))


def broken_off(directory: Path) -> None:
    """The last segment ends in the middle of a line."""
    cut(max((directory / "seg").iterdir()), 40)


def missing_segment(directory: Path) -> None:
    """A segment in the middle is gone."""
    (directory / "seg" / "000001.jsonl").unlink()


def record_after_the_end(directory: Path) -> None:
    """A record that no commit covers."""
    last = max((directory / "seg").iterdir())
    lines = last.read_bytes().splitlines(keepends=True)
    last.write_bytes(last.read_bytes() + lines[0])


def rotated_log(path: Path) -> Path:
    """A log of three boots, with another deployment key in each; returns the origin's directory."""
    keys = path / "keys"
    load_or_create_keys(keys)
    for number in range(3):
        if number:
            prepare_next(keys)
            rotate(keys)
        slot = Slot(path / "log", NAME)
        writer = Writer(slot.path, DeploymentKeys(keys).origin(slot.origin), BootFacts())
        writer.open()
        writer.commit([decision(number)])
        writer.commit([outcome(number)])
        writer.close({})
        slot.release()
    return slot.path


def replaced_by_hand(
    directory: Path,
    *,
    first: LogKeys = KEY,
    endorser: LogKeys = KEY,
    then: LogKeys = OTHER_KEY,
    scope: str = ORIGIN,
    name: str = ORIGIN,
    before: bytes | None = None,
    back: bool = False,
) -> Path:
    """A log of what a reader of keys looks at, and nothing else: a commit, a replaced key, a commit, perhaps another.

    ``first`` signs the first commit, ``endorser`` the endorsement and ``then`` what follows; ``back`` replaces the key
    by the first one again.
    """
    old, new = KEY.signer(ORIGIN), OTHER_KEY.signer(name)
    note = endorse(scope, new.public_key, before or old.public_key, [endorser.signer(scope)])
    batches = [(_replacement(old, new, note), first.signer(ORIGIN)), (b"{}", then.signer(ORIGIN))]
    if back:
        note = endorse(ORIGIN, old.public_key, new.public_key, [new])
        batches += [(_replacement(new, old, note), new), (b"{}", old)]
    lines: list[bytes] = []
    tree = CompactRange()
    for record, signer in batches:
        tree.append(leaf_hash(record))
        checkpoint = sign_note(checkpoint_text(Checkpoint(ORIGIN, tree.size, tree.root())), [signer])
        lines += [record + b"\n", commit_line(checkpoint)]
    (directory / "seg").mkdir(parents=True)
    (directory / "seg" / "000000.jsonl").write_bytes(b"".join(lines))
    (directory / "checkpoint").write_text(checkpoint, encoding="utf-8")
    (directory / "log.vkey").write_text(f"{VerifierKey.of(KEY.signer(ORIGIN)).encode()}\n", encoding="utf-8")
    return directory


def _replacement(old: Signer, new: Signer, note: str) -> bytes:
    keys = {"key": VerifierKey.of(new).encode(), "before": VerifierKey.of(old).encode()}
    return canonical({"kind": "key", "event": "replaced", **keys, "endorsements": [note]})
