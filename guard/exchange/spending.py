"""What one exchange takes from the budgets of its policy, and how that is corrected once its answer has said what it
cost. ``docs/limits.md`` is the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from guard import content as reading
from guard.exchange.judge import Duties, Judgement
from guard.exchange.services import Services
from guard.keyed import KeyedHash
from guard.obligations import limit
from guard.obligations.counters import Taken
from guard.record.build import Spent
from guard.types import Content


class Spending:
    """The budgets of one connection. ``settle`` and ``close`` may be called in any order, and again."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._requests: list[Taken] = []
        self._tokens: list[Taken] = []
        self._asked = 0
        self._reserved = 0
        self._reported_asked: int | None = None
        self._reported_said: int | None = None
        self._characters = self._events = 0
        self._estimate: int | None = None
        self._begun = False

    def take(self, judgement: Judgement, keyed: KeyedHash) -> Judgement:
        """The judgement, if all its budgets hold it; they are charged then. Else a denial, and none is.

        Nothing is awaited between the look and the taking.
        """
        found = judgement.duties.limits
        if not found:
            return judgement
        services, document = self._services, judgement.document
        asked = tokens_asked(judgement.content, document)
        reserved = asked + (document["ai"]["max_tokens"] or 0)
        draws = limit.draws(found, document, keyed, reserved)
        taken, short = services.counters.take(list(draws))
        if short:
            reasons = tuple(limit.reason(draws[one.draw], one, services.engine.rules) for one in short)
            decision = msgspec.structs.replace(
                judgement.decision,
                effect="deny",
                reasons=reasons,
                retry_after_seconds=limit.retry_after(short),
            )
            return replace(judgement, decision=decision, duties=Duties())
        if self._begun:
            return judgement  # a message of a connection: no answer is its own
        self._asked, self._reserved = asked, reserved
        for one in taken:
            (self._tokens if draws[one.draw].unit == "tokens" else self._requests).append(one)
        return judgement

    def begin(self) -> None:
        """The app is called now: what was taken is used."""
        self._begun = True

    def close(self) -> None:
        """The exchange is over. If the app was never called, everything is given back."""
        if not self._begun:
            self._correct([*self._requests, *self._tokens], 0)
            self._requests, self._tokens = [], []

    # What the answer says --------------------------------------------------------------------------------------------

    async def read(self, body: bytes, content: Content) -> None:
        """Take note of a whole answer."""
        self.finished(content)
        if self._tokens:
            self._note(await self._services.offload(len(body), reading.usage_of, body))

    def passing(self, events: Sequence[reading.Event]) -> None:
        """Take note of events of a streamed answer."""
        if self._tokens:
            for event in events:
                if event.data is not None:
                    self._events += 1
                    self._note(reading.usage_of(event.data))
                elif event.framing == "text":
                    self._events += 1

    def said(self, characters: int) -> None:
        """Take note of the length of a text of these events."""
        self._characters += characters

    def finished(self, content: Content) -> None:
        """Take note of the texts of a streamed answer that was read whole."""
        self._estimate = tokens_of(content)

    def _note(self, usage: reading.Usage | None) -> None:
        if usage is not None:
            if usage.input is not None:
                self._reported_asked = usage.input
            if usage.output is not None:
                self._reported_said = usage.output

    @property
    def tokens_out(self) -> int | None:
        """Tokens of the answer so far: as its provider said, else estimated; ``None`` where nothing is known."""
        if self._reported_said is not None:
            return self._reported_said
        return self._estimate if self._estimate is not None else self._characters // 4 or None

    def settle(self, *, whole: bool) -> Spent | None:
        """The answer is over: correct what was reserved. ``whole`` if it came to its own end.

        ``None`` where no tokens are counted, and when it was settled already.
        """
        if not self._tokens:
            return None
        tokens, self._tokens = self._tokens, []
        asked = self._asked if self._reported_asked is None else self._reported_asked
        said, source = self._reported_said, "provider"
        if said is None:
            source = "estimate"
            said = self._characters // 4 or self._events if self._estimate is None else self._estimate
        used = max(1, asked + said)
        known = self._estimate is not None or (whole and self._events > 0)
        if not known and used <= self._reserved:
            # Who leaves before the end, or is sent what cannot be read, gets nothing back.
            used, source = self._reserved, "reserved"
        self._correct(tokens, used)
        return Spent(reserved=self._reserved, used=used, source=source)

    def _correct(self, taken: Sequence[Taken], amount: int) -> None:
        for one in taken:
            self._services.counters.correct(one, amount)


def tokens_asked(content: Content, document: Mapping[str, Any]) -> int:
    """The estimate of a request, 1 or more."""
    if document["ai"]["operation"] is None:
        return max(1, -(-content.size_bytes // 4))
    return max(1, int(document["ai"]["tokens_estimate"]))


def tokens_of(content: Content) -> int:
    """The estimate of an answer."""
    return -(-content.size_bytes // 4) if content.facts.operation is None else content.facts.tokens_estimate
