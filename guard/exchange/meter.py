"""What this process decided, in numbers, for metrics: counted from the records as they are made, so that both say the
same. Effects, ids of rules, names of detectors and types of findings; nothing of a request.

Constant memory: past ``MAX_SERIES`` values of a kind everything new is ``other``.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from guard.types import DecisionRecord

MAX_SERIES: Final = 512
"""Different values that are counted apart, of each kind."""
OTHER: Final = "other"
STAGES: Final = ("request", "response")
VERDICTS: Final = ("allow", "deny", "limited", "refused", "outage", "fail_open")
"""``limited``: answered 429. ``refused``: a body that cannot be read in one way, or is too large. ``outage``: the
guard could not decide. ``fail_open``: it could not, and the route lets pass what it could not decide."""
EDGES_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_MICRO: Final = 1e-6
_LIMITED: Final = 429


class Durations:
    """Durations in bins: up to each of ``EDGES_SECONDS``, and past the last. ``seconds`` is their sum."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(EDGES_SECONDS) + 1)
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(EDGES_SECONDS, seconds)] += 1
        self.seconds += seconds


class Meter:
    """Counts since the process started. Written from the event loop, read from anywhere.

    ``decisions`` by stage and verdict, ``denials`` and ``shadow_denials`` by stage and
    reason: the id of a rule that the engine tells, else the code. ``incomplete`` by detector and why, ``findings`` and
    ``redactions`` by stage and type. ``policies`` are durations by stage, ``detectors`` by name, ``requests`` those
    from the whole body to the durable decision. ``unwritten``: records that the log did not take.
    """

    def __init__(self) -> None:
        # From the start on, so that a rate sees the first of each.
        self.decisions = {(stage, verdict): 0 for stage in STAGES for verdict in VERDICTS}
        self.denials: dict[tuple[str, str], int] = {}
        self.shadow_denials: dict[tuple[str, str], int] = {}
        self.incomplete: dict[tuple[str, str], int] = {}
        self.findings: dict[tuple[str, str], int] = {}
        self.redactions: dict[tuple[str, str], int] = {}
        self.candidate_changed = 0
        self.unwritten = 0
        self.policies: dict[str, Durations] = {}
        self.detectors: dict[str, Durations] = {}
        self.requests = Durations()

    def decided(self, record: DecisionRecord, rules: Collection[str]) -> None:
        """Count a ``decision`` record, and no other. ``rules`` are the ids that the engine knows."""
        if record["kind"] != "decision":
            return
        stage, ruling = record["stage"], record["decision"]
        self._judged(stage, _verdict(ruling), record, rules)
        self._saw(stage, record)

    def answered(self, record: DecisionRecord, rules: Collection[str]) -> None:
        """Count the verdicts on an answer, in the ``outcome`` record of an HTTP exchange."""
        for judged in record["decisions"]:
            self._judged("response", _verdict(judged), judged, rules)
        self._saw("response", record)

    def committed(self, since: float) -> None:
        """A decision is durable whose judging began at ``since``, a value of ``time.monotonic()``; 0 for one that no
        policy was asked for."""
        if since:
            self.requests.observe(time.monotonic() - since)

    def _judged(self, stage: str, verdict: str, judged: Mapping[str, Any], rules: Collection[str]) -> None:
        _add(self.decisions, (stage, verdict))
        if verdict != "allow":
            self._because(self.denials, stage, judged["why"], rules)
        if judged["would_deny"]:
            self._because(self.shadow_denials, stage, judged["would_deny"], rules)
        shadow = judged.get("shadow")
        self.candidate_changed += bool(shadow and shadow["changed"])
        if judged["policy"] is not None:
            _timed(self.policies, stage, judged["duration_us"])

    @staticmethod
    def _because(
        counts: dict[tuple[str, str], int], stage: str, reasons: Sequence[Mapping[str, Any]], rules: Collection[str]
    ) -> None:
        """Each reason once: a rule that denied for ten positions denied once."""
        for name in {_name(reason, rules) for reason in reasons}:
            _add(counts, (stage, name))

    def _saw(self, stage: str, record: DecisionRecord) -> None:
        for run in record["detectors"]:
            _timed(self.detectors, run["name"], run["duration_us"])
            if run["outcome"] != "ok":
                _add(self.incomplete, (run["name"], run["outcome"]))
        document = record["policy_input"]
        if document is not None:
            for finding in document["findings"]:
                _add(self.findings, (stage, finding["type"]), finding["count"])
        for entity, count in record["redactions"].items():
            _add(self.redactions, (stage, entity), count)


def _verdict(judged: Mapping[str, Any]) -> str:
    fail = judged["fail"]
    if fail is None:
        limited = judged["effect"] == "deny" and judged.get("http_status") == _LIMITED
        return "limited" if limited else str(judged["effect"])
    if fail["policy"] == "open":
        return "fail_open"
    return "refused" if fail["component"] == "content" else "outage"


def _name(reason: Mapping[str, Any], rules: Collection[str]) -> str:
    """A reason's label. An id that the engine does not know was made while the policy ran, of who knows what."""
    rule = reason["rule"]
    if rule is None:
        return str(reason["code"])
    return str(rule) if rule in rules else OTHER


def _add(counts: dict[tuple[str, str], int], key: tuple[str, str], count: int = 1) -> None:
    if key not in counts and len(counts) >= MAX_SERIES:
        key = (key[0] if key[0] in STAGES else OTHER, OTHER)
    counts[key] = counts.get(key, 0) + count


def _timed(durations: dict[str, Durations], name: str, duration_us: int) -> None:
    held = durations.get(name)
    if held is None:
        held = durations.setdefault(name if len(durations) < MAX_SERIES else OTHER, Durations())
    held.observe(duration_us * _MICRO)
