"""Putting policies onto a real OPA: whole or not at all, nothing of an earlier push left, and a server that says
what it holds."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.errors import EngineUnavailable, PolicyEvaluationError
from guard.policy.bundle import load_bundle
from guard.policy.opa.management import _ids
from guard.policy.opa.served import Served, served_by
from guard.policy.opa.status import bundles_of
from tests.policy.documents import CONFIG_DATA
from tests.policy.opa_rig import ALLOW, ask, built, bundle_of, codes, started
from tests.policy.servers import answer, free_url, misbehaving, opa_server

pytestmark = pytest.mark.anyio
POLICY = "package guard\n\ndecision := {json}\n".replace("{json}", json.dumps(ALLOW))


def on(url: str) -> tuple[set[str], dict[str, Any]]:
    """Policy ids and data of a server, read past our own code."""
    policies = httpx.get(f"{url}/v1/policies").json()["result"]
    return {policy["id"] for policy in policies}, httpx.get(f"{url}/v1/data").json()["result"]


def put(url: str, path: str, value: Any) -> None:
    """Rego or data, put past our own code."""
    body = value if isinstance(value, str) else json.dumps(value)
    httpx.put(f"{url}/v1/{path}", content=body).raise_for_status()


async def test_what_an_earlier_push_put_there_goes_with_the_next(tmp_path: Path) -> None:
    """Modules and top-level data that the bundle no longer has; what others put there stays."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "data.json").write_text('{"words": ["a"], "odd/na~me": 1, "guard": {"own": 7}}')
    first = bundle_of(tmp_path / "a", kept="package t\n\nx := 1\n", gone="package u\n\ny := 1\n")
    second = bundle_of(tmp_path / "b", kept="package t\n\nx := 2\n", new="package v\n\nz := 1\n")
    with opa_server() as url:
        put(url, "policies/theirs", "package theirs\n\nx := 1\n")
        put(url, "data/theirs_too", {"x": 1})
        async with started(url) as engine:
            assert (await engine.push(first)).removed_modules == ()
            pushed = await engine.push(second)
        modules, data = on(url)
    assert [name.rpartition("/")[2] for name in pushed.removed_modules] == ["gone.rego", "kept.rego"]
    assert pushed.removed_data == ("odd/na~me", "words")
    assert modules == {*pushed.modules, "theirs"}
    assert data["t"] == {"x": 2}
    assert data["theirs_too"] == {"x": 1}
    assert data.keys().isdisjoint({"words", "odd/na~me", "u"})
    assert "own" not in data["guard"]


async def test_a_pushed_bundle_is_named_by_every_answer() -> None:
    """By provenance, in the transaction of the answer: whoever else pushes, the record says what decided."""
    first, second = load_bundle(data=CONFIG_DATA), load_bundle()
    with opa_server() as url:
        async with started(url) as engine, started(url) as other:
            await engine.push(first)
            assert (await ask(engine)).engine == engine.info
            assert (engine.info.revision, engine.info.digest) == (first.revision, first.digest)
            await other.push(second)
            decision = await ask(engine)
    assert decision.engine is not None
    assert (decision.engine.revision, decision.engine.digest) == (second.revision, second.digest)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"a": "package t\n\nx := data.u.f(1)\n", "b": "package u\n\nf(n) := n\n"}),
        ({"old": "package t\n\ndefault x := 1\n"}, {"new": "package t\n\ndefault x := 2\n"}),
        (
            {"a": "package t\n\nx := data.u.f(1)\n", "b": "package u\n\nf(n) := n\n"},
            {"a": "package t\n\nx := data.u.f(1, 2)\n", "b": "package u\n\nf(n, m) := n + m\n"},
        ),
        (
            {"a": "package t\n\ndefault x := 1\n\nf(n) := n\n", "b": "package u\n\ny := data.t.f(1)\n"},
            {"c": "package t\n\ndefault x := 2\n\nf(n) := n\n", "b": "package u\n\ny := data.t.f(2)\n"},
        ),
    ],
    ids=["one needs a later one", "renamed", "an arity that two agree on", "renamed and needed"],
)
async def test_changes_that_compile_only_together(tmp_path: Path, before: Any, after: Any) -> None:
    """OPA compiles after every single change; the order of the push is one that it accepts, or all goes first."""
    with opa_server() as url:
        async with started(url) as engine:
            if before:
                await engine.push(bundle_of(tmp_path / "x", **before))
            await engine.push(bundle_of(tmp_path / "y", **after))
            status = await engine.status()
        modules, _ = on(url)
    assert {name.rpartition("/")[2] for name in modules} == {f"{name}.rego" for name in after}
    assert status.same_as_local is True


