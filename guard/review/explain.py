"""A decision in plain sentences: who, what, which rule, where, what was found, the remedy, what was not inspected, what
was done, and the answer's fate. Everything said here stands in the record; nothing else is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from guard.review.found import found_in
from guard.review.query import Exchange
from guard.review.shadow import sentence, verdicts_of
from guard.review.unusual import unusual
from guard.types import DecisionRecord

_SHOWN: Final = 8
_WHO: Final = {"user": "The user", "service": "The service", "anonymous": "An anonymous caller"}
_PARTICIPLE: Final = {"allow": "allowed", "deny": "denied"}
_COUNTED_BY: Final = {
    "provider": "as the provider counted them",
    "estimate": "by estimate",
    "reserved": "all that were reserved, since nobody could count them",
}
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
        Section("Otherwise", _otherwise(decision)),
        Section("Would deny", _would_deny(decision, outcome)),
        Section("Candidate", _candidate(decision, outcome)),
        Section("Found", [*_found(decision), *(f"In the answer: {said}" for said in _found(outcome))]),
        Section("Behaviour", _behaviour(decision)),
        Section("Not inspected", _not_inspected(decision["coverage"])),
        Section("Done", _done(decision)),
        Section("Answer", _answer(decision, outcome)),
        Section("Policy", _policy(decision)),
        Section("Record", _place(decision, outcome)),
    ]
    return [section for section in sections if section.sentences]


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
        said += f", {'an' if what['operation'][0] in 'aeiou' else 'a'} {what['operation']} call"
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


def _found(record: DecisionRecord | None) -> list[str]:
    found = found_in(record)
    said = [
        f"{each.count} {each.type} at {each.pointer or 'the whole body'}, score {each.score:.2f} "
        f"({each.detector}{f': {each.said}' if each.said else ''})."
        for each in found[:_SHOWN]
    ]
    more = len(found) - _SHOWN
    if more > 0:
        said.append(f"{more} more kinds of finding.")
    return said


def _behaviour(decision: DecisionRecord) -> list[str]:
    policy_input = decision["policy_input"]
    if not policy_input:
        return []
    return unusual(policy_input["anomaly"], anonymous=decision["who"]["method"] == "anonymous")


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
        several = outcome["restored"] > 1
        said.append(f"{outcome['restored']} placeholder{'s were' if several else ' was'} restored.")
    said += [f"Not inspected: {sentence}" for sentence in _not_inspected(outcome["coverage"])]
    said += _tokens(outcome.get("tokens"))
    return [*said, f"It took {outcome['duration_us'] / 1000:.1f} ms."]


def _tokens(tokens: Mapping[str, Any] | None) -> list[str]:
    """What a call used of a limit."""
    if not tokens:
        return []
    said = f"It counts {tokens['used']} tokens against its limits, {_COUNTED_BY[tokens['source']]}"
    return [f"{said}; {tokens['reserved']} were reserved before the call."]


def _otherwise(decision: DecisionRecord) -> list[str]:
    """The smallest changes under which another decision would have fallen."""
    return [
        f"It would have been {_PARTICIPLE[change['effect']]} if {change['feature']} were {_value(change['to'])}, "
        f"not {_value(change['from'])}."
        for change in decision.get("counterfactual", ())
    ]


def _value(value: str | int | bool | None) -> str:
    return msgspec.json.encode(value).decode()


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
