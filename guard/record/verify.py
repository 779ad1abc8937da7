"""Verification of a log by somebody who trusts nobody: ``python -m guard.record.verify DIR [--trust FILE]``.

For each origin (a directory ``<name>-<n>`` with ``seg/``), streaming:

1. The key: from the trust file, else from the log's own ``log.vkey`` (then integrity is proven, not origin).
2. The ``checkpoint`` file: signed by that key.
3. The segments: numbered without a gap.
4. Each line: framing, canonical form (RFC 8785), schema, ``seq``, ``prev``, origin, ``boot``, ``mono_us``, unique
   ``id``.
5. Each commit: origin, size, root over all records so far (RFC 6962), Ed25519 signature (C2SP signed note).
6. The end: a commit covers every record; the ``checkpoint`` file is one of the log's own commits, word for word.
7. The configurations: each decision names one, and policies, that an ``open`` or ``config`` record before it names.
8. The accounts: decisions and outcomes, opens and closes, silences, quarantined files.

Damage at or below the size of the ``checkpoint`` file, after a ``close``, or before a commit that verifies is tampering
(1): no crash does that. So is a record that contradicts those before it. Other bytes after the last commit are a torn
tail (2).

Imports no web framework, no detector and no configuration.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from guard.errors import GuardError
from guard.record.accounts import Ledger
from guard.record.chain import Chain, Flaw
from guard.record.note import NoteInvalid, VerifierKey, open_note, parse_checkpoint
from guard.record.report import EXIT_USAGE, Damage, OriginReport, Report, Status
from guard.record.segment import Batch, Segment, list_segments, read_batches
from guard.types import Checkpoint

_MAX_NOTE_BYTES = 65_536


class UsageError(GuardError):
    """There is nothing to verify, or the trust file is malformed."""

    code = "verify_usage"


def verify(directory: Path, *, trust: Iterable[VerifierKey] | None = None, require_anchor: bool = False) -> Report:
    """Verify all origins under ``directory``, which may also be the directory of one origin.

    Raises ``UsageError`` if there is no log.
    """
    keys = None if trust is None else {key.name: key for key in trust}
    origins = find_origins(directory)
    if not origins:
        raise UsageError("there is no log here", where=str(directory), mend="name the directory that holds <name>-0")
    return Report(str(directory), [verify_origin(origin, keys) for origin in origins], require_anchor)


def find_origins(directory: Path) -> list[Path]:
    """The directories of origins: ``directory`` itself, or those in it."""
    if not directory.is_dir():
        return []
    if _is_origin(directory):
        return [directory]
    return sorted(path for path in directory.iterdir() if path.is_dir() and _is_origin(path))


def read_trust(path: Path) -> list[VerifierKey]:
    """The verifier keys of a trust file, one vkey a line; ``#`` begins a comment. Raises ``UsageError``."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        keys = [VerifierKey.parse(line.strip()) for line in lines if line.strip() and not line.startswith("#")]
    except (OSError, ValueError) as error:
        raise UsageError(f"the trust file does not read: {error}", where=str(path), mend="one vkey a line") from error
    if not keys:
        raise UsageError("the trust file names no key", where=str(path), mend="one vkey a line")
    return keys


def verify_origin(directory: Path, trust: dict[str, VerifierKey] | None) -> OriginReport:
    """Verify the log of one origin. ``trust`` maps origins to keys; ``None`` takes the log's own."""
    damages: list[Damage] = []
    key = _key(directory, trust, damages)  # (1)
    if key is None:
        return OriginReport(origin=directory.name, directory=str(directory), status="tampered", damages=damages)
    checkpoint = _Checkpoint(directory / "checkpoint", key, damages)  # (2)
    chain = Chain(key)
    ledger = Ledger(directory)
    status: Status = "tampered" if damages else "whole"
    segments = list_segments(directory / "seg")
    gap = next((number for number, segment in enumerate(segments) if segment.number != number), None)  # (3)
    for segment in segments if gap is None else segments[:gap]:
        torn = _verify_segment(segment, chain, ledger, checkpoint, damages, last=segment is segments[-1])  # (4) (5)
        if torn is not None:
            status = "torn" if torn and status == "whole" else "tampered"
            break
    else:
        if gap is not None:
            damages.append(Damage(f"segment {gap} is missing", f"seg/{gap:06}.jsonl", seq=chain.size))
            status = "tampered"
        elif not chain.size and not checkpoint.size:
            damages.append(Damage("the log was begun and holds no record", "seg"))
            status = "torn" if status == "whole" else status
    if not checkpoint.reached(chain, ledger.accounts.commits, damages):  # (6)
        status = "tampered"
    if ledger.contradictions:  # (7)
        damages += ledger.contradictions
        status = "tampered"
    return OriginReport(
        origin=key.name,
        directory=str(directory),
        status=status,
        damages=damages,
        size=chain.size,
        root=chain.tree.root().hex(),
        key=key.encode(),
        trusted=trust is not None,
        accounts=ledger.close(),  # (8)
        notices=ledger.notices,
    )


