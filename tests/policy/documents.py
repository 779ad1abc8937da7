"""Policy documents for tests: built from varied, seeded exchanges through ``build_document``, as in production."""

from __future__ import annotations

import random
from typing import Any, get_args

import msgspec

from guard.keyed import KeyedHash
from guard.policy.document import build_document
from guard.policy.networks import Networks
from guard.types import (
    Anomaly,
    Content,
    Coverage,
    Facts,
    Feature,
    Finding,
    Incomplete,
    Named,
    Principal,
    Provenance,
    Segment,
    Skipped,
)

KEYED = KeyedHash("test1", b"a secret of thirty-two bytes or more")
NETWORKS = Networks({"office": ("10.0.0.0/8", "2001:db8::/32"), "lab": ("10.1.0.0/16",)})

CONFIG_DATA: dict[str, Any] = {
    "guard": {
        "providers": {
            "openai": {"region": "us", "pci": False, "external": True},
            "vault": {"region": "eu", "pci": True, "external": True},
            "local": {"region": None, "pci": True, "external": False},
        },
        "tenants": {
            "acme": {"models": ["gpt-4o", "small"]},
            "open": {"models": []},
            "strict": {"models": [], "regions": ["eu"], "tools": ["search"], "max_tokens": 4096},
        },
        "settings": {
            "anomaly_threshold": 0.75,
            "anomaly_thresholds": {"guest": 0.1},
            "anomaly_watch": 0.1,
            "anomaly_threshold_personal": 0.1,
            "max_tokens": 4096,
            "denied_models": ["hu*"],
            "allowed_regions": ["eu", "us"],
            "personal_data_regions": ["eu"],
            "authenticated_only": True,
            "known_tenants_only": True,
            "anonymous_routes": ["/public/**"],
            "route_roles": {"/admin/**": ["ops"]},
            "route_networks": {"/admin/**": ["office"]},
            "role_networks": {"ops": ["office"]},
            "pii_tiers": {
                "public": ["DATE_TIME"],
                "internal": ["PHONE_NUMBER"],
                "restricted": ["US_SSN"],
                "special": ["TERM:project"],
            },
            "provider_tiers": {"vault": "special"},
            "tier_roles": {"restricted": ["ops"]},
            "secrets_redact": ["GITHUB_TOKEN"],
            "secrets_everywhere": True,
            "denied_tools": ["format_*"],
            "tool_roles": {"run_*": ["ops"]},
            "offered_tools_only": True,
            "threat_score_tools": 0.399,
            "budgets": [{"key": ["tenant"], "budget": {"requests": 100}, "window": "1m", "roles": ["dev"]}],
            "anonymous_budget": {"budget": {"requests": 5}, "window": "1m"},
            "unusual_budget": {"score": 0.75, "budget": {"tokens": 1000}, "window": "1h"},
            "business_hours": {
                "zone": "Europe/Berlin",
                "days": ["Monday", "Friday"],
                "from": "08:00",
                "to": "18:00",
                "holidays": ["2025-12-01"],
                "routes": ["/hours/**"],
            },
            "freezes": [
                {"from": "2025-11-25T00:00:00Z", "to": "2026-01-01T00:00:00+01:00", "routes": ["/hours/**"]},
            ],
        },
    }
}
"""Every setting of the shipped rules, each narrow enough that some exchanges pass."""


def document(**changes: Any) -> dict[str, Any]:
    """The document of an ordinary chat request, with some arguments of ``build_document`` changed."""
    arguments: dict[str, Any] = {
        "stage": "request",
        "principal": Principal(type="user", id="alice@example.com", tenant="acme", roles=("dev",), authenticated=True),
        "method": "POST",
        "route": "/v1/**",
        "provider": "openai",
        "content": chat(),
        "findings": [],
        "anomaly": Anomaly(0.0),
        "coverage": Coverage(inspected=("/messages/0/content", "/model")),
        "client_ip": "10.1.2.3",
        "networks": NETWORKS,
        "time_us": 1_764_000_000_000_000,
        "request_id": "0190a000-0000-7000-8000-000000000001",
        "keyed": KEYED,
    }
    return build_document(**(arguments | changes))


def chat(*texts: str, model: str | None = "gpt-4o", **facts: Any) -> Content:
    """A chat body with one message a text, and a model unless that is ``None``."""
    texts = texts or ("hello",)
    segments = [Segment.of(text, f"/messages/{i}/content", "user") for i, text in enumerate(texts)]
    named = None if model is None else Named(model, "/model")
    if model is not None:
        segments.append(Segment.of(model, "/model", "metadata"))
    return Content(
        media_type="application/json",
        size_bytes=sum(len(segment.text) for segment in segments) + 60,
        segments=tuple(segments),
        facts=Facts(**({"operation": "chat", "model": named, "messages": len(texts), "tokens_estimate": 9} | facts)),
    )


