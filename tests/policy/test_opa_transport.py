"""How the guard reaches OPA: sockets, TLS both ways, tokens that are renewed, traces, and answers without a bound."""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from guard.config import OpaConfig
from guard.errors import ConfigError
from guard.policy.opa import OpaEngine
from guard.policy.opa.credentials import Credentials
from guard.telemetry import join_trace
from tests.policy.certificates import Authority
from tests.policy.documents import CONFIG_DATA
from tests.policy.opa_rig import ALLOW, ENTRYPOINT, ask, built, codes, started
from tests.policy.servers import answer, misbehaving, real_opa

pytestmark = pytest.mark.anyio
POLICY = "package guard\n\ndecision := {json}\n".replace("{json}", json.dumps(ALLOW))
ALLOWED = answer(json.dumps({"result": ALLOW}).encode())
TRACE = "0af7651916cd43dd8448eb211c80319c"


# --- sockets --------------------------------------------------------------------------------------------------------


async def test_a_unix_domain_socket(tmp_path: Path) -> None:
    """A sidecar that shares a volume and no network: decisions and management go over the socket."""
    from guard.policy.bundle import load_bundle

    file = tmp_path / "opa.sock"
    with real_opa(socket_file=str(file)) as opa:
        assert opa.url == f"unix://{file}"
        async with started(opa.url) as engine:
            assert codes(await ask(engine)) == ["policy_undefined"]
            await engine.push(load_bundle(data=CONFIG_DATA))
            assert codes(await ask(engine)) == []
            assert (await engine.status()).bundles_active
    async with started(opa.url) as engine:
        assert codes(await ask(engine)) == ["engine_unavailable"]


# --- TLS ------------------------------------------------------------------------------------------------------------


async def test_https_is_believed_from_the_named_authority_only(tmp_path: Path) -> None:
    """ca_file is the one authority; a server that it did not sign is not asked anything."""
    ours, other = Authority(tmp_path), Authority(tmp_path, "other")
    certificate, key = ours.sign("server")
    arguments = ("--tls-cert-file", str(certificate), "--tls-private-key-file", str(key))
    with real_opa(*arguments, scheme="https") as opa:
        async with started(opa.url, ca_file=ours.file) as engine:
            assert codes(await ask(engine)) == ["policy_undefined"]
        strangers: list[dict[str, Any]] = [{"ca_file": other.file}, {}]
        for named in strangers:
            async with started(opa.url, **named) as engine:
                decision = await ask(engine)
                assert codes(decision) == ["engine_unavailable"]
                assert "TLS" in decision.reasons[0].message
        named_otherwise = opa.url.replace("127.0.0.1", "localhost")
        async with started(named_otherwise, ca_file=ours.file) as engine:
            assert codes(await ask(engine)) == ["engine_unavailable"], "a certificate for another host"


async def test_an_opa_that_asks_for_a_client_certificate(tmp_path: Path) -> None:
    """Mutual TLS: with the certificate of OPA's authority decisions come, without one or with another's none."""
    ours, other = Authority(tmp_path), Authority(tmp_path, "other")
    certificate, key = ours.sign("server")
    mine, strangers = ours.sign("client"), other.sign("stranger")
    arguments = ["--tls-cert-file", str(certificate), "--tls-private-key-file", str(key), "--authentication", "tls"]
    with real_opa(*arguments, "--tls-ca-cert-file", str(ours.file), scheme="https") as opa:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"client_cert_file": mine[0], "client_key_file": mine[1]}, "policy_undefined"),
            ({"client_cert_file": strangers[0], "client_key_file": strangers[1]}, "engine_unavailable"),
            ({}, "engine_unavailable"),
        ]
        for named, found in cases:
            async with started(opa.url, ca_file=ours.file, **named) as engine:
                assert codes(await ask(engine)) == [found]


