"""A decision in plain sentences: who, what, which rule, where, what was found, the remedy, what was not inspected, what
was done, and the answer's fate. Everything said here stands in the record; nothing else is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from guard.review.query import Exchange
from guard.review.shadow import sentence, verdicts_of
from guard.types import DecisionRecord

_SHOWN: Final = 8
_WHO: Final = {"user": "The user", "service": "The service", "anonymous": "An anonymous caller"}
_ABORTED: Final = {
    "denied": "The answer was withheld and a denial sent instead.",
    "stopped": "The stream was ended with an error event.",
    "app_error": "The app failed before its answer was whole.",
    "incomplete": "The app ended before its answer was whole.",
    "client_left": "The client left before its answer was whole.",
    "cancelled": "The server ended the exchange before its answer was whole.",
}


class Section(msgspec.Struct, frozen=True):
    """A heading of one word or two, and sentences."""

    title: str
    sentences: list[str]


def explain(exchange: Exchange) -> list[Section]:
    """The sections that have something to say, in the order of the request's way."""
    decision, outcome = exchange.decision, exchange.outcome
    sections = [
        Section("Decision", _verdict(decision)),
        Section("Who", _who(decision["who"])),
        Section("What", _what(decision)),
        Section("Why", [sentence for why in decision["why"] for sentence in _why(why)]),
        Section("Would deny", _would_deny(decision, outcome)),
        Section("Candidate", _candidate(decision, outcome)),
        Section("Found", _found(decision["policy_input"])),
        Section("Not inspected", _not_inspected(decision["coverage"])),
        Section("Done", _done(decision)),
        Section("Answer", _answer(decision, outcome)),
        Section("Policy", _policy(decision)),
        Section("Record", _place(decision, outcome)),
    ]
    return [section for section in sections if section.sentences]


def explain_reload(record: DecisionRecord) -> list[Section]:
    """The sections of a ``config`` record."""
    before, after, error = record["before"], record["after"], record["error"]
    decides = "goes on deciding" if error else "decided before"
    sections = [
        Section("Reload", _reload(error)),
        Section("Before", [f"{said[:-1]} {decides}." for said in _standing(before)]),
        Section("After", [] if after is None else _standing(after)),
        Section("Candidate", _candidates(before, after)),
        Section("Detectors", _detectors(before, after)),
        Section("Record", [f"Record {record['seq']} of {record['origin']}, {when(record)}."]),
    ]
    return [section for section in sections if section.sentences]


def reload_summary(record: DecisionRecord) -> list[str]:
    """A ``config`` record in a few words."""
    before, after, error = record["before"], record["after"], record["error"]
    if error:
        return ["refused", error["code"], error["where"], f"still {_revision(before)}"]
    changed = "" if before["config_digest"] == after["config_digest"] else "configuration changed"
    had, has = _candidate_revision(before), _candidate_revision(after)
    candidate = "" if had == has else f"candidate {had} -> {has}"
    return ["applied", f"{_revision(before)} -> {_revision(after)}", candidate, changed]


def _reload(error: Mapping[str, Any] | None) -> list[str]:
    if error is None:
        return ["A changed configuration, or changed policies, were applied."]
    place = f" at {error['where']}" if error["where"] else ""
    return [f"A changed configuration, or changed policies, were refused: {error['code']}{place}."]


def _standing(standing: Mapping[str, Any]) -> list[str]:
    said = [f"Configuration {standing['config_digest'][:16]}."]
    if (policy := standing["policy"]) is not None:
        engine = f"{policy['engine']} engine {policy['version']}".rstrip()
        said.append(f"Policies {_revision(standing)} ({policy['digest'][:16]}) on the {engine}.")
    return said


def _revision(standing: Mapping[str, Any]) -> str:
    policy = standing["policy"]
    return str(policy["revision"] or "unknown") if policy else "none"


def _candidates(before: Mapping[str, Any], after: Mapping[str, Any] | None) -> list[str]:
    """Which policies were in shadow, and which are now."""
    had, has = _candidate_revision(before), _candidate_revision(before if after is None else after)
    if had == has:
        return [] if had == "none" else [f"{had}, in shadow."]
    return [f"{had} before, {has} from here on, in shadow."]


def _candidate_revision(standing: Mapping[str, Any]) -> str:
    candidate = standing.get("candidate")
    return str(candidate["revision"]) if candidate else "none"


