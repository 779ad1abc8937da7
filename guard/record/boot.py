"""What a boot of a log says first: the ``open`` record, and ``recovery`` where bytes were moved aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from guard.record.note import VerifierKey
from guard.record.parts import Standing, standing
from guard.record.recovery import Torn

Durability = Literal["strict", "buffered"]


class BootFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an ``open`` record says of the process that opened the log."""

    standing: Callable[[], Standing] = Standing
    """What decides now: asked each time the log is opened, in the writer's thread."""
    software_version: str = ""
    mode: Durability = "strict"
    loss_window_ms: int = 0
    """How much a power failure can lose of what was acknowledged; 0 in strict mode."""
    heartbeat_ms: int = 60_000
    writers: str = ""
    """The list in which openings are entered; ``""`` for none."""


def open_record(facts: BootFacts, key: VerifierKey, *, resumed_at: int, reopened: bool) -> dict[str, Any]:
    """The ``open`` record: ``resumed_at`` records stand before it, ``key`` signs its commit."""
    return {
        "kind": "open",
        **standing(facts.standing()),
        "reopened": reopened,
        "software": {"name": "policy-guard", "version": facts.software_version},
        "mode": facts.mode,
        "loss_window_ms": facts.loss_window_ms,
        "heartbeat_ms": facts.heartbeat_ms,
        "key": key.encode(),
        "resumed_at": resumed_at,
        **({"writers": facts.writers} if facts.writers else {}),
    }


def recovery_record(torn: Torn) -> dict[str, Any]:
    """The ``recovery`` record of bytes that were moved aside."""
    return {
        "kind": "recovery",
        "segment": torn.segment,
        "file": torn.file,
        "dropped_bytes": torn.size,
        "sha256": torn.sha256,
    }
