"""Neighbouring text parts are read on: a value over their seam is found, and each part hides its piece of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from guard.pipeline import Pipeline
from guard.types import Content, DetectContext, DetectorInfo, Finding, Segment
from tests.content.reading import CHAT, MESSAGES, read_json

pytestmark = pytest.mark.anyio
MAIL = "leak.me@example-bank.com"


class Words:
    """Finds the address in the folded form, as detectors do."""

    info = DetectorInfo("words", "1", "0" * 64)
    entities = frozenset({"EMAIL_ADDRESS"})

    def detect(self, segments: Sequence[Segment], context: DetectContext) -> list[Finding]:
        """Every occurrence."""
        found = []
        for index, segment in enumerate(segments):
            text, start = segment.folded.text, -1
            while (start := text.find(MAIL, start + 1)) >= 0:
                span = segment.folded.original_span(start, start + len(MAIL))
                found.append(Finding("EMAIL_ADDRESS", index, *span, 0.9, "words"))
        return found


def parts(*texts: str, path: str = CHAT) -> Content:
    """A message of these text parts."""
    content: list[Any] = [{"type": "text", "text": text} for text in texts]
    return read_json({"messages": [{"role": "user", "content": content}]}, path=path)


async def hidden(content: Content) -> list[str]:
    """What of the texts would be hidden, in order."""
    pipeline = Pipeline([Words()], deadline_ms=5000)
    detection = await pipeline.detect(content.segments, "request")
    pipeline.close()
    assert [outcome.outcome for outcome in detection.outcomes] == ["ok"]
    return [content.segments[f.segment].text[f.start : f.end] for f in detection.findings]


@pytest.mark.parametrize("path", [CHAT, MESSAGES, "/v1/responses"])
@pytest.mark.parametrize("cut", range(1, len(MAIL)))
async def test_a_value_over_the_seam_is_found_in_both_parts(cut: int, path: str) -> None:
    """Wherever it is cut, in every shape, each part gives up its piece and nothing else."""
    content = parts(f"write to {MAIL[:cut]}", f"{MAIL[cut:]} today", path=path)
    assert await hidden(content) == [MAIL[:cut], MAIL[cut:]]


async def test_a_value_within_a_part_is_found_once() -> None:
    """What stands in one part alone is one finding, there; the neighbour shows it and does not have it."""
    assert await hidden(parts(f"to {MAIL}", "and so on")) == [MAIL]
    assert await hidden(parts("to", f"{MAIL} and so on")) == [MAIL]
    assert await hidden(parts(MAIL, MAIL)) == [MAIL, MAIL]


async def test_only_neighbours_are_joined() -> None:
    """A part between, another message, or other members part what they part."""
    first, second = MAIL[:9], MAIL[9:]
    assert await hidden(parts(first, "-", second)) == []
    rows = {"rows": [{"name": first}, {"name": second}]}
    assert await hidden(read_json(rows, path="/other")) == []
    turns = [{"role": "user", "content": first}, {"role": "user", "content": second}]
    assert await hidden(read_json({"messages": turns}, path=CHAT)) == []
