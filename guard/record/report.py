"""What verification found: numbered steps, states, the first bad record, and what was proven and what was not."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec

Status: TypeAlias = Literal["whole", "torn", "tampered"]
StepName: TypeAlias = Literal[
    "key",
    "checkpoint",
    "segments",
    "records",
    "commits",
    "end",
    "anchors",
    "ids",
    "configurations",
    "pairs",
    "boots",
    "clocks",
    "writers",
]
Result: TypeAlias = Literal["passed", "failed", "noted", "skipped"]

STEPS: Final[tuple[StepName, ...]] = (
    "key",
    "checkpoint",
    "segments",
    "records",
    "commits",
    "end",
    "anchors",
    "ids",
    "configurations",
    "pairs",
    "boots",
    "clocks",
    "writers",
)
"""In the order of their numbers, from 1. All but the last are taken for each origin; ``writers`` for all together."""

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
    step: StepName = "records"

    def __str__(self) -> str:
        record = "" if self.seq is None else f"record {self.seq}, "
        place = self.file if self.line is None else f"{self.file} line {self.line}"
        return f"{record}{place}: {self.what}"


class Notice(msgspec.Struct, frozen=True):
    """Something that is no tampering, and said."""

    step: StepName
    said: str


class Step(msgspec.Struct, frozen=True):
    """One step: ``said`` is what was checked, or what was found."""

    number: int
    name: StepName
    result: Result
    said: str


class AnchorSeen(msgspec.Struct, frozen=True):
    """One anchor that was held against the log. ``given``: by hand, not from the origin's own ``anchors/``.

    ``result``: ``agrees``; ``contradicts`` (the log had another root at that size); ``beyond`` (the log ends before
    it); ``unverified`` (no key of this log signed it). ``witnesses`` are those trusted ones whose cosignatures hold.
    """

    file: str
    size: int
    given: bool
    result: Literal["agrees", "contradicts", "beyond", "unverified"]
    witnesses: list[str] = []

    @property
    def outside(self) -> bool:
        """Whether it fixes the log from outside: the auditor brought it, or a trusted witness cosigned it."""
        return self.result == "agrees" and (self.given or bool(self.witnesses))


class Evidence(msgspec.Struct, frozen=True):
    """Signed notes that contradict each other, whole: proof against the key's holder that anybody can check."""

    what: str
    notes: list[str]


class Accounts(msgspec.Struct):
    """What the verified part of a log holds. ``unanswered`` are the ids of allowed decisions without an outcome;
    ``strays`` counts outcomes of no such decision; ``contradictions_total`` counts records that name a configuration or
    policies of which the log knows nothing."""

    records: dict[str, int] = {}
    commits: int = 0
    segments: int = 0
    boots: int = 0
    boots_unclosed: int = 0
    contradictions_total: int = 0
    unanswered_total: int = 0
    unanswered: list[str] = []
    strays: int = 0
    silences: int = 0
    steps_back: int = 0
    first_ts_us: int | None = None
    last_ts_us: int | None = None


class OriginReport(msgspec.Struct, frozen=True, kw_only=True):
    """One origin. ``size`` and ``root`` (hex) are those of the last commit that verifies; ``key`` signs there, and
    ``grounds`` says why each key was believed. ``anchored_size`` is the largest size that an anchor outside fixes."""

    origin: str
    directory: str
    status: Status
    damages: list[Damage]
    size: int = 0
    root: str = ""
    key: str | None = None
    trusted: bool = False
    keys: int = 1
    grounds: list[str] = []
    anchored: bool = False
    anchored_size: int = 0
    anchors: list[AnchorSeen] = []
    evidence: list[Evidence] = []
    ids_unproven: int = 0
    accounts: Accounts = msgspec.field(default_factory=Accounts)
    notices: list[str] = []
    steps: list[Step] = []

    @property
    def proven(self) -> list[str]:
        """Sentences on what holds."""
        contradicted = any(anchor.result in ("contradicts", "beyond") for anchor in self.anchors)
        if self.key is None or not self.size or contradicted:
            return []
        said = [f"records 0 to {self.size - 1} are complete, in order and unaltered under the key {self.key}"]
        if self.trusted:
            said.append("that key is the one in the trust file: the log comes from its holder")
        if self.anchored:
            said.append(f"records 0 to {self.anchored_size - 1} are those that an anchor outside fixed")
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
        elif self.anchored_size < self.size:
            said.append(
                f"completeness at the end: records after {self.anchored_size - 1} are fixed by no anchor; some that "
                "followed may have been cut off at a commit"
            )
        since = f"from record {self.anchored_size} on" if self.anchored else "from the first record on"
        said.append(f"that the key was not stolen: whoever holds it can rewrite the log {since}")
        if self.ids_unproven:
            said.append(f"that {self.ids_unproven} ids are unique: too many of them are out of order")
        return said


class Report(msgspec.Struct, frozen=True):
    """All origins under one directory. ``damages`` are those of no single origin, ``listed`` whether there is a signed
    list of writers, and ``steps`` the steps taken for all together."""

    directory: str
    origins: list[OriginReport]
    anchor_required: bool = False
    damages: list[Damage] = []
    listed: bool = False
    steps: list[Step] = []

    @property
    def status(self) -> Status:
        """The worst of the origins'."""
        found = {origin.status for origin in self.origins}
        if self.damages or "tampered" in found:
            return "tampered"
        return "torn" if "torn" in found else "whole"

    @property
    def exit_code(self) -> int:
        """0 whole; 1 tampered; 2 torn, or unanchored where an anchor is required."""
        if self.status == "tampered":
            return EXIT_TAMPERED
        return EXIT_INCOMPLETE if self.status == "torn" or self.unanchored else EXIT_WHOLE

    @property
    def unanchored(self) -> list[str]:
        """The origins without the anchor that is required."""
        return [origin.origin for origin in self.origins if self.anchor_required and not origin.anchored]

    @property
    def not_proven(self) -> list[str]:
        """What holds for no origin alone."""
        if self.listed:
            return ["that the list of writers was not rolled back together with a whole log, unless it is anchored"]
        return ["that no other origin's log was removed"]

    def lines(self) -> list[str]:
        """The report for people, line by line."""
        from guard.record.telling import lines_of

        return lines_of(self)

    def to_json(self) -> bytes:
        """One JSON object for programs; ``docs/verify.md`` describes it."""
        return msgspec.json.encode(
            {
                "directory": self.directory,
                "status": self.status,
                "exit_code": self.exit_code,
                "damages": self.damages,
                "not_proven": self.not_proven,
                "steps": self.steps,
                "origins": [_origin_object(origin) for origin in self.origins],
            }
        )


def _origin_object(origin: OriginReport) -> dict[str, Any]:
    return {**msgspec.to_builtins(origin), "proven": origin.proven, "not_proven": origin.not_proven}
