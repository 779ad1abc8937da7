"""What the guard tells a behaviour model of callers who would rather not be told apart, and what its failures cost."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from detectors.anomaly import TailModel
from guard.exchange.behaving import event_of, network_of
from guard.exchange.judge import Caller
from guard.keyed import KeyedHash
from guard.review.unusual import unusual
from guard.types import ANONYMOUS, Anomaly, BehaviourEvent, BehaviourOutcome, Content, Feature, Principal, Verdict
from tests.detectors.test_anomaly_in_guard import ANSWER, Listening
from tests.flow.rig import ALLOW, Rig, ScriptedEngine, answering, chat, deny, oblige

pytestmark = pytest.mark.anyio

KEYED = KeyedHash("test", b"k" * 32)


def told(principal: Principal, client_ip: str | None = "192.0.2.1", *, headers: Any = ()) -> BehaviourEvent:
    """The event of an empty request."""
    caller = Caller(principal, "POST", "/**", None, client_ip, "r", None, 1_700_000_000_000_000)
    return event_of(caller, {"headers": headers}, Content(media_type="", size_bytes=0), (), KEYED, time_s=1.7e9)


def user(name: str, tenant: str | None = None) -> Principal:
    """Somebody with a credential."""
    return Principal(type="user", id=name, tenant=tenant, authenticated=True, method="jwt")


def test_an_address_is_anonymous_and_a_credential_is_not() -> None:
    """The event says whether its principal can be changed at no cost."""
    assert told(ANONYMOUS).anonymous
    assert not told(user("jane")).anonymous
    assert told(user("jane")).principal != told(ANONYMOUS, "jane").principal


def test_a_host_with_many_addresses_is_one_caller() -> None:
    """Without a credential the last 64 bits of an IPv6 address, which a host chooses (RFC 4291), tell nobody apart;
    IPv4 addresses do, also where they are written as IPv6."""
    first, second, other = (told(ANONYMOUS, f"2001:db8:{net}::{host}") for net, host in (("1", 1), ("1", 2), ("2", 1)))
    assert first.principal == second.principal != other.principal
    mapped = [told(ANONYMOUS, address).principal for address in ("::ffff:192.0.2.1", "::ffff:192.0.2.2", "192.0.2.1")]
    assert mapped[0] != mapped[1]
    assert mapped[0] == mapped[2]
    assert told(user("jane"), "2001:db8:1::1").principal == told(user("jane"), "192.0.2.1").principal


def test_names_that_look_alike_are_two_callers() -> None:
    """No tenant, a tenant called ``None``, and slashes in names lead to no past of somebody else."""
    who = [user("jane"), user("jane", "None"), user("b/c", "a"), user("c", "a/b"), user("jane", "")]
    assert len({told(one).principal for one in who}) == len(who)


def test_networks_of_addresses_in_ipv6() -> None:
    """A server that listens on IPv6 tells IPv4 networks apart, too."""
    assert network_of("::ffff:198.51.100.7") == network_of("198.51.100.9") == "198.51.100.0/24"
    assert network_of("::ffff:192.0.2.1") != network_of("::ffff:198.51.100.7")


def test_a_client_without_a_name_is_a_client() -> None:
    """Whoever leaves the User-Agent out is told apart from whoever sends one: a stolen key hides behind no gap."""
    without, empty = told(user("jane")), told(user("jane"), headers=[(b"user-agent", b"")])
    named = told(user("jane"), headers=[(b"user-agent", b"curl/8.5")])
    assert without.labels["agent"] == empty.labels["agent"] != named.labels["agent"]


async def test_the_time_is_that_of_the_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that came slowly does not make its request one of the past, whose bucket nobody counts any more."""
    model = Listening()
    monkeypatch.setattr("guard.exchange.scope.time.time_ns", lambda: 1_000_000_000)
    monkeypatch.setattr("guard.exchange.behaving.time.time", lambda: 1_700_000_000.0)
    await Rig(tmp_path, answering(ANSWER), behaviour=model).call(body=chat("hello"))
    assert [event.time_s for event in model.events] == [1_700_000_000.0]


async def test_what_an_obligation_denies_teaches_nothing(tmp_path: Path) -> None:
    """A request that was denied because a redaction could not be performed counts as denied."""
    model, engine = (
        Listening(),
        ScriptedEngine(request=oblige({"type": "redact", "entity": "PASSWORD", "operator": "mask"})),
    )
    answer = await Rig(tmp_path, answering(ANSWER), engine=engine, behaviour=model).call("hunter2")
    assert answer.status == 403
    assert [effect for _, effect in model.learned] == ["deny"]
    assert model.outcomes == []


async def test_an_app_that_says_nothing_is_told_as_an_error(tmp_path: Path) -> None:
    """No status is an error, as one of 400 and above."""

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    model = Listening()
    await Rig(tmp_path, silent, behaviour=model).call(body=chat("hello"))
    assert [(outcome.error, outcome.refused) for _, outcome in model.outcomes] == [(True, False)]


class Odd(Listening):
    """Tells what no model of ours tells."""

    def score(self, event: BehaviourEvent) -> Anomaly:
        """A scope of its own making, no rarity, and numbers that are none."""
        return Anomaly(math.nan, (Feature("pace", math.inf, -math.inf, math.nan),), "jane@corp.com")  # type: ignore[arg-type]


