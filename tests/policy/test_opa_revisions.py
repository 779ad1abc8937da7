"""Whose answers count: policies that are pinned by revision or by the local bundle, and a server that restarts with
others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from guard.errors import UnexpectedPolicies
from guard.policy.bundle import Bundle, load_bundle
from guard.policy.opa.served import PUSHED, Expected, Served
from tests.policy.documents import CONFIG_DATA
from tests.policy.opa_rig import ALLOW, ask, built, bundle_of, codes, started, until
from tests.policy.servers import real_opa

pytestmark = pytest.mark.anyio
ALLOWING = "package guard\n\ndecision := {json}\n".replace("{json}", json.dumps(ALLOW))
DENYING = ALLOWING.replace("true", "false")
QUICK: dict[str, Any] = {"breaker_open_seconds": 0.05}


async def test_restarted_with_an_older_bundle_and_nothing_pinned(tmp_path: Path) -> None:
    """It decides, and each decision names the revision that it fell by."""
    new, old = built(tmp_path / "new.tar.gz", "v2", ALLOWING), built(tmp_path / "old.tar.gz", "v1", DENYING)
    file = tmp_path / "bundle.tar.gz"
    shutil.copy(new, file)
    with real_opa("-b", str(file)) as opa:
        async with started(opa.url, **QUICK) as engine:
            first = await ask(engine)
            opa.kill()
            shutil.copy(old, file)
            opa.start("-b", str(file))
            second = await ask(engine)
            while codes(second) == ["engine_unavailable"]:
                second = await ask(engine)
    assert (codes(first), codes(second)) == ([], ["policy_denied"])
    assert first.engine is not None
    assert second.engine is not None
    assert (first.engine.revision, second.engine.revision) == (f"{file}@v2", f"{file}@v1")


async def test_restarted_with_an_older_bundle_that_is_not_accepted(tmp_path: Path) -> None:
    """Its allowing answer does not count: 503 with a code of its own, not ready, and right again with the right
    bundle."""
    new, old = built(tmp_path / "new.tar.gz", "v2", ALLOWING), built(tmp_path / "old.tar.gz", "v1", ALLOWING)
    file = tmp_path / "bundle.tar.gz"
    shutil.copy(new, file)
    with real_opa("-b", str(file)) as opa:
        async with started(opa.url, revisions={str(file): ["v2", "v3"]}, **QUICK) as engine:
            assert codes(await ask(engine)) == []
            opa.kill()
            shutil.copy(old, file)
            opa.start("-b", str(file))
            found = await ask(engine)
            while codes(found) == ["engine_unavailable"]:
                found = await ask(engine)
            assert codes(found) == ["policies_unexpected"]
            assert found.outage
            assert found.reasons[0].message == f"OPA's bundle {str(file)!r} has revision 'v1', not v2 or v3."
            assert found.engine is not None
            assert found.engine.revision == f"{file}@v1", "the record names what did not count"
            assert not engine.healthy
            assert (await engine.status()).unexpected == found.reasons[0].message
            opa.kill()
            shutil.copy(new, file)
            opa.start("-b", str(file))
            await until(lambda: engine.healthy)
            assert codes(await ask(engine)) == []


async def test_restarted_without_what_was_pushed() -> None:
    """A server keeps pushed policies in memory only. With ``require_local_bundle`` that is told by name, not as an
    undefined answer; the next push mends it."""
    bundle = load_bundle(data=CONFIG_DATA)
    with real_opa() as opa:
        async with started(opa.url, bundle=bundle, require_local_bundle=True, **QUICK) as engine:
            assert codes(await ask(engine)) == ["policies_unexpected"]
            await engine.push(bundle)
            assert codes(await ask(engine)) == []
            opa.kill()
            opa.start()
            found = await ask(engine)
            while codes(found) == ["engine_unavailable"]:
                found = await ask(engine)
            assert codes(found) == ["policies_unexpected"]
            await engine.push(bundle)
            await until(lambda: engine.healthy)
            assert codes(await ask(engine)) == []


async def test_another_guard_pushes_older_policies() -> None:
    """Two guards share a server: the one that requires its own bundle notices with the very next answer."""
    mine, theirs = load_bundle(data=CONFIG_DATA), load_bundle()
    with real_opa() as opa:
        async with (
            started(opa.url, bundle=mine, require_local_bundle=True, **QUICK) as engine,
            started(opa.url, bundle=theirs) as other,
        ):
            await engine.push(mine)
            assert codes(await ask(engine)) == []
            await other.push(theirs)
            assert codes(await ask(engine)) == ["policies_unexpected"]
            await other.push(mine)
            assert codes(await ask(engine)) == []


async def test_where_a_rule_stands_is_told_of_the_local_policies_only(tmp_path: Path) -> None:
    """Reads and places come from the local text: of a server with other policies they are not told."""
    text = """package t

