"""What a behaviour model is told of an exchange: the request as numbers and keyed labels, the decision, the answer."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from starlette.types import Scope

from guard.exchange.judge import Caller
from guard.keyed import KeyedHash
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

_MEASURED: Final = 1000
"""Characters of the longest text, from its start, whose entropy is taken."""
_FEW: Final = 64
_TOOLS: Final = 16
_NETWORKS: Final = {4: 24, 6: 48}
"""An address is told apart from others by so many bits: one site or one provider's customer, not one device."""


class Behaving:
    """One connection, as its behaviour model sees it; nothing where there is no model."""

    def __init__(self, model: BehaviourModel | None) -> None:
        self.scored: tuple[DetectorOutcome, ...] = ()
        """How the model fared with the last request."""
        self._model = model
        self._event: BehaviourEvent | None = None
        self._let_in = False

    def score(
        self, caller: Caller, scope: Scope, content: Content, findings: Sequence[Finding], keyed: KeyedHash
    ) -> Anomaly:
        """How unusual a request is."""
        if self._model is None:
            return Anomaly(0.0)
        self._let_in = False
        self._event = event_of(caller, scope, content, findings, keyed)
        started_ns = time.perf_counter_ns()
        anomaly = self._model.score(self._event)
        duration_us = (time.perf_counter_ns() - started_ns) // 1000
        self.scored = (DetectorOutcome(self._model.info, "ok", duration_us),)
        return anomaly

    def decided(self, decision: Decision) -> None:
        """Teach the model by the request that was scored. What nobody decided teaches nothing."""
        if self._model is not None and self._event is not None:
            effect = "deny" if decision.fail_open else decision.effect
            self._let_in = effect == "allow"
            self._model.learn(self._event, effect)

    def answered(self, *, tokens_out: int | None, error: bool, refused: bool) -> None:
        """Teach the model by what came of a request that was let in, if it cares."""
        settle = getattr(self._model, "settle", None)
        if settle is not None and self._event is not None and self._let_in:
            self._let_in = False
            tokens = None if tokens_out is None else float(tokens_out)
            settle(self._event, BehaviourOutcome(time.time(), tokens, error, refused))


def event_of(
    caller: Caller, scope: Scope, content: Content, findings: Sequence[Finding], keyed: KeyedHash
) -> BehaviourEvent:
    """The request as a behaviour model sees it. Without a credential the address is all that tells callers apart."""
    who, facts, segments = caller.principal, content.facts, content.segments
    identity = (caller.client_ip or "") if who.method == "anonymous" else f"{who.tenant}/{who.id}"
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
    for name, value in scope["headers"]:
        if name == b"user-agent":
            labels["agent"] = (_label(keyed, "agent", value),)
            break
    if caller.client_ip is not None:
        labels["network"] = (_label(keyed, "network", network_of(caller.client_ip)),)
    return BehaviourEvent(
        keyed.pseudonym("behaviour", f"{who.method}:{identity}"),
        caller.time_us / 1e6,
        features,
        "" if who.tenant is None else keyed.pseudonym("behaviour-group", who.tenant),
        labels,
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
    try:
        version = ipaddress.ip_address(address).version
        return str(ipaddress.ip_network(f"{address}/{_NETWORKS[version]}", strict=False))
    except ValueError:
        return address


def _label(keyed: KeyedHash, kind: str, value: str | bytes) -> str:
    return keyed.digest(f"behaviour-{kind}", value)[:8].hex()
