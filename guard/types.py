"""The nouns. Everything here is frozen; offsets are code points, scores lie in 0..1 (higher is more suspicious) and
durations carry their unit in their name. Imports nothing of ours but ``guard.folding``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from guard.folding import Folded, fold

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"
"""A JSON value as Python holds it."""

Stage = Literal["request", "response"]
Effect = Literal["allow", "deny"]
Severity = Literal["low", "medium", "high", "critical"]
Mode = Literal["enforce", "shadow"]
Provenance = Literal["user", "system", "assistant", "tool", "definition", "key", "metadata", "unknown"]
"""Whose words a segment holds. ``definition`` is a tool's or a schema's description, ``key`` an object key,
``metadata`` a field beside the conversation, ``unknown`` a position of no recognised shape."""


class _Undefined:
    """The value of a Rego reference that has none. There is one instance, ``UNDEFINED``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNDEFINED"

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = _Undefined()
Undefined: TypeAlias = _Undefined


# --- who ------------------------------------------------------------------------------------------------------------


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and how we know. Raw values: they enter records and policy documents only as keyed pseudonyms."""

    type: Literal["user", "service", "anonymous"]
    id: str
    tenant: str | None = None
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    authenticated: bool = False
    attributes: Mapping[str, str | int | bool] = {}
    method: Literal["jwt", "api_key", "scope_user", "trusted_header", "anonymous"] = "anonymous"


ANONYMOUS: Final = Principal(type="anonymous", id="anonymous")


# --- what was read --------------------------------------------------------------------------------------------------


class Segment(msgspec.Struct, frozen=True, gc=False):
    """One text of a body, at one position.

    ``pointer`` is a JSON pointer (RFC 6901) that is free of personal data from birth: tokens outside the recognised
    shapes are keyed hashes (``~1f0c…``), and a pointer goes on into JSON that is held in a string. The pointer of an
    object key is the pointer of its member. ``""`` is the whole body.
    """

    text: str
    pointer: str
    provenance: Provenance
    folded: Folded

    @classmethod
    def of(cls, text: str, pointer: str = "", provenance: Provenance = "unknown") -> Segment:
        """A segment with its folded form computed."""
        return cls(text, pointer, provenance, fold(text))


class Skipped(msgspec.Struct, frozen=True, gc=False):
    """A position that was not inspected, and why. ``reason`` is one of the words in ``docs/coverage.md``."""

    pointer: str
    reason: str


class Incomplete(msgspec.Struct, frozen=True):
    """A detector that did not finish. ``reason``: ``deadline``, ``limit`` or ``error``."""

    detector: str
    reason: str


class Coverage(msgspec.Struct, frozen=True):
    """What was inspected and what was not. "Not inspected" is never "clean"."""

    inspected: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    incomplete: tuple[Incomplete, ...] = ()


class Named(msgspec.Struct, frozen=True):
    """A string that the client chose (a model, a tool) and the pointer at which it stands."""

    value: str
    pointer: str


Operation = Literal["chat", "messages", "completion", "inference"]
"""``chat`` and ``messages`` are OpenAI's and Anthropic's APIs; the others are told by the members of a body."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a recognised shape says about the call, beside its texts. All zero for other bodies."""

    operation: Operation | None = None
    model: Named | None = None
    messages: int = 0
    tools: tuple[Named, ...] = ()
    tool_calls: tuple[Named, ...] = ()
    stream: bool = False
    max_tokens: int | None = None
    tokens_estimate: int = 0


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """A body that was read: its texts by position, what it says about the call, and what could not be read.

    ``tree`` belongs to ``guard.content``, which alone can write the body again with some segments replaced.
    """

    media_type: str
    size_bytes: int
    segments: tuple[Segment, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    facts: Facts = Facts()
    tree: Any = None


# --- what was seen --------------------------------------------------------------------------------------------------


class Finding(msgspec.Struct, frozen=True, gc=False):
    """Something that a detector saw in ``segments[segment].text[start:end]`` (code points of the original text).

    ``evidence`` names the pattern or rule that matched and is free of personal data.
    """

    type: str
    segment: int
    start: int
    end: int
    score: float
    detector: str
    evidence: str = ""


class DetectContext(msgspec.Struct, frozen=True):
    """What a detector may know beside the text. ``deadline`` is a value of ``time.monotonic()``, in seconds."""

    stage: Stage
    deadline: float


class DetectorInfo(msgspec.Struct, frozen=True):
    """How a detector stands in the record. ``digest`` identifies its configuration and model."""

    name: str
    version: str
    digest: str


class DetectorOutcome(msgspec.Struct, frozen=True):
    """How one detector fared with one body: ``ok``, or the reason of its ``Incomplete``."""

    info: DetectorInfo
    outcome: str
    duration_us: int


@runtime_checkable
class Detector(Protocol):
    """Pure for its input, bounded in memory and time, safe to call from several threads."""

    @property
    def info(self) -> DetectorInfo:
        """How it stands in the record."""
        ...

    @property
    def entities(self) -> frozenset[str]:
        """The types of finding that this detector can return."""
        ...

    def detect(self, segments: Sequence[Segment], context: DetectContext) -> list[Finding]:
        """All findings of the segments. Raises ``guard.errors.DetectionIncomplete`` if it could not finish."""
        ...


class BehaviourEvent(msgspec.Struct, frozen=True):
    """One request as a behaviour model sees it: a pseudonymous principal, a time, and numbers."""

    principal: str
    time_s: float
    features: Mapping[str, float]


class Feature(msgspec.Struct, frozen=True):
    """One feature's part in an anomaly. ``share`` lies in 0..1; the shares of one anomaly sum to 1 or are all 0."""

    name: str
    value: float
    expected: float
    share: float


class Anomaly(msgspec.Struct, frozen=True):
    """How unusual an event is for its principal. ``features`` come most unusual first."""

    score: float
    features: tuple[Feature, ...] = ()


@runtime_checkable
class BehaviourModel(Protocol):
    """Learns what is usual for each principal. Bounded in memory; time arrives with the event."""

    @property
    def info(self) -> DetectorInfo:
        """How it stands in the record."""
        ...

    def score(self, event: BehaviourEvent) -> Anomaly:
        """How unusual the event is. Changes nothing."""
        ...

    def learn(self, event: BehaviourEvent, effect: Effect) -> None:
        """Take the event into the baseline. A denied one neither counts nor teaches."""
        ...


# --- what was decided -----------------------------------------------------------------------------------------------


class Location(msgspec.Struct, frozen=True):
    """A place in a policy file; row and column count from 1."""

    file: str
    row: int
    col: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.row}"


class RuleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as its METADATA annotation describes it."""

    id: str
    title: str
    severity: Severity
    remediation: str
    mode: Mode
    location: Location


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a decision fell. ``code`` is stable (``docs/errors.md``); ``rule`` is the rule's id, if a rule spoke."""

    code: str
    title: str
    message: str
    rule: str | None = None
    severity: Severity = "high"
    pointers: tuple[str, ...] = ()
    remediation: str = ""
    location: Location | None = None


class Obligation(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must be done if the decision is to hold. One that cannot be performed denies."""

    type: str
    rule: str
    params: Mapping[str, Any] = {}


class EngineInfo(msgspec.Struct, frozen=True):
    """Which engine answers, from which policies. ``digest`` is the SHA-256 of the bundle, in hex."""

    name: str
    version: str
    revision: str
    digest: str


class Verdict(msgspec.Struct, frozen=True):
    """An engine's raw answer to one document."""

    value: Any
    """The value of the entrypoint, or ``UNDEFINED``."""
    duration_us: int = 0


@runtime_checkable
class PolicyEngine(Protocol):
    """Evaluates the entrypoint over a policy document; says nothing about what the answer means."""

    @property
    def info(self) -> EngineInfo:
        """Which engine and which policies."""
        ...

    @property
    def rules(self) -> Mapping[str, RuleInfo]:
        """The annotated rules by id; empty for an engine that does not tell."""
        ...

    async def start(self) -> None:
        """Open what the engine needs; raises ``EngineUnavailable`` if that is certain to fail."""
        ...

    async def stop(self) -> None:
        """Close it again."""
        ...

    async def evaluate(self, document: Mapping[str, Any], *, deadline: float) -> Verdict:
        """The entrypoint's value for this input.

        ``deadline`` is a value of ``time.monotonic()``. Raises ``PolicyTimeout``, ``EngineUnavailable`` or
        ``PolicyEvaluationError`` of ``guard.errors``, and nothing else.
        """
        ...


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to the exchange, and why."""

    stage: Stage
    effect: Effect
    reasons: tuple[Reason, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    would_deny: tuple[Reason, ...] = ()
    """Reasons of rules in shadow mode: recorded, without effect."""
    outage: bool = False  # the guard could not decide (engine, log): answered 503, not 403
    fail_open: str = ""  # the code of the failure despite which an ``unsafe_fail_open`` route lets it pass
    engine: EngineInfo | None = None
    duration_us: int = 0


class GuardContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the app finds in ``scope["guard"]``."""

    decision_id: str
    effect: Effect
    reasons: tuple[Reason, ...]
    obligations: tuple[Obligation, ...]
    findings: tuple[Finding, ...]
    anomaly: Anomaly
    route: Mapping[str, Any] | None
    principal: Principal


# --- what is kept ---------------------------------------------------------------------------------------------------

DecisionRecord: TypeAlias = "dict[str, Any]"
"""A record of the log: ASCII keys, integers, strings, booleans, null, lists and objects only (no floats)."""


class Receipt(msgspec.Struct, frozen=True):
    """A record's place in the log, told once it is durable."""

    seq: int
    id: str


class Checkpoint(msgspec.Struct, frozen=True):
    """A log's size and Merkle root (RFC 6962) at one moment, as signed in a C2SP checkpoint note."""

    origin: str
    size: int
    root: bytes


@runtime_checkable
class Signer(Protocol):
    """Signs checkpoints. ``name`` is the key name of the C2SP signed note, ``public_key`` 32 bytes of Ed25519."""

    @property
    def name(self) -> str:
        """The key name of the signed note."""
        ...

    @property
    def public_key(self) -> bytes:
        """32 bytes of Ed25519."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the Ed25519 signature (RFC 8032)."""
        ...


@runtime_checkable
class RecordLog(Protocol):
    """Where records become durable."""

    async def start(self) -> None:
        """Take a free origin, recover what a crash left, write an ``open`` record."""
        ...

    async def append(self, record: DecisionRecord) -> Receipt:
        """Returns when the record is durable (strict mode). Raises ``guard.errors.LogUnavailable``."""
        ...

    async def stop(self) -> None:
        """Writes what is queued and a ``close`` record."""
        ...
