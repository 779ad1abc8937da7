"""Disguised values in events: a stream that flows says what the same stream says that is rewritten whole."""

from __future__ import annotations

from typing import Any

import pytest

from guard.types import Detector
from tests.flow.rig import oblige
from tests.flow.test_23_live_streams import DONE, chunk, cut, data_of, event, text_of, through
from tests.stream.test_disguises import MAIL, SPELLINGS, VALUES

pytest.importorskip("presidio_analyzer")
pytestmark = pytest.mark.anyio

BATCH = 24
HOLDING = ("tag characters", "variation selectors")
NAMES = sorted(SPELLINGS, key=lambda name: (name.startswith(HOLDING), name))
"""Those that hold the rest of a stream come last."""
ANTHROPIC = {"path": "/**", "shape": "anthropic.messages"}


@pytest.fixture(scope="module")
def detectors() -> list[Detector]:
    """Those that a new installation has."""
    from detectors.pii import PiiDetector
    from detectors.secrets import SecretsDetector

    return [PiiDetector(), SecretsDetector()]


def openai(text: str, seed: int) -> bytes:
    """A chat completion in pieces of up to nine characters."""
    return b"".join([*(chunk({"content": piece}) for piece in cut(text, seed, 9)), chunk({}, "stop"), DONE])


def anthropic(text: str, seed: int) -> bytes:
    """The same as a block of a message."""
    start = {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": []}}
    frames = [event(start, "message_start")]
    frames.append(event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}))
    for piece in cut(text, seed, 9):
        delta = {"type": "text_delta", "text": piece}
        frames.append(event({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta"))
    frames.append(event({"type": "content_block_stop", "index": 0}, "content_block_stop"))
    return b"".join([*frames, event({"type": "message_stop"}, "message_stop")])


def said(stream: bytes) -> str:
    """The text of a stream in either shape."""
    deltas = [data["delta"] for data in data_of(stream) if data.get("type") == "content_block_delta"]
    return "".join(delta["text"] for delta in deltas) or text_of(stream)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["openai", "anthropic"])
@pytest.mark.parametrize("first", range(0, len(NAMES), BATCH))
async def test_disguises_in_events_are_hidden_as_they_flow(detectors: list[Detector], shape: str, first: int) -> None:
    """All disguises of the bypass corpus, a batch to a stream, each line a disguise: live is buffered, and no value is
    in either. The bytes come in pieces of their own, cut inside events and characters."""
    lines = [f"so it is {SPELLINGS[name]} and more words to follow" for name in NAMES[first : first + BATCH]]
    text = "\n\n".join(lines)
    stream = openai(text, first) if shape == "openai" else anthropic(text, first)
    entities = sorted({entity for one in detectors for entity in getattr(one, "local", ())})
    hide = oblige(*({"type": "redact", "entity": entity, "operator": "replace"} for entity in entities))
    routes: list[dict[str, Any]] = [ANTHROPIC if shape == "anthropic" else {"path": "/**"}]
    live = await through(cut(stream, first, 400), hide, routes=routes, detectors=detectors)
    whole = await through([stream], hide, routes=[{**routes[0], "streams": "buffer"}], detectors=detectors)
    assert said(live) == said(whole)
    assert said(live) != text
    assert not any(value in said(live) for value in (MAIL, *VALUES.values()))