_OFFERS: tuple[tuple[str, ...], ...] = ((), (), ("search",), ("search", "run_sql"), ("format_disk",), ("two words",))
_TYPES = [
    ("EMAIL_ADDRESS", "pii"),
    ("PHONE_NUMBER", "pii"),
    ("CREDIT_CARD", "pii"),
    ("US_SSN", "pii"),
    ("ES_NIF", "pii"),
    ("DATE_TIME", "pii"),
    ("PERSON", "names"),
    ("PROMPT_INJECTION", "injection"),
    ("TOOL_INJECTION", "injection"),
    ("WEB_SQLI", "web"),
    ("AWS_ACCESS_KEY", "secrets"),
    ("GITHUB_TOKEN", "secrets"),
    ("TERM:project", "terms"),
]


def varied(count: int, seed: int = 20261122) -> list[dict[str, Any]]:
    """``count`` documents of both stages that between them touch every shipped rule; the same for the same seed."""
    dice = random.Random(seed)
    return [_one(dice, number) for number in range(count)]


def _one(dice: random.Random, number: int) -> dict[str, Any]:
    if dice.random() < 0.1:  # one to which no rule objects
        return document(provider=dice.choice(["openai", "vault"]), request_id=f"req-{number}")
    content = chat(
        *["text"] * dice.randint(1, 6),
        model=dice.choice([None, "gpt-4o", "small", "huge", "a model with spaces", "org/model:7b"]),
        max_tokens=dice.choice([None, 16, 4096, 4097, 200_000, 10**30]),
        tokens_estimate=dice.choice([0, 12, 1_000_001]),
        stream=dice.random() < 0.5,
        tools=tuple(Named(name, f"/tools/{i}/function/name") for i, name in enumerate(dice.choice(_OFFERS))),
        tool_calls=(Named(dice.choice(["search", "run_shell"]), "/messages/1/tool_calls/0"),)
        if dice.random() < 0.3
        else (),
        **dice.choice([{}, {}, {}, {"operation": None}]),
    )
    spoken = tuple(
        msgspec.structs.replace(segment, provenance=dice.choice(("tool", "definition", *get_args(Provenance))))
        for segment in content.segments
    )
    content = msgspec.structs.replace(content, segments=spoken)
    findings = [
        Finding(
            type_, dice.randrange(len(content.segments)), 0, 2, dice.choice([0.05, 0.399, 0.4, 0.85, 1.0]), detector
        )
        for type_, detector in dice.sample(_TYPES, dice.choice([0, 0, 1, 2, 5]))
    ]
    score = dice.choice([0.0, 0.1, 0.7499, 0.75, 0.8, 1.0])
    features = [Feature("rate", dice.random() * 100, 1 / 3, 0.7), Feature("size", 900, 800.5, 0.3)]
    changes: dict[str, Any] = {
        "principal": Principal(
            type=dice.choice(["user", "service", "anonymous"]),
            id=f"caller {number}",
            tenant=dice.choice(["acme", "acme", "open", "open", "strict", "other", None, "Ünïcode GmbH"]),
            roles=tuple(dice.sample(["dev", "ops", "guest", "très-secret"], dice.randint(0, 3))),
            authenticated=dice.random() < 0.8,
            attributes={"level": dice.randint(0, 2**60), "mail": "a@example.org", "staff": dice.random() < 0.5},
        ),
        "route": dice.choice(["/v1/**", "/v1/**", "/v1/**", "/admin/**", "/hours/**", "/public/**"]),
        "provider": dice.choice(["openai", "vault", "vault", "local", None, "nobody"]),
        "content": content,
        "findings": findings,
        "anomaly": Anomaly(score, tuple(features[: dice.randint(0, 2)])),
        "coverage": Coverage(
            inspected=tuple(segment.pointer for segment in content.segments),
            skipped=dice.choice(
                [
                    (),
                    (),
                    (),
                    (Skipped("/messages/0/content/1", "image"),),
                    (Skipped("/messages/9/content", "inspect_limit"),),
                ]
            ),
            incomplete=(Incomplete("pii", dice.choice(["deadline", "limit"])),) if dice.random() < 0.2 else (),
        ),
        "client_ip": dice.choice(["10.1.2.3", "192.0.2.7", "2001:db8::1", None]),
        "time_us": 1_764_000_000_000_000 + dice.randrange(21 * 86_400) * 1_000_000 + number,
        "request_id": dice.choice([None, f"req-{number}", "spaces are no name"]),
    }
    asked = document(**changes)
    if dice.random() < 0.6:
        return asked
    return document(**(changes | {"stage": "response", "request": asked, "method": "POST"}))