def _detectors(before: Mapping[str, Any], after: Mapping[str, Any] | None) -> list[str]:
    had = {detector["name"]: detector for detector in before["detectors"]}
    has = had if after is None else {detector["name"]: detector for detector in after["detectors"]}
    said = [f"{', '.join(has)}." if has else "None."]
    said += [f"{name} is new." for name in has if name not in had]
    said += [f"{name} runs no more." for name in had if name not in has]
    return said + [f"{name} changed." for name in has if name in had and has[name] != had[name]]


def when(record: DecisionRecord) -> str:
    """The record's time, UTC, to the millisecond."""
    moment = datetime.fromtimestamp(record["ts_us"] / 1e6, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def _verdict(decision: DecisionRecord) -> list[str]:
    ruling = decision["decision"]
    fail = ruling["fail"]
    if fail and fail["policy"] == "open":
        said = f"The request was let through although the guard failed: its route fails open ({_failure(fail)})."
    elif ruling["effect"] == "allow":
        said = "The request was allowed."
    elif fail:
        said = f"The request was refused because the guard could not decide ({_failure(fail)})."
    else:
        said = "The request was denied."
    if decision["refusal"]:
        refusal = decision["refusal"]
        place = f" at {refusal['where']}" if refusal["where"] else ""
        said = f"The request's body was refused unread: {refusal['code']}{place}."
    status = ruling["http_status"]
    return [said if status is None else f"{said[:-1]}, and answered {status}."]


def _failure(fail: Mapping[str, Any]) -> str:
    return f"{fail['component']}: {fail['kind']}"


def _who(who: Mapping[str, Any]) -> list[str]:
    said = _WHO[who["type"]] + (f" {who['id']}" if who["id"] else "")
    said += f" of tenant {who['tenant']}" if who["tenant"] else ""
    said += f" from {who['ip']}" if who["ip"] else ""
    proof = f"identified by {who['method']}" if who["authenticated"] else "not authenticated"
    roles = f", with the roles {', '.join(who['roles'])}" if who["roles"] else ""
    return [f"{said}, {proof}{roles}."]


def _what(decision: DecisionRecord) -> list[str]:
    what = decision["what"]
    said = f"{what['method']} on route {what['route'] or '(none)'}"
    if what["operation"]:
        said += f", a {what['operation']} call"
    if what["model"]:
        said += f" to the model {what['model']}"
    if what["provider"]:
        said += f" of provider {what['provider']}"
    size = decision["content"]
    return [f"{said}." if size is None else f"{said}, with a body of {size['bytes']} bytes."]


def _why(why: Mapping[str, Any]) -> list[str]:
    named = f"Rule {why['rule']}" if why["rule"] else f"Reason {why['code']}"
    said = [f'{named} ({why["severity"]}), "{why["title"]}": {_stopped(why["message"])}']
    if why["pointers"]:
        said.append(f"At {_listed(why['pointers'], total=why['pointers_total'])}.")
    if why["remediation"]:
        said.append(f"Remedy: {why['remediation']}")
    if why["location"]:
        said.append(f"The rule stands in {why['location']}.")
    return said


def _would_deny(decision: DecisionRecord, outcome: DecisionRecord | None) -> list[str]:
    """What rules in shadow mode said of the request, then of the answer."""
    of_request = [sentence for why in decision["would_deny"] for sentence in _why(why)]
    verdicts = outcome["decisions"] if outcome else ()
    of_answer = [sentence for verdict in verdicts for why in verdict["would_deny"] for sentence in _why(why)]
    return of_request + [f"In the answer: {sentence}" for sentence in dict.fromkeys(of_answer)]


def _candidate(decision: DecisionRecord, outcome: DecisionRecord | None) -> list[str]:
    """What candidate policies would have done with the request, then with the answer."""
    subject = "the message" if decision.get("connection") else "the request"
    said = [sentence(verdict, subject) for verdict in verdicts_of(decision)]
    said += [sentence(verdict, "the answer") for verdict in verdicts_of(outcome)] if outcome else []
    return list(dict.fromkeys(filter(None, said)))


def _found(policy_input: Mapping[str, Any] | None) -> list[str]:
    if not policy_input:
        return []
    said = [
        f"{finding['count']} {finding['type']} at {finding['pointer'] or 'the whole body'}, "
        f"score {finding['score'] / 1000:.2f} ({finding['detector']})."
        for finding in policy_input["findings"][:_SHOWN]
    ]
    more = len(policy_input["findings"]) - _SHOWN
    if more > 0:
        said.append(f"{more} more kinds of finding.")
    anomaly = policy_input["anomaly"]
    if anomaly["score"]:
        parts = [f"{feature['name']} ({feature['share'] / 10:.0f} %)" for feature in anomaly["features"][:3]]
        because = f", mostly by {', '.join(parts)}" if parts else ""
        said.append(f"Behaviour scored {anomaly['score'] / 1000:.2f}{because}.")
    return said


def _not_inspected(coverage: Mapping[str, Any]) -> list[str]:
    said = [f"{part['pointer'] or 'the whole body'}: {part['reason']}." for part in coverage["skipped"][:_SHOWN]]
    more = len(coverage["skipped"]) - _SHOWN
    if more > 0:
        said.append(f"{more} more positions.")
    said += [f"The detector {part['detector']} did not finish: {part['reason']}." for part in coverage["incomplete"]]
    return said


def _done(decision: DecisionRecord) -> list[str]:
    said = [
        f"{duty['type']}{_parameters(duty['params'])} for rule {duty['rule']}: {duty['result']}."
        for duty in decision["obligations"]
    ]
    return said + _rewritten(decision["redactions"], "request")


def _answer(decision: DecisionRecord, outcome: DecisionRecord | None) -> list[str]:
    if outcome is None:
        if decision["decision"]["effect"] == "deny":
            return ["The app was not called."]
        return ["No outcome is recorded: the process ended before the answer did, or is still at work."]
    said = [f"The client was sent {outcome['status']} and {outcome['size_bytes']} bytes."]
    if outcome["status"] is None:
        said = ["The client was sent nothing."]
    if outcome["upstream_status"] not in (None, outcome["status"]):
        said.append(f"The app had answered {outcome['upstream_status']}.")
    if outcome["aborted"]:
        said.append(_ABORTED.get(outcome["aborted"], f"It did not go out whole: {outcome['aborted']}."))
    for verdict in outcome["decisions"]:
        fail = verdict.get("fail")
        if fail and fail["policy"] == "open":
            said.append(f"It passed although the guard failed: the route fails open ({_failure(fail)}).")
        if verdict["effect"] == "deny":
            said += [sentence for why in verdict["why"] for sentence in _why(why)]
    said += _rewritten(outcome["redactions"], "answer")
    if outcome["restored"]:
        said.append(f"{outcome['restored']} placeholders were restored.")
    said += [f"Not inspected: {sentence}" for sentence in _not_inspected(outcome["coverage"])]
    return [*said, f"It took {outcome['duration_us'] / 1000:.1f} ms."]


def _rewritten(counts: Mapping[str, int], where: str) -> list[str]:
    if not counts:
        return []
    return [f"Rewritten in the {where}: {', '.join(f'{n} {entity}' for entity, n in sorted(counts.items()))}."]


def _policy(decision: DecisionRecord) -> list[str]:
    policy = decision["policy"]
    if policy is None:
        return ["No policy was asked."]
    engine = f"{policy['engine']} engine {policy['version']}"
    bundle = f"revision {policy['revision']} ({policy['digest'][:16]})"
    return [f"{policy['entrypoint']} on the {engine}, {bundle}, in {decision['duration_us']} µs."]


def _place(decision: DecisionRecord, outcome: DecisionRecord | None) -> list[str]:
    said = [f"Decision {decision['id']}, record {decision['seq']} of {decision['origin']}, {when(decision)}."]
    if outcome is not None:
        said.append(f"Outcome {outcome['id']}, record {outcome['seq']} of {outcome['origin']}, {when(outcome)}.")
    cut = [record for record in (decision, outcome) if record is not None and record.get("truncated")]
    return said + [f"Record {record['seq']} was too long; cut: {', '.join(record['dropped'])}." for record in cut]


def _listed(names: Sequence[str], *, total: int) -> str:
    shown = ", ".join(name or "the whole body" for name in names[:_SHOWN])
    more = total - min(len(names), _SHOWN)
    return f"{shown} and {more} more" if more > 0 else shown


def _parameters(params: Mapping[str, Any]) -> str:
    return f" ({', '.join(f'{key} {value}' for key, value in sorted(params.items()))})" if params else ""


def _stopped(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
