"""What ``guard log query`` can be asked for: options as they are typed, and the filter that they make."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from guard.cli.log_shadow import since_us
from guard.errors import ConfigError, KeyInvalid
from guard.keyed import KeyedHash
from guard.record.keys import PSEUDONYM_KEY, load_pseudonym_key
from guard.record.tenant_keys import TenantKeys
from guard.review.filters import KINDS, Filter
from guard.review.pseudonyms import Pseudonyms, stands_plainly
from guard.review.reading import keys_beside

_HMAC: Final = "hmac:"
_STDIN: Final = "-"
_WHEN: Final = "WHEN"

Since = Annotated[str, typer.Option(metavar=_WHEN, help="From: 30m, 12h or 7d ago, or an ISO date or time (UTC).")]
Until = Annotated[str, typer.Option(metavar=_WHEN, help="Before: the same forms.")]
Effect = Annotated[str | None, typer.Option(metavar="EFFECT", help="Only allow, or only deny.")]
Rule = Annotated[str | None, typer.Option(metavar="ID", help="A rule that spoke, in shadow mode too.")]
Code = Annotated[str | None, typer.Option(metavar="CODE", help="A reason's code, of docs/errors.md.")]
Subject = Annotated[
    str | None, typer.Option(metavar="WHO", help="Who asked: the id as it is, its pseudonym, or - for stdin.")
]
Ip = Annotated[str | None, typer.Option(metavar="IP", help="The client's address, its pseudonym, or - for stdin.")]
Tenant = Annotated[str | None, typer.Option(metavar="NAME", help="The tenant, or its pseudonym.")]
RequestId = Annotated[str | None, typer.Option(metavar="ID", help="The client's request id, or its pseudonym.")]
TraceId = Annotated[str | None, typer.Option(metavar="ID", help="The trace id of W3C Trace Context.")]
Route = Annotated[str | None, typer.Option(metavar="PATTERN", help="The route's pattern in guard.toml.")]
Model = Annotated[str | None, typer.Option(metavar="NAME", help="The model that was asked for.")]
Provider = Annotated[str | None, typer.Option(metavar="NAME", help="The provider of the route.")]
Finding = Annotated[str | None, typer.Option(metavar="TYPE", help="A type of finding, such as CREDIT_CARD.")]
Unusual = Annotated[float, typer.Option(min=0, max=1, metavar="SCORE", help="At least this unusual: 0 to 1.")]
Kind = Annotated[str | None, typer.Option(metavar="KIND", help=f"Only records of this kind: {', '.join(KINDS)}.")]
RecordId = Annotated[str, typer.Option("--id", metavar="ID", help="Only the exchange whose id begins so.")]
Changed = Annotated[
    bool, typer.Option("--changed", help="Only records in which something in shadow would decide otherwise.")
]
KeyFile = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="The pseudonym key; else the one beside the log.")
]


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed."""

    since: str = ""
    until: str = ""
    effect: str | None = None
    rule: str | None = None
    code: str | None = None
    subject: str | None = None
    ip: str | None = None
    tenant: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    route: str | None = None
    model: str | None = None
    provider: str | None = None
    finding: str | None = None
    anomaly: float = 0.0
    kind: str | None = None
    record_id: str = ""
    changed: bool = False

    def wanted(self, look: Look) -> Filter:
        """The filter. Raises ``typer.BadParameter``, and ``KeyInvalid`` where a raw value needs the key."""
        now_us = time.time_ns() // 1000
        look.within(self.tenant)
        return Filter(
            effect=checked_effect(self.effect),
            rule=self.rule,
            kind=checked_kind(self.kind),
            id_prefix=self.record_id,
            changed=self.changed,
            since_us=since_us(self.since, now_us) if self.since else None,
            until_us=since_us(self.until, now_us) if self.until else None,
            code=self.code,
            subjects=look.up("subject", self.subject),
            tenants=look.up("tenant", self.tenant),
            clients=look.up("ip", self.ip),
            request_ids=look.up("request", self.request_id),
            trace_ids=look.up("trace", self.trace_id),
            route=self.route,
            model=self.model,
            provider=self.provider,
            finding=self.finding,
            anomaly=round(self.anomaly * 1000),
            housekeeping=self.kind is not None or self.record_id != "",
        )

    def asked(self, wanted: Filter) -> dict[str, str | int | bool | None]:
        """What is recorded of the conditions: looked-up values as what they were looked up as."""
        return {
            **{name: getattr(self, name) for name in ("effect", "rule", "code", "route", "model", "provider")},
            **{name: getattr(self, name) for name in ("finding", "kind", "changed")},
            "since": wanted.since_us,
            "until": wanted.until_us,
            "anomaly": wanted.anomaly,
            "id": self.record_id,
            "subject": _hidden(wanted.subjects),
            "ip": _hidden(wanted.clients),
            "tenant": _hidden(wanted.tenants),
            "request_id": _hidden(wanted.request_ids),
            "trace_id": _hidden(wanted.trace_ids),
        }


