"""What a witness answers to ``add-checkpoint``: C2SP tlog-witness (https://c2sp.org/tlog-witness), word for word.

The order of the checks is the specification's. For one log, looking at the last checkpoint, keeping the new one and
answering are one step: two requests never meet in it, and nothing is answered that is not durable.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from guard.record.cosignature import cosign
from guard.record.note import NoteInvalid, VerifierKey, parse_checkpoint, sign_note, signature_line, split_note
from guard.record.tree import EMPTY_ROOT, ProofInvalid, verify_consistency
from guard.record.trust import TrustedKey
from guard.telemetry import get_logger
from guard.types import Checkpoint
from guard.witness.state import WitnessState, WitnessStateInvalid, digest_of

_log = get_logger("guard.witness")

MAX_PROOF_LINES: Final = 63
MAX_REQUEST_BYTES: Final = 24 + MAX_PROOF_LINES * 45 + 1 + 65_535
SIZE_MEDIA_TYPE: Final = "text/x.tlog.size"
_TEXT: Final = "text/plain; charset=utf-8"
_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,15})")


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer. ``body`` is ASCII or a note."""

    status: int
    body: str
    media_type: str = _TEXT


class Request(msgspec.Struct, frozen=True):
    """A request to cosign, as it was sent: nothing of it is verified."""

    old_size: int
    proof: list[bytes]
    note: str


class Refused(Exception):
    """The checkpoint is not cosigned, and this is the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Witness:
    """Cosigns checkpoints of the logs whose keys it was given. From any thread."""

    def __init__(
        self, state: WitnessState, keys: Iterable[TrustedKey], *, clock: Callable[[], float] = time.time
    ) -> None:
        """Raises ``WitnessStateInvalid`` if what was kept of one of the logs does not read."""
        self._state = state
        self._clock = clock
        self._gate = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._logs: Mapping[str, Sequence[TrustedKey]] = {}
        self.learn(keys)

    def learn(self, keys: Iterable[TrustedKey]) -> None:
        """Know these keys from now on, and no others. A log is its origin, which is its keys' name; it may have several
        keys, each for its sizes. Raises ``WitnessStateInvalid`` if what was kept of one of the logs does not read: then
        nothing changes."""
        logs: dict[str, list[TrustedKey]] = {}
        for key in keys:
            logs.setdefault(key.key.name, []).append(key)
        for origin in logs.keys() - self._logs.keys():
            self._state.checkpoint(origin)
        self._logs = logs

    @property
    def origins(self) -> list[str]:
        """The logs that it knows."""
        return sorted(self._logs)

    def add_checkpoint(self, body: bytes) -> Answer:
        """The answer to a request's body."""
        try:
            request = read_request(body)
            checkpoint, keys = self._known(request.note)
            signed = _log_signed(request.note, [key.key for key in keys if key.covers(checkpoint.size)])
            if request.old_size > checkpoint.size:
                raise Refused(Answer(400, "the old size is larger than the checkpoint's\n"))
            with self._lock(checkpoint.origin):
                return self._advance(checkpoint, request, signed)
        except Refused as refusal:
            return refusal.answer
        except (OSError, WitnessStateInvalid) as error:
            # Nothing was cosigned, as far as anybody but this process can tell.
            _log.error("the witness cannot read or keep its state", error=str(error))
            return Answer(500, "the witness cannot keep its state\n")

    def last(self, digest: str) -> Answer:
        """The last cosigned checkpoint of the log whose origin has this SHA-256 (hex)."""
        origin = next((origin for origin in self._logs if digest_of(origin) == digest), None)
        try:
            note = None if origin is None else self._state.note(origin)
        except (OSError, WitnessStateInvalid) as error:
            _log.error("the witness cannot read its state", error=str(error))
            return Answer(500, "the witness cannot read its state\n")
        return Answer(404, "no checkpoint of that log was cosigned here\n") if note is None else Answer(200, note)

    def _lock(self, origin: str) -> threading.Lock:
        """One lock for each log that was ever known: there are as many as an operator named."""
        with self._gate:
            return self._locks.setdefault(origin, threading.Lock())

    def _known(self, note: str) -> tuple[Checkpoint, Sequence[TrustedKey]]:
        text, _ = split_note(note)
        origin = text.partition("\n")[0]
        keys = self._logs.get(origin)
        if keys is None:
            raise Refused(Answer(404, "no such log is known here\n"))
        try:
            return parse_checkpoint(text, extended=True), keys
        except NoteInvalid as error:
            raise Refused(Answer(400, f"{error}\n")) from None

    def _advance(self, checkpoint: Checkpoint, request: Request, signed: str) -> Answer:
        """Hold the checkpoint against the last one, keep it, and cosign it."""
        held = self._state.checkpoint(checkpoint.origin)
        size, root = (0, EMPTY_ROOT) if held is None else (held.size, held.root)
        if request.old_size != size:
            self._note_fork(checkpoint, signed, size, root)
            raise Refused(Answer(409, f"{size}\n", SIZE_MEDIA_TYPE))
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            raise Refused(Answer(422, "the root of an empty tree is the hash of nothing\n"))
        try:
            verify_consistency(root, size, checkpoint.root, checkpoint.size, request.proof)
        except ProofInvalid as error:
            kind = "fork" if checkpoint.size == size else "unproven"
            self._keep_evidence(kind, checkpoint.origin, signed)
            raise Refused(Answer(422, f"{error}\n")) from None
        line = cosign(split_note(signed)[0], self._state.signer, seconds=int(self._clock()))
        self._state.keep(checkpoint.origin, signed + line)
        return Answer(200, line)

    def _note_fork(self, checkpoint: Checkpoint, signed: str, size: int, root: bytes) -> None:
        """Two checkpoints of one size with different roots prove a fork, whatever the request said beside them."""
        if size and checkpoint.size == size and checkpoint.root != root:
            self._keep_evidence("fork", checkpoint.origin, signed)

    def _keep_evidence(self, kind: str, origin: str, offered: str) -> None:
        try:
            held = self._state.note(origin) or ""
            path = self._state.keep_evidence(origin, kind, held, offered)
        except OSError as error:
            _log.error("evidence against a log could not be kept", origin=origin, error=str(error))
            return
        _log.warning("a signed checkpoint does not extend the last one", origin=origin, what=kind, file=str(path or ""))


