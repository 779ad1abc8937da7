"""What would change: the verdicts of candidate policies, and of rules in shadow mode, against those that held.

A verdict that would let in what was denied comes first: it is the one to look at before a rollout.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from guard.types import DecisionRecord

Change = Literal["deny_to_allow", "allow_to_deny", "obligations"]
ORDER: Final[tuple[Change, ...]] = ("deny_to_allow", "allow_to_deny", "obligations")
_SWITCHING_PROTOCOLS: Final = 101
_EXAMPLES: Final = 3
_Found: TypeAlias = tuple[Change, str, str, str]


class Row(msgspec.Struct):
    """One rule, and how often it would change a verdict of one stage. ``decisions`` are ids, the newest last.

    ``rule`` is the candidate's for what it would deny or oblige to, the live one's for what it would let in.
    """

    change: Change
    rule: str
    stage: str
    severity: str
    obligation: str = ""
    count: int = 0
    decisions: list[str] = []


class Impact(msgspec.Struct, kw_only=True):
    """One candidate, or the rules in shadow mode of the policies that decide (then without revision and digest).

    ``judged`` counts requests, messages and answers on which there is a verdict, ``changed`` those that would be
    decided otherwise. ``failed`` counts verdicts that did not come about, by code. Durations are those of a candidate.
    """

    revision: str = ""
    digest: str = ""
    judged: int = 0
    changed: int = 0
    failed: dict[str, int] = {}
    mean_us: int = 0
    most_us: int = 0
    rows: list[Row] = []


class Summary(msgspec.Struct, kw_only=True):
    """``candidates`` come newest first. ``lost`` counts records that were too long to hold their shadow."""

    candidates: list[Impact]
    rules: Impact
    lost: int = 0
    first_ts_us: int | None = None
    last_ts_us: int | None = None


class _Tally:
    """Counts for one candidate, or for the rules in shadow mode."""

    def __init__(self) -> None:
        self.impact = Impact()
        self._rows: dict[tuple[Change, str, str, str, str], Row] = {}
        self._total_us = self._evaluated = 0

    def note(self, record: DecisionRecord, verdicts: list[Mapping[str, Any]]) -> None:
        """Take the verdicts on one request, message or answer in: each rule once, however often a stream was judged."""
        impact = self.impact
        impact.judged += 1
        found = dict.fromkeys(change for verdict in verdicts for change in self._changes(verdict))
        impact.changed += bool(found)
        stage = stage_of(record)
        for change, rule, severity, obligation in found:
            key = (change, rule, stage, severity, obligation)
            row = self._rows.setdefault(key, Row(*key))
            row.count += 1
            row.decisions = [*row.decisions, decision_id(record)][-_EXAMPLES:]

    def finish(self) -> Impact:
        """The rows in their order: what would be let in first, then the most frequent."""
        impact = self.impact
        impact.mean_us = round(self._total_us / self._evaluated) if self._evaluated else 0
        impact.rows = sorted(self._rows.values(), key=lambda row: (ORDER.index(row.change), -row.count, row.rule))
        return impact

    def _changes(self, verdict: Mapping[str, Any]) -> Iterator[_Found]:
        shadow = verdict.get("shadow")
        if shadow is None:
            if verdict["effect"] == "allow":
                yield from _each("allow_to_deny", verdict["would_deny"])
            return
        impact = self.impact
        impact.revision, impact.digest = shadow["revision"], shadow["digest"]
        if shadow["error"]:
            impact.failed[shadow["error"]] = impact.failed.get(shadow["error"], 0) + 1
        if shadow["duration_us"]:
            self._evaluated += 1
            self._total_us += shadow["duration_us"]
            impact.most_us = max(impact.most_us, shadow["duration_us"])
        if not shadow["changed"]:
            return
        if shadow["effect"] == "deny":
            yield from _each("allow_to_deny", shadow["would_deny"])
        elif verdict["effect"] == "deny":
            yield from _each("deny_to_allow", verdict["why"])
        for duty in shadow["obligations"]:
            yield "obligations", duty["rule"], "", described(duty)


def summarised(records: Iterable[DecisionRecord], *, revision: str = "") -> Summary:
    """What would change, of records in the order of time; with ``revision``, of candidates whose revision begins so."""
    candidates: dict[str, _Tally] = {}
    rules = _Tally()
    summary = Summary(candidates=[], rules=rules.impact)
    for record in records:
        if record["kind"] not in ("decision", "outcome"):
            continue
        summary.first_ts_us = record["ts_us"] if summary.first_ts_us is None else summary.first_ts_us
        summary.last_ts_us = record["ts_us"]
        summary.lost += "shadow" in record.get("dropped", ())
        verdicts = verdicts_of(record)
        by_digest: dict[str, list[Mapping[str, Any]]] = {}
        for verdict in verdicts:
            if (shadow := verdict.get("shadow")) and shadow["revision"].startswith(revision):
                by_digest.setdefault(shadow["digest"], []).append(verdict)
        for digest, judged in by_digest.items():
            candidates.setdefault(digest, _Tally()).note(record, judged)
            candidates[digest] = candidates.pop(digest)  # the last one that was seen stands last
        if verdicts:
            rules.note(record, [{**verdict, "shadow": None} for verdict in verdicts])
    summary.candidates = [tally.finish() for tally in reversed(candidates.values())]
    summary.rules = rules.finish()
    return summary


def verdicts_of(record: DecisionRecord) -> list[Mapping[str, Any]]:
    """Every verdict that a record tells of, flat: ``effect``, ``why``, ``would_deny``, ``shadow`` where there is one.

    Those of a connection's outcome stand in records of their own, too, and are left out.
    """
    if record["kind"] not in ("decision", "outcome"):
        return []
    if record["kind"] == "decision":
        shadow = {"shadow": record["shadow"]} if "shadow" in record else {}
        return [
            {
                "effect": record["decision"]["effect"],
                "why": record["why"],
                "would_deny": record["would_deny"],
                **shadow,
            }
        ]
    if record.get("status") == _SWITCHING_PROTOCOLS:
        return []
    decisions: list[Mapping[str, Any]] = record.get("decisions", [])
    return decisions


def rules_in_shadow(record: DecisionRecord) -> set[str]:
    """The candidate's rules that would have denied or obliged otherwise."""
    shadows = [shadow for verdict in verdicts_of(record) if (shadow := verdict.get("shadow"))]
    return {part["rule"] for shadow in shadows for part in (*shadow["would_deny"], *shadow["obligations"])}