def _verify_segment(
    segment: Segment, chain: Chain, ledger: Ledger, checkpoint: _Checkpoint, damages: list[Damage], *, last: bool
) -> bool | None:
    """Take a segment in. ``None`` if it verifies, else whether its damage is that of a torn write."""
    ledger.accounts.segments += 1
    batches = read_batches(segment.path)
    for batch in batches:
        closed = chain.closed
        try:
            records = chain.accept(batch)
        except Flaw as flaw:
            file = f"seg/{segment.path.name}"
            if flaw.index is None:
                line = batch.first_line + len(batch.records)
                damages.append(Damage(flaw.what, file, line, chain.size))
            else:
                damages.append(Damage(flaw.what, file, batch.first_line + flaw.index, chain.size + flaw.index))
            after_close = closed and batch.start > 0
            return last and not after_close and chain.size >= checkpoint.size and not _signed(chain, batch, batches)
        ledger.take(records, f"seg/{segment.path.name}")
        checkpoint.compare(chain)
    return None


def _signed(chain: Chain, batch: Batch, rest: Iterable[Batch]) -> bool:
    """Whether a commit that verifies follows the damage. A write that never ended may hold unwritten (NUL) blocks and
    yet its own commit, but nothing after it."""
    later = any(chain.signed(other) for other in rest)
    return later or (chain.signed(batch) and not any(b"\x00" in line for line in batch.records))


class _Checkpoint:
    """The ``checkpoint`` file, held against the log as it is read."""

    def __init__(self, path: Path, key: VerifierKey, damages: list[Damage]) -> None:
        self._stated: Checkpoint | None = None
        self._found = False
        self._missing = not path.exists()
        if self._missing:
            return
        try:
            note = path.read_bytes()[:_MAX_NOTE_BYTES].decode()
            self._stated = parse_checkpoint(open_note(note, key, cosigned=True))
            if self._stated.origin != key.name:
                raise NoteInvalid(f"it belongs to {self._stated.origin}")
        except (OSError, ValueError) as error:
            damages.append(Damage(f"the checkpoint does not verify: {error}", "checkpoint"))

    @property
    def size(self) -> int:
        """The size that the file states; 0 without one."""
        return self._stated.size if self._stated else 0

    def compare(self, chain: Chain) -> None:
        """Called after each commit."""
        stated = self._stated
        if stated is not None and chain.size == stated.size:
            self._found = chain.tree.root() == stated.root

    def reached(self, chain: Chain, commits: int, damages: list[Damage]) -> bool:
        """Whether the log holds what the file states; adds the damage if not."""
        stated = self._stated
        if stated is None:
            # The writer publishes its opening commit before it takes any record.
            if self._missing and commits > 1:
                damages.append(Damage("the checkpoint file is missing", "checkpoint"))
                return False
            return not self._missing or commits <= 1
        if chain.size < stated.size:
            if not any(damage.seq is not None for damage in damages):
                what = f"the log ends at {chain.size} records, its checkpoint states {stated.size}"
                damages.append(Damage(what, "checkpoint", seq=chain.size))
            return False
        if not self._found:
            damages.append(Damage(f"the log never was at the state of its checkpoint ({stated.size})", "checkpoint"))
        return self._found


def _is_origin(path: Path) -> bool:
    return (path / "seg").is_dir() or (path / "log.vkey").is_file() or (path / "checkpoint").is_file()


def _key(directory: Path, trust: dict[str, VerifierKey] | None, damages: list[Damage]) -> VerifierKey | None:
    own: VerifierKey | None = None
    try:
        text = (directory / "log.vkey").read_bytes()[:_MAX_NOTE_BYTES].decode()
        if not text.endswith("\n"):
            raise NoteInvalid("it does not end with a newline")
        own = VerifierKey.parse(text[:-1])
    except (OSError, ValueError) as error:
        damages.append(Damage(f"the log's own key does not read: {error}", "log.vkey"))
    if trust is None:
        return own
    name = own.name if own is not None and own.name in trust else directory.name
    trusted = trust.get(name)
    if trusted is None:
        damages.append(Damage(f"the trust file names no key for {name}", "log.vkey"))
    elif own is not None and own != trusted:
        damages.append(Damage("the log's own key is not the trusted one", "log.vkey"))
    return trusted


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m guard.record.verify", description="Verify a signed log.")
    parser.add_argument("directory", type=Path, help="the log, or one origin of it")
    parser.add_argument("--trust", type=Path, help="file of trusted verifier keys, one vkey a line")
    parser.add_argument("--require-anchor", action="store_true", help="exit 2 if no anchor outside the log is known")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of sentences")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as leaving:
        return EXIT_USAGE if leaving.code else 0
    try:
        trust = None if options.trust is None else read_trust(options.trust)
        report = verify(options.directory, trust=trust, require_anchor=options.require_anchor)
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    sys.stdout.write(report.to_json().decode() if options.json else "\n".join(report.lines()))
    sys.stdout.write("\n")
    return report.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
