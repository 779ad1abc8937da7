"""The real OPA as the engine: what the client library lets through ends as a denial with a reason code, in time."""

from __future__ import annotations

import asyncio
import builtins
import json
import time
from pathlib import Path
from typing import Any

import pytest

from guard.config import OpaConfig
from guard.errors import ConfigError, EngineUnavailable, PolicyEvaluationError
from guard.policy.bundle import load_bundle
from guard.policy.opa import OpaEngine
from guard.types import UNDEFINED
from tests.policy.documents import CONFIG_DATA, document
from tests.policy.opa_rig import ALLOW, ask, bundle_of, started
from tests.policy.servers import answer, free_url, misbehaving, opa_server

pytestmark = pytest.mark.anyio
# --- servers that misbehave -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "code", "outage"),
    [
        (answer(b"{}"), "policy_undefined", False),
        (answer(b'{"result": true}'), "policy_error", True),
        (answer(b'{"result": null}'), "policy_error", True),
        (answer(b"[]"), "policy_error", True),
        (answer(b"null"), "policy_error", True),
        (answer(b"not json"), "policy_error", True),
        (answer(b'{"result": {"allow": tru'), "policy_error", True),
        (answer(b"\xff\xfe\xfa"), "policy_error", True),
        (answer(b"[" * 100_000), "policy_error", True),
        (answer(json.dumps({"result": ALLOW}).encode(), media_type="text/html"), "policy_error", True),
        (answer(b'{"code": "internal_error"}', "500 Internal Server Error"), "policy_error", True),
        (answer(b'{"code": "invalid_parameter"}', "400 Bad Request"), "policy_error", True),
        (answer(b"{}", "404 Not Found"), "policy_error", True),
        (answer(b"{}", "401 Unauthorized"), "engine_unavailable", True),
        (answer(b"{}", "403 Forbidden"), "engine_unavailable", True),
        (answer(b"busy", "429 Too Many Requests"), "engine_unavailable", True),
        (answer(b"bad", "502 Bad Gateway"), "engine_unavailable", True),
        (answer(b"down", "503 Service Unavailable"), "engine_unavailable", True),
        (answer(b"late", "504 Gateway Timeout"), "engine_unavailable", True),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
            "engine_unavailable",
            True,
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "policy_error", True),
        (b"", "engine_unavailable", True),
    ],
)
async def test_an_answer_that_is_no_decision_denies(sent: bytes, code: str, outage: bool) -> None:
    """Undefined, garbage, errors and broken connections each have their reason code, and one attempt is made."""
    async with misbehaving(sent) as server, started(server.url) as engine:
        before = len(server.requests)
        decision = await ask(engine)
        assert len(server.requests) == before + 1
    assert decision.effect == "deny"
    assert [r.code for r in decision.reasons] == [code]
    assert decision.outage is outage


async def test_a_server_that_is_down_denies_at_once() -> None:
    """No hidden retries: a refused connection is an outage, told how to mend."""
    async with started(free_url()) as engine:
        decision = await ask(engine)
    assert [r.code for r in decision.reasons] == ["engine_unavailable"]
    assert decision.outage
    assert decision.duration_us < 900_000  # the library's own retries sleep this long


async def test_a_silent_server_costs_the_deadline_and_no_more() -> None:
    """The deadline is ours, not the library's 1.5 seconds an attempt."""
    async with misbehaving(None) as server:
        engine = OpaEngine(OpaConfig(url=server.url), "data.guard.decision")
        await asyncio.wait_for(engine.start(), 30)
        decision = await asyncio.wait_for(ask(engine, seconds=0.05), 30)
        await engine.stop()
    assert [r.code for r in decision.reasons] == ["policy_timeout"]
    assert decision.outage


