"""The behaviour model in the guard: what it is told of a request and of its answer, what stands in the record, what
survives a restart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from detectors.anomaly import TailModel
from guard.exchange.behaving import entropy, network_of
from guard.exchange.remembering import Keeper
from guard.review.unusual import unusual
from guard.types import (
    Anomaly,
    BehaviourEvent,
    BehaviourOutcome,
    DetectorInfo,
    Effect,
    Feature,
    OutcomeLearner,
    Remembering,
)
from tests.flow.rig import Rig, ScriptedEngine, answering, chat, delta, deny, streaming

pytestmark = pytest.mark.anyio

ANSWER = json.dumps({"choices": [{"message": {"role": "assistant", "content": "word " * 80}}]}).encode()


class Listening:
    """Keeps what it is told."""

    info = DetectorInfo("behaviour", "1", "be" * 32)

    def __init__(self) -> None:
        self.events: list[BehaviourEvent] = []
        self.learned: list[tuple[BehaviourEvent, Effect]] = []
        self.outcomes: list[tuple[BehaviourEvent, BehaviourOutcome]] = []

    def score(self, event: BehaviourEvent) -> Anomaly:
        """The same for all."""
        self.events.append(event)
        return Anomaly(0.5, (Feature("tokens_out", 40.0, 4.0, 1.0, 2.5, 3.25, drift=True),), "group", 0.61)

    def learn(self, event: BehaviourEvent, effect: Effect) -> None:
        """Keep it."""
        self.learned.append((event, effect))

    def settle(self, event: BehaviourEvent, outcome: BehaviourOutcome) -> None:
        """Keep it."""
        self.outcomes.append((event, outcome))


def test_ours_offers_both_optional_protocols() -> None:
    """It learns from answers and remembers; a model without either is a behaviour model, too."""
    assert isinstance(TailModel(), OutcomeLearner)
    assert isinstance(TailModel(), Remembering)
    assert isinstance(Listening(), OutcomeLearner)
    assert not isinstance(Listening(), Remembering)


async def test_what_is_told_of_a_request(tmp_path: Path) -> None:
    """Numbers and keyed labels: no name, address or text of the client is among them."""
    model = Listening()
    rig = Rig(tmp_path, answering(ANSWER), behaviour=model)
    tools = [{"type": "function", "function": {"name": "send_mail", "parameters": {}}}]
    body = chat("write to jane@corp.com", tools=tools)
    await rig.call(body=body, headers=[("user-agent", "curl/8.5")])
    (event,) = model.events
    assert event.features["finding_density"] == 1.0
    assert 3.0 < event.features["entropy_bits"] < 4.5
    assert event.features["size_bytes"] == len(json.dumps(body))
    assert set(event.labels) == {"endpoint", "model", "agent", "network", "tools"}
    told = json.dumps([event.principal, event.group, dict(event.labels)])
    assert not any(word in told for word in ("small-1", "curl", "10.0.0", "send_mail", "jane"))
    assert "POST /** chat" in event.labels["endpoint"]


async def test_equal_things_have_equal_labels(tmp_path: Path) -> None:
    """The same client, network and model are the same again; a neighbour's address is of the same network."""
    model = Listening()
    rig = Rig(tmp_path, answering(ANSWER), behaviour=model)
    await rig.call(body=chat("a"), headers=[("user-agent", "x")], client=("192.0.2.9", 1))
    await rig.call(body=chat("b"), headers=[("user-agent", "x")], client=("192.0.2.77", 1))
    await rig.call(body=chat("c"), headers=[("user-agent", "y")], client=("198.51.100.1", 1))
    first, second, third = (event.labels for event in model.events)
    assert first == second
    assert first["network"] != third["network"]
    assert first["agent"] != third["agent"]
    assert first["model"] == third["model"]


@pytest.mark.parametrize(
    ("app", "tokens", "error"),
    [
        (answering(ANSWER), (80, 140), False),
        (answering(b"{}", status=500), (0, 5), True),
        (streaming(*[delta("word " * 40) for _ in range(10)]), (480, 520), False),
    ],
    ids=["whole", "failed", "streamed"],
)
async def test_what_is_told_of_an_answer(tmp_path: Path, app: Any, tokens: tuple[int, int], error: bool) -> None:
    """Its tokens, and whether it is an error; once, and for the event that was let in."""
    model = Listening()
    await Rig(tmp_path, app, behaviour=model).call(body=chat("hello"))
    ((event, outcome),) = model.outcomes
    assert event is model.events[0]
    assert (outcome.error, outcome.refused) == (error, False)
    assert tokens[0] <= (outcome.tokens_out or 0) <= tokens[1]
    assert outcome.time_s >= event.time_s


