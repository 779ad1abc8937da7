"""The behaviour model stands among the detectors of a request's record, with its version, digest and time."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.types import Anomaly, BehaviourEvent, DetectorInfo, Effect, Feature
from tests.flow.rig import Rig, answering, chat

pytestmark = pytest.mark.anyio

INFO = DetectorInfo("behaviour", "7", "be" * 32)


class Steady:
    """Scores every request alike."""

    info = INFO

    def score(self, event: BehaviourEvent) -> Anomaly:
        """The same for all."""
        return Anomaly(0.25, (Feature("requests_1m", 3.0, 1.0, 1.0),))

    def learn(self, event: BehaviourEvent, effect: Effect) -> None:
        """Nothing."""


async def test_a_request_names_the_model_that_scored_it(tmp_path: Path) -> None:
    """Once, in the decision; the answer is not scored. Score and features stand in the policy input."""
    rig = Rig(tmp_path, answering(b'{"choices": []}'), behaviour=Steady())
    assert (await rig.call(body=chat("hello"))).status == 200
    decision, outcome = rig.log.records
    names = [run["name"] for run in decision["detectors"]]
    assert names == ["words", "behaviour"]
    scored = decision["detectors"][-1]
    assert (scored["version"], scored["digest"], scored["outcome"]) == (INFO.version, INFO.digest, "ok")
    assert scored["duration_us"] >= 0
    assert decision["policy_input"]["anomaly"]["features"][0]["name"] == "requests_1m"
    assert "behaviour" not in [run["name"] for run in outcome["detectors"]]


async def test_without_a_model_there_is_none(tmp_path: Path) -> None:
    """No behaviour model, no entry; a refused body names no detector at all."""
    rig = Rig(tmp_path, answering(b"{}"))
    await rig.call(body=chat("hello"))
    await rig.call(body=b"{", headers=[("content-type", "application/json")])
    decision, _, refused = rig.log.records
    assert [run["name"] for run in decision["detectors"]] == ["words"]
    assert refused["detectors"] == []
