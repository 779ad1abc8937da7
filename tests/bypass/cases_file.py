"""A case of the bypass corpus: a JSON file in ``cases/`` with what is sent, what it hides, and the verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from tests.bypass.harness import Message

DIRECTORY = Path(__file__).parent / "cases"


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``json`` is sent as JSON, ``text`` as it stands in UTF-8, ``hex`` as bytes, ``pieces`` as texts in several body
    messages. ``hidden`` must not get through if the verdict is ``caught`` or ``refused``; ``by`` stands in the rules,
    codes or reasons that tell why."""

    what: str
    hidden: tuple[str, ...]
    verdict: Literal["caught", "refused", "named"]
    by: str
    side: Literal["request", "answer"] = "request"
    method: str = "POST"
    path: str = "/v1/chat/completions"
    query: str = ""
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    json: msgspec.Raw = msgspec.Raw()
    text: str | None = None
    hex: str | None = None
    pieces: tuple[str, ...] = ()

    @property
    def message(self) -> Message:
        """What is sent."""
        pieces: tuple[bytes, ...] = tuple(piece.encode() for piece in self.pieces)
        if bytes(self.json):
            pieces = (bytes(self.json),)
        elif self.text is not None:
            pieces = (self.text.encode(),)
        elif self.hex is not None:
            pieces = (bytes.fromhex(self.hex),)
        return Message(
            method=self.method,
            path=self.path,
            query=self.query,
            headers=self.headers,
            pieces=pieces,
            reply=self.side == "answer",
        )


def load(path: Path) -> Case:
    """The case in a file. Raises ``msgspec.ValidationError`` for a file that is none."""
    return msgspec.json.decode(path.read_bytes(), type=Case)


def all_cases() -> dict[str, Case]:
    """Every case by the name of its file."""
    return {path.stem: load(path) for path in sorted(DIRECTORY.glob("*.json"))}


def written(case: dict[str, Any]) -> str:
    """A case as its file holds it."""
    return msgspec.json.format(msgspec.json.encode(case), indent=2).decode() + "\n"
