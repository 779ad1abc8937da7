"""The client of a witness: C2SP tlog-witness (https://c2sp.org/tlog-witness), ``add-checkpoint``.

The witness is sent a checkpoint and the proof that it extends the last one that the witness saw, and answers with its
cosignature. A witness that saw more of this log than there is now, or another log of that size, is asked for the
checkpoint that it holds: signed by this log's key, that note proves a rollback or a fork to anybody.
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from guard.record.anchoring.failing import AnchorContradicts, AnchorFailed
from guard.record.anchoring.prefix import Prefix, PrefixLost, extend, prove
from guard.record.anchoring.sinks import NOTE_MEDIA_TYPE, Anchor, Keys, freshest
from guard.record.anchoring.store import AnchorStore, signed_checkpoint
from guard.record.anchoring.web import Answer, Endpoint
from guard.record.cosignature import CosignerKey
from guard.record.note import signature_line, split_note
from guard.record.segment import replace_file
from guard.types import Checkpoint

_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,15})\n")

Cosigned = Callable[[Checkpoint, str], None]


class WitnessSink:
    """One witness of one log."""

    def __init__(
        self,
        endpoint: Endpoint,
        witness: CosignerKey,
        *,
        log: Path,
        keys: Keys,
        store: AnchorStore,
        told: Cosigned,
    ) -> None:
        """``log`` is the origin's directory; ``told`` hears of each note with its cosignatures, from this thread."""
        self._endpoint = endpoint
        self._witness = witness
        self._log = log
        self._keys = keys
        self._segments = log / "seg"
        self._memory = log / "anchors" / f"witness-{witness.id.hex()}.json"
        self._store = store
        self._told = told
        self._prefix: Prefix | None = None
        """The last checkpoint that this witness is known to have seen."""

    @property
    def name(self) -> str:
        """``witness <key name>``."""
        return f"witness {self._witness.name}"

    def deliver(self, anchor: Anchor) -> None:
        """Get the witness's cosignature over the anchor, and keep it."""
        old = self._remembered() if self._prefix is None else self._prefix
        if old.size > anchor.checkpoint.size:
            old = Prefix()  # the witness says itself how far it is
        answer, reached = self._submit(anchor, old)
        if answer.status == 409:
            seen = self._size(answer)
            if seen > anchor.checkpoint.size:
                anchor = freshest(anchor, self._log, self._keys)
            old = self._prefix_at(seen, anchor)
            answer, reached = self._submit(anchor, old)
        if answer.status == 422:
            # What was remembered of the tree may be wrong; what the segments say is not.
            answer, reached = self._submit(anchor, self._prefix_at(old.size, anchor))
        if answer.status == 422:
            self._contradicted(anchor)
        if answer.status != 200:
            raise self._refused(answer)
        note = anchor.note + self._cosignature(answer, anchor)
        kept = self._store.add(anchor.checkpoint, note)
        self._prefix = reached
        self._remember(reached)
        self._told(anchor.checkpoint, kept.read_text(encoding="utf-8"))

    def _submit(self, anchor: Anchor, old: Prefix) -> tuple[Answer, Prefix]:
        """Send the checkpoint with the proof from ``old``; also the checkpoint's own prefix."""
        try:
            proof, reached = prove(self._segments, old, anchor.checkpoint)
        except PrefixLost:
            if not old.size:
                raise
            old = self._prefix_at(old.size, anchor)
            proof, reached = prove(self._segments, old, anchor.checkpoint)
        lines = "".join(f"{base64.b64encode(step).decode()}\n" for step in proof)
        body = f"old {old.size}\n{lines}\n{anchor.note}".encode()
        return self._endpoint.post(body, NOTE_MEDIA_TYPE, "/add-checkpoint"), reached

    def _prefix_at(self, size: int, anchor: Anchor) -> Prefix:
        """The prefix of ``size`` records, read from the first segment on. Raises ``AnchorContradicts`` if the witness
        has seen that many records of this log, and the log has no such commit."""
        if size > anchor.checkpoint.size:
            self._contradicted(anchor)
        try:
            return extend(self._segments, Prefix(), size)
        except PrefixLost:
            self._contradicted(anchor)

    def _contradicted(self, anchor: Anchor) -> NoReturn:
        """Ask for the checkpoint that the witness holds, and hold it against the log. Raises ``AnchorContradicts`` if
        it is this log's own and does not fit, else ``AnchorFailed``."""
        answer = self._endpoint.get(f"/{sha256(self._log.name.encode()).hexdigest()}/checkpoint")
        note = answer.body.decode("utf-8", "replace") if answer.status == 200 else ""
        held = signed_checkpoint(note, self._keys())
        if held is None:
            raise AnchorFailed(
                "it says that this log contradicts an earlier checkpoint, and does not show one that this log signed",
                where=self._witness.name,
                mend="ask the witness's operator for the checkpoint that it holds, and run guard log verify",
            )
        if held.size > anchor.checkpoint.size:
            what = f"it has seen {held.size} records of this log, which has {anchor.checkpoint.size} now"
            raise AnchorContradicts(what, held, note, where=self._witness.name)
        try:
            fits = extend(self._segments, Prefix(), held.size).tree().root() == held.root
        except PrefixLost:
            fits = False
        if not fits:
            what = f"it has seen another log of {held.size} records under this log's key"
            raise AnchorContradicts(what, held, note, where=self._witness.name)
        raise AnchorFailed("it refuses a checkpoint that fits the one it holds", where=self._witness.name)

    def _size(self, answer: Answer) -> int:
        """The size that a 409 tells."""
        if not _SIZE.fullmatch(answer.body):
            raise AnchorFailed("its answer of status 409 tells no size", where=self._witness.name)
        return int(answer.body)

    def _refused(self, answer: Answer) -> AnchorFailed:
        mend = {
            403: "give the witness the keys that guard keys show prints; it trusts another key for this log",
            404: "give the witness the keys that guard keys show prints; it does not know this log",
        }
        what = f"answered with status {answer.status}"
        return AnchorFailed(what, where=self._witness.name, mend=mend.get(answer.status, "look at the witness's log"))

    def _cosignature(self, answer: Answer, anchor: Anchor) -> str:
        """The line by this witness in its answer; others are ignored. Raises ``AnchorFailed``."""
        witness = self._witness
        try:
            text, lines = split_note(anchor.note + answer.body.decode())
            own = [line for line in lines if witness.made(line)]
            for line in own:
                witness.verify(text, line)
        except ValueError as error:
            raise AnchorFailed(f"its cosignature does not verify ({error})", where=witness.name) from None
        if not own:
            raise AnchorFailed("its answer holds no cosignature by the configured key", where=witness.name)
        return signature_line(own[0].name, own[0].key_id, own[0].signature)

    def _remembered(self) -> Prefix:
        """What stood when this process began; nothing, if that cannot be read: then the witness says how far it is."""
        try:
            prefix = msgspec.json.decode(self._memory.read_bytes(), type=Prefix)
            prefix.tree()
        except (OSError, ValueError):
            return Prefix()
        return prefix

    def _remember(self, prefix: Prefix) -> None:
        # A memory that cannot be kept costs a pass over the segments, once.
        with contextlib.suppress(OSError):
            replace_file(self._memory, msgspec.json.encode(prefix))
