"""The groups of fields of which records are made. ``docs/log-format.md`` describes each; strings in
``hmac:<key id>:<hex>`` form are keyed pseudonyms."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from guard.record.canonical import Integer, Natural
from guard.record.shadow import ShadowPart

MAX_FIRED: Final = 8
MAX_READS: Final = 24
MAX_COUNTERFACTUALS: Final = 8
MAX_EVIDENCE: Final = 16
MAX_SAID: Final = 160
Hex64 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Identifier = Annotated[str, Meta(min_length=1, max_length=128)]
Keyed = Annotated[str, Meta(pattern="^hmac:[a-z0-9]{4,16}:[0-9a-f]{32}$")]
AskedName = Annotated[str, Meta(pattern="^[a-z_]{1,32}$")]
CLOSED_WORDS: Final = (
    *("allow", "deny", "last"),
    *("decision", "outcome", "open", "close", "heartbeat", "recovery", "config", "audit_read"),
    *("key", "suppressed", "writer", "label"),
)
"""What may stand in ``asked`` of a reading as it was typed."""
_PLAIN: Final = "[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|hmac:[a-z0-9]{4,16}:[0-9a-f]{32}"
ASKED: Final = f"^({'|'.join(CLOSED_WORDS)}|{_PLAIN})$"
"""Closed words, ids (UUIDs) and keyed pseudonyms."""
LABEL_ABOUT: Final = "^[A-Za-z][A-Za-z0-9_]{0,63}$"
"""What a label is about: a type of finding, or ``behaviour``."""
LABEL_NOTE: Final = "^[A-Za-z0-9][A-Za-z0-9._/#-]{0,63}$"
"""The id of a ticket."""
AskedValue: TypeAlias = Annotated[str, Meta(pattern=ASKED)] | Integer | bool


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
    http_status: Integer | None
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


class Counterfactual(_Part, frozen=True, rename={"from_": "from"}):
    """The smallest change of one place of the policy input that would have changed the effect. Scores and amounts are
    thousandths, as in the policy input; a string is one that the policy input holds."""

    feature: Annotated[str, Meta(max_length=256)]
    from_: str | Integer | bool | None
    to: str | Integer | bool | None
    effect: Literal["allow", "deny"]


class Evidence(_Part, frozen=True):
    """Why a detector found a type at a place, in its words: rules, patterns, concepts and their shares. Of the finding
    with the highest score there."""

    type: Annotated[str, Meta(max_length=128)]
    detector: Annotated[str, Meta(max_length=128)]
    pointer: str
    said: Annotated[str, Meta(pattern="^[A-Za-z0-9 ,.:;%()/_+<>='#?-]{1,160}$")]


class Software(_Part, frozen=True):
    """What wrote the log."""

    name: str
    version: str
