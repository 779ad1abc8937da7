"""What the endpoints of every app do, free of any framework: the test speaks to all of them alike.

``clean`` in an answer says that the app did not receive the personal data that the client sent; the guard restores the
same data in ``echo`` on the way out.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from guard.config import GuardConfig, load_config

MAIL = "jane.roe@northwind-traders.com"
SSN = "536-22-8915"
CARD = "4012 8888 8888 1881"
SECRET = "AKIA{}".format("Q7ZL5TN4WX2RKD3V")
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 16
FILE_TEXT = f"The employee's SSN is {SSN}.\n"

BOUND = 256 * 1024
LARGE = bytes(range(256)) * (4 * 1024)
_RELEASE_SECONDS = 5.0
_ENDLESS_EVENTS = 500


def directory() -> Path:
    """Where this server keeps its state and journal."""
    return Path(os.environ["COMPAT_DIRECTORY"])


def config() -> GuardConfig:
    """One guard for all: AI routes to an external provider, the app's own routes, and an excluded one, wherever the app
    is mounted."""
    prefix = os.environ.get("COMPAT_PREFIX", "")
    return load_config(
        environ={},
        state_directory=directory() / "state",
        limits={"max_body_bytes": BOUND},
        detectors={"enabled": ("pii", "secrets"), "behaviour": ""},
        providers={"away": {"external": True}, "own": {"external": False}},
        routes=(
            {"path": f"{prefix}/ai/chat", "provider": "away", "shape": "openai.chat"},
            {"path": f"{prefix}/ai/**", "provider": "away"},
            {"path": f"{prefix}/own/large", "provider": "own", "large_bodies": "pass"},
            {"path": f"{prefix}/own/**", "provider": "own"},
            {"path": f"{prefix}/free/**", "inspect": False},
        ),
    )


def note(word: str) -> None:
    """Add a line to the journal: what happened inside the app."""
    with (directory() / "journal").open("a", encoding="utf-8") as journal:
        journal.write(f"{word}\n")


def echo(text: str, **more: Any) -> dict[str, Any]:
    """What the app makes of a text."""
    return {"echo": text, "clean": MAIL not in text, **more}


def echo_message(message: str) -> str:
    """What the app makes of a WebSocket message."""
    note("message")
    return json.dumps(echo(json.loads(message)["text"]))


def upload(text: str, file: bytes, picture: bytes) -> dict[str, Any]:
    """What the app makes of a field, a text file and a picture."""
    return {**echo(text + " " + file.decode()), "picture_whole": picture == PICTURE}


def large(body: bytes) -> dict[str, Any]:
    """What the app makes of a body that is larger than what the guard holds."""
    return {"sha256": hashlib.sha256(body).hexdigest()}


def leak() -> dict[str, str]:
    """An answer that must not leave."""
    return {"text": f"The beginning of the answer. key = {SECRET}"}


def file() -> Path:
    """A file with personal data, on disk."""
    path = directory() / "people.txt"
    if not path.exists():
        path.write_text(FILE_TEXT, encoding="utf-8")
    return path


def _event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


async def chat(text: str) -> AsyncIterator[bytes]:
    """A streamed chat answer that says the text again, four characters at a time."""
    for start in range(0, len(text), 4):
        yield _event({"choices": [{"index": 0, "delta": {"content": text[start : start + 4]}}]})
        await asyncio.sleep(0)
    yield b"data: [DONE]\n\n"


_released: asyncio.Event | None = None


def _gate() -> asyncio.Event:
    global _released  # noqa: PLW0603 - one process, one flow at a time
    if _released is None:
        _released = asyncio.Event()
    return _released


def release() -> dict[str, str]:
    """Let ``flow`` go on."""
    _gate().set()
    return {}


async def flow() -> AsyncIterator[bytes]:
    """A stream whose second event waits until the client has seen the first and said so."""
    yield _event({"text": "first"})
    try:
        await asyncio.wait_for(_gate().wait(), _RELEASE_SECONDS)
    except TimeoutError:
        yield _event({"text": "late"})
    else:
        yield _event({"text": "released"})


async def endless() -> AsyncIterator[bytes]:
    """A stream that ends when the client leaves, or after ten seconds."""
    try:
        for number in range(_ENDLESS_EVENTS):
            yield _event({"text": f"event {number}"})
            await asyncio.sleep(0.02)
        note("stream ran out")
    finally:
        note("stream ended")
