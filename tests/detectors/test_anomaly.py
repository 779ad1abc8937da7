"""The behaviour model: what is unusual scores high with its reason, what is ordinary does not."""

from __future__ import annotations

import math
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.anomaly import TailModel
from detectors.anomaly.features import SCALES
from detectors.anomaly.model import COLD_CAP
from guard.errors import ConfigError
from guard.types import BehaviourEvent, BehaviourModel

START_S = 1_700_000_000.0
THRESHOLD = 0.8
"""The default of ``policy.settings.anomaly_threshold``."""


def event(rng: random.Random, time_s: float, principal: str = "p", **features: float) -> BehaviourEvent:
    """A request of ordinary size."""
    ordinary = {
        "size_bytes": rng.lognormvariate(7.5, 0.5),
        "tokens_estimate": rng.lognormvariate(6.0, 0.5),
        "messages": float(rng.randint(1, 6)),
    }
    return BehaviourEvent(principal, time_s, ordinary | features)


def warm(model: TailModel, rng: random.Random, per_minute: float, count: int = 300, principal: str = "p") -> float:
    """Poisson traffic of one principal; the time at its end, after a quiet minute."""
    now = START_S
    for _ in range(count):
        now += rng.expovariate(per_minute / 60.0)
        model.learn(event(rng, now, principal), "allow")
    return now + 60.0


@pytest.mark.parametrize("per_minute", [0.2, 1.0, 5.0, 20.0, 60.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_poisson_traffic_raises_few_alarms(per_minute: float, seed: int) -> None:
    """At most 1 % of the requests of ten ordinary principals score 0.8 or more, from the first one on."""
    rng, model = random.Random(seed), TailModel()
    times = []
    for index in range(10):
        now = START_S
        for _ in range(150):
            now += rng.expovariate(per_minute / 60.0)
            times.append((now, f"p{index}"))
    alarms = 0
    for now, principal in sorted(times):
        request = event(rng, now, principal)
        alarms += model.score(request).score >= THRESHOLD
        model.learn(request, "allow")
    assert alarms <= len(times) * 0.01


@pytest.mark.parametrize("per_minute", [0.2, 1.0, 5.0])
def test_burst_after_a_quiet_baseline(per_minute: float) -> None:
    """Sixty requests in six seconds score at least 0.8 before they end, and the rate is the first reason."""
    rng, model = random.Random(3), TailModel()
    now = warm(model, rng, per_minute)
    for index in range(60):
        request = event(rng, now + index * 0.1)
        anomaly = model.score(request)
        model.learn(request, "allow")
    assert anomaly.score >= THRESHOLD
    first = anomaly.features[0]
    assert first.name in {"requests_10s", "requests_1m"}
    assert first.value == 60.0
    assert first.expected < 6.0
    assert first.share > 0.2


def test_burst_of_a_newcomer_is_flagged_and_capped() -> None:
    """Forty requests in a second by somebody new are flagged by their rate, and never above the cap."""
    rng, model = random.Random(4), TailModel()
    scores = []
    for index in range(200):
        request = event(rng, START_S + index * 0.02, "new")
        scores.append(model.score(request).score)
        model.learn(request, "allow")
    assert scores[0] < 0.3
    assert scores[39] == pytest.approx(COLD_CAP, abs=0.02)
    assert max(scores) == COLD_CAP < THRESHOLD - 0.05


@pytest.mark.parametrize("offered", [1.0, 20.0, 60.0])
def test_a_newcomer_is_never_denied(offered: float) -> None:
    """Whatever a newcomer sends in its first five minutes, how much and how large, stays below the threshold."""
    rng = random.Random(41)
    sizes = {"size_bytes": 1e9, "tokens_estimate": 1e8, "messages": 1e5}
    now, model = START_S, TailModel()
    while (now := now + rng.expovariate(offered)) < START_S + 295:
        request = BehaviourEvent("new", now, sizes)
        assert model.score(request).score <= COLD_CAP
        model.learn(request, "allow")


def test_oversized_request_is_flagged_and_not_denied_for_that_alone() -> None:
    """A hundred times the usual size scores the cap, its size the first reason; twice the size is ordinary.

    A retry of it would be as large: a denial would not pass with time.
    """
    rng, model = random.Random(5), TailModel()
    now = warm(model, rng, 5.0)
    anomaly = model.score(event(rng, now, size_bytes=180_000.0))
    assert anomaly.score == COLD_CAP
    assert anomaly.features[0].name == "size_bytes"
    assert anomaly.features[0].value == 180_000.0
    assert 1000.0 < anomaly.features[0].expected < 3500.0
    assert model.score(event(rng, now, size_bytes=3600.0)).score < 0.5


def test_score_changes_nothing() -> None:
    """A thousand scores leave the next one as it was."""
    rng, model = random.Random(6), TailModel()
    now = warm(model, rng, 5.0)
    probe = event(rng, now)
    before = model.score(probe)
    for index in range(1000):
        model.score(event(rng, now + index * 0.01, f"q{index}"))
    assert model.score(probe) == before


def test_denied_requests_change_no_score() -> None:
    """After any number of denied requests every score is what it was: a denied flood does not deepen its own denial."""
    rng, model = random.Random(7), TailModel()
    now = warm(model, rng, 1.0)
    probes = [event(rng, now + later) for later in (0.0, 3.0, 30.0, 300.0, 90_000.0)]
    before = [model.score(probe) for probe in probes]
    for index in range(3000):
        model.learn(event(rng, now + index * 0.05, size_bytes=1e6), "deny")
        model.learn(event(rng, now + index * 0.05, "stranger"), "deny")
    assert [model.score(probe) for probe in probes] == before
    assert model._memory.members.states.keys() == ["p"], "what is denied makes no state"


def test_poisoning_is_slow() -> None:
    """Twenty allowed giants do not make giants ordinary."""
    rng, model = random.Random(8), TailModel()
    now = warm(model, rng, 1.0)
    for index in range(20):
        model.learn(event(rng, now + index * 60, size_bytes=1e7), "allow")
    anomaly = model.score(event(rng, now + 1200, size_bytes=1e7))
    assert anomaly.score == COLD_CAP
    assert anomaly.features[0].expected < 20_000.0


def test_steady_change_becomes_usual() -> None:
    """Somebody whose requests grow for good is no anomaly in the end."""
    rng, model = random.Random(9), TailModel()
    now = warm(model, rng, 1.0)
    for index in range(600):
        model.learn(event(rng, now + index * 60, size_bytes=rng.lognormvariate(9.5, 0.5)), "allow")
    assert model.score(event(rng, now + 36_000, size_bytes=math.exp(9.5))).score < 0.5


def test_principals_are_bounded() -> None:
    """Past the limit the principal that was silent longest is forgotten."""
    rng, model = random.Random(10), TailModel(max_principals=3)
    for name in "abcade":
        model.learn(event(rng, START_S, name), "allow")
    assert model._memory.members.states.keys() == ["a", "d", "e"]
    model.learn(event(rng, START_S, "a"), "deny")
    model.learn(event(rng, START_S, "f"), "allow")
    assert model._memory.members.states.keys() == ["e", "a", "f"], "a denied flood does not make its caller a newcomer"


def test_deterministic_and_thread_safe() -> None:
    """The same events give the same scores; eight threads leave every principal's count whole."""
    results = []
    for _ in range(2):
        rng, model = random.Random(11), TailModel()
        now = warm(model, rng, 5.0)
        results.append(model.score(event(rng, now)))
    assert results[0] == results[1]
    model = TailModel()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: model.learn(event(random.Random(i), START_S, f"p{i % 4}"), "allow"), range(800)))
    for name in ("p0", "p1", "p2", "p3"):
        values = {feature.name: feature.value for feature in model.score(BehaviourEvent(name, START_S, {})).features}
        assert (values["requests_10s"], values["requests_1m"]) == (201.0, 201.0)


numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 4e9),
            st.dictionaries(st.sampled_from([*SCALES, "other"]), numbers),
            st.sampled_from(["allow", "deny"]),
        ),
        max_size=30,
    )
)
def test_any_numbers_are_answered(events: list[tuple[float, dict[str, float], str]]) -> None:
    """Whatever the numbers and the order of times: a score in 0..1, shares that sum to 1 or are all 0."""
    model = TailModel()
    for time_s, features, effect in events:
        request = BehaviourEvent("p", time_s, features)
        anomaly = model.score(request)
        model.learn(request, effect)  # type: ignore[arg-type]
        assert 0.0 <= anomaly.score <= 1.0
        shares = [feature.share for feature in anomaly.features]
        assert shares == sorted(shares, reverse=True)
        assert not any(shares) or math.isclose(sum(shares), 1.0)
        assert all(math.isfinite(feature.expected) for feature in anomaly.features)


def test_contract_and_options() -> None:
    """It is a BehaviourModel whose digest follows the options; unknown and invalid options are refused."""
    model = TailModel()
    assert isinstance(model, BehaviourModel)
    assert model.info.name == "behaviour"
    assert TailModel(max_principals=5).info.digest != model.info.digest
    with pytest.raises(ConfigError, match="did you mean 'max_principals'"):
        TailModel(max_principal=5)
    with pytest.raises(ConfigError, match="max_principals"):
        TailModel(max_principals=0)
