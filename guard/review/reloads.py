"""A ``config`` record in plain sentences: what decided before, what decides from here on, or why it was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guard.review.explain import Section, when
from guard.types import DecisionRecord


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
