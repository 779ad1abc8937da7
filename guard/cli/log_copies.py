"""Makes the copies of ``guard log export``, each in a new place, and says what was made."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import IO, Final

import msgspec
import typer

from guard.cli import log_conditions as on
from guard.cli.complaints import warn
from guard.cli.log_lines import warn_of_unreadable
from guard.cli.log_reads import recorded_reading
from guard.cli.log_signer import signer_of
from guard.record.export.exchanges import Exchange, exchanges
from guard.record.export.find import find_record
from guard.record.export.ocsf import OcsfVersion, events
from guard.record.export.place import new_directory, new_file
from guard.record.export.proof import prove
from guard.record.export.source import ExportRefused, State, newest
from guard.record.export.sshsig import allowed_signer, sign_checkpoint, signed_text
from guard.record.export.table import rows
from guard.record.export.tiles import write_tree
from guard.record.note import VerifierKey
from guard.record.verify import find_origins
from guard.review.filters import Filter
from guard.review.query import LogReader

_KEYS: Final = "keys"


class Chosen(msgspec.Struct, frozen=True):
    """Which exchanges: ``asked`` is what is recorded of the conditions."""

    since_us: int
    until_us: int | None
    records: Filter
    asked: dict[str, str | int | bool | None]

    @classmethod
    def of(cls, conditions: on.Conditions, look: on.Look) -> Chosen:
        """From what was typed. Raises as ``Conditions.wanted`` does."""
        wanted = conditions.wanted(look)
        # An exchange is dated by its decision, not by its outcome.
        records = msgspec.structs.replace(wanted, since_us=None, until_us=None, housekeeping=True)
        return cls(wanted.since_us or 0, wanted.until_us, records, conditions.asked(wanted))

    def matches(self, exchange: Exchange) -> bool:
        """Whether the exchange is wanted: all conditions hold for its decision, or all for its outcome."""
        moment = exchange.decision["ts_us"]
        if moment < self.since_us or (self.until_us is not None and moment >= self.until_us):
            return False
        both = (exchange.decision, exchange.outcome)
        return any(record is not None and self.records.matches(record) for record in both)


def export_decisions(place: Path, chosen: Chosen, ocsf: OcsfVersion | None, output: Path | None) -> None:
    """Write decisions as OCSF events, or as a table where no version is given."""
    reader = LogReader(place)
    unjoined = 0

    def found() -> Iterator[Exchange]:
        nonlocal unjoined
        for exchange in exchanges(reader.records()):
            if chosen.matches(exchange):
                unjoined += exchange.ending == "unjoined"
                account.records += 1 if exchange.outcome is None else 2
                yield exchange

    with recorded_reading(place, "export", **chosen.asked) as account:
        if ocsf is None:
            _write(rows(found()), output, "rows, the head included")
        else:
            _write(events(found(), version=ocsf, product_version=version("policy-guard")), output, "events")
        account.complete = True
    if not account.records:
        warn("no decision is such")
    if unjoined:
        warn(f"{unjoined} decisions stand without their outcome: too many were under way at once")
    warn_of_unreadable(reader)


def export_proof(place: Path, wanted: str, output: Path | None, *, with_record: bool) -> None:
    """Write the proof of one record. Raises ``ExportRefused``."""
    with recorded_reading(place, "export", id=wanted) as account:
        found = find_record(_origins(place), wanted)
        _write([prove(found.state, found.index, with_record=with_record).encode().encode()], output, "proof")
        account.records = int(with_record)
        account.complete = True


def export_tiles(place: Path, target: Path) -> list[Made]:
    """Make a directory with a tlog-tiles tree of each origin. Raises ``ExportRefused``."""
    made: list[Made] = []
    with recorded_reading(place, "export") as account, new_directory(target) as directory:
        for origin in _origins(place):
            state = newest(origin)
            tree = directory / state.checkpoint.origin
            tree.mkdir(mode=0o700)
            write_tree(state, tree)
            account.records += state.checkpoint.size
            made.append(Made.of(state, target))
        account.complete = True
    return made


def export_signatures(place: Path, target: Path, key: Path | None) -> list[Made]:
    """Make a directory with each origin's newest checkpoint, signed. Raises ``ExportRefused``, ``KeyInvalid``."""
    made: list[Made] = []
    with new_directory(target) as directory:
        for origin in _origins(place):
            state = newest(origin)
            signer = signer_of(state, key)
            files = {
                "checkpoint": state.note,
                "text": signed_text(state),
                "text.sig": sign_checkpoint(state, signer),
                "allowed_signers": allowed_signer(VerifierKey.of(signer)),
            }
            (directory / signer.name).mkdir(mode=0o700)
            for name, content in files.items():
                (directory / signer.name / name).write_text(content, encoding="utf-8")
            made.append(Made.of(state, target))
    return made


def _origins(place: Path) -> list[Path]:
    found = find_origins(place)
    if not found:
        raise ExportRefused("there is no log here", where=str(place), mend="name the directory that holds NAME-0")
    return found


def _write(lines: Iterable[bytes], output: Path | None, what: str) -> int:
    """Write to stdout, or to a new file; returns how many lines."""
    if output is None or str(output) == "-":
        count = _copy(lines, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return count
    with new_file(output) as file:
        count = _copy(lines, file)
    typer.echo(f"{output}: {count} {what}", err=True)
    return count


def _copy(lines: Iterable[bytes], target: IO[bytes]) -> int:
    count = 0
    for line in lines:
        target.write(line)
        count += 1
    return count


class Made(msgspec.Struct, frozen=True):
    """What was exported of one origin: ``root`` in hex, ``directory`` where it lies."""

    origin: str
    size: int
    root: str
    directory: str

    @classmethod
    def of(cls, state: State, target: Path) -> Made:
        """Of a state that was exported below ``target``."""
        checkpoint = state.checkpoint
        return cls(checkpoint.origin, checkpoint.size, checkpoint.root.hex(), str(target / checkpoint.origin))


def say(made: list[Made], *, as_json: bool) -> None:
    """Tell what was made."""
    if as_json:
        typer.echo(msgspec.json.encode(made))
        return
    for log in made:
        typer.echo(f"{log.directory}: {log.size} records, root {log.root}")
