"""The trust file: which keys an auditor believes, for which origin, and over which sizes of its log.

One entry a line; ``#`` begins a comment::

    policy-guard-0+1fda2b91+AbC...          a log key: signs the checkpoints of the origin that is its name
    policy-guard-0+1fda2b91+AbC... [1-5000] the same, for checkpoints of 1 to 5000 records only; [5001-] has no end
    root ops-root+77aa01c4+AbC...           an endorser: keys that it endorsed in ``key`` records are believed, too
    witness w.example+9d3e5f20+BbC...       a witness, whose cosignatures count as anchors (algorithm 0x04)

The keys are C2SP vkeys (https://c2sp.org/signed-note); a witness's is one of https://c2sp.org/tlog-cosignature.

A commit is believed if its key is listed for that size; or if the key is not listed at all, and a root, or the believed
key before it, endorsed it in the log (``guard.record.epochs``). A key that is listed is bound to its sizes, whoever
endorsed it: outside of them it fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from guard.errors import GuardError
from guard.record.cosignature import CosignerKey
from guard.record.note import NoteInvalid, VerifierKey

_RANGE: Final = re.compile(r"\[(0|[1-9][0-9]{0,15})-([1-9][0-9]{0,15})?\]")
_MAX_BYTES: Final = 1 << 20
_MEND: Final = "one vkey a line, or `root VKEY`, `witness VKEY`; a log key may be followed by [first-last]"


class UsageError(GuardError):
    """There is nothing to verify, or the trust file is malformed."""

    code = "verify_usage"


class TrustedKey(msgspec.Struct, frozen=True):
    """A log key and the sizes of the log (numbers of records) whose checkpoints it may sign, both inclusive.

    ``last`` is ``None`` for a key without end.
    """

    key: VerifierKey
    first: int = 0
    last: int | None = None

    def covers(self, size: int) -> bool:
        """Whether the key may sign a checkpoint of ``size`` records."""
        return self.first <= size and (self.last is None or size <= self.last)

    @property
    def sizes(self) -> str:
        """The range as the trust file writes it; ``""`` for all sizes."""
        if self.first == 0 and self.last is None:
            return ""
        return f"[{self.first}-{'' if self.last is None else self.last}]"


class Trust(msgspec.Struct, frozen=True):
    """What one auditor believes. Without any entry it believes nothing."""

    keys: tuple[TrustedKey, ...] = ()
    roots: tuple[VerifierKey, ...] = ()
    witnesses: tuple[CosignerKey, ...] = ()

    @classmethod
    def of(cls, keys: Iterable[VerifierKey]) -> Trust:
        """Trust in these log keys, at every size."""
        return cls(tuple(TrustedKey(key) for key in keys))

    def keys_of(self, origin: str) -> tuple[TrustedKey, ...]:
        """The entries of an origin in the order of the file."""
        return tuple(entry for entry in self.keys if entry.key.name == origin)

    def knows(self, origin: str) -> bool:
        """Whether a log of this origin could be believed: a key of it is listed, or there are roots."""
        return bool(self.roots) or any(entry.key.name == origin for entry in self.keys)

    def listed(self, key: VerifierKey) -> bool:
        """Whether the key has an entry, whatever its range."""
        return any(entry.key == key for entry in self.keys)

    def covers(self, key: VerifierKey, size: int) -> bool:
        """Whether the key is listed for a checkpoint of ``size`` records."""
        return any(entry.key == key and entry.covers(size) for entry in self.keys)

    def outside(self, key: VerifierKey, size: int) -> str:
        """Why a checkpoint of ``size`` records under ``key`` is not believed, whoever endorsed it; ``""`` if the file
        does not speak against it: the key is listed for that size, or not listed at all."""
        if not self.listed(key) or self.covers(key, size):
            return ""
        ranges = ", ".join(entry.sizes for entry in self.keys if entry.key == key)
        return f"the key {key.name}+{key.id.hex()} is trusted for the sizes {ranges} only, here are {size}"


def read_trust(path: Path) -> Trust:
    """The entries of a trust file. Raises ``UsageError`` with the line that does not read."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise UsageError(f"the trust file is longer than {_MAX_BYTES} bytes", where=str(path), mend=_MEND)
        lines = data.decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or error
        raise UsageError(f"the trust file does not read: {said}", where=str(path), mend=_MEND) from error
    trust = parse_trust(lines, str(path))
    if not trust.keys and not trust.roots:
        raise UsageError("the trust file names no key of a log and no root", where=str(path), mend=_MEND)
    return trust


def parse_trust(lines: Iterable[str], where: str) -> Trust:
    """The entries of these lines; ``where`` names their file in errors. Raises ``UsageError``."""
    keys: list[TrustedKey] = []
    roots: list[VerifierKey] = []
    witnesses: list[CosignerKey] = []
    for number, line in enumerate(lines, 1):
        words = _words(line)
        try:
            match words:
                case []:
                    continue
                case ["root", text]:
                    roots.append(VerifierKey.parse(text))
                case ["witness", text]:
                    witnesses.append(CosignerKey.parse(text))
                case [text]:
                    keys.append(TrustedKey(VerifierKey.parse(text)))
                case [text, sizes] if "+" in text:
                    keys.append(_ranged(VerifierKey.parse(text), sizes))
                case _:
                    raise NoteInvalid(f"{words[0]!r} begins no entry of {len(words)} words")
        except NoteInvalid as error:
            message = f"the trust file does not read: {error}"
            raise UsageError(message, where=f"{where}:{number}", mend=_MEND) from error
    return Trust(tuple(keys), tuple(roots), tuple(witnesses))


def _words(line: str) -> list[str]:
    """The words before a comment. A key's name may hold ``#``, so a comment begins a word."""
    words = line.split()
    comment = next((place for place, word in enumerate(words) if word.startswith("#")), len(words))
    return words[:comment]


def _ranged(key: VerifierKey, sizes: str) -> TrustedKey:
    match = _RANGE.fullmatch(sizes)
    if match is None:
        raise NoteInvalid(f"{sizes!r} is no range of sizes like [1-5000] or [5001-]")
    first, last = int(match[1]), None if match[2] is None else int(match[2])
    if last is not None and last < first:
        raise NoteInvalid(f"the range {sizes} ends before it begins")
    return TrustedKey(key, first, last)