# METADATA
# title: Nobody
# custom:
#   id: T-001
#   severity: high
#   remediation: None.
deny contains {"id": "T-001", "message": "no"} if input.stage == "request"

decision := {"allow": false, "reasons": deny}
"""
    local = bundle_of(tmp_path / "a", t=text)
    with real_opa() as opa:
        async with started(opa.url, "data.t.decision", bundle=local) as engine:
            await engine.push(local)
            same = await ask(engine)
            async with started(opa.url, "data.t.decision") as other:
                await other.push(bundle_of(tmp_path / "b", t="# one line more\n" + text))
            different = await ask(engine)
    assert same.reasons[0].reads == ("input.stage",)
    assert different.reasons[0].reads == ()


# --- the rule itself ------------------------------------------------------------------------------------------------


def local(revision: str = "local-1", digest: str = "d" * 64) -> Bundle:
    return Bundle(modules={}, tests={}, own=frozenset(), data={}, rules={}, revision=revision, digest=digest)


@pytest.mark.parametrize(
    ("revisions", "bundles", "complaint"),
    [
        ({}, {}, ""),
        ({"a": ("1",)}, {"a": "1"}, ""),
        ({"a": ("1", "2")}, {"a": "2", "b": "anything"}, ""),
        ({"a": ("1",)}, {"a": "2"}, "OPA's bundle 'a' has revision '2', not 1."),
        ({"a": ("1",)}, {"b": "1"}, "OPA has no bundle 'a'; it has b."),
        ({"a": ("1",)}, {}, "OPA has no bundle 'a'; it has none that it names."),
        ({"a": ("1",), "b": ("1",)}, {"a": "1"}, "OPA has no bundle 'b'; it has a."),
        ({"a": ("1",)}, {"a": ""}, "OPA's bundle 'a' has revision '', not 1."),
        ({PUSHED: ("r",)}, {PUSHED: "r"}, ""),
        ({PUSHED: ("f" * 64,)}, {PUSHED: "r"}, ""),
        ({PUSHED: ("e" * 64,)}, {PUSHED: "r"}, f"OPA's bundle 'policy-guard' has revision 'r', not {'e' * 64}."),
    ],
)
def test_every_named_bundle_must_have_an_accepted_revision(
    revisions: dict[str, tuple[str, ...]], bundles: dict[str, str], complaint: str
) -> None:
    """Bundles that are not named may be anything; what was pushed can be named by its digest, too."""
    told(Expected(revisions, None), Served("1", bundles, "f" * 64 if PUSHED in bundles else ""), complaint)


@pytest.mark.parametrize(
    ("served", "accepted"),
    [
        (Served("1", {PUSHED: "x"}, "d" * 64), True),
        (Served("1", {PUSHED: "local-1"}, "e" * 64), False),
        (Served("1", {PUSHED: "local-1"}, ""), False),
        (Served("1", {"authz": "local-1"}), True),
        (Served("1", {"authz": "d" * 64}), True),
        (Served("1", {"authz": "", "b": "x"}), False),
        (Served("1"), False),
        (Served(), False),
    ],
)
def test_the_local_bundle_is_known_by_its_digest_or_a_bundles_revision(served: Served, accepted: bool) -> None:
    """Pushed: the digest decides, and a push that is not finished has none. Loaded by OPA: the manifest's revision."""
    told(Expected({}, local()), served, "" if accepted else "not the local bundle local-1.")


def told(expected: Expected, served: Served, complaint: str) -> None:
    if not complaint:
        expected.require(served, "url")
        return
    with pytest.raises(UnexpectedPolicies) as caught:
        expected.require(served, "url")
    assert caught.value.what.endswith(complaint)
    assert (caught.value.code, caught.value.where) == ("policies_unexpected", "url")
