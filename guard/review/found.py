"""What was found in a request or an answer, each type at each place with its score and what the detector says of it."""

from __future__ import annotations

import msgspec

from guard.types import DecisionRecord


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Findings of a type at a place: ``score`` is the highest, 0..1. ``said`` is the evidence of that one, ``None``
    where the detector gives none."""

    stage: str
    type: str
    detector: str
    pointer: str
    score: float
    count: int
    said: str | None


def found_in(record: DecisionRecord | None) -> list[Found]:
    """The findings of a ``decision``, or of an ``outcome`` whose answer was judged, as the policy input orders them."""
    if record is None or not record["policy_input"]:
        return []
    document = record["policy_input"]
    told: dict[tuple[str, str], dict[str, str]] = {}
    for each in record.get("evidence", ()):
        told.setdefault((each["type"], each["detector"]), {})[each["pointer"]] = each["said"]
    found = []
    for finding in document["findings"]:
        places = told.get((finding["type"], finding["detector"]), {})
        # The policy input may tell a place more coarsely: then only what is said of one place alone is certain.
        said = places.get(finding["pointer"]) or (next(iter(places.values())) if len(places) == 1 else None)
        found.append(
            Found(
                stage=document.get("stage", "request"),
                type=finding["type"],
                detector=finding["detector"],
                pointer=finding["pointer"],
                score=finding["score"] / 1000,
                count=finding["count"],
                said=said,
            )
        )
    return found
