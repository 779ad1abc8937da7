"""What verification found: states, the first bad record, and what was proven and what was not."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

Status: TypeAlias = Literal["whole", "torn", "tampered"]

EXIT_WHOLE: Final = 0
EXIT_TAMPERED: Final = 1
EXIT_INCOMPLETE: Final = 2
EXIT_USAGE: Final = 3

MAX_LISTED: Final = 100


class Damage(msgspec.Struct, frozen=True):
    """Something that does not verify: record ``seq``, line ``line`` (from 1) of ``file``; null where none fits."""

    what: str
    file: str
    line: int | None = None
    seq: int | None = None

    def __str__(self) -> str:
        record = "" if self.seq is None else f"record {self.seq}, "
        place = self.file if self.line is None else f"{self.file} line {self.line}"
        return f"{record}{place}: {self.what}"


class Accounts(msgspec.Struct):
    """What the verified part of a log holds. ``unanswered`` are the ids of allowed decisions without an outcome;
    ``contradictions_total`` counts records that name a configuration or policies of which the log knows nothing."""

    records: dict[str, int] = {}
    commits: int = 0
    segments: int = 0
    boots: int = 0
    boots_unclosed: int = 0
    contradictions_total: int = 0
    unanswered_total: int = 0
    unanswered: list[str] = []
    first_ts_us: int | None = None
    last_ts_us: int | None = None


class OriginReport(msgspec.Struct, frozen=True, kw_only=True):
    """One origin. ``size`` and ``root`` (hex) are those of the last commit that verifies."""

    origin: str
    directory: str
    status: Status
    damages: list[Damage]
    size: int = 0
    root: str = ""
    key: str | None = None
    trusted: bool = False
    anchored: bool = False
    accounts: Accounts = msgspec.field(default_factory=Accounts)
    notices: list[str] = []

    @property
    def proven(self) -> list[str]:
        """Sentences on what holds."""
        if self.key is None or not self.size:
            return []
        said = [f"records 0 to {self.size - 1} are complete, in order and unaltered under the key {self.key}"]
        if self.trusted:
            said.append("that key is the one in the trust file: the log comes from its holder")
        return said

    @property
    def not_proven(self) -> list[str]:
        """Sentences on what nobody may conclude from this."""
        said = []
        if not self.trusted:
            said.append(
                "origin: the key was taken from the log itself; whoever replaced the whole log replaced it too "
                "(give --trust FILE)"
            )
        if not self.anchored:
            said.append(
                "completeness at the end: no anchor outside the log says how far it reached; records cut off at a "
                "commit, or a rollback to an older state, do not show"
            )
        said.append("that no other origin's log was removed")
        return said


class Report(msgspec.Struct, frozen=True):
    """All origins under one directory."""

    directory: str
    origins: list[OriginReport]
    anchor_required: bool = False

    @property
    def status(self) -> Status:
        """The worst of the origins'."""
        found = {origin.status for origin in self.origins}
        return "tampered" if "tampered" in found else "torn" if "torn" in found else "whole"

    @property
    def exit_code(self) -> int:
        """0 whole; 1 tampered; 2 torn, or unanchored where an anchor is required."""
        if self.status == "tampered":
            return EXIT_TAMPERED
        unanchored = self.anchor_required and not all(origin.anchored for origin in self.origins)
        return EXIT_INCOMPLETE if self.status == "torn" or unanchored else EXIT_WHOLE

    def to_json(self) -> bytes:
        """One JSON object for programs."""
        origins = [
            {**msgspec.to_builtins(origin), "proven": origin.proven, "not_proven": origin.not_proven}
            for origin in self.origins
        ]
        return msgspec.json.encode(
            {"directory": self.directory, "status": self.status, "exit_code": self.exit_code, "origins": origins}
        )

    def lines(self) -> list[str]:
        """The report for people, line by line."""
        said: list[str] = []
        for origin in self.origins:
            said += _origin_lines(origin)
        if self.anchor_required and self.exit_code == EXIT_INCOMPLETE and self.status == "whole":
            said.append("INCOMPLETE: an anchor is required, and this log has none")
        return said


_HEADLINES: Final[dict[Status, str]] = {"whole": "WHOLE", "torn": "TORN TAIL", "tampered": "TAMPERED"}


def _origin_lines(report: OriginReport) -> list[str]:
    accounts = report.accounts
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(accounts.records.items()))
    said = [f"{_HEADLINES[report.status]}: {report.origin}, {report.size} records verified ({counts or 'none'})"]
    said += [f"  {'first bad: ' if number == 0 else ''}{damage}" for number, damage in enumerate(report.damages)]
    if accounts.contradictions_total > 1:
        said.append(f"  {accounts.contradictions_total} records contradict those before them in this way")
    if accounts.unanswered_total:
        listed = ", ".join(accounts.unanswered[:5])
        more = " ..." if accounts.unanswered_total > 5 else ""
        said.append(f"  missing outcomes: {accounts.unanswered_total} allowed decisions have none: {listed}{more}")
    said += [f"  note: {notice}" for notice in report.notices]
    said += [f"  proven: {sentence}" for sentence in report.proven]
    said += [f"  not proven: {sentence}" for sentence in report.not_proven]
    return said
