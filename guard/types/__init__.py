"""The nouns. Everything here is frozen; offsets are code points, scores lie in 0..1 (higher is more suspicious) and
durations carry their unit in their name. Imports nothing of ours but ``guard.folding`` and ``guard.readings``."""

from __future__ import annotations

from guard.types.decided import (
    Decision,
    EngineInfo,
    GuardContext,
    Location,
    Obligation,
    PolicyEngine,
    Reason,
    RuleInfo,
    Shadow,
    Trail,
    Verdict,
)
from guard.types.kept import Checkpoint, CommandHost, DecisionRecord, Receipt, RecordLog, Signer
from guard.types.read import Content, Coverage, Facts, Incomplete, Named, Operation, Segment, Skipped
from guard.types.seen import (
    Anomaly,
    BehaviourEvent,
    BehaviourModel,
    BehaviourOutcome,
    DetectContext,
    Detector,
    DetectorInfo,
    DetectorOutcome,
    Feature,
    Finding,
)
from guard.types.who import ANONYMOUS, Principal
from guard.types.words import JSON, UNDEFINED, Effect, Mode, Provenance, Severity, Stage, Undefined

__all__ = [
    "ANONYMOUS",
    "JSON",
    "UNDEFINED",
    "Anomaly",
    "BehaviourEvent",
    "BehaviourModel",
    "BehaviourOutcome",
    "Checkpoint",
    "CommandHost",
    "Content",
    "Coverage",
    "Decision",
    "DecisionRecord",
    "DetectContext",
    "Detector",
    "DetectorInfo",
    "DetectorOutcome",
    "Effect",
    "EngineInfo",
    "Facts",
    "Feature",
    "Finding",
    "GuardContext",
    "Incomplete",
    "Location",
    "Mode",
    "Named",
    "Obligation",
    "Operation",
    "PolicyEngine",
    "Principal",
    "Provenance",
    "Reason",
    "Receipt",
    "RecordLog",
    "RuleInfo",
    "Segment",
    "Severity",
    "Shadow",
    "Signer",
    "Skipped",
    "Stage",
    "Trail",
    "Undefined",
    "Verdict",
]