class Look:
    """Turns what was typed into what may stand in records. Loads the key only where one is needed."""

    def __init__(self, log: Path, key: Path | None) -> None:
        self._log = log
        self._key = key
        self._tenant: str | None = None
        self._pseudonyms: Pseudonyms | None = None

    def within(self, tenant: str | None) -> None:
        """Look under the key of this tenant, not of every one."""
        self._tenant = None if tenant is None or tenant.startswith(_HMAC) else tenant

    def up(self, kind: str, value: str | None) -> frozenset[str]:
        """What may stand for a value; nothing for ``None``. Raises ``KeyInvalid``, ``ConfigError``."""
        if value is None:
            return frozenset()
        value = from_stdin(value)
        if not value:
            raise ConfigError(f"the {kind} to look for is empty")
        if value.startswith(_HMAC):
            return frozenset({value})
        if self._pseudonyms is None:
            self._pseudonyms = self._held(kind, value)
        return frozenset(alias.stands for alias in self._pseudonyms.of(kind, value))

    def _held(self, kind: str, value: str) -> Pseudonyms:
        try:
            return Pseudonyms(pseudonym_keys(self._log, self._key, self._tenant))
        except KeyInvalid:
            if self._key is None and stands_plainly(kind, value):
                return Pseudonyms([])
            raise


def checked_effect(effect: str | None) -> str | None:
    """An effect, or none. Raises ``typer.BadParameter``."""
    if effect not in (None, "allow", "deny"):
        raise typer.BadParameter("--effect is allow or deny")
    return effect


def checked_kind(kind: str | None) -> str | None:
    """A kind of record, or none. Raises ``typer.BadParameter``."""
    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(f"--kind is one of {', '.join(KINDS)}")
    return kind


def pseudonym_keys(log: Path, given: Path | None, tenant: str | None) -> list[KeyedHash]:
    """The keys under which a value may stand in records: of the tenant, if it has one of its own, and the deployment's;
    of every tenant where none is named. Raises ``KeyInvalid``."""
    if given is not None:
        return [load_pseudonym_key(given)]
    directory = keys_beside(log)
    deployment = load_pseudonym_key(directory / PSEUDONYM_KEY)
    tenants = TenantKeys(directory, deployment)
    if tenant is None:
        return [deployment, *tenants.all()]
    own = tenants.existing(tenant)
    return [deployment] if own is None else [own, deployment]


def from_stdin(value: str) -> str:
    """The value, or the first line of stdin for ``-``: what is typed on a command line stays in the shell's history.

    Raises ``typer.BadParameter``.
    """
    if value != _STDIN:
        return value
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        raise typer.BadParameter("- reads a value from stdin, and there was none")
    return line


def _hidden(stands: frozenset[str]) -> str | None:
    return max(stands, key=lambda value: value.startswith(_HMAC), default=None)
