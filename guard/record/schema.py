"""The schema of records, version 1. Allow-listed: a field that does not stand here enters no log.

``docs/log-format.md`` describes every field. Strings in ``hmac:<key id>:<hex>`` form are keyed pseudonyms.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from guard.record.canonical import NotCanonical
from guard.record.shadow import ShadowPart

MAX_FIRED: Final = 8
MAX_READS: Final = 24
Natural = Annotated[int, Meta(ge=0)]
Hex64 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Identifier = Annotated[str, Meta(min_length=1, max_length=128)]
Keyed = Annotated[str, Meta(pattern="^hmac:[a-z0-9]{4,16}:[0-9a-f]{32}$")]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the parts of a record."""


class Who(_Part, frozen=True):
    """The principal, as pseudonyms. ``id`` is null for anonymous callers."""

    type: Literal["user", "service", "anonymous"]
    id: Keyed | None
    tenant: str | None
    roles: list[str]
    authenticated: bool
    method: str
    ip: Keyed | None


class What(_Part, frozen=True):
    """The operation and its resource; ``route`` is the pattern of the configuration, never a path."""

    method: str
    route: str | None
    operation: str | None
    model: str | None
    provider: str | None


class Fail(_Part, frozen=True):
    """Why the guard itself could not decide, and what it did then."""

    component: Literal["policy", "log", "detector", "content", "identity", "obligation", "guard"]
    kind: str
    policy: Literal["closed", "open"]


class Ruling(_Part, frozen=True):
    """The decision itself. ``http_status`` is null where the app answers."""

    effect: Literal["allow", "deny"]
    mode: Literal["enforce", "shadow"]
    http_status: int | None
    fail: Fail | None


class Why(_Part, frozen=True):
    """One reason. ``pointers_total`` counts what ``pointers`` may have cut.

    ``fired`` are the places (``file:row``) of the bodies that held for it, its own first; ``reads`` are the places of
    the policy input and of the policies' data that they may have read, without values.
    """

    code: str
    rule: str | None
    title: str
    severity: Literal["low", "medium", "high", "critical"]
    message: str
    pointers: list[str]
    pointers_total: Natural
    remediation: str
    location: str | None
    fired: Annotated[list[str], Meta(max_length=MAX_FIRED)] = []
    reads: Annotated[list[str], Meta(max_length=MAX_READS)] = []


class Duty(_Part, frozen=True):
    """One obligation and what became of it. ``location`` is where its rule stands (``file:row``)."""

    type: str
    rule: str
    params: dict[str, Any]
    result: Literal["pending", "done", "armed", "failed"]
    count: Natural
    location: str | None = None


class Policy(_Part, frozen=True):
    """Which engine decided, from which policies. ``decision_id`` is the name of the decision in OPA's own log, where it
    keeps one."""

    engine: str
    version: str
    revision: str
    digest: str
    entrypoint: str
    decision_id: Annotated[str, Meta(pattern="^[A-Za-z0-9-]{1,64}$")] | UnsetType = UNSET


class DetectorName(_Part, frozen=True):
    """A detector that runs. ``digest`` identifies its configuration and model."""

    name: str
    version: str
    digest: str


class StandingPart(_Part, frozen=True):
    """A configuration with what was built from it. ``policy`` is null where nobody told; ``candidate`` stands
    only where policies are in shadow."""

    config_digest: str
    policy: Policy | None
    detectors: list[DetectorName]
    candidate: Policy | UnsetType = UNSET


class ReloadError(_Part, frozen=True):
    """Why a reload was refused: a code, and a place (``file:line``, a key; ``""`` for none). No file's content."""

    code: str
    where: str


class DetectorRun(_Part, frozen=True):
    """How one detector fared."""

    name: str
    version: str
    digest: str
    outcome: str
    duration_us: Natural


class Body(_Part, frozen=True):
    """A keyed digest of a body's bytes, and their number."""

    digest: Keyed | None
    bytes: Natural


