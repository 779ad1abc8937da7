"""What a behaviour model is told of an exchange: the request as numbers and keyed labels, the decision, the answer."""

from __future__ import annotations

import ipaddress
import json
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec
from starlette.types import Scope

from guard.errors import place_of
from guard.exchange.judge import Caller
from guard.exchange.sharing import Sharing
from guard.exchange.waiting import Waiting
from guard.keyed import KeyedHash
from guard.telemetry import get_logger
from guard.types import (
    Anomaly,
    BehaviourEvent,
    BehaviourModel,
    BehaviourOutcome,
    Content,
    Decision,
    DetectorOutcome,
    Finding,
    Segment,
)

_log = get_logger("guard.exchange.behaving")

_MEASURED: Final = 1000
"""Characters of the longest text, from its start, whose entropy is taken."""
_FEW: Final = 64
_TOOLS: Final = 16
_HOSTS: Final = {4: 32, 6: 64}
_NETWORKS: Final = {4: 24, 6: 48}
"""An address is told apart from others by so many bits: one site or one provider's customer, not one device."""


class Behaving:
    """One connection, as its behaviour model sees it; nothing where there is no model."""

    def __init__(self, model: BehaviourModel | None, waiting: Waiting, sharing: Sharing | None = None) -> None:
        self.scored: tuple[DetectorOutcome, ...] = ()
        """How the model fared with the last request."""
        self._model = model
        self._waiting = waiting
        self._sharing = sharing
        self._event: BehaviourEvent | None = None
        self._waits = self._let_in = False

    def score(
        self, caller: Caller, scope: Scope, content: Content, findings: Sequence[Finding], keyed: KeyedHash
    ) -> Anomaly:
        """How unusual a request is."""
        if self._model is None:
            return Anomaly(0.0)
        self._let_in = False
        # Now, not when it began to arrive: a body that came slowly must not be one of the past.
        event = event_of(caller, scope, content, findings, keyed, time_s=time.time())
        # What is decided at the same time would be seen by none of the others.
        pending = self._waiting.enter(event.principal)
        self._event = msgspec.structs.replace(event, pending=pending) if pending else event
        self._waits = True
        started_ns = time.perf_counter_ns()
        anomaly = self._model.score(self._event)
        duration_us = (time.perf_counter_ns() - started_ns) // 1000
        self.scored = (DetectorOutcome(self._model.info, "ok", duration_us),)
        return anomaly

    def decided(self, decision: Decision) -> None:
        """Teach the model by the request that was scored. What nobody decided teaches nothing."""
        self.close()
        if self._model is not None and self._event is not None:
            effect = "deny" if decision.fail_open else decision.effect
            self._let_in = effect == "allow"
            self._model.learn(self._event, effect)
            if self._let_in and self._sharing is not None:
                self._sharing.learned(self._event)

    def close(self) -> None:
        """What was scored is decided, or never will be. May be called again."""
        if self._waits and self._event is not None:
            self._waits = False
            self._waiting.leave(self._event.principal)

    def answered(self, *, tokens_out: int | None, error: bool, refused: bool) -> None:
        """Teach the model by what came of a request that was let in, if it cares. A model that raises is told in the
        log: the answer has its outcome all the same."""
        settle = getattr(self._model, "settle", None)
        if settle is not None and self._event is not None and self._let_in:
            self._let_in = False
            tokens = None if tokens_out is None else float(tokens_out)
            outcome = BehaviourOutcome(time.time(), tokens, error, refused)
            try:
                settle(self._event, outcome)
            except Exception as failure:  # noqa: BLE001 - whatever a model raises, the outcome is recorded
                _log.error("behaviour model failed", exception=type(failure).__name__, where=place_of(failure))
                return
            if self._sharing is not None:
                self._sharing.learned(self._event, outcome)


def event_of(
    caller: Caller, scope: Scope, content: Content, findings: Sequence[Finding], keyed: KeyedHash, *, time_s: float
) -> BehaviourEvent:
    """The request as a behaviour model sees it. Without a credential the address is all that tells callers apart."""
    who, facts, segments = caller.principal, content.facts, content.segments
    anonymous = who.method == "anonymous"
    identity = host_of(caller.client_ip or "") if anonymous else json.dumps([who.tenant, who.id])
    characters = sum([len(segment.text) for segment in segments])
    features = {
        "size_bytes": float(content.size_bytes),
        "tokens_estimate": float(facts.tokens_estimate),
        "messages": float(facts.messages),
        "entropy_bits": entropy(_longest(segments)),
        "finding_density": 1000.0 * len(findings) / max(characters, 1000),
    }
    labels: dict[str, tuple[str, ...]] = {"endpoint": (f"{caller.method} {caller.route} {facts.operation or ''}",)}
    if facts.model is not None:
        labels["model"] = (_label(keyed, "model", facts.model.value),)
    if facts.tools or facts.tool_calls:
        names = dict.fromkeys([tool.value for tool in (*facts.tools, *facts.tool_calls)])
        labels["tools"] = tuple([_label(keyed, "tool", name) for name in list(names)[:_TOOLS]])
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    labels["agent"] = (_label(keyed, "agent", agent),)
    if caller.client_ip is not None:
        labels["network"] = (_label(keyed, "network", network_of(caller.client_ip)),)
    return BehaviourEvent(
        keyed.pseudonym("behaviour", f"{who.method}:{identity}"),
        time_s,
        features,
        "" if who.tenant is None else keyed.pseudonym("behaviour-group", who.tenant),
        labels,
        anonymous=anonymous,
    )


def entropy(text: str) -> float:
    """The Shannon entropy of the characters, in bits for each; 0 for no text."""
    size, different = len(text), set(text)
    if size < 2:
        return 0.0
    counts = [text.count(one) for one in different] if len(different) <= _FEW else list(Counter(text).values())
    return max(0.0, math.log2(size) - sum([count * math.log2(count) for count in counts]) / size)


def _longest(segments: Sequence[Segment]) -> str:
    return max([segment.text for segment in segments], key=len)[:_MEASURED] if segments else ""


@lru_cache(maxsize=1024)
def network_of(address: str) -> str:
    """The network that an address belongs to (/24, or /48 of IPv6); the address itself where it is none."""
    return _part_of(address, _NETWORKS)


@lru_cache(maxsize=1024)
def host_of(address: str) -> str:
    """What tells an address apart: all of it, or the first 64 bits of IPv6, whose rest a host chooses (RFC 4291)."""
    return _part_of(address, _HOSTS)


def _part_of(address: str, bits: Mapping[int, int]) -> str:
    """The network of so many bits; of IPv4 in IPv6 (RFC 4291 section 2.5.5.2) that of the IPv4 address."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    known = getattr(known, "ipv4_mapped", None) or known
    return str(ipaddress.ip_network((int(known), bits[known.version]), strict=False))


def _label(keyed: KeyedHash, kind: str, value: str | bytes) -> str:
    return keyed.digest(f"behaviour-{kind}", value)[:8].hex()
