"""The accounts of a verified log: does every allowed decision have its outcome, every open its close, every minute its
sign of life. None of this is tampering; all of it is said.

In memory: the decisions of the running boot that still wait for their outcome, and what is listed in the report.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from guard.record.report import MAX_LISTED, Accounts, Damage, Notice, StepName
from guard.record.schema import (
    AnyRecord,
    CloseRecord,
    DecisionEntry,
    OpenRecord,
    OutcomeEntry,
    Record,
    RecoveryRecord,
)
from guard.record.standings import Standings

SILENCE_FACTOR: Final = 3
"""A writer that is silent for longer than this many heartbeats was stopped, starved or suspended."""
_SECOND_US: Final = 1_000_000


class Ledger:
    """Takes verified records in order; ``close`` draws the balance."""

    def __init__(self, directory: Path) -> None:
        self.accounts = Accounts()
        self.notices: list[Notice] = []
        self.contradictions: list[Damage] = []
        self._standings = Standings()
        self._segments = directory / "seg"
        self._pending: dict[str, int] = {}
        self._quarantined: dict[str, str] = {}
        self._open = False
        self._heartbeat_us = 0
        self._mono_us = 0
        self._opened = 0
        self._killed = 0
        self._places: dict[str, int] = {}

    def take(self, records: Sequence[AnyRecord], file: str) -> None:
        """The records of one commit, which stands in ``file``."""
        accounts = self.accounts
        accounts.commits += 1
        counts = accounts.records
        kinds: Counter[type[Record]] = Counter(map(type, records))
        for kind, count in kinds.items():
            tag = str(kind.__struct_config__.tag)
            counts[tag] = counts.get(tag, 0) + count
        for record in records:
            self._watch_clocks(record)
            if said := self._standings.take(record):
                accounts.contradictions_total += 1
                # One is enough to tell; the others are counted.
                self.contradictions = self.contradictions or [Damage(said, file, seq=record.seq, step="configurations")]
            if isinstance(record, DecisionEntry):
                self._opened += record.decision.fail is not None and record.decision.fail.policy == "open"
                # A message of a connection has no outcome of its own: the connection has.
                if record.decision.effect == "allow" and record.connection is None:
                    self._pending[record.id] = record.seq
            elif isinstance(record, OutcomeEntry):
                if self._pending.pop(record.decision_ref, None) is None:
                    accounts.strays += 1
                    self._places.setdefault("stray", record.seq)
            elif isinstance(record, OpenRecord):
                accounts.boots += 1
                self._end_boot(record)
                self._open = True
            elif isinstance(record, CloseRecord):
                self._open = False
            elif isinstance(record, RecoveryRecord):
                self._quarantined[record.file] = record.sha256

    def close(self, now_us: int) -> Accounts:
        """The balance, at ``now_us`` (microseconds since the Unix epoch)."""
        accounts = self.accounts
        if self._killed:
            at = self._places["killed"]
            self._say(
                "boots",
                f"the process before record {at} ended without a close record (killed or crashed)"
                if self._killed == 1
                else f"{self._killed} processes ended without a close record (killed or crashed), the first before "
                f"record {at}",
            )
        if self._open:
            accounts.boots_unclosed += 1
            self._say("boots", "the log is not closed: its writer is running, or was killed after the last record")
            self._say_stale(now_us)
        if accounts.steps_back:
            at = self._places["back"]
            self._say("clocks", f"the wall clock stepped back {accounts.steps_back} times, first at record {at}")
        if accounts.silences:
            said = f"the writer was silent {accounts.silences} times for longer than its heartbeat allows"
            self._say("clocks", f"{said}, first before record {self._places['silence']}")
        if self._opened:
            self._say("pairs", f"{self._opened} requests or messages passed undecided, on routes that fail open")
        self._give_up_pending()
        if accounts.strays:
            at = self._places["stray"]
            self._say("pairs", f"{accounts.strays} outcomes belong to no allowed decision before them, first {at}")
        self._check_quarantine()
        return accounts

    def _say(self, step: StepName, said: str) -> None:
        self.notices.append(Notice(step, said))

    def _say_stale(self, now_us: int) -> None:
        """Records cut off at a commit look like this, and so does a writer that was killed."""
        age_us = now_us - (self.accounts.last_ts_us or now_us)
        if 0 < SILENCE_FACTOR * self._heartbeat_us < age_us:
            self._say("clocks", f"its last sign of life is {age_us // _SECOND_US} s old, and no close record ends it")

    def _watch_clocks(self, record: AnyRecord) -> None:
        accounts = self.accounts
        if type(record) is OpenRecord:
            self._heartbeat_us = record.heartbeat_ms * 1000
        elif record.mono_us - self._mono_us > SILENCE_FACTOR * self._heartbeat_us:
            accounts.silences += 1
            self._places.setdefault("silence", record.seq)
        self._mono_us = record.mono_us
        if accounts.first_ts_us is None:
            accounts.first_ts_us = record.ts_us
        if accounts.last_ts_us is not None and record.ts_us < accounts.last_ts_us:
            accounts.steps_back += 1
            self._places.setdefault("back", record.seq)
        accounts.last_ts_us = record.ts_us

    def _end_boot(self, record: OpenRecord) -> None:
        if not record.reopened:
            # Another process: nobody is left who could answer.
            self._give_up_pending()
        if self._open:
            self.accounts.boots_unclosed += 1
            self._killed += 1
            self._places.setdefault("killed", record.seq)

    def _give_up_pending(self) -> None:
        accounts = self.accounts
        accounts.unanswered_total += len(self._pending)
        room = MAX_LISTED - len(accounts.unanswered)
        accounts.unanswered += list(self._pending)[: max(room, 0)]
        self._pending.clear()

    def _check_quarantine(self) -> None:
        present = {path.name: path for path in sorted(self._segments.glob("*.torn"))}
        for name, digest in self._quarantined.items():
            path = present.pop(name, None)
            if path is None:
                self._say("boots", f"the quarantined bytes {name} are gone")
            elif _digest(path) != digest:
                self._say("boots", f"the quarantined bytes {name} are not those that the recovery record names")
        for name in present:
            self._say("boots", f"the quarantined bytes {name} are named by no recovery record")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
