"""What an exchange works with: built once by ``guard.runtime``, shared by all exchanges, never changed by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, ParamSpec, TypeVar

from guard.config import GuardConfig, Route
from guard.content import ReadLimits
from guard.errors import WorkTimeout
from guard.exchange.failing import Tally
from guard.exchange.pressure import Pressure
from guard.exchange.sharing import Sharing
from guard.exchange.waiting import Waiting
from guard.identity import Authenticator
from guard.keyed import KeyedHash
from guard.obligations.conversations import Conversations
from guard.obligations.counters import Counters
from guard.pipeline import Pipeline
from guard.policy.candidate import Candidate
from guard.policy.networks import Networks
from guard.record.tenant_keys import TenantKeys
from guard.types import BehaviourModel, IntentModel, PolicyEngine, RecordLog
from guard.workers import Workers

P = ParamSpec("P")
T = TypeVar("T")

OFFLOAD_BYTES: Final = 32 * 1024


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Services:
    """The parts of a running guard. ``config_digest`` is the SHA-256 of the effective configuration, in hex."""

    config: GuardConfig
    config_digest: str
    keyed: KeyedHash
    authenticator: Authenticator
    pipeline: Pipeline
    behaviour: BehaviourModel | None
    networks: Networks
    engine: PolicyEngine
    candidate: Candidate | None
    log: RecordLog
    workers: Workers
    pressure: Pressure
    tally: Tally
    counters: Counters
    conversations: Conversations | None = None
    tenants: TenantKeys | None = None
    intent: IntentModel | None = None
    sharing: Sharing | None = None
    waiting: Waiting = field(default_factory=Waiting)

    async def offload(self, size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``function`` here if its input is small, else in a worker thread: nothing holds the event loop for long.

        Raises ``Overloaded``, ``WorkTimeout`` past ``limits.work_deadline_ms``, and whatever ``function`` raises.
        """
        if size <= OFFLOAD_BYTES:
            return function(*args, **kwargs)
        seconds = self.config.limits.work_deadline_ms / 1000
        try:
            return await self.workers.run(function, *args, seconds=seconds, **kwargs)
        except TimeoutError:
            mend = "send less at once, or raise limits.work_deadline_ms"
            raise WorkTimeout(f"a body was not read or written within {seconds:g} s", mend=mend) from None


def read_limits(config: GuardConfig) -> ReadLimits:
    """How deep, how many and how much a body may hold."""
    limits = config.limits
    return ReadLimits(
        max_json_depth=limits.max_json_depth,
        max_json_values=limits.max_json_values,
        inspect_limit_bytes=limits.inspect_limit_bytes,
        max_fields=limits.max_fields,
        max_field_bytes=limits.max_field_bytes,
    )


def _nowhere(_path: str, _method: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Matched:
    """The route of a request: its entry in the configuration and what follows from it, computed once."""

    route: Route
    field_names: frozenset[str]
    ambiguous: bool = False
    """The path would match another route for a reader that resolves it: refused, whatever the routes say."""
    literal: frozenset[int] = frozenset()
    """The segments of the path, from 0, that the pattern of the route spells itself."""
    same_route: Callable[[str, str], bool] = _nowhere
    """Whether another path leads to this route, too, for a method."""