def read_request(body: bytes) -> Request:
    """The parts of a request's body. Raises ``Refused`` (400)."""
    try:
        head, separator, note = body.decode().partition("\n\n")
        old, *steps = head.split("\n")
        match = _OLD.fullmatch(old)
        if not separator or match is None or len(steps) > MAX_PROOF_LINES:
            raise NoteInvalid("not an old size, at most 63 hashes, an empty line and a checkpoint")
        split_note(note)
        return Request(int(match[1]), [_hash(step) for step in steps], note)
    except ValueError as error:
        raise Refused(Answer(400, f"the request does not read: {error}\n")) from None


def _log_signed(note: str, keys: Sequence[VerifierKey]) -> str:
    """The note with the lines by the log's known keys alone, all of which verify. Raises ``Refused`` (403)."""
    text, lines = split_note(note)
    known = [(key, line) for line in lines for key in keys if (line.name, line.key_id) == (key.name, key.id)]
    if not known:
        raise Refused(Answer(403, "no key that is trusted for this log and this size signed the checkpoint\n"))
    try:
        for key, line in known:
            key.verify(text.encode(), line.signature)
    except NoteInvalid as error:
        raise Refused(Answer(403, f"{error}\n")) from None
    return sign_note(text, ()) + "".join(signature_line(line.name, line.key_id, line.signature) for _, line in known)


def _hash(text: str) -> bytes:
    try:
        value = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        value = b""
    if len(value) != 32 or base64.b64encode(value).decode() != text:
        raise NoteInvalid("a line of the proof is no base64 of 32 bytes")
    return value
