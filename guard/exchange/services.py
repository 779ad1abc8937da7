"""What an exchange works with: built once by ``guard.runtime``, shared by all exchanges, never changed by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

from guard.config import GuardConfig, Route
from guard.identity import Authenticator
from guard.keyed import KeyedHash
from guard.pipeline import Pipeline
from guard.policy.networks import Networks
from guard.types import BehaviourModel, PolicyEngine, RecordLog

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
    log: RecordLog


@dataclass(frozen=True, slots=True)
class Matched:
    """The route of a request: its entry in the configuration and what follows from it, computed once."""

    route: Route
    field_names: frozenset[str]
    ambiguous: bool = False
    """The path would match another route for a reader that resolves it: refused, whatever the routes say."""


async def offload(size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``function`` here if its input is small, else in a worker thread: nothing holds the event loop for long."""
    if size <= OFFLOAD_BYTES:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)
