"""A whole guard over OPA: the caller's trace reaches it, and the records say what decided."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from guard.config import load_config
from guard.exchange.scope import _TRACEPARENT
from guard.middleware import GuardMiddleware
from guard.record.verify import verify
from guard.runtime import Runtime
from guard.testing.records import read_records
from tests.flow.rig import Rig, answering, chat
from tests.policy.opa_rig import ALLOW, built, until
from tests.policy.servers import answer, misbehaving, real_opa

pytestmark = pytest.mark.anyio
TRACE = "0af7651916cd43dd8448eb211c80319c"
POLICY = "package guard\n\ndecision := {json}\n".replace("{json}", json.dumps(ALLOW))


def guarded(state: Path, **opa: Any) -> Rig:
    """A guard with a log of its own over this server."""
    config = load_config(
        environ={}, state_directory=state, detectors={"enabled": (), "behaviour": None},
        policy={"engine": "opa", "opa": opa}, limits={"policy_deadline_ms": 20_000},
    )  # fmt: skip
    rig = Rig.__new__(Rig)
    rig.runtime = Runtime(config)
    rig.guard = GuardMiddleware(answering(b"{}"), runtime=rig.runtime)
    return rig


async def test_both_stages_are_spans_of_the_callers_trace(tmp_path: Path) -> None:
    """Each question is a child of its own of what the client sent as ``traceparent``; a request without one has none,
    though it is served by the same server."""
    sent = answer(json.dumps({"result": ALLOW}).encode())
    async with misbehaving(sent) as server:
        rig = guarded(tmp_path, url=server.url)
        header = f"00-{TRACE}-b7ad6b7169203331-01".encode()
        assert (await rig.call(body=chat("x"), headers=[("traceparent", header.decode())])).status == 200
        assert (await rig.call(body=chat("x"))).status == 200
        await rig.runtime.stop()
    found = [re.findall(rb"(?im)^traceparent: (.*?)\r$", request) for request in server.requests]
    assert [len(each) for each in found] == [0, 1, 1, 0, 0]
    assert all(re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01".encode(), each[0]) for each in found[1:3])
    assert len({each[0] for each in found[1:3]} | {header}) == 3
    first, second = read_records(tmp_path, "decision")
    assert (first["trace_id"], second["trace_id"]) == (TRACE, None)


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (f"00-{TRACE}-b7ad6b7169203331-00", True),
        (f"cc-{TRACE}-b7ad6b7169203331-ff", True),
        (f"ff-{TRACE}-b7ad6b7169203331-00", False),
        (f"00-{'0' * 32}-b7ad6b7169203331-00", False),
        (f"00-{TRACE}-{'0' * 16}-00", False),
        (f"00-{TRACE.upper()}-b7ad6b7169203331-00", False),
        (f"00-{TRACE}-b7ad6b7169203331-00-more", False),
        (f"00-{TRACE}-b7ad6b7169203331", False),
        ("jane@example.org", False),
    ],
)
def test_a_traceparent_that_is_none_is_not_passed_on(header: str, accepted: bool) -> None:
    """W3C Trace Context, section 3.2.2: version ff and ids of zeros are invalid, letters are lower case."""
    assert bool(_TRACEPARENT.fullmatch(header.encode())) is accepted


async def test_the_record_names_the_bundle_and_opas_own_decision(tmp_path: Path) -> None:
    """Revision by provenance, OPA's decision id where it logs decisions; the log verifies."""
    bundle = built(tmp_path / "b.tar.gz", "v7", POLICY)
    with real_opa("-b", str(bundle), "--set", "decision_logs.console=true") as opa:
        rig = guarded(tmp_path / "state", url=opa.url, revisions={str(bundle): ["v7"]})
        assert (await rig.call(body=chat("x"))).status == 200
        await rig.runtime.stop()
    (decision,) = read_records(tmp_path / "state", "decision")
    (outcome,) = read_records(tmp_path / "state", "outcome")
    policies = [decision["policy"], outcome["decisions"][0]["policy"]]
    assert [policy["revision"] for policy in policies] == [f"{bundle}@v7"] * 2
    assert len({policy["decision_id"] for policy in policies}) == 2
    assert all(re.fullmatch(r"[0-9a-f-]{36}", policy["decision_id"]) for policy in policies)
    assert verify(tmp_path / "state" / "log").exit_code == 0


async def test_policies_that_are_not_accepted_are_an_outage_and_not_a_denial(tmp_path: Path) -> None:
    """503 with the code, never the 403 of a policy that nobody chose; the record names what OPA had."""
    bundle = built(tmp_path / "b.tar.gz", "v6", POLICY)
    with real_opa("-b", str(bundle)) as opa:
        rig = guarded(tmp_path / "state", url=opa.url, revisions={str(bundle): ["v7"]}, breaker_open_seconds=0.05)
        refused = await rig.call(body=chat("x"))
        engine: Any = rig.runtime.services.engine if rig.runtime.services else None
        assert not engine.healthy
        opa.kill()
        bundle.unlink()
        opa.start("-b", str(_other(bundle, "v7")))
        await until(lambda: engine.healthy)
        assert (await rig.call(body=chat("x"))).status == 200
        await rig.runtime.stop()
    assert (refused.status, refused.json["reasons"][0]["code"]) == (503, "policies_unexpected")
    first = next(iter(read_records(tmp_path / "state", "decision")))
    assert first["decision"]["fail"] == {"component": "policy", "kind": "policies_unexpected", "policy": "closed"}
    assert first["policy"]["revision"] == f"{bundle}@v6"


def _other(bundle: Path, revision: str) -> Path:
    return built(bundle, revision, POLICY)