def test_certificate_and_key_in_one_file(tmp_path: Path) -> None:
    """As many tools write it."""
    authority = Authority(tmp_path)
    certificate, key = authority.sign("client")
    certificate.write_bytes(certificate.read_bytes() + key.read_bytes())
    config = OpaConfig(url="https://127.0.0.1", ca_file=authority.file, client_cert_file=certificate)
    assert Credentials(config).context is not None


@pytest.mark.parametrize("broken", ["another's key", "a password", "no file", "no PEM"])
def test_a_client_certificate_that_cannot_be_used_stops_the_start(tmp_path: Path, broken: str) -> None:
    """Told with both files; a key with a password never asks for it on the terminal."""
    authority = Authority(tmp_path)
    certificate, key = authority.sign("client", password=b"hunter2" if broken == "a password" else None)
    if broken == "another's key":
        key = authority.sign("second")[1]
    elif broken == "no file":
        key.unlink()
    elif broken == "no PEM":
        certificate.write_text("none")
    config = OpaConfig(url="https://127.0.0.1", client_cert_file=certificate, client_key_file=key)
    with pytest.raises(ConfigError) as caught:
        OpaEngine(config, ENTRYPOINT)
    assert "client_cert_file" in caught.value.where
    assert str(key) in caught.value.where


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"client_key_file": "k"}, "client_key_file needs client_cert_file"),
        ({"client_cert_file": "c"}, "client_cert_file is for https addresses"),
        ({"url": "unix://relative"}, "pattern"),
        ({"url": "unix:///opa.sock?x"}, "pattern"),
        ({"revisions": {"guard": []}}, "at least 1 item"),
    ],
)
def test_keys_that_contradict_each_other(keys: dict[str, Any], complaint: str) -> None:
    """An option without effect would be believed to have one."""
    with pytest.raises(ValueError, match=complaint):
        OpaConfig(**keys)


# --- credentials that are renewed -----------------------------------------------------------------------------------


def test_a_token_that_is_written_anew_is_read_again(tmp_path: Path) -> None:
    """Kubernetes renews a projected token every hour. A file that is empty for a moment changes nothing."""
    file, now = tmp_path / "token", 0.0
    file.write_text("first\n")
    credentials = Credentials(OpaConfig(token_file=file), clock=lambda: now)
    assert credentials.headers() == {"Authorization": "Bearer first"}
    _replace(file, "second")
    assert credentials.headers() == {"Authorization": "Bearer first"}, "the file is not looked at for every request"
    now = 10.0
    assert credentials.headers() == {"Authorization": "Bearer second"}
    _replace(file, "")
    now = 20.0
    assert credentials.headers() == {"Authorization": "Bearer second"}
    _replace(file, "third")
    now = 30.0
    assert credentials.headers() == {"Authorization": "Bearer third"}


def _replace(file: Path, text: str) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(file)


@pytest.mark.parametrize("text", ["", "two words", "line\nbreak"])
def test_a_token_file_that_holds_no_token(tmp_path: Path, text: str) -> None:
    """Told at start; it would be a header of one's own otherwise."""
    (tmp_path / "token").write_text(text)
    with pytest.raises(ConfigError, match="one word"):
        Credentials(OpaConfig(token_file=tmp_path / "token"))


# --- traces ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampled", [True, False])
async def test_opa_is_part_of_the_callers_trace(sampled: bool) -> None:
    """A child span of the caller's trace, a new one for each question (W3C Trace Context)."""
    async with misbehaving(ALLOWED) as server, started(server.url) as engine:
        join_trace(TRACE, sampled=sampled)
        await ask(engine)
        await ask(engine)
        join_trace(None)
        await ask(engine)
    found = [re.findall(rb"(?im)^traceparent: (.*?)\r$", request) for request in server.requests]
    assert found[0] == found[3] == [], "neither the start nor a request without a trace has one"
    spans = [re.fullmatch(rf"00-{TRACE}-([0-9a-f]{{16}})-0{int(sampled)}".encode(), f[0]) for f in found[1:3]]
    assert spans[0] is not None
    assert spans[1] is not None
    assert spans[0][1] != spans[1][1]


