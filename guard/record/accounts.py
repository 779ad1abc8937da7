"""The accounts of a verified log: does every allowed decision have its outcome, every open its close, every minute its
sign of life. None of this is tampering; all of it is said."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

from guard.record.report import MAX_LISTED, Accounts, Damage
from guard.record.schema import AnyRecord, CloseRecord, DecisionEntry, OpenRecord, OutcomeEntry, RecoveryRecord
from guard.record.standings import Standings

_SILENCE_FACTOR: Final = 3
"""A writer that is silent for longer than this many heartbeats was stopped, starved or suspended."""


class Ledger:
    """Takes verified records in order; ``close`` draws the balance."""

    def __init__(self, directory: Path) -> None:
        self.accounts = Accounts()
        self.notices: list[str] = []
        self.contradictions: list[Damage] = []
        self._standings = Standings()
        self._segments = directory / "seg"
        self._pending: dict[str, int] = {}
        self._quarantined: dict[str, str] = {}
        self._open = False
        self._heartbeat_us = 0
        self._mono_us = 0
        self._steps_back = 0
        self._silences = 0
        self._opened = 0

    def take(self, records: Iterable[AnyRecord], file: str) -> None:
        """The records of one commit, which stands in ``file``."""
        accounts = self.accounts
        accounts.commits += 1
        for record in records:
            kind = record.__struct_config__.tag
            accounts.records[str(kind)] = accounts.records.get(str(kind), 0) + 1
            self._watch_clocks(record)
            if said := self._standings.take(record):
                accounts.contradictions_total += 1
                # One is enough to tell; the others are counted.
                self.contradictions = self.contradictions or [Damage(said, file, seq=record.seq)]
            if isinstance(record, DecisionEntry):
                self._opened += record.decision.fail is not None and record.decision.fail.policy == "open"
                # A message of a connection has no outcome of its own: the connection has.
                if record.decision.effect == "allow" and record.connection is None:
                    self._pending[record.id] = record.seq
            elif isinstance(record, OutcomeEntry):
                self._pending.pop(record.decision_ref, None)
            elif isinstance(record, OpenRecord):
                accounts.boots += 1
                self._end_boot(record.seq)
                self._open = True
            elif isinstance(record, CloseRecord):
                self._open = False
            elif isinstance(record, RecoveryRecord):
                self._quarantined[record.file] = record.sha256

    def close(self) -> Accounts:
        """The balance."""
        accounts = self.accounts
        if self._open:
            accounts.boots_unclosed += 1
            self.notices.append("the log is not closed: its writer is running, or was killed after the last record")
        if self._steps_back:
            self.notices.append(f"the wall clock stepped back {self._steps_back} times")
        if self._silences:
            self.notices.append(f"the writer was silent {self._silences} times for longer than its heartbeat allows")
        if self._opened:
            self.notices.append(f"{self._opened} requests or messages passed undecided, on routes that fail open")
        accounts.unanswered_total = len(self._pending)
        accounts.unanswered = list(self._pending)[:MAX_LISTED]
        self._check_quarantine()
        return accounts

    def _watch_clocks(self, record: AnyRecord) -> None:
        accounts = self.accounts
        if isinstance(record, OpenRecord):
            self._heartbeat_us = record.heartbeat_ms * 1000
        elif record.mono_us - self._mono_us > _SILENCE_FACTOR * self._heartbeat_us:
            self._silences += 1
        self._mono_us = record.mono_us
        if accounts.first_ts_us is None:
            accounts.first_ts_us = record.ts_us
        if accounts.last_ts_us is not None and record.ts_us < accounts.last_ts_us:
            self._steps_back += 1
        accounts.last_ts_us = record.ts_us

    def _end_boot(self, seq: int) -> None:
        if self._open:
            self.accounts.boots_unclosed += 1
            self.notices.append(f"the process before record {seq} ended without a close record (killed or crashed)")

    def _check_quarantine(self) -> None:
        present = {path.name: path for path in sorted(self._segments.glob("*.torn"))}
        for name, digest in self._quarantined.items():
            path = present.pop(name, None)
            if path is None:
                self.notices.append(f"the quarantined bytes {name} are gone")
            elif sha256(path.read_bytes()).hexdigest() != digest:
                self.notices.append(f"the quarantined bytes {name} are not those that the recovery record names")
        self.notices += [f"the quarantined bytes {name} are named by no recovery record" for name in present]
