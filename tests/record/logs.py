"""Logs made for tests: small, real, on disk."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guard.keyed import KeyedHash
from guard.record.boot import BootFacts
from guard.record.build import Standing, decision_record, outcome_record
from guard.record.keys import LogKeys
from guard.record.slot import Slot
from guard.record.writer import Writer
from guard.types import Decision, DecisionRecord, EngineInfo, Location, Obligation, Principal, Reason

KEYED = KeyedHash("testkey1", b"k" * 32)
KEY = LogKeys(Ed25519PrivateKey.from_private_bytes(b"s" * 32), KEYED)
OTHER_KEY = LogKeys(Ed25519PrivateKey.from_private_bytes(b"o" * 32), KEYED)
NAME = "policy-guard"
ORIGIN = "policy-guard-0"
ENGINE = EngineInfo("embedded", "1", "rev-7", "ab" * 32)
ALICE = Principal(
    type="user", id="alice@example.com", tenant="acme", roles=("dev", "Alice Smith"), authenticated=True, method="jwt"
)
CARDS = Reason(
    code="policy_denied",
    rule="PII-002",
    title="Card numbers stay with providers that may hold them",
    message="1 card number(s) for openai",
    severity="high",
    pointers=("/messages/0/content",),
    remediation="Remove the number, or choose a model of a provider with pci = true.",
    location=Location("policies/pii.rego", 12),
)


def document(stage: str = "request", *, keyed: KeyedHash = KEYED, **changes: Any) -> dict[str, Any]:
    """A policy document as it stands in a record, with what it hides hidden under ``keyed``."""
    made = {
        "version": 1,
        "stage": stage,
        "subject": {
            "type": "user",
            "id": keyed.pseudonym("subject", ALICE.id),
            "tenant": "acme",
            "roles": ["dev", keyed.pseudonym("role", "Alice Smith")],
            "groups": [],
            "authenticated": True,
            "attributes": {},
        },
        "action": {"name": "chat", "method": "POST"},
        "resource": {"type": "model", "route": "/v1/**", "model": "gpt-4o", "provider": "openai"},
        "context": {
            "time": 1_760_000_000_000_000,
            "client": None,
            "networks": [],
            "request_id": None,
            "size_bytes": 311,
            "media_type": "application/json",
        },
        "ai": {"operation": "chat", "messages": 1, "tools": [], "tool_calls": [], "stream": False},
        "findings": [
            {"type": "CREDIT_CARD", "detector": "pii", "score": 990, "pointer": "/messages/0/content", "count": 1}
        ],
        "anomaly": {"score": 120, "features": []},
        "coverage": {
            "inspected": ["/messages/0/content"],
            "skipped": [{"pointer": "headers", "reason": "not_inspected"}],
            "incomplete": [],
        },
    }
    return {**made, **changes}


def decision(number: int = 0, *, effect: str = "allow", **changes: Any) -> DecisionRecord:
    """A ``decision`` record; denied ones name the card rule."""
    denied = effect == "deny"
    arguments: dict[str, Any] = {
        "decision_id": f"0198c0de-0000-7000-8000-{number:012x}",
        "request_id": f"req-{number}",
        "trace_id": None,
        "principal": ALICE,
        "client_ip": "192.0.2.7",
        "method": "POST",
        "route": "/v1/**",
        "policy_input": document(keyed=changes.get("keyed", KEYED)),
        "decision": Decision(
            stage="request",
            effect="deny" if denied else "allow",
            reasons=(CARDS,) if denied else (),
            obligations=() if denied else (Obligation(type="redact", rule="PII-001", params={"entity": "PERSON"}),),
            engine=ENGINE,
            duration_us=120,
        ),
        "http_status": 403 if denied else None,
        "detectors": (),
        "config_digest": "cd" * 32,
        "entrypoint": "data.guard.decision",
        "keyed": KEYED,
    }
    return decision_record(**{**arguments, **changes})


def outcome(number: int = 0, **changes: Any) -> DecisionRecord:
    """The ``outcome`` record of ``decision(number)``."""
    arguments: dict[str, Any] = {
        "decision_ref": f"0198c0de-0000-7000-8000-{number:012x}",
        "status": 200,
        "upstream_status": 200,
        "aborted": None,
        "decisions": (Decision(stage="response", effect="allow", engine=ENGINE, duration_us=80),),
        "policy_input": document("response", keyed=changes.get("keyed", KEYED)),
        "redactions": {"PERSON": 1},
        "restored": 1,
        "size_bytes": 512,
        "duration_us": 90_000,
        "keyed": KEYED,
    }
    return outcome_record(**{**arguments, **changes})


class Opened:
    """A writer with its slot, open; also as a context manager that closes the log in order."""

    def __init__(self, directory: Path, *, key: LogKeys = KEY, segment_records: int = 65_536) -> None:
        self.slot = Slot(directory, NAME)
        self.writer = Writer(
            self.slot.path,
            key.signer(self.slot.origin),
            BootFacts(standing=lambda: Standing("cd" * 32, ENGINE), software_version="0.1.0"),
            segment_records=segment_records,
        )
        self.writer.open()

    def commit(self, *records: DecisionRecord) -> None:
        """One batch."""
        self.writer.commit(records)

    def kill(self) -> None:
        """Leave the log as a crash leaves it: no close record, the lock free."""
        self.writer.poison()
        self.slot.release()

    def close(self) -> None:
        """Close the log in order."""
        self.writer.close({})
        self.slot.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def write_closed(directory: Path, batches: Sequence[Sequence[DecisionRecord]], **options: Any) -> Path:
    """A cleanly closed log of these batches; returns the origin's directory."""
    with Opened(directory, **options) as opened:
        for batch in batches:
            opened.commit(*batch)
    return opened.slot.path


def twelve_records(directory: Path) -> Path:
    """A cleanly closed log of twelve records (open, five pairs, close) in seven commits over two segments."""
    batches = [[decision(0)], [outcome(0), decision(1, effect="deny"), decision(2)], [outcome(2)]]
    batches += [[decision(3), decision(4)], [outcome(4), outcome(3), decision(5, effect="deny")]]
    return write_closed(directory, batches, segment_records=6)


def copy_of(log: Path, target: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(log, target))
