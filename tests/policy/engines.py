"""Engines for tests of what an answer means: they give what the test says, or fail as it says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from guard.types import EngineInfo, Location, RuleInfo, Verdict

RULES = {
    "PII-002": RuleInfo(
        id="PII-002",
        title="Card numbers stay",
        severity="critical",
        remediation="Remove the number.",
        mode="enforce",
        location=Location("rules/pii.rego", 7, 1),
    )
}


class Answering:
    """Answers every document with one value."""

    def __init__(self, value: Any, rules: Mapping[str, RuleInfo] = RULES) -> None:
        self.value = value
        self.info = EngineInfo("test", "1", "r1", "d1")
        self.rules = rules
        self.asked: list[tuple[Mapping[str, Any], float]] = []

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def evaluate(self, document: Mapping[str, Any], *, deadline: float) -> Verdict:
        """The value."""
        self.asked.append((document, deadline))
        return Verdict(self.value)


class Failing(Answering):
    """Runs what the test gives instead of answering."""

    def __init__(self, act: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(None)
        self._act = act

    async def evaluate(self, document: Mapping[str, Any], *, deadline: float) -> Verdict:
        """What the act gives."""
        self.asked.append((document, deadline))
        return Verdict(await self._act())


def raising(error: BaseException) -> Failing:
    """An engine that raises."""

    async def act() -> None:
        raise error

    return Failing(act)


def hanging() -> Failing:
    """An engine that forgets its deadline."""

    async def act() -> None:
        await asyncio.Event().wait()

    return Failing(act)
