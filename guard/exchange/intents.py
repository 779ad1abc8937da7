"""What a request asks for, as the intent model reads it; a model that fails leaves a gap, never a silence."""

from __future__ import annotations

import time

import msgspec

from guard.errors import place_of
from guard.pipeline import Detection
from guard.telemetry import get_logger
from guard.types import Content, DetectorOutcome, Incomplete, Intent, IntentModel

_log = get_logger("guard.exchange.intents")


def classified(model: IntentModel, content: Content, detection: Detection) -> tuple[Intent | None, Detection]:
    """The intent of a request, and the detection with how the model fared. Raises nothing: a failure is ``error`` in
    coverage, since rules that look at the intent would not hold."""
    started_ns = time.perf_counter_ns()
    intent, outcome = None, "ok"
    try:
        intent = model.classify(content.segments, content.facts)
    except Exception as error:  # noqa: BLE001 - whatever a model raises, the policy must hear of it
        _log.error(
            "intent model failed", detector=model.info.name, exception=type(error).__name__, where=place_of(error)
        )
        outcome = "error"
    fared = DetectorOutcome(model.info, outcome, (time.perf_counter_ns() - started_ns) // 1000)
    gaps = () if outcome == "ok" else (Incomplete(model.info.name, outcome),)
    return intent, msgspec.structs.replace(
        detection, outcomes=(*detection.outcomes, fared), incomplete=(*detection.incomplete, *gaps)
    )
