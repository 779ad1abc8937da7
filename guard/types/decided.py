"""What policies answer and what is decided."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol, runtime_checkable

import msgspec

from guard.types.seen import Anomaly, Finding
from guard.types.who import Principal
from guard.types.words import Effect, Mode, Severity, Stage


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


class Trail(msgspec.Struct, frozen=True):
    """One body of a rule that can speak in a decision, as its text tells it. ``number`` is what ``Verdict.fired`` calls
    it; ``reads`` are the places that it may read (``input.findings[].type``, ``data.guard.settings.min_score``), a last
    ``…`` where some were left out; ``asks`` are the bodies that it may ask, by number."""

    number: int
    location: Location
    reads: tuple[str, ...] = ()
    asks: Mapping[int, Location] = {}


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a decision fell. ``code`` is stable (``docs/errors.md``); ``rule`` is the rule's id, if a rule spoke.

    ``location`` is the body that held, else the rule's annotated one; ``fired`` are the bodies that held for it, its
    own first, then those that it asked (empty where the engine does not tell); ``reads`` are the places that it may
    have read, in the policy author's words. No value stands in any of them.
    """

    code: str
    title: str
    message: str
    rule: str | None = None
    severity: Severity = "high"
    pointers: tuple[str, ...] = ()
    remediation: str = ""
    location: Location | None = None
    fired: tuple[Location, ...] = ()
    reads: tuple[str, ...] = ()


class Obligation(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must be done if the decision is to hold. One that cannot be performed denies.

    ``location`` is the body that obliged, ``reads`` what it may have read.
    """

    type: str
    rule: str
    params: Mapping[str, Any] = {}
    location: Location | None = None
    reads: tuple[str, ...] = ()


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
    fired: Collection[int] | None = None
    """The numbers of the bodies that held, in order; ``None`` for an engine that does not tell."""
    trails: Mapping[str, tuple[Trail, ...]] = {}
    """What is known of the bodies of each rule id, from the text of the policies that answered."""
    engine: EngineInfo | None = None
    """What gave this answer, where that can change between two; else the engine's ``info`` stands for it."""
    engine_decision_id: str = ""
    """The name that the engine gave the decision in a log of its own."""


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

        ``deadline`` is a value of ``time.monotonic()``. Raises ``PolicyTimeout``, ``EngineUnavailable``,
        ``UnexpectedPolicies`` or ``PolicyEvaluationError`` of ``guard.errors``, and nothing else.
        """
        ...


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """What the candidate policies would have decided: recorded, without effect.

    ``effect`` is ``None`` and ``error`` the code where the candidate came to no decision. ``changed``: the effect or
    the obligations are others than those of the policies that decide; what only one of the two obliges to is ``added``
    or ``removed``.
    """

    engine: EngineInfo
    effect: Effect | None
    changed: bool = False
    reasons: tuple[Reason, ...] = ()
    added: tuple[Obligation, ...] = ()
    removed: tuple[Obligation, ...] = ()
    error: str = ""
    duration_us: int = 0


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
    engine_decision_id: str = ""
    duration_us: int = 0
    shadow: Shadow | None = None
    retry_after_seconds: int | None = None  # a limit is used up: answered 429


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
