"""Candidate policies: what they inherit, whom they judge, and that nothing they do goes beyond a ``Shadow``."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.config import GuardConfig, load_config
from guard.errors import BundleUnavailable, EngineUnavailable, PolicyInvalid
from guard.generation import build_candidate, bundle_of, first_candidate
from guard.policy.candidate import MAX_STEPS, Candidate, candidate_config, compared
from guard.policy.embedded import EmbeddedEngine
from guard.record.ids import new_id
from guard.types import Decision, EngineInfo, Obligation, Shadow
from tests.policy.documents import document
from tests.policy.engines import Answering, Failing, hanging, raising

pytestmark = pytest.mark.anyio

INFO = EngineInfo("test", "1", "r1", "d1")
ALLOWED = Decision(stage="request", effect="allow")
DENIED = Decision(stage="request", effect="deny")
MASK = Obligation(type="redact", rule="R-1", params={"entity": "PERSON", "operator": "mask"})
DROP = Obligation(type="redact", rule="R-1", params={"entity": "PERSON", "operator": "drop"})


def config(**policy: Any) -> GuardConfig:
    """A configuration with this ``[policy]``."""
    return load_config(environ={}, policy=policy)


def unsettled(decision: Decision) -> Decision:
    """Takes every obligation for one that can be performed."""
    return decision


async def judged(candidate: Candidate, live: Decision = ALLOWED) -> Shadow:
    """The shadow of an ordinary document."""
    return await candidate.judge(document(), live, unsettled)


# --- what it is -----------------------------------------------------------------------------------------------------


def test_without_a_candidate_there_is_none() -> None:
    """No ``[policy.candidate]``: nothing is built and nothing evaluated."""
    assert candidate_config(config()) is None
    assert build_candidate(config()) is None
    assert first_candidate(config()) == (None, None)


def test_what_is_not_given_is_as_in_policy(tmp_path: Path) -> None:
    """An empty table is the policies that decide, on the embedded engine, with no candidate of its own."""
    live = config(
        engine="opa", directories=[str(tmp_path)], shipped=False, settings={"a": 1}, entrypoint="data.x.y", candidate={}
    )
    made = candidate_config(live)
    assert made is not None
    assert made.policy == live.policy.model_copy(update={"engine": "embedded", "candidate": None})
    assert made.providers == live.providers


def test_what_is_given_stands_in_its_place(tmp_path: Path) -> None:
    """Settings as a whole: what the candidate leaves out must be able to be left out."""
    given = {"directories": ["next"], "shipped": False, "settings": {"b": 2}, "entrypoint": "data.other.answer"}
    made = candidate_config(config(directories=["live"], settings={"a": 1}, candidate=given))
    assert made is not None
    assert (made.policy.directories, made.policy.shipped) == ((Path("next"),), False)
    assert (made.policy.settings, made.policy.entrypoint) == ({"b": 2}, "data.other.answer")


def test_a_bundle_and_directories_stand_in_each_others_place(tmp_path: Path) -> None:
    """A candidate of directories beside a live bundle is those directories, and the other way round."""
    of_directories = candidate_config(config(bundle={"source": "live.tar.gz"}, candidate={"directories": ["next"]}))
    of_bundle = candidate_config(config(directories=["live"], candidate={"bundle": {"source": "next.tar.gz"}}))
    assert of_directories is not None
    assert of_bundle is not None
    assert (of_directories.policy.bundle, of_directories.policy.directories) == (None, (Path("next"),))
    assert of_bundle.policy.directories == ()
    assert of_bundle.policy.bundle is not None


def test_directories_are_relative_to_the_file(tmp_path: Path) -> None:
    """As every path of ``guard.toml``."""
    file = tmp_path / "guard.toml"
    file.write_text('[policy.candidate]\ndirectories = ["next"]\n')
    loaded = load_config(file, environ={})
    assert loaded.policy.candidate is not None
    assert loaded.policy.candidate.directories == (tmp_path / "next",)


def test_a_candidate_that_does_not_compile_names_its_file_and_line(tmp_path: Path) -> None:
    """On start it is an error, as it is for the policies that decide; and it says whose."""
    (tmp_path / "next.rego").write_text("package other\nanswer := x\n")
    with pytest.raises(PolicyInvalid) as raised:
        first_candidate(
            config(candidate={"directories": [str(tmp_path)], "shipped": False, "entrypoint": "data.other.answer"})
        )
    (said,) = raised.value.diagnostics
    assert (Path(said.file).name, said.row, said.code) == ("next.rego", 2, "rego_unsafe_var_error")
    assert said.message.startswith("candidate: ")


def test_a_candidate_that_cannot_be_downloaded_does_not_keep_the_guard_from_starting() -> None:
    """Its server has no say in whether requests are decided."""
    bundle = {"source": "http://127.0.0.1:9/bundle.tar.gz", "download_deadline_seconds": 5}
    candidate, error = first_candidate(config(candidate={"bundle": bundle}))
    assert candidate is None
    assert isinstance(error, BundleUnavailable)


def test_the_revision_is_that_of_the_policies() -> None:
    """Digest and revision are what the same policies would have if they decided."""
    candidate = build_candidate(config(candidate={"settings": {"max_tokens": 5}}))
    assert candidate is not None
    assert candidate.info.digest == bundle_of(config(settings={"max_tokens": 5})).digest


# --- whom it judges -------------------------------------------------------------------------------------------------


@given(shares=st.tuples(st.floats(0, 1), st.floats(0, 1)), identifier=st.uuids().map(str))
def test_a_larger_share_takes_whatever_a_smaller_one_takes(shares: tuple[float, float], identifier: str) -> None:
    """The same answer for one id, always: so a share can be raised step by step."""
    small, large = (Candidate(Answering({}), entrypoint="data.x", share=share) for share in sorted(shares))
    assert small.takes(identifier) == small.takes(identifier)
    assert large.takes(identifier) or not small.takes(identifier)


def test_a_share_is_kept() -> None:
    """About so many of ten thousand ids; none for 0, all for 1."""
    identifiers = [new_id() for _ in range(10_000)]
    for share, least, most in ((0.0, 0, 0), (0.001, 1, 40), (0.25, 2250, 2750), (1.0, 10_000, 10_000)):
        candidate = Candidate(Answering({}), entrypoint="data.x", share=share)
        assert least <= sum(map(candidate.takes, identifiers)) <= most


# --- what it says ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("live", "candidate", "changed"),
    [(ALLOWED, ALLOWED, False), (ALLOWED, DENIED, True), (DENIED, ALLOWED, True), (DENIED, DENIED, False)],
)
def test_another_effect_is_a_change(live: Decision, candidate: Decision, changed: bool) -> None:
    """A denial that would fall, and one that would not: in both directions."""
    shadow = compared(live, candidate, INFO)
    assert (shadow.effect, shadow.changed, shadow.added, shadow.removed) == (candidate.effect, changed, (), ())


def test_obligations_count_where_both_allow() -> None:
    """A denial obliges to nothing; the order of obligations and of their members means nothing."""
    masked = msgspec.structs.replace(ALLOWED, obligations=(MASK,))
    swapped = msgspec.structs.replace(MASK, params=dict(reversed(list(MASK.params.items()))))
    dropped = msgspec.structs.replace(ALLOWED, obligations=(swapped, DROP))
    shadow = compared(masked, dropped, INFO)
    assert (shadow.changed, shadow.added, shadow.removed) == (True, (DROP,), ())
    assert compared(dropped, masked, INFO).removed == (DROP,)
    assert not compared(masked, msgspec.structs.replace(masked, obligations=(swapped,)), INFO).changed
    assert compared(msgspec.structs.replace(DENIED, obligations=(DROP,)), masked, INFO).added == ()


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["allow", "reasons", "obligations", "would_deny", "id", "type"]), inner)
        ),
        max_leaves=12,
    )
)
def test_whatever_an_engine_answers_becomes_a_shadow(value: Any) -> None:
    """Nothing is raised, and an answer without a decision claims no effect."""
    shadow = asyncio.run(judged(Candidate(Answering(value), entrypoint="data.x", deadline_ms=1000)))
    assert (shadow.effect is None) == bool(shadow.error)
    assert shadow.effect is not None or not (shadow.changed or shadow.reasons or shadow.added or shadow.removed)


@pytest.mark.parametrize(
    ("engine", "code"),
    [
        (raising(ValueError("with the secret")), "policy_error"),
        (raising(RecursionError()), "policy_error"),
        (raising(MemoryError()), "policy_error"),
        (raising(EngineUnavailable("gone")), "engine_unavailable"),
        (hanging(), "policy_timeout"),
        (Answering({"allow": True, "obligations": 7}), "policy_error"),
    ],
)
async def test_a_failure_is_a_code_and_counted(engine: Failing | Answering, code: str) -> None:
    """Raising, hanging and nonsense alike."""
    candidate = Candidate(engine, entrypoint="data.x", deadline_ms=20)
    shadow = await judged(candidate, DENIED)
    assert (shadow.effect, shadow.changed, shadow.error, shadow.reasons) == (None, False, code, ())
    assert (candidate.judged, candidate.failed, candidate.last_error) == (1, 1, code)


async def test_an_answer_that_breaks_what_reads_it_is_a_failure() -> None:
    """Whatever the validation of obligations raises."""

    def breaking(_: Decision) -> Decision:
        raise KeyError("headers")

    candidate = Candidate(Answering({"allow": True}), entrypoint="data.x", deadline_ms=1000)
    assert (await candidate.judge(document(), ALLOWED, breaking)).error == "policy_error"


async def test_a_cancelled_request_is_cancelled() -> None:
    """Cancellation is no failure of the candidate."""
    task = asyncio.create_task(judged(Candidate(hanging(), entrypoint="data.x", deadline_ms=60_000)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# --- what it may cost -----------------------------------------------------------------------------------------------


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Costly(Answering):
    """Takes longer than a millisecond, then fails or not."""

    failing = True

    async def evaluate(self, document: Any, *, deadline: float) -> Any:
        """Long, in vain."""
        time.sleep(0.0012)  # noqa: ASYNC251 - an evaluation holds the event loop
        if self.failing:
            raise EngineUnavailable("in vain")
        return await super().evaluate(document, deadline=deadline)


async def test_one_that_keeps_failing_at_length_is_paused_for_ever_longer() -> None:
    """Ten in a row, then a second, then one try and two seconds, up to a minute; one that goes well ends it."""
    clock, engine = Clock(), Costly({"allow": True})
    candidate = Candidate(engine, entrypoint="data.x", deadline_ms=1000, clock=clock)
    for _ in range(10):
        assert (await judged(candidate)).error == "engine_unavailable"
    assert candidate.paused
    assert (await judged(candidate)).error == "candidate_paused"
    assert candidate.judged == 10
    pauses = []
    for _ in range(8):
        start = clock.now
        while candidate.paused:
            clock.now += 0.5
        pauses.append(clock.now - start)
        assert (await judged(candidate)).error == "engine_unavailable"
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    clock.now += 60
    engine.failing = False
    assert (await judged(candidate)).effect == "allow"
    engine.failing = True
    assert [(await judged(candidate)).error for _ in range(10)] == ["engine_unavailable"] * 10
    assert candidate.paused
    clock.now += 1
    assert not candidate.paused


async def test_failures_that_cost_nothing_do_not_pause() -> None:
    """What a candidate fails at is worth knowing for each request."""
    candidate = Candidate(Answering({"allow": 7}), entrypoint="data.x", deadline_ms=1000)
    assert {(await judged(candidate)).error for _ in range(200)} == {"policy_error"}
    assert candidate.failed == 200


async def test_steps_bound_an_evaluation_whatever_its_deadline(tmp_path: Path) -> None:
    """A candidate may take a quarter of the steps of the policies that decide: a hundred times what it needs."""
    (tmp_path / "loop.rego").write_text(
        "package other\nanswer := count([1 | some i in numbers.range(1, 900); some j in numbers.range(1, 900)])\n"
    )
    policy = {"directories": [str(tmp_path)], "shipped": False, "entrypoint": "data.other.answer"}
    bundle = bundle_of(config(**policy))
    candidate = Candidate(
        EmbeddedEngine(bundle, "data.other.answer", max_steps=MAX_STEPS),
        entrypoint="data.other.answer",
        deadline_ms=1000,
    )
    assert (await judged(candidate)).error == "policy_error"
    shipped = build_candidate(config(candidate={"deadline_ms": 1000}))
    assert shipped is not None
    assert (await judged(shipped)).error == ""
