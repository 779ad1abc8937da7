"""How those fared who worked on a request, as its record tells it: detectors, the behaviour model, obligations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from guard.exchange.judge import Judgement
from guard.record.build import ObligationResult
from guard.types import Decision, DetectorOutcome


def outcomes_of(judgement: Judgement | None, scored: Sequence[DetectorOutcome]) -> Sequence[DetectorOutcome]:
    """How the detectors fared, and the behaviour model, which sees requests only."""
    if judgement is None:
        return ()
    outcomes = judgement.detection.outcomes
    return (*outcomes, *scored) if judgement.decision.stage == "request" else outcomes


def results_of(decision: Decision, counts: Mapping[str, int]) -> list[ObligationResult]:
    """What became of each obligation of a request: a denied one's were not carried out."""
    if decision.effect == "deny":
        return [ObligationResult(obligation, "failed") for obligation in decision.obligations]
    return [
        ObligationResult(obligation, "done", counts.get(obligation.params.get("entity", ""), 0))
        if obligation.type == "redact"
        else ObligationResult(obligation, "armed" if obligation.type == "annotate" else "done", 1)
        for obligation in decision.obligations
    ]