def changes(record: DecisionRecord) -> list[str]:
    """In a few words what would be otherwise, each once: for one line on a record."""
    said: list[str] = []
    for verdict in verdicts_of(record):
        shadow = verdict.get("shadow")
        if verdict["effect"] == "allow" and verdict["would_deny"]:
            said.append(f"rule in shadow would deny ({', '.join(names(verdict['would_deny']))})")
        if shadow and shadow["changed"] and shadow["effect"] != verdict["effect"]:
            named = ", ".join(names(shadow["would_deny"]))
            said.append(f"candidate would {shadow['effect']}" + (f" ({named})" if named else ""))
        elif shadow and shadow["changed"]:
            said.append("candidate would oblige otherwise")
        elif shadow and shadow["error"]:
            said.append(f"candidate failed ({shadow['error']})")
    return list(dict.fromkeys(said))


def differs(record: DecisionRecord) -> bool:
    """Whether something in shadow would have changed a verdict of the record."""
    return any(
        (verdict["effect"] == "allow" and verdict["would_deny"]) or (verdict.get("shadow") or {}).get("changed")
        for verdict in verdicts_of(record)
    )


def sentence(verdict: Mapping[str, Any], subject: str) -> str:
    """What the candidate would have done with ``subject``, in one sentence; empty where none judged it."""
    shadow = verdict.get("shadow")
    if shadow is None:
        return ""
    if shadow["error"]:
        return f"Revision {shadow['revision']} came to no decision on {subject}: {shadow['error']}."
    verb = "denied" if shadow["effect"] == "deny" else "allowed"
    said = f"Revision {shadow['revision']} would have {verb} {subject}"
    if shadow["effect"] == verdict["effect"]:
        said += ", too" if not shadow["changed"] else ", with other obligations"
    listed = [_placed(why) for why in shadow["would_deny"]] + [
        f"{duty['rule']} {described(duty)}" for duty in shadow["obligations"]
    ]
    more = shadow["would_deny_total"] + shadow["obligations_total"] - len(listed)
    listed += [f"{more} more"] if more else []
    return f"{said}: {'; '.join(listed)}." if listed else f"{said}."


def names(reasons: Iterable[Mapping[str, Any]]) -> list[str]:
    """The rules of reasons, or the codes where no rule spoke; each once."""
    return list(dict.fromkeys(str(reason["rule"] or reason["code"]) for reason in reasons))


def described(duty: Mapping[str, Any]) -> str:
    """An obligation that differs, in a few words: ``adds redact EMAIL_ADDRESS drop``."""
    parts = ("adds" if duty["change"] == "added" else "leaves out", duty["type"], duty["entity"], duty["operator"])
    return " ".join(part for part in parts if part)


def stage_of(record: DecisionRecord) -> str:
    """``request`` or ``response``."""
    return str(record.get("stage", "response"))


def decision_id(record: DecisionRecord) -> str:
    """The id that ``guard log show`` takes."""
    return str(record.get("decision_ref") or record["id"])


def _each(change: Change, reasons: Iterable[Mapping[str, Any]]) -> Iterator[_Found]:
    severities = {str(reason["rule"] or reason["code"]): reason["severity"] for reason in reasons}
    for rule, severity in severities.items():
        yield change, rule, severity, ""


def _placed(why: Mapping[str, Any]) -> str:
    place = f" at {why['location']}" if why["location"] else ""
    return f"{why['rule'] or why['code']} ({why['severity']}){place}"
