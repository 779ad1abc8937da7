"""The ``key`` records: what the log says of its keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guard.record.note import VerifierKey
from guard.record.sign import Succession
from guard.types import Signer


def key_begun(signer: Signer, endorsements: Sequence[str]) -> dict[str, Any]:
    """The ``key`` record of a log's first key, where somebody endorsed it."""
    return {
        "kind": "key",
        "event": "begun",
        "purpose": "signing",
        "key": VerifierKey.of(signer).encode(),
        "reason": "start",
        "endorsements": list(endorsements),
    }


def key_replaced(before: Signer, succession: Succession) -> dict[str, Any]:
    """The ``key`` record with which the key before signs for the last time."""
    return {
        "kind": "key",
        "event": "replaced",
        "purpose": "signing",
        "key": VerifierKey.of(succession.signer).encode(),
        "before": VerifierKey.of(before).encode(),
        "reason": succession.reason,
        "endorsements": list(succession.endorsements),
    }


def key_destroyed(key_id: str, tenant: str) -> dict[str, Any]:
    """The ``key`` record of an erasure: the pseudonym key of a tenant is gone. ``tenant`` is its pseudonym."""
    return {
        "kind": "key",
        "event": "destroyed",
        "purpose": "pseudonym",
        "key": key_id,
        "reason": "erasure",
        "tenant": tenant,
    }