async def test_the_guards_own_questions_are_in_nobodys_trace() -> None:
    """The probes that follow an outage are not part of the request that met it."""
    async with misbehaving(b"") as server:
        engine = OpaEngine(OpaConfig(url=server.url, breaker_failures=1, breaker_open_seconds=0.01), ENTRYPOINT)
        engine._client = engine._new_client()
        await engine._client._init_session()
        join_trace(TRACE)
        await ask(engine)
        async with asyncio.timeout(30):
            while len(server.requests) < 3:  # noqa: ASYNC110 - the engine asks by itself
                await asyncio.sleep(0.01)
        await engine.stop()
    assert [b"traceparent" in request.lower() for request in server.requests[:3]] == [True, False, False]


# --- answers --------------------------------------------------------------------------------------------------------


async def test_an_answer_past_the_bound_is_not_read() -> None:
    """Nor is it held: the connection is closed after the first piece too many."""
    body = json.dumps({"result": {**ALLOW, "reasons": ["x" * 100_000_000]}}).encode()
    async with misbehaving(answer(body)) as server, started(server.url, max_answer_bytes=4096) as engine:
        decision = await ask(engine)
    assert codes(decision) == ["policy_error"]
    assert decision.reasons[0].message == "OPA's answer is larger than 4096 bytes."


async def test_a_compressed_answer_is_not_unpacked() -> None:
    """None was asked for: a small answer must not become a large one."""
    body = zlib.compress(json.dumps({"result": ALLOW}).encode())
    sent = answer(body, "200 OK\r\nContent-Encoding: deflate")
    async with misbehaving(sent) as server, started(server.url) as engine:
        assert codes(await ask(engine)) == ["policy_error"]
    assert b"accept-encoding: identity" in server.requests[0].lower()


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
async def test_a_redirect_is_not_followed(status: str) -> None:
    """Documents go to the address that the configuration names, and to no other."""
    async with (
        misbehaving(ALLOWED) as other,
        misbehaving(answer(b"", f"{status}\r\nLocation: {other.url}/v1/data")) as server,
        started(server.url) as engine,
    ):
        decision = await ask(engine)
    assert codes(decision) == ["engine_unavailable"]
    assert "redirect" in decision.reasons[0].message
    assert other.requests == []


async def test_a_rule_that_fails_is_named_by_its_place_and_never_by_opas_message() -> None:
    """OPA's sentence may quote a value; its code and the file and line may be told."""
    error = {
        "code": "internal_error",
        "message": "error(s) occurred while evaluating query",
        "errors": [
            {
                "code": "eval_builtin_error",
                "message": 'time.parse_rfc3339_ns: parsing time "jane@example.org"',
                "location": {"file": "rules/hours.rego", "row": 12, "col": 3},
            }
        ],
    }
    sent = answer(json.dumps(error).encode(), "500 Internal Server Error")
    async with misbehaving(sent) as server, started(server.url) as engine:
        decision = await ask(engine)
    assert codes(decision) == ["policy_error"]
    assert decision.reasons[0].message == ("OPA answered with status 500: eval_builtin_error at rules/hours.rego:12.")


async def test_opas_own_name_for_a_decision_is_kept(tmp_path: Path) -> None:
    """With decision logs on, OPA names each decision: the record can be held against OPA's log, where the values of
    non-deterministic built-ins stand."""
    bundle = built(tmp_path / "b.tar.gz", "v1", POLICY)
    with real_opa("-b", str(bundle), "--set", "decision_logs.console=true") as opa:
        async with started(opa.url) as engine:
            decision = await ask(engine)
    assert re.fullmatch(r"[0-9a-f-]{36}", decision.engine_decision_id)
    for name in ('"x y"', "7", '"' + "a" * 65 + '"'):
        sent = answer(b'{"decision_id": %s, "result": %s}' % (name.encode(), json.dumps(ALLOW).encode()))
        async with misbehaving(sent) as server, started(server.url) as engine:
            assert (await ask(engine)).engine_decision_id == ""