class PassedPart(_Part, frozen=True):
    """What the app was given of a request body that was too large to be held, and whether that was all of it."""

    digest: Keyed | None
    bytes: Natural
    whole: bool


class SpentPart(_Part, frozen=True):
    """The tokens of a call that counts against a limit. ``source`` says who counted them."""

    reserved: Natural
    used: Natural
    source: Literal["provider", "estimate", "reserved"]


class SkippedPart(_Part, frozen=True):
    """A position that was not inspected, and why."""

    pointer: str
    reason: str


class IncompletePart(_Part, frozen=True):
    """A detector that did not finish."""

    detector: str
    reason: str


class Inspected(_Part, frozen=True):
    """The coverage statement. ``inspected`` counts positions; the policy input lists them."""

    inspected: Natural
    skipped: list[SkippedPart]
    incomplete: list[IncompletePart]


class Refusal(_Part, frozen=True):
    """Why a body was refused before any policy saw it."""

    code: str
    where: str


class StageDecision(_Part, frozen=True):
    """One verdict on the answer."""

    effect: Literal["allow", "deny"]
    outage: bool
    why: list[Why]
    would_deny: list[Why]
    obligations: list[Duty]
    policy: Policy | None
    duration_us: Natural
    fail: Fail | None = None
    shadow: ShadowPart | UnsetType = UNSET


class Software(_Part, frozen=True):
    """What wrote the log."""

    name: str
    version: str


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    """What every record has. ``prev`` is the SHA-256 of the line before; times are microseconds."""

    v: Literal[1]
    origin: Identifier
    boot: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    seq: Natural
    id: Identifier
    prev: Hex64
    ts_us: Natural
    mono_us: Natural
    truncated: Literal[True] | UnsetType = UNSET
    dropped: list[str] | UnsetType = UNSET


class OpenRecord(Record, frozen=True, tag="open"):
    """A process opened the log. ``reopened``: the same process had it open before, and a write had failed."""

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


class CloseRecord(Record, frozen=True, tag="close"):
    """The process closed the log in order."""

    counters: dict[str, int]


class HeartbeatRecord(Record, frozen=True, tag="heartbeat"):
    """The process lives. Silence is visible."""

    counters: dict[str, int]


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
    redactions: dict[str, int]
    content: Body | None
    coverage: Inspected
    refusal: Refusal | None
    config_digest: str
    duration_us: Natural
    connection: Identifier | None = None
    shadow: ShadowPart | UnsetType = UNSET


class OutcomeEntry(Record, frozen=True, tag="outcome"):
    """What became of a decided request. ``request_content`` stands only where its body was too large to be held,
    ``tokens`` only where a limit counts them."""

    decision_ref: Identifier
    status: int | None
    upstream_status: int | None
    aborted: str | None
    decisions: list[StageDecision]
    policy_input: dict[str, Any] | None
    detectors: list[DetectorRun]
    redactions: dict[str, int]
    restored: Natural
    content: Body | None
    size_bytes: Natural
    coverage: Inspected
    duration_us: Natural
    request_content: PassedPart | None = None
    tokens: SpentPart | None = None


OWN_KINDS: Final = frozenset({"open", "close", "heartbeat", "recovery"})
"""The kinds that only the writer itself makes."""

AnyRecord: TypeAlias = (
    OpenRecord | CloseRecord | HeartbeatRecord | RecoveryRecord | ConfigRecord | DecisionEntry | OutcomeEntry
)

_DECODER: Final[msgspec.json.Decoder[AnyRecord]] = msgspec.json.Decoder(AnyRecord)


def read_record(line: bytes) -> AnyRecord:
    """The record of a line. Raises ``NotCanonical`` if it does not fit the schema; its message holds no value."""
    try:
        return _DECODER.decode(line)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotCanonical(f"does not fit the schema: {error}") from None
