"""The attacks, one function each, and what the verification owes each: with no anchor, and with one.

The numbers are those of ``docs/verify.md``. ``caught``: exit code 1. ``torn``: 2. ``said``: the log verifies, and a
notice names what happened. ``missed``: nothing in the log can show it, which is why anchors and trust files exist.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import msgspec

from guard.record.canonical import canonical
from guard.record.note import VerifierKey, sign_note, split_note
from guard.record.report import StepName
from guard.record.trust import Trust, TrustedKey
from guard.testing.adversary_log import Log, stranger
from guard.types import Signer

Verdict: TypeAlias = Literal["caught", "torn", "said", "missed"]
HOUR_US: Final = 3_600_000_000


class NotHere(Exception):
    """The attack has no place in this log; the message says why."""


class Scene(msgspec.Struct):
    """What an attacker has: a copy of the log, and perhaps its key, as a signer under any name. ``trust`` is what the
    auditor believes."""

    log: Log
    sign_as: Callable[[str], Signer] | None
    trust: Trust

    @property
    def signer(self) -> Signer:
        """The log's signing key. Raises ``NotHere`` without one."""
        return self.signer_of(self.log.origin)

    def signer_of(self, origin: str) -> Signer:
        """The same key under the name of another origin. Raises ``NotHere`` without one."""
        if self.sign_as is None:
            raise NotHere("needs the key that signs the log now (--key)")
        return self.sign_as(origin)

    def middle(self, *, inside: bool = False) -> int:
        """A record in the middle of the log, of no other kind than requests leave if there is one; ``inside``: one that
        is not first in its boot. Raises ``NotHere``."""
        kinds = self.log.kinds()
        fit = [seq for seq, kind in enumerate(kinds) if kind in {"decision", "outcome", "heartbeat"}]
        fit = [seq for seq in fit if not inside or kinds[seq - 1] != "open"] or fit
        if not fit:
            raise NotHere("needs a decision, an outcome or a heartbeat")
        return fit[len(fit) // 2]


class Case(msgspec.Struct, frozen=True):
    """One attack. ``alone`` and ``anchored`` are what verification owes without and with an anchor; ``steps`` where the
    first damage may be named."""

    number: str
    name: str
    title: str
    apply: Callable[[Scene], dict[str, bytes]]
    alone: Verdict
    anchored: Verdict
    steps: tuple[StepName, ...]


def edit(scene: Scene) -> dict[str, bytes]:
    """A time stamp in one record is another; the line stays canonical."""
    group, index = scene.log.locate(scene.middle())
    group.records[index] = _with_other_digit(group.records[index], b"ts_us")
    return scene.log.files()


def edit_signature(scene: Scene) -> dict[str, bytes]:
    """One digit of a commit's signature is another."""
    group, _ = scene.log.locate(scene.middle())
    place = group.commit.rindex(b" ") + 20
    other = b"A" if group.commit[place : place + 1] != b"A" else b"B"
    group.commit = group.commit[:place] + other + group.commit[place + 1 :]
    return scene.log.files()


def delete(scene: Scene) -> dict[str, bytes]:
    """One record is gone."""
    group, index = scene.log.locate(scene.middle())
    del group.records[index]
    return scene.log.files()


def delete_segment(scene: Scene) -> dict[str, bytes]:
    """The first segment file is gone."""
    if len(scene.log.segments) < 2:
        raise NotHere("needs a log of two segments")
    files = scene.log.files()
    del files["seg/000000.jsonl"]
    return files


def reorder(scene: Scene) -> dict[str, bytes]:
    """Two neighbours change places."""
    seq = scene.middle(inside=True)
    (one, first), (other, second) = scene.log.locate(seq - 1), scene.log.locate(seq)
    one.records[first], other.records[second] = other.records[second], one.records[first]
    return scene.log.files()


def truncate(scene: Scene) -> dict[str, bytes]:
    """The last commit is cut off; the ``checkpoint`` file stays."""
    note = scene.log.checkpoint
    scene.log.keep(len(scene.log.groups) - 1)
    scene.log.checkpoint = note
    return scene.log.files()


def truncate_at_commit(scene: Scene) -> dict[str, bytes]:
    """The last commit is cut off, and the ``checkpoint`` file replaced by the note of the commit before."""
    scene.log.keep(len(scene.log.groups) - 1)
    return scene.log.files()


def duplicate(scene: Scene) -> dict[str, bytes]:
    """One record stands twice."""
    group, index = scene.log.locate(scene.middle())
    group.records.insert(index, group.records[index])
    return scene.log.files()


def duplicate_id(scene: Scene) -> dict[str, bytes]:
    """The holder of the key signs a second record under an id that the log holds."""
    scene.log.rewrite(scene.middle(inside=True), scene.signer, id=scene.log.record(0)["id"])
    return scene.log.files()


def fork(scene: Scene) -> dict[str, bytes]:
    """The holder of the key writes the log anew from one record on, as if something else had been."""
    seq = scene.middle()
    record = scene.log.record(seq)
    heartbeat = record["kind"] == "heartbeat"
    other = {"counters": {"health_requests": 1}} if heartbeat else {"duration_us": record["duration_us"] + 1}
    scene.log.rewrite(seq, scene.signer, **other)
    return scene.log.files()


def rollback(scene: Scene) -> dict[str, bytes]:
    """An older state comes back from a backup: half of the commits, and the ``checkpoint`` file of that time."""
    scene.log.keep(max(len(scene.log.groups) // 2, 1))
    return scene.log.files()


def substitute_key(scene: Scene) -> dict[str, bytes]:
    """The whole log is signed anew by somebody else, whose key lies in ``log.vkey`` now."""
    scene.log.under(stranger()(scene.log.origin))
    return scene.log.files()


def splice_checkpoint(scene: Scene) -> dict[str, bytes]:
    """The ``checkpoint`` file is one that somebody else signed, over the same text."""
    text, _ = split_note(scene.log.checkpoint)
    scene.log.checkpoint = sign_note(text, (stranger()(scene.log.origin),))
    return scene.log.files()


def splice_commit(scene: Scene) -> dict[str, bytes]:
    """A commit line is the one of the commit before."""
    *_, before, last = scene.log.groups
    last.commit = before.commit
    return scene.log.files()


def inject_field(scene: Scene) -> dict[str, bytes]:
    """A field that no schema knows, in its canonical place."""
    group, index = scene.log.locate(scene.middle())
    group.records[index] = canonical({**json.loads(group.records[index]), "zz": 1})
    return scene.log.files()


def repeat_key(scene: Scene) -> dict[str, bytes]:
    """A key of the object stands twice: readers differ on which one counts."""
    group, index = scene.log.locate(scene.middle())
    group.records[index] = group.records[index].replace(b',"kind":', b',"kind":"close","kind":', 1)
    return scene.log.files()


def clock_back(scene: Scene) -> dict[str, bytes]:
    """The holder of the key dates a record before the one it follows, by the monotonic clock."""
    seq = scene.middle(inside=True)
    earlier = scene.log.record(seq - 1)["mono_us"]
    if earlier < 1:
        raise NotHere("needs a monotonic clock past its first microsecond")
    scene.log.rewrite(seq, scene.signer, mono_us=earlier - 1)
    return scene.log.files()


def wall_clock_back(scene: Scene) -> dict[str, bytes]:
    """The holder of the key, or an operator who sets the clock, dates a record an hour back by the wall clock."""
    seq = scene.middle()
    scene.log.rewrite(seq, scene.signer, ts_us=max(scene.log.record(seq)["ts_us"] - HOUR_US, 0))
    return scene.log.files()


def retired_key(scene: Scene) -> dict[str, bytes]:
    """A key signs beyond the sizes for which the trust file believes it."""
    key = VerifierKey.of(scene.signer)
    last = len(scene.log.groups[-1].records)
    scene.trust = msgspec.structs.replace(scene.trust, keys=(TrustedKey(key, 0, scene.log.size - last),))
    return scene.log.files()


def other_origin(scene: Scene) -> dict[str, bytes]:
    """The last commit is one of another log of the same key; the ``checkpoint`` file stays."""
    note = scene.log.checkpoint
    elsewhere = f"{scene.log.origin}0"
    group = scene.log.groups[-1]
    first = scene.log.size - len(group.records)
    group.records[:] = [canonical({**json.loads(line), "origin": elsewhere}) for line in group.records]
    scene.log.seal(scene.signer_of(elsewhere), first)
    scene.log.checkpoint = note
    return scene.log.files()


def _with_other_digit(line: bytes, field: bytes) -> bytes:
    match = re.search(rb'"' + field + rb'":\d*(\d)[,}]', line)
    if match is None:
        raise NotHere("needs a record with a time stamp")
    digit = b"%d" % ((int(match[1]) + 1) % 10)
    return line[: match.start(1)] + digit + line[match.end(1) :]


CASES: Final = (
    Case("1", "edit", "one digit of a record changed", edit, "caught", "caught", ("records", "commits")),
    Case("1", "edit-signature", "one digit of a signature changed", edit_signature, "caught", "caught", ("commits",)),
    Case("2", "delete", "a record deleted", delete, "caught", "caught", ("records", "commits")),
    Case("2", "delete-segment", "a segment deleted", delete_segment, "caught", "caught", ("segments",)),
    Case("3", "reorder", "two records exchanged", reorder, "caught", "caught", ("records",)),
    Case("4", "truncate", "cut off at a commit", truncate, "caught", "caught", ("end",)),
    Case("4", "truncate-both", "... with the checkpoint", truncate_at_commit, "missed", "caught", ("anchors",)),
    Case("5", "duplicate", "a record repeated", duplicate, "caught", "caught", ("records",)),
    Case("5", "duplicate-id", "an id repeated, signed by the key", duplicate_id, "caught", "caught", ("ids",)),
    Case("6", "fork", "history rewritten with the same key", fork, "missed", "caught", ("anchors",)),
    Case("7", "rollback", "rolled back to an older state", rollback, "missed", "caught", ("anchors",)),
    Case("8", "key", "signed anew under another key", substitute_key, "caught", "caught", ("key",)),
    Case("9", "checkpoint", "the checkpoint of somebody else", splice_checkpoint, "caught", "caught", ("checkpoint",)),
    Case("9", "commit", "the commit line of another place", splice_commit, "caught", "caught", ("commits",)),
    Case("10", "inject-field", "a field injected", inject_field, "caught", "caught", ("records",)),
    Case("10", "repeat-key", "a JSON key repeated", repeat_key, "caught", "caught", ("records",)),
    Case("11", "clock-back", "the monotonic clock set back", clock_back, "caught", "caught", ("records",)),
    Case("11", "wall-clock-back", "the wall clock set back", wall_clock_back, "said", "caught", ("anchors",)),
    Case("11", "retired-key", "a retired key used again", retired_key, "caught", "caught", ("key",)),
    Case("12", "other-origin", "a commit of another log", other_origin, "caught", "caught", ("records",)),
)
"""The attacks on one origin. The twelfth's other half, a whole log removed, is one on the log directory."""