async def test_a_withheld_answer_is_told_as_refused_and_a_denied_request_not_at_all(tmp_path: Path) -> None:
    """The response stage's denial is an outcome of a request that was let in; the request stage's has none."""
    model = Listening()
    await Rig(tmp_path, answering(ANSWER), engine=ScriptedEngine(response=deny()), behaviour=model).call(body=chat("a"))
    assert [outcome.refused for _, outcome in model.outcomes] == [True]
    await Rig(tmp_path, answering(ANSWER), engine=ScriptedEngine(request=deny()), behaviour=model).call(body=chat("a"))
    assert [effect for _, effect in model.learned] == ["allow", "deny"]
    assert len(model.outcomes) == 1


async def test_scope_and_second_opinion_stand_in_the_record_and_in_words(tmp_path: Path) -> None:
    """The record has them in thousandths, and says them as an analyst reads them."""
    rig = Rig(tmp_path, answering(ANSWER), behaviour=Listening())
    await rig.call(body=chat("hello"))
    anomaly = rig.log.records[0]["policy_input"]["anomaly"]
    assert (anomaly["score"], anomaly["scope"], anomaly["second"]) == (500, "group", 610)
    assert anomaly["features"] == [
        {"name": "tokens_out", "value": 40000, "expected": 4000, "spread": 2500, "rarity": 3250, "drift": True,
         "share": 1000}
    ]  # fmt: skip
    assert unusual(anomaly) == [
        "Behaviour scored 0.50, mostly by tokens_out (100 %).",
        (
            "tokens_out: tokens of the latest answers 40, usually 4, often up to 6.5; "
            "it has stayed above what it was for several requests."
        ),
        "Too little is known of the caller yet: compared with the others of its tenant.",
        "Second opinion on all features together: 0.61 (0.5 is ordinary).",
    ]


def test_words_of_older_records_and_of_other_models() -> None:
    """What a record does not hold is not said; a feature of an unknown name keeps it."""
    older = {"score": 900, "features": [{"name": "rate", "value": 9000, "expected": 1000, "share": 1000}]}
    assert unusual(older) == ["Behaviour scored 0.90, mostly by rate (100 %)."]
    assert unusual({"score": 0, "features": []}) == []
    newer = [{**older["features"][0], "spread": 0, "rarity": 7000, "drift": False}]  # type: ignore[index]
    assert unusual({**older, "features": newer})[1:] == ["rate: rate 9, usually 1; rarer than one in a million."]


async def run(tmp_path: Path, model: TailModel, requests: Sequence[str]) -> None:
    """Start a guard, let requests in, stop it."""
    rig = Rig(tmp_path, answering(ANSWER), behaviour=model)
    await rig.runtime.start()
    for text in requests:
        assert (await rig.call(body=chat(text))).status == 200
    await rig.runtime.stop()


def learned_in(directory: Path) -> list[Path]:
    """The files of what was learned."""
    return list(directory.glob("behaviour/*/learned"))


async def test_what_was_learned_survives_a_restart(tmp_path: Path) -> None:
    """The stop writes it, with access for the owner only; the next start reads it."""
    first, second = TailModel(), TailModel()
    await run(tmp_path, first, ["hello"] * 5)
    (kept,) = learned_in(tmp_path)
    assert kept.stat().st_mode & 0o777 == 0o600
    await run(tmp_path, second, [])
    assert second.dump() == first.dump() != TailModel().dump()


async def test_a_damaged_memory_is_set_aside_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The guard starts, with a model that knows nobody; the file is kept for whoever looks."""
    await run(tmp_path, TailModel(), ["hello"])
    (kept,) = learned_in(tmp_path)
    kept.write_bytes(kept.read_bytes()[:-1] + b"\x01")
    model = TailModel()
    await run(tmp_path, model, [])
    assert model.dump() == TailModel().dump()
    assert kept.with_name("learned.unreadable").exists()

    assert "it starts anew" in caplog.text


async def test_two_processes_do_not_share_a_file(tmp_path: Path) -> None:
    """Each takes a place of its own, as logs do."""
    rigs = [Rig(tmp_path, answering(ANSWER), behaviour=TailModel()) for _ in range(2)]
    for rig in rigs:
        await rig.runtime.start()
        await rig.call(body=chat("hello"))
    for rig in rigs:
        await rig.runtime.stop()
    assert len(learned_in(tmp_path)) == 2


async def test_zero_seconds_keep_nothing(tmp_path: Path) -> None:
    """``behaviour_snapshot_seconds = 0``: no directory is made."""
    keeper = Keeper(tmp_path, "guard", 0, TailModel)
    await keeper.start()
    await keeper.stop()
    assert not (tmp_path / "behaviour").exists()


def test_entropy_and_networks() -> None:
    """Bits for each character, of any script; an address stands for its /24 or /48."""
    assert entropy("") == entropy("a") == entropy("aaaa") == 0.0
    assert entropy("abab") == 1.0
    assert entropy("".join(map(chr, range(0x4E00, 0x4E00 + 256)))) == 8.0
    assert network_of("192.0.2.77") == "192.0.2.0/24"
    assert network_of("2001:db8:1:2::1") == "2001:db8:1::/48"
    assert network_of("unix") == "unix"