async def test_what_a_foreign_model_tells_is_bounded_and_explained(tmp_path: Path) -> None:
    """Its scope is one of three or none, its numbers fit the record, and nothing is said that it did not tell."""
    rig = Rig(tmp_path, answering(ANSWER), behaviour=Odd())
    await rig.call(body=chat("hello"))
    anomaly = rig.log.records[0]["policy_input"]["anomaly"]
    assert (anomaly["score"], anomaly["scope"]) == (1000, None)
    said = unusual(anomaly)
    assert said[0] == "Behaviour scored 1.00, mostly by pace (100 %)."
    assert not any("once in" in sentence or "jane" in sentence for sentence in said)
    assert unusual({**anomaly, "scope": "of a later release"}) == said


def test_newcomers_are_compared_with_their_own_kind() -> None:
    """Callers without a credential are compared with each other only, and that is what is said."""
    anomaly = {"score": 500, "scope": "global", "second": None, "features": []}
    said = [unusual(anomaly, anonymous=anonymous)[-1] for anonymous in (False, True)]
    assert said == [
        "Too little is known of the caller yet: compared with everybody who has a credential.",
        "Too little is known of the caller yet: compared with all others without a credential.",
    ]


class Failing(Listening):
    """Cannot take an outcome in."""

    def settle(self, event: BehaviourEvent, outcome: BehaviourOutcome) -> None:
        """Raises."""
        raise RuntimeError("jane@corp.com")


async def test_a_model_that_fails_on_an_outcome_loses_no_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer goes out and its outcome is recorded; the failure is told in the log, without its message."""
    rig = Rig(tmp_path, answering(ANSWER), behaviour=Failing())
    answer = await rig.call(body=chat("hello"))
    assert (answer.status, answer.body) == (200, ANSWER)
    assert rig.log.kinds() == ["decision", "outcome"]
    assert "behaviour" in caplog.text
    assert "jane" not in caplog.text


async def test_a_model_that_fails_to_score_lets_nothing_through(tmp_path: Path) -> None:
    """Scoring and learning are of the decision: without them there is none."""
    for method in ("score", "learn"):
        model = Listening()
        setattr(model, method, lambda *_: 1 / 0)
        answer = await Rig(tmp_path, answering(ANSWER), behaviour=model).call(body=chat("hello"))
        assert answer.status == 503
        assert json.loads(answer.body)["error"]["code"] == "guard_unavailable"


def waiting(rig: Rig) -> bool:
    """Whether any request is scored and not decided."""
    services = rig.runtime.services
    assert services is not None
    return bool(services.waiting)


class Gathering(ScriptedEngine):
    """A policy server that answers nobody until all have asked; denies by the shipped threshold."""

    def __init__(self, asked: int) -> None:
        super().__init__(request=lambda document: ALLOW if document["anomaly"]["score"] < 0.8 else deny("BEH-001"))
        self.first = asyncio.Event()
        self._left = asked
        self._all = asyncio.Event()

    async def evaluate(self, document: Mapping[str, Any], *, deadline: float) -> Verdict:
        """The scripted answer, once the last has asked."""
        if document["stage"] == "request":
            self.first.set()
            self._left -= 1
            if not self._left:
                self._all.set()
            await self._all.wait()
        return await super().evaluate(document, deadline=deadline)


async def test_requests_that_are_decided_together_do_not_hide_behind_each_other(tmp_path: Path) -> None:
    """Sixty requests at once, all scored before the first of them is decided: a dozen is let in, as one by one; and
    none of them counts any more once it was decided."""
    model, now = TailModel(second_opinion="off"), time.time()
    for index in range(360):
        past = BehaviourEvent(told(ANONYMOUS).principal, now - 3610 + index * 10, {"size_bytes": 80.0}, anonymous=True)
        model.learn(past, "allow")
    rig = Rig(tmp_path, answering(ANSWER), engine=Gathering(60), behaviour=model)
    calls = [rig.call(body=chat("hello"), client=("192.0.2.1", 1)) for _ in range(60)]
    statuses = [answer.status for answer in await asyncio.gather(*calls)]
    assert 3 <= statuses.count(200) <= 20
    inputs = [record["policy_input"] for record in rig.log.records if record["kind"] == "decision"]
    told_of = [one for asked in inputs for one in asked["anomaly"]["features"]]
    counted = {one["value"] // 1000 for one in told_of if one["name"] == "requests_10s"}
    assert counted == set(range(1, 61))
    assert not waiting(rig)


async def test_what_fails_before_it_is_decided_waits_no_longer(tmp_path: Path) -> None:
    """A model, an engine or a client that gives up leaves nobody counted."""
    model = Listening()
    rig = Rig(tmp_path, answering(ANSWER), behaviour=model, engine=ScriptedEngine(request=RuntimeError("down")))
    await rig.call(body=chat("hello"))
    model.score = lambda _: 1 / 0  # type: ignore[assignment,method-assign,return-value]
    await rig.call(body=chat("hello"))
    assert not waiting(rig)
    engine = Gathering(2)
    rig = Rig(tmp_path / "2", answering(ANSWER), behaviour=Listening(), engine=engine)
    left = asyncio.ensure_future(rig.call(body=chat("hello")))
    await engine.first.wait()
    assert waiting(rig)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    assert not waiting(rig)
