"""Policies in shadow: evaluated beside those that decide, and recorded, so that an author sees what a change would do
before it does it.

A candidate costs a request what its evaluation costs, and never more than its deadline. One that keeps running into its
bounds is paused, so that it cannot slow the process down either. It has no other effect: whatever it answers, raises or
fails to answer becomes a ``Shadow``.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from guard.config import GuardConfig
from guard.config.model import CandidateConfig, PolicyConfig
from guard.errors import PolicyInvalid
from guard.policy.engine import decide
from guard.telemetry import get_logger
from guard.types import Decision, EngineInfo, Obligation, PolicyEngine, Shadow

MAX_STEPS: Final = 50_000
UNDEFINED: Final = "policy_undefined"
PAUSED: Final = "candidate_paused"
FAILED: Final = "policy_error"
_SHARES: Final = 1000
# What an ordinary evaluation takes, many times over.
_COSTLY_US: Final = 1000
_COSTLY_FAILURES: Final = 10
_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0

_log = get_logger("guard.policy.candidate")


def candidate_config(config: GuardConfig) -> GuardConfig | None:
    """The configuration as it would be if the candidate decided; ``None`` where there is no candidate.

    What ``[policy.candidate]`` does not give is as in ``[policy]``. The engine is the embedded one.
    """
    live, wanted = config.policy, config.policy.candidate
    if wanted is None:
        return None
    given = {name: value for name in _inherited(wanted) if (value := getattr(wanted, name)) is not None}
    if given.keys() & {"directories", "bundle"}:
        given = {"directories": (), "bundle": None, **given}
    policy = live.model_copy(update={"engine": "embedded", "candidate": None, **given})
    return config.model_copy(update={"policy": policy})


def _inherited(wanted: CandidateConfig) -> list[str]:
    return [name for name in type(wanted).model_fields if name in PolicyConfig.model_fields]


def as_candidate(error: PolicyInvalid) -> PolicyInvalid:
    """The error with every diagnostic said to be the candidate's."""
    return PolicyInvalid([msgspec.structs.replace(e, message=f"candidate: {e.message}") for e in error.diagnostics])


class Candidate:
    """One candidate, and how it fares. Shared by all requests of an event loop.

    ``share`` (0..1) of the exchanges are judged. ``deadline_ms`` bounds one evaluation in time. ``clock`` is monotonic,
    in seconds.
    """

    def __init__(
        self,
        engine: PolicyEngine,
        *,
        entrypoint: str,
        share: float = 1.0,
        deadline_ms: int = 10,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.entrypoint = entrypoint
        self.judged = self.failed = 0
        self.last_error = ""
        self.terms = (entrypoint, share, deadline_ms)
        self._engine = engine
        self._permille = round(share * _SHARES)
        self._deadline_s = deadline_ms / 1000
        self._clock = clock
        self._costly = 0
        self._pause_s = _PAUSE_SECONDS
        self._paused_until: float | None = None

    @property
    def info(self) -> EngineInfo:
        """Engine, revision and digest."""
        return self._engine.info

    @property
    def permille(self) -> int:
        """How many of a thousand exchanges are judged."""
        return self._permille

    @property
    def paused(self) -> bool:
        """Whether it is left out for now, because it kept running into its bounds."""
        return self._paused_until is not None and self._clock() < self._paused_until

    def takes(self, decision_id: str) -> bool:
        """Whether the exchange with this id is judged: the same answer in every process, at both stages."""
        return self._permille >= _SHARES or zlib.crc32(decision_id.encode()) % _SHARES < self._permille

    async def judge(
        self, document: Mapping[str, Any], live: Decision, settled: Callable[[Decision], Decision]
    ) -> Shadow:
        """What it would decide where the policies that decide came to ``live``. Raises nothing; cancellation passes
        through.

        ``settled`` makes an engine's decision one that holds, as it was done for ``live``: one with an obligation that
        cannot be performed is a denial.
        """
        if self.paused:
            return Shadow(engine=self.info, effect=None, error=PAUSED)
        self.judged += 1
        deadline = time.monotonic() + self._deadline_s
        decision = await decide(self._engine, document, stage=live.stage, deadline=deadline)
        if decision.outage or (decision.reasons and decision.reasons[0].code == UNDEFINED):
            return self._failed(decision.reasons[0].code, decision.duration_us)
        try:
            shadow = compared(live, settled(decision), self.info)
        except Exception:  # noqa: BLE001 - an answer that breaks what reads it
            return self._failed(FAILED, decision.duration_us)
        self._costly, self._pause_s, self._paused_until = 0, _PAUSE_SECONDS, None
        return shadow

    def _failed(self, error: str, duration_us: int) -> Shadow:
        """Count it, and pause after failures in a row that each took long: for ever longer, while nothing gets
        better."""
        self.failed += 1
        self.last_error = error
        self._costly = self._costly + 1 if duration_us >= _COSTLY_US else 0
        # After a pause, the first costly failure is enough.
        if self._costly >= _COSTLY_FAILURES or (self._costly and self._paused_until is not None):
            self._paused_until = self._clock() + self._pause_s
            _log.warning("the candidate policies are paused", code=error, seconds=self._pause_s)
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_SECONDS)
            self._costly = 0
        return Shadow(engine=self.info, effect=None, error=error, duration_us=duration_us)


def compared(live: Decision, candidate: Decision, engine: EngineInfo) -> Shadow:
    """What would be otherwise, had ``candidate`` held in place of ``live``. Obligations count where both allow: what a
    denial obliges to is never done."""
    added: tuple[Obligation, ...] = ()
    removed: tuple[Obligation, ...] = ()
    if live.effect == "allow" == candidate.effect:
        have, would = ({_key(o): o for o in decision.obligations} for decision in (live, candidate))
        added = tuple(obligation for key, obligation in would.items() if key not in have)
        removed = tuple(obligation for key, obligation in have.items() if key not in would)
    return Shadow(
        engine=engine,
        effect=candidate.effect,
        changed=live.effect != candidate.effect or bool(added or removed),
        reasons=candidate.reasons,
        added=added,
        removed=removed,
        duration_us=candidate.duration_us,
    )


def _key(obligation: Obligation) -> tuple[str, str, bytes]:
    params = msgspec.json.encode(obligation.params, order="deterministic", enc_hook=repr)
    return obligation.type, obligation.rule, params
