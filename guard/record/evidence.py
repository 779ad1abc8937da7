"""Why something was found, as the detector says it: the ``evidence`` of findings, as it stands in records.

Evidence names rules, patterns and concepts, and is free of what was found by its contract (``guard.types.Finding``). A
detector that breaks it must not reach the log with it: what repeats the found text is left out, long numbers and odd
characters are taken out of the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from guard.record.groups import MAX_EVIDENCE, MAX_SAID
from guard.types import Finding, Segment

_ODD: Final = re.compile(r"[^A-Za-z0-9 ,.:;%()/_+<>='-]")
_NUMBER: Final = re.compile(r"\d{5,}")
_LEAST: Final = 3
"""A found text shorter than this may stand in evidence by chance."""
_POINTER: Final = 160
_LONGEST: Final = 128


def evidence(findings: Sequence[Finding], segments: Sequence[Segment]) -> dict[str, Any]:
    """The member ``evidence`` of a record, or nothing: for each type, detector and pointer that of the highest score,
    the highest first, at most ``MAX_EVIDENCE``. ``findings`` point into ``segments``."""
    if not findings:
        return {}
    best: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        if finding.evidence:
            pointer = segments[finding.segment].pointer
            key = finding.type, finding.detector, pointer if len(pointer) <= _POINTER else ""
            known = best.get(key)
            if known is None or known.score < finding.score:
                best[key] = finding
    listed: list[dict[str, str]] = []
    for (kind, detector, pointer), finding in sorted(best.items(), key=lambda item: (-item[1].score, item[0])):
        if len(listed) == MAX_EVIDENCE:
            break
        said = _safe(finding.evidence, segments[finding.segment].text[finding.start : finding.end])
        if said:
            listed.append({"type": kind[:_LONGEST], "detector": detector[:_LONGEST], "pointer": pointer, "said": said})
    return {"evidence": listed} if listed else {}


def _safe(said: str, found: str) -> str:
    if len(found) >= _LEAST and found.casefold() in said.casefold():
        return ""
    return _NUMBER.sub("#", _ODD.sub("?", said))[:MAX_SAID]
