"""Which records are wanted: conditions that all have to hold, and a cheap look at a line before it is parsed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

import msgspec

from guard.record.schema import AnyRecord
from guard.review.shadow import differs, rules_in_shadow
from guard.types import DecisionRecord

KINDS: Final[tuple[str, ...]] = tuple(str(kind.__struct_config__.tag) for kind in get_args(AnyRecord))
"""Every kind of record."""
HOUSEKEEPING: Final = ("-reads", "-writers", "-keys")
"""How the names of origins end that tell of the log itself: who read it, who writes it, which keys were destroyed."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which records are wanted; every condition that is given must hold. ``None``, ``""`` and an empty set are none.

    ``effect`` looks at decisions and at the verdicts of outcomes; ``rule`` and ``code`` at their reasons, ``rule`` also
    at rules in shadow mode and at those of candidates. ``changed``: something in shadow would have decided otherwise.

    ``subjects``, ``tenants``, ``clients`` (addresses), ``request_ids`` and ``trace_ids`` hold what may stand in the
    record: a pseudonym for each key, or a name as it is. They, ``route``, ``model``, ``provider``, ``finding`` (a type)
    and ``anomaly`` (the least score, in thousandths) look at decisions, and at outcomes whose answer was judged.
    Times are microseconds since the Unix epoch, the first included and the last not. ``housekeeping``: also the records
    of origins that tell of the log itself.
    """

    effect: str | None = None
    rule: str | None = None
    kind: str | None = None
    id_prefix: str = ""
    changed: bool = False
    since_us: int | None = None
    until_us: int | None = None
    code: str | None = None
    subjects: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    request_ids: frozenset[str] = frozenset()
    trace_ids: frozenset[str] = frozenset()
    route: str | None = None
    model: str | None = None
    provider: str | None = None
    finding: str | None = None
    anomaly: int = 0
    housekeeping: bool = True

    def matches(self, record: DecisionRecord) -> bool:
        """Whether the record is wanted."""
        return self._of_record(record) and self._of_verdicts(record) and self._of_request(record)

    def needles(self) -> list[tuple[bytes, ...]]:
        """For each condition the byte strings of which one stands in every line that is wanted."""
        single = (self.effect, self.rule, self.kind, self.code, self.route, self.model, self.provider, self.finding)
        sets = (self.subjects, self.tenants, self.clients, self.request_ids, self.trace_ids)
        found: list[tuple[bytes, ...]] = [(_spelled(value),) for value in single if value is not None]
        found += [tuple(map(_spelled, values)) for values in sets if values]
        # The end of the id is not known: its closing quotation mark is taken off.
        return [*found, (_spelled(self.id_prefix)[:-1],)] if self.id_prefix else found

    def _of_record(self, record: DecisionRecord) -> bool:
        if self.kind is not None and record["kind"] != self.kind:
            return False
        if self.id_prefix and not _exchange_id(record).startswith(self.id_prefix):
            return False
        if not self.housekeeping and str(record.get("origin", "")).endswith(HOUSEKEEPING):
            return False
        moment: int = record["ts_us"]
        return not (
            (self.since_us is not None and moment < self.since_us)
            or (self.until_us is not None and moment >= self.until_us)
        )

    def _of_verdicts(self, record: DecisionRecord) -> bool:
        if self.effect is not None and self.effect not in effects(record):
            return False
        if self.changed and not differs(record):
            return False
        if self.code is not None and self.code not in codes(record):
            return False
        return self.rule is None or self.rule in rules(record) or self.rule in rules_in_shadow(record)

    def _of_request(self, record: DecisionRecord) -> bool:
        wanted = {name: getattr(self, name) for name in _SETS if getattr(self, name)}
        single = {name: getattr(self, name) for name in _SINGLE if getattr(self, name) is not None}
        if not (wanted or single or self.finding or self.anomaly):
            return True
        said = _said(record)
        if any(said[name] not in values for name, values in wanted.items()):
            return False
        if any(said[name] != value for name, value in single.items()):
            return False
        document = record.get("policy_input") or {}
        if self.finding and all(finding.get("type") != self.finding for finding in document.get("findings", ())):
            return False
        scored: int = (document.get("anomaly") or {}).get("score", 0)
        return scored >= self.anomaly


_SETS: Final = ("subjects", "tenants", "clients", "request_ids", "trace_ids")
_SINGLE: Final = ("route", "model", "provider")


def _said(record: DecisionRecord) -> Mapping[str, Any]:
    """What the record says of its request, by the conditions' names; an outcome has it in its policy input."""
    document = record.get("policy_input") or {}
    subject, context = document.get("subject") or {}, document.get("context") or {}
    who = record.get("who") or {"id": subject.get("id"), "tenant": subject.get("tenant"), "ip": context.get("client")}
    what = record.get("what") or document.get("resource") or {}
    return {
        "subjects": who["id"],
        "tenants": who["tenant"],
        "clients": who["ip"],
        "request_ids": record.get("request_id", context.get("request_id")),
        "trace_ids": record.get("trace_id"),
        "route": what.get("route"),
        "model": what.get("model"),
        "provider": what.get("provider"),
    }


def effects(record: DecisionRecord) -> set[str]:
    """Every effect that the record tells of."""
    if record["kind"] == "decision":
        return {record["decision"]["effect"]}
    return {verdict["effect"] for verdict in record.get("decisions", ())}


def rules(record: DecisionRecord, *, shadow: bool = True) -> list[str]:
    """The ids of the rules that spoke, enforced ones first, each once; with ``shadow``, those in shadow mode, too."""
    fields = ("why", "would_deny") if shadow else ("why",)
    named = [why["rule"] for field in fields for verdict in _verdicts(record) for why in verdict.get(field, ())]
    return [rule for rule in dict.fromkeys(named) if rule]


def codes(record: DecisionRecord) -> set[str]:
    """The codes of the reasons that held, of a refused body, and of what failed."""
    found = {why["code"] for verdict in _verdicts(record) for why in verdict.get("why", ())}
    fails = [(verdict.get("decision") or verdict).get("fail") for verdict in _verdicts(record)]
    found |= {fail["kind"] for fail in fails if fail}
    refusal = record.get("refusal")
    return found | {refusal["code"]} if refusal else found


def _verdicts(record: DecisionRecord) -> Iterator[Mapping[str, Any]]:
    yield record
    yield from record.get("decisions", ())


def _exchange_id(record: DecisionRecord) -> str:
    return str(record.get("decision_ref") or record["id"])


def _spelled(value: str) -> bytes:
    """A string as it stands in a record, which is canonical: there is one spelling."""
    return msgspec.json.encode(value)
