"""The schema of records, version 1. Allow-listed: a field that does not stand here enters no log.

``docs/log-format.md`` describes every field. Strings in ``hmac:<key id>:<hex>`` form are keyed pseudonyms.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from guard.record.canonical import MAX_INTEGER, Integer, Natural, NotCanonical
from guard.record.groups import (
    LABEL_ABOUT,
    LABEL_NOTE,
    MAX_COUNTERFACTUALS,
    MAX_EVIDENCE,
    AskedName,
    AskedValue,
    Body,
    Counterfactual,
    DetectorName,
    DetectorRun,
    Duty,
    Evidence,
    Hex64,
    Identifier,
    Inspected,
    Keyed,
    PassedPart,
    Policy,
    Refusal,
    ReloadError,
    Ruling,
    Software,
    SpentPart,
    StageDecision,
    StandingPart,
    What,
    Who,
    Why,
)
from guard.record.shadow import ShadowPart

# A boot names itself in its ``open`` record, and a verifier knows each ``prev``. Both are held by equality: the cost
# of a pattern (0.4 us) is spared.
_Digits: TypeAlias = Annotated[str, Meta(min_length=16, max_length=16, extra_json_schema={"pattern": "^[0-9a-f]{16}$"})]
_Digest: TypeAlias = Annotated[str, Meta(min_length=64, max_length=64, extra_json_schema={"pattern": "^[0-9a-f]{64}$"})]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    """What every record has. ``prev`` is the SHA-256 of the line before; times are microseconds."""

    v: Literal[1]
    origin: Identifier
    boot: _Digits
    seq: Natural
    id: Identifier
    prev: _Digest
    ts_us: Natural
    mono_us: Natural
    truncated: Literal[True] | UnsetType = UNSET
    dropped: list[str] | UnsetType = UNSET


class OpenRecord(Record, frozen=True, tag="open"):
    """A process opened the log. ``reopened``: the same process had it open before, and a write had failed.
    ``writers`` is the list in which the opening is entered before any other record is taken."""

    boot: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    config_digest: str
    software: Software
    mode: Literal["strict", "buffered"]
    loss_window_ms: Natural
    heartbeat_ms: Natural
    key: str
    resumed_at: Natural
    policy: Policy | None = None
    detectors: list[DetectorName] = []
    candidate: Policy | UnsetType = UNSET
    reopened: bool = False
    writers: Identifier | UnsetType = UNSET


class CloseRecord(Record, frozen=True, tag="close"):
    """The process closed the log in order."""

    counters: dict[str, Integer]


class HeartbeatRecord(Record, frozen=True, tag="heartbeat"):
    """The process lives. Silence is visible."""

    counters: dict[str, Integer]


class SuppressedRecord(Record, frozen=True, tag="suppressed"):
    """What was counted instead of recorded since the last such record, or since the boot: names and numbers > 0."""

    counts: dict[str, Annotated[int, Meta(ge=1, le=MAX_INTEGER)]]
    since_us: Natural


class WriterRecord(Record, frozen=True, tag="writer"):
    """Stands in the list of writers: ``writer``, an origin, was opened or closed by its process. ``size`` and ``root``
    (hex) are those of its log at that moment, ``writer_boot`` is the boot that it began or ended."""

    event: Literal["opened", "closed"]
    writer: Identifier
    writer_boot: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    size: Natural
    root: Hex64


class KeyRecord(Record, frozen=True, tag="key"):
    """A key began, was replaced or was destroyed.

    ``begun``: ``key`` (a vkey) signs this log from its first commit on. ``replaced``: the commit that holds the record
    is the last that ``before`` signs; ``key`` signs from there on. ``destroyed``: the pseudonym key with the id ``key``
    is gone, ``tenant`` is the pseudonym of whose it was. ``endorsements`` are signed notes (``guard.record.endorse``).
    """

    event: Literal["begun", "replaced", "destroyed"]
    purpose: Literal["signing", "pseudonym"]
    key: Annotated[str, Meta(min_length=4, max_length=256)]
    before: Annotated[str, Meta(max_length=256)] | None = None
    reason: Literal["start", "rotate", "boot", "day", "erasure"] = "rotate"
    endorsements: Annotated[list[Annotated[str, Meta(max_length=2048)]], Meta(max_length=8)] = []
    tenant: Keyed | None = None


class RecoveryRecord(Record, frozen=True, tag="recovery"):
    """Bytes after the last commit were moved aside when the log was opened."""

    segment: str
    file: str
    dropped_bytes: Natural
    sha256: Hex64


class ConfigRecord(Record, frozen=True, tag="config"):
    """A reload. ``applied``: what stands in ``after`` decides from here on, durable before its first decision.
    ``refused``: what stands in ``before`` goes on deciding; ``after`` is what was refused, null if it was never built.
    """

    status: Literal["applied", "refused"]
    before: StandingPart
    after: StandingPart | None
    error: ReloadError | None


class DecisionEntry(Record, frozen=True, tag="decision"):
    """A request, decided. Durable before the app or the provider is called.

    ``connection`` is the decision of the WebSocket connection to which a decided message belongs, else null.
    """

    stage: Literal["request", "response"]
    request_id: str | None
    trace_id: str | None
    who: Who
    what: What
    decision: Ruling
    why: list[Why]
    would_deny: list[Why]
    obligations: list[Duty]
    policy: Policy | None
    policy_input: dict[str, Any] | None
    detectors: list[DetectorRun]
    redactions: dict[str, Integer]
    content: Body | None
    coverage: Inspected
    refusal: Refusal | None
    config_digest: str
    duration_us: Natural
    connection: Identifier | None = None
    shadow: ShadowPart | UnsetType = UNSET
    counterfactual: Annotated[list[Counterfactual], Meta(max_length=MAX_COUNTERFACTUALS)] | UnsetType = UNSET
    evidence: Annotated[list[Evidence], Meta(max_length=MAX_EVIDENCE)] | UnsetType = UNSET


class OutcomeEntry(Record, frozen=True, tag="outcome"):
    """What became of a decided request. ``request_content`` stands only where its body was too large to be held,
    ``tokens`` only where a limit counts them."""

    decision_ref: Identifier
    status: Integer | None
    upstream_status: Integer | None
    aborted: str | None
    decisions: list[StageDecision]
    policy_input: dict[str, Any] | None
    detectors: list[DetectorRun]
    redactions: dict[str, Integer]
    restored: Natural
    content: Body | None
    size_bytes: Natural
    coverage: Inspected
    duration_us: Natural
    request_content: PassedPart | UnsetType | None = UNSET
    tokens: SpentPart | UnsetType | None = UNSET
    evidence: Annotated[list[Evidence], Meta(max_length=MAX_EVIDENCE)] | UnsetType = UNSET


class AuditReadRecord(Record, frozen=True, tag="audit_read"):
    """Somebody who can read this deployment's keys read decisions through our tools.

    ``reader`` is the pseudonym of the operating system's user. ``asked`` are the conditions that were set: closed
    words, ids and integers as they are, everything else as a keyed pseudonym. ``records`` were shown; ``complete``:
    to the end.
    """

    reader: Keyed
    through: Literal["cli", "console"]
    word: Annotated[str, Meta(pattern="^[a-z_]{1,32}$")]
    asked: dict[AskedName, AskedValue]
    records: Natural
    complete: bool


class LabelRecord(Record, frozen=True, tag="label"):
    """What an analyst says of a decision: whether it was an attack, or whatever else the finding is called.

    ``about`` is a type of finding, or ``behaviour`` for an anomaly; the last label of a decision about it holds.
    ``note`` is the id of a ticket: a word, so that no text enters the log.
    """

    reader: Keyed
    through: Literal["cli", "console"]
    decision_ref: Identifier
    about: Annotated[str, Meta(pattern=LABEL_ABOUT)]
    attack: bool
    note: Annotated[str, Meta(pattern=LABEL_NOTE)] | None


OWN_KINDS: Final = frozenset({"open", "close", "heartbeat", "recovery", "suppressed", "writer", "key"})
"""The kinds that only the writer itself makes."""

AnyRecord: TypeAlias = (
    OpenRecord
    | CloseRecord
    | HeartbeatRecord
    | RecoveryRecord
    | KeyRecord
    | SuppressedRecord
    | WriterRecord
    | ConfigRecord
    | AuditReadRecord
    | LabelRecord
    | DecisionEntry
    | OutcomeEntry
)

_DECODER: Final[msgspec.json.Decoder[AnyRecord]] = msgspec.json.Decoder(AnyRecord)


def read_record(line: bytes) -> AnyRecord:
    """The record of a line. Raises ``NotCanonical`` if it does not fit the schema; its message holds no value."""
    try:
        return _DECODER.decode(line)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotCanonical(f"does not fit the schema: {error}") from None