async def test_a_push_that_opa_refuses_leaves_what_was_there(tmp_path: Path) -> None:
    """An author's mistake that only OPA finds takes nothing down; OPA's words and the line are told."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "data.json").write_text('{"words": ["a"]}')
    good = bundle_of(tmp_path / "a", guard=POLICY, other="package other\n\nx := data.words\n")
    bad = bundle_of(tmp_path / "b", guard=POLICY, worse="package t\n\nx := no.such.builtin(1)\n")
    with opa_server() as url:
        async with started(url) as engine:
            await engine.push(good)
            before = on(url)
            with pytest.raises(PolicyEvaluationError) as caught:
                await engine.push(bad)
            assert on(url) == before
            assert codes(await ask(engine)) == []
            assert engine.info.digest == good.digest
    assert "worse.rego:3" in caught.value.what
    assert "no.such.builtin" in caught.value.what


async def test_the_first_push_of_all_may_be_refused_too(tmp_path: Path) -> None:
    """Then the server is as empty as it was."""
    with opa_server() as url:
        before = on(url)
        async with started(url) as engine:
            with pytest.raises(PolicyEvaluationError):
                await engine.push(bundle_of(tmp_path / "b", t="package t\n\nx := no.such.builtin(1)\n"))
        after = on(url)
    assert (after[0], after[1].keys() - {"system"}) == (before[0], before[1].keys() - {"system"})


async def test_paths_that_a_bundle_of_opas_own_holds(tmp_path: Path) -> None:
    """OPA's bundles are changed where they are built: it says so, and nothing of the push stays."""
    archive = built(tmp_path / "b.tar.gz", "v1", POLICY)
    with opa_server("-b", str(archive)) as url:
        before = on(url)
        async with started(url) as engine:
            with pytest.raises(PolicyEvaluationError, match="owned by bundle"):
                await engine.push(load_bundle(data=CONFIG_DATA))
            assert on(url)[0] == before[0]
            assert codes(await ask(engine)) == []


async def test_a_push_that_broke_off_is_told_and_mended_by_the_next(tmp_path: Path) -> None:
    """Its manifest says that it is not finished: no digest, so nothing that is pinned counts; the next push knows what
    to remove."""
    bundle = bundle_of(tmp_path / "a", guard=POLICY)
    with opa_server() as url:
        manifest = {
            "manifest": {
                "revision": "abc (push not finished)",
                "roots": ["policy_guard_push"],
                "metadata": {"modules": ["half.rego"], "data": ["half"]},
            }
        }
        put(url, "data/system/bundles/policy-guard", manifest)
        put(url, "policies/half.rego", "package half_done\n\nx := 1\n")
        put(url, "data/half", {"x": 1})
        async with started(url, bundle=bundle, require_local_bundle=True) as engine:
            assert codes(await ask(engine)) == ["policies_unexpected"]
            assert (engine.info.revision, engine.info.digest) == ("abc (push not finished)", "")
            pushed = await engine.push(bundle)
            assert codes(await ask(engine)) == []
        modules, data = on(url)
    assert (pushed.removed_modules, pushed.removed_data) == (("half.rego",), ("half",))
    assert "half.rego" not in modules
    assert "half" not in data


async def test_a_bundle_of_that_name_which_is_not_ours(tmp_path: Path) -> None:
    """A bundle service that serves a bundle called policy-guard is not written over."""
    with opa_server() as url:
        put(url, "data/system/bundles/policy-guard", {"manifest": {"revision": "1", "roots": ["x"]}})
        async with started(url) as engine:
            with pytest.raises(PolicyEvaluationError, match="by itself"):
                await engine.push(bundle_of(tmp_path / "a", guard=POLICY))


