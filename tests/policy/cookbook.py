"""The pages of the cookbook as a program reads them: configurations, exchanges and Rego between fences.

An exchange is written in ``http`` blocks: a request, then what the provider gets, what it answers and what the caller
gets. Comments at the top of a block set the scene: ``# at 2026-11-28T10:00:00Z``, ``# from 192.0.2.7``,
``# unusual by 0.85``, ``# after 3 calls`` like this one. In expected bodies, members that are not shown may be
anything, and ``…`` in a string stands for any text.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

PAGES = Path(__file__).parents[2] / "docs" / "cookbook"
TOPICS = sorted(path for path in PAGES.glob("*.md") if path.name != "README.md")

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_GETS = "the provider gets"
_ANSWERS = "the provider answers"


class Message(NamedTuple):
    """One side of an exchange. ``notes`` are the comments above it."""

    first: str
    headers: dict[str, str]
    body: bytes
    notes: tuple[str, ...]

    def note(self, beginning: str) -> str | None:
        """What follows the beginning in the comment that has it."""
        return next((note.removeprefix(beginning).strip() for note in self.notes if note.startswith(beginning)), None)


class Story(NamedTuple):
    """One exchange and what is expected of it."""

    request: Message
    gets: Message | None
    answers: Message | None
    response: Message


class Page(NamedTuple):
    """All that a page claims. ``fragments`` are additions to ``config``, each by itself."""

    config: dict[str, Any]
    fragments: list[dict[str, Any]]
    stories: list[Story]
    modules: list[str]


def read(path: Path) -> Page:
    """The blocks of a page."""
    blocks = _FENCE.findall(path.read_text("utf-8"))
    tables = [text for language, text in blocks if language == "toml"]
    whole = [tomllib.loads(text) for text in tables if text.startswith("# guard.toml\n")]
    assert len(whole) == 1, f"{path.name} has one complete guard.toml"
    fragments = [tomllib.loads(text) for text in tables if not text.startswith("# guard.toml\n")]
    messages = [_message(text) for language, text in blocks if language == "http"]
    return Page(whole[0], fragments, _stories(messages), [text for language, text in blocks if language == "rego"])


def _message(text: str) -> Message:
    head, _, body = text.partition("\n\n")
    lines = head.strip().splitlines()
    notes = tuple(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
    first, *fields = [line for line in lines if not line.startswith("#")] or [""]
    if first.startswith("{"):  # a body alone
        return Message("", {}, "\n".join([first, *fields]).encode() + body.encode(), notes)
    headers = dict(field.split(": ", 1) for field in fields)
    return Message(first, headers, body.strip().encode(), notes)


def _stories(messages: list[Message]) -> list[Story]:
    stories: list[Story] = []
    request: Message | None = None
    gets: Message | None = None
    answers: Message | None = None
    for message in messages:
        if _GETS in message.notes:
            gets = message
        elif _ANSWERS in message.notes:
            answers = message
        elif message.first.startswith("HTTP/"):
            assert request is not None, "an answer follows a request"
            stories.append(Story(request, gets, answers, message))
            request = gets = answers = None
        else:
            assert request is None, f"{message.first}: the request before it has no answer"
            request = message
    assert request is None, "the last request has no answer"
    return stories


def merged(config: dict[str, Any], fragment: dict[str, Any]) -> dict[str, Any]:
    """A configuration with a fragment written into it."""
    both = dict(config)
    for key, value in fragment.items():
        known = both.get(key)
        both[key] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return both


def differences(shown: Any, found: Any, where: str = "") -> list[str]:
    """Where a value is not what a page shows of it."""
    if isinstance(shown, dict) and isinstance(found, dict):
        missing = [f"{where}/{key} is missing" for key in shown if key not in found]
        return missing + [
            d for key in shown if key in found for d in differences(shown[key], found[key], f"{where}/{key}")
        ]
    if isinstance(shown, list) and isinstance(found, list) and len(shown) == len(found):
        return [d for i, pair in enumerate(zip(shown, found, strict=True)) for d in differences(*pair, f"{where}/{i}")]
    if isinstance(shown, str) and isinstance(found, str):
        pattern = ".*".join(map(re.escape, shown.split("…")))
        return [] if re.fullmatch(pattern, found, re.DOTALL) else [f"{where} is {found!r}, not {shown!r}"]
    return [] if shown == found else [f"{where} is {json.dumps(found)}, not {json.dumps(shown)}"]