async def test_a_server_that_trickles_costs_the_deadline_and_no_more() -> None:
    """A head without its body is no answer."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    async with misbehaving(head, then_close=False) as server:
        engine = OpaEngine(OpaConfig(url=server.url), "data.guard.decision")
        await engine.start()
        decision = await asyncio.wait_for(ask(engine, seconds=0.05), 30)
        await engine.stop()
    assert [r.code for r in decision.reasons] == ["policy_timeout"]


async def test_a_deadline_that_has_passed_asks_nobody() -> None:
    """No request leaves for a decision that is late already."""
    async with misbehaving(answer(b"{}")) as server, started(server.url) as engine:
        before = len(server.requests)
        decision = await ask(engine, seconds=-1.0)
        assert len(server.requests) == before
    assert [r.code for r in decision.reasons] == ["policy_timeout"]


async def test_an_engine_that_was_not_started_denies() -> None:
    """The library fails on a missing session; we say so."""
    decision = await ask(OpaEngine(OpaConfig(url=free_url()), "data.guard.decision"))
    assert [r.code for r in decision.reasons] == ["engine_unavailable"]


async def test_the_query_is_strict_and_carries_the_token(tmp_path: Path) -> None:
    """Path, parameters, bearer token and the document as input, as OPA's REST API asks for them."""
    (tmp_path / "token").write_text("abc123\n")
    async with (
        misbehaving(answer(json.dumps({"result": ALLOW}).encode())) as server,
        started(server.url, "data.team.app.verdict", token_file=tmp_path / "token") as engine,
    ):
        decision = await ask(engine)
    assert decision.effect == "allow"
    head, _, body = server.requests[-1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/data/team/app/verdict?strict-builtin-errors=true&provenance=true HTTP/1.1\r\n")
    assert b"authorization: bearer abc123\r\n" in head.lower() + b"\r\n"
    assert json.loads(body) == {"input": document()}


async def test_the_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing reaches the network that the configuration does not name."""
    monkeypatch.setenv("HTTP_PROXY", free_url())
    monkeypatch.setenv("http_proxy", free_url())
    async with misbehaving(answer(json.dumps({"result": ALLOW}).encode())) as server, started(server.url) as engine:
        assert (await ask(engine)).effect == "allow"


# --- configuration --------------------------------------------------------------------------------------------------


def test_a_missing_client_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The optional dependency is told by name, not by an ImportError from below."""
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("opa_client"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError) as caught:
        OpaEngine(OpaConfig(), "data.guard.decision")
    assert "policy-guard[opa]" in caught.value.mend


def test_a_token_file_that_is_missing_is_a_configuration_error(tmp_path: Path) -> None:
    """Told at start, with the file."""
    with pytest.raises(ConfigError) as caught:
        OpaEngine(OpaConfig(token_file=tmp_path / "none"), "data.guard.decision")
    assert "token_file" in caught.value.where


def test_an_authority_that_is_no_certificate_is_a_configuration_error(tmp_path: Path) -> None:
    """A wrong ca_file does not fall back to the system's authorities."""
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(ConfigError) as caught:
        OpaEngine(OpaConfig(url="https://127.0.0.1", ca_file=tmp_path / "ca.pem"), "data.guard.decision")
    assert "ca_file" in caught.value.where


# --- the real server ------------------------------------------------------------------------------------------------


async def test_a_pushed_bundle_decides_and_is_named() -> None:
    """After a push the server decides by our policies, and info says which and by which OPA."""
    bundle = load_bundle(data=CONFIG_DATA)
    with opa_server() as url:
        async with started(url) as engine:
            assert [r.code for r in (await ask(engine)).reasons] == ["policy_undefined"]
            await engine.push(bundle)
            decision = await ask(engine)
        async with started(url) as later:
            assert later.info == engine.info
    assert decision.effect == "allow"
    assert (engine.info.name, engine.info.digest, engine.info.revision) == ("opa", bundle.digest, bundle.revision)
    assert engine.info.version
    assert engine.rules.keys() == bundle.rules.keys()


async def test_data_of_every_shape_is_pushed(tmp_path: Path) -> None:
    """Top-level data that is no object, and names that a JSON pointer must escape, reach the server too."""
    (tmp_path / "data.json").write_text('{"words": ["a", "b"], "odd/na~me": {"x": 1}, "guard": {"own": 7}}')
    text = 'package t\n\nall := [data.words, data["odd/na~me"].x, data.guard.own]\n'
    bundle = bundle_of(tmp_path, t=text)
    with opa_server() as url:
        async with started(url, "data.t.all") as engine:
            await engine.push(bundle)
            verdict = await engine.evaluate({}, deadline=time.monotonic() + 5)
    assert verdict.value == [["a", "b"], 1, 7]


async def test_a_failing_builtin_is_an_error_not_a_silence(tmp_path: Path) -> None:
    """Strict built-in errors: a rule that cannot be computed must not become a permission."""
    text = """package t

decision := {"allow": count(denials) == 0}

denials contains 1 if time.parse_rfc3339_ns(input.subject.id) > 0
"""
    with opa_server() as url:
        async with started(url, "data.t.decision") as engine:
            await engine.push(bundle_of(tmp_path, t=text))
            decision = await ask(engine)
    assert [r.code for r in decision.reasons] == ["policy_error"]
    assert decision.outage


async def test_a_module_that_the_server_refuses_is_an_error(tmp_path: Path) -> None:
    """A push that did not succeed says so."""
    with opa_server() as url:
        async with started(url) as engine:
            with pytest.raises(PolicyEvaluationError):
                await engine.push(bundle_of(tmp_path, t="package t\n\nx := no.such.builtin(1)\n"))


async def test_a_push_to_nobody_is_an_error() -> None:
    """The same for a server that is not there."""
    async with started(free_url()) as engine:
        with pytest.raises(EngineUnavailable):
            await engine.push(load_bundle())


async def test_an_undefined_entrypoint_is_undefined() -> None:
    """OPA answers 200 without a result: no value, no permission."""
    with opa_server() as url:
        async with started(url, "data.no.such.rule") as engine:
            verdict = await engine.evaluate({}, deadline=time.monotonic() + 5)
    assert verdict.value is UNDEFINED