async def test_data_that_is_opas_own_is_not_pushed(tmp_path: Path) -> None:
    """``data.system`` holds OPA's authorisation policy and its bundles."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "data.json").write_text('{"system": {"authz": {"allow": true}}}')
    with opa_server() as url:
        async with started(url) as engine:
            with pytest.raises(PolicyEvaluationError, match="belongs to OPA"):
                await engine.push(bundle_of(tmp_path / "a", guard=POLICY))


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (answer(b"{}", "401 Unauthorized"), EngineUnavailable),
        (answer(b"<html>", "200 OK", "text/html"), PolicyEvaluationError),
        (answer(b'{"result": 7}'), PolicyEvaluationError),
    ],
)
async def test_a_push_to_something_else(tmp_path: Path, sent: bytes, error: type[Exception]) -> None:
    """One of our errors, whatever stands at the address."""
    async with misbehaving(sent) as server, started(server.url) as engine:
        with pytest.raises(error):
            await engine.push(bundle_of(tmp_path / "a", guard=POLICY))


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=100)
@given(st.dictionaries(st.text(st.sampled_from("ab./~"), min_size=1, max_size=8), st.just("package t"), max_size=6))
def test_every_module_has_an_id_of_its_own_that_no_url_loses(modules: dict[str, str]) -> None:
    """No empty, dot or double-dot segments: servers and clients resolve those, and two names would be one."""
    ids = _ids(modules)
    assert len(ids) == len(modules)
    for name in ids:
        assert not set(name.split("/")) & ({"", ".", ".."} if name else set())


# --- what a server says of itself -----------------------------------------------------------------------------------


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A bundle service: the files of a folder over HTTP."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Quiet(*a, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


async def test_the_status_of_a_server_that_polls_its_bundles(tmp_path: Path) -> None:
    """Each bundle's revision, when it was activated, and what is wrong with the one that cannot be had."""
    built(tmp_path / "b.tar.gz", "v7", POLICY)
    with serving(tmp_path) as service:
        settings = [
            f"services.s.url={service}", "bundles.authz.service=s", "bundles.authz.resource=/b.tar.gz",
            "bundles.missing.service=s", "bundles.missing.resource=/none.tar.gz", "status.prometheus=true",
        ]  # fmt: skip
        with opa_server(*(part for setting in settings for part in ("--set", setting))) as url:
            async with started(url) as engine:
                found = await engine.status()
                end = time.monotonic() + 30
                while not (len(found.bundles) == 2 and found.bundles[1].error and found.bundles[0].activated):
                    assert time.monotonic() < end, found
                    found = await engine.status()
    authz, missing = found.bundles
    assert (found.error, found.defined, found.revision) == ("", True, "authz@v7")
    assert (authz.name, authz.revision, authz.error) == ("authz", "v7", "")
    assert authz.silent_seconds is not None
    assert 0 <= authz.silent_seconds < 60
    assert (missing.name, missing.revision, missing.activated, missing.silent_seconds) == ("missing", "", "", None)
    assert "Not Found" in missing.error
    assert (found.bundles_active, found.tells_status) == (False, True)


async def test_the_status_of_a_server_without_a_status_plugin() -> None:
    """What provenance and health say; the rest is not told, and that is."""
    bundle = load_bundle(data=CONFIG_DATA)
    with opa_server() as url:
        async with started(url, bundle=bundle) as engine:
            empty = await engine.status()
            await engine.push(bundle)
            pushed = await engine.status()
    assert (empty.defined, empty.revision, empty.same_as_local, empty.tells_status) == (False, "", False, False)
    assert (pushed.defined, pushed.revision, pushed.digest) == (True, bundle.revision, bundle.digest)
    assert (pushed.same_as_local, pushed.error, pushed.unexpected) == (True, "", "")
    assert [(b.name, b.revision, b.activated) for b in pushed.bundles] == [("policy-guard", bundle.revision, "")]


@pytest.mark.parametrize("sent", [b"", b"SSH-2.0\r\n", answer(b"{}", "503 Service Unavailable"), None])
async def test_the_status_of_what_does_not_answer(sent: bytes | None) -> None:
    """A sentence, in time, and no exception."""
    async with misbehaving(sent) as server:
        async with started(free_url()) as engine:
            assert "cannot be reached" in (await engine.status()).error
        engine_url = server.url
        async with started(engine_url) as engine:
            found = await engine.status(timeout_seconds=0.1)
    assert found.error
    assert (found.version, found.defined) == ("", False)


def test_how_long_a_bundle_was_not_asked_for() -> None:
    """Staleness is counted from the last successful request; OPA writes nanoseconds, and the year 1 for never."""
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    told: dict[str, Any] = {
        "a": {"last_successful_request": "2026-11-22T11:58:59.123456789Z", "last_successful_activation": "nonsense"},
        "b": {"last_successful_request": "0001-01-01T00:00:00Z", "code": "bundle_error"},
        "c": "nonsense",
    }
    found = bundles_of(Served("1", {"a": "r1", "d": "r2"}), told, now)
    assert [(b.name, b.revision, b.silent_seconds, b.activated, b.error) for b in found] == [
        ("a", "r1", 60, "", ""),
        ("b", "", None, "", "bundle_error"),
        ("c", "", None, "", ""),
        ("d", "r2", None, "", ""),
    ]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JSON_VALUES | st.fixed_dictionaries({"version": JSON_VALUES, "bundles": JSON_VALUES}))
def test_provenance_of_any_shape_is_read(provenance: Any) -> None:
    """A server's words are bounded and never an exception."""
    info = served_by(provenance).info
    assert (info.name, len(info.version) <= 64, len(info.revision) <= 256, len(info.digest) <= 64) == (
        "opa", True, True, True,
    )  # fmt: skip
