"""Web attacks in an exchange: a form is told from other bodies, and nothing is denied until the operator says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detectors.web import WebDetector
from guard.config import load_config
from guard.generation import bundle_of
from guard.policy.bundle import Bundle
from guard.policy.embedded import EmbeddedEngine
from tests.flow.rig import Rig, answering, chat

pytestmark = pytest.mark.anyio

PAYLOAD = "1' or 1=1 --"
FORM = ("content-type", "application/x-www-form-urlencoded")
WIDE = [{"path": "/**"}]


def shipped(state: Path, **settings: Any) -> EmbeddedEngine:
    """The shipped policies with these settings."""
    config = load_config(environ={}, state_directory=state, policy={"settings": settings})
    bundle: Bundle = bundle_of(config)
    return EmbeddedEngine(bundle, entrypoint=config.policy.entrypoint)


def web_rig(tmp_path: Path, **settings: Any) -> Rig:
    """A guard with the detector web alone and the shipped policies."""
    engine: Any = shipped(tmp_path, **settings)
    return Rig(tmp_path, answering(b"{}"), engine=engine, detectors=[WebDetector()], routes=WIDE)


async def test_a_payload_is_recorded_and_let_in(tmp_path: Path) -> None:
    """WEB-001 watches: the request passes, and its record holds the finding and what the rule would have said."""
    rig = web_rig(tmp_path)
    answer = await rig.call("GET", "/search", query_string=b"q=1%27+or+1%3D1+--")
    assert answer.status == 200
    (record,) = [record for record in rig.log.records if record["kind"] == "decision"]
    assert [(f["type"], f["provenance"]) for f in record["policy_input"]["findings"]] == [("WEB_SQLI", "unknown")]
    assert [rule["rule"] for rule in record["would_deny"]] == ["WEB-001"]
    assert [(each["type"], each["said"]) for each in record["evidence"]] == [("WEB_SQLI", "constant behind a quote")]


async def test_enforced_it_denies(tmp_path: Path) -> None:
    """With its mode set to enforce the same request is refused, and the answer names the kind, not the value."""
    rig = web_rig(tmp_path, modes={"WEB-001": "enforce"})
    answer = await rig.call("GET", "/search", query_string=b"q=1%27+or+1%3D1+--")
    assert answer.status == 403
    assert b"WEB_SQLI" in answer.body
    assert b"1=1" not in answer.body


async def test_a_form_is_told_from_json(tmp_path: Path) -> None:
    """The value of a form is looked at; the same text in a prompt, or in JSON of no shape, is not."""
    rig = web_rig(tmp_path, modes={"WEB-001": "enforce"})
    form = await rig.call("POST", "/feedback", b"note=1%27+or+1%3D1+--", [FORM])
    prompt = await rig.call("POST", "/v1/chat/completions", chat(PAYLOAD))
    loose = await rig.call("POST", "/feedback", {"note": PAYLOAD})
    assert (form.status, prompt.status, loose.status) == (403, 200, 200)
