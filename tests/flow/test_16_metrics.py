"""Metrics: what Prometheus is told, under which names, and that nothing of a request is in it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from guard.config import load_config
from guard.errors import EngineUnavailable
from guard.exchange.meter import MAX_SERIES, OTHER, VERDICTS, Durations, Meter
from guard.exchange.sharing import SharingState
from guard.health import HealthApp
from guard.metrics.catalogue import FAMILIES, ORIGIN, PREFIX
from guard.monitored import distribution_of
from guard.policy.bundles.remote import RemoteState
from guard.policy.candidate import Candidate
from guard.record.anchoring.couriers import AnchorState
from guard.record.log import LogStatus
from guard.reload import Refusal, ReloadState
from guard.runtime import Runtime
from guard.testing.server import serve
from guard.types import Distribution, Location, RuleInfo
from tests.flow.rig import ALLOW, MemoryLog, Rig, ScriptedEngine, WordDetector, answering, chat, deny, oblige
from tests.flow.test_12_websocket import Client, echoing

prometheus_client = pytest.importorskip("prometheus_client", reason="the extra metrics is not installed")
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families as parse_text  # noqa: E402

from guard.metrics import GuardCollector  # noqa: E402

pytestmark = pytest.mark.anyio
HEALTH = "/guard/health"
PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


RULE = RuleInfo(
    id="R-1", title="t", severity="high", remediation="", mode="enforce", location=Location(file="a.rego", row=1)
)


class Telling(MemoryLog):
    """A log in memory that tells how it fares, with one way out."""

    def status(self) -> LogStatus:
        """As told."""
        anchor = AnchorState(name="witness w1", size=4, failures=2, error_code="anchor_failed")
        return LogStatus(writable=True, queued=3, size=7, checkpoint_age_seconds=0.5, anchors=(anchor,))


class Watched(WordDetector):
    """A detector that measures everything that there is a metric for, and something of its own."""

    def counters(self) -> dict[str, int]:
        """None."""
        return {}

    def measures(self) -> dict[str, float]:
        """Every name of ``docs/models.md``."""
        return {
            "judged": 5, "moved": 1, "window": 4, "flagged": 0.2, "shadow.disagreement": 0.1, "principals": 3,
            "psi.score": 0.31, "moon.phase": 0.5,
        }  # fmt: skip

    def distribution(self) -> Distribution:
        """Five scores."""
        return Distribution((0.1, 0.5), (2, 2, 1), 1.5)


def rig(tmp_path: Path, app: Any = None, **options: Any) -> Rig:
    """A guard that answers for its health."""
    return Rig(tmp_path, app or answering(b"{}"), **{"health_path": HEALTH, "detectors": [], **options})


async def page_of(guarded: Rig) -> str:
    """What a scraper gets."""
    answer = await guarded.call("GET", f"{HEALTH}/metrics")
    assert answer.status == 200
    return answer.body.decode()


async def values(guarded: Rig) -> dict[tuple[str, ...], float]:
    """Samples by name without prefix and values of the labels in the order of their names, origin left out."""
    found: dict[tuple[str, ...], float] = {}
    for family in parse_text(await page_of(guarded)):
        for sample in family.samples:
            labels = [value for name, value in sorted(sample.labels.items()) if name != ORIGIN]
            found[sample.name.removeprefix(f"{PREFIX}_"), *labels] = sample.value
    return found


# --- what is counted ------------------------------------------------------------------------------------------------


async def test_decisions_are_counted_as_they_are_recorded(tmp_path: Path) -> None:
    """An answer that is let out, one that is denied, a body that is refused, and an outage: each once."""
    answers = iter([ALLOW, deny("R-1"), deny("R-2"), EngineUnavailable("gone")])
    engine = ScriptedEngine(request=lambda _document: next(answers))
    engine.rules = {"R-1": RULE}
    guarded = rig(tmp_path, engine=engine, detectors=[WordDetector()])
    await guarded.call(body=chat("write to jane@corp.com"))
    await guarded.call(body=chat("hello"))
    await guarded.call(body=chat("hello"))
    await guarded.call(body=chat("hello"))
    await guarded.call(body=b'{"a": 1, "a": 2}')
    found = await values(guarded)
    assert found["decisions_total", "request", "allow"] == 1
    assert found["decisions_total", "request", "deny"] == 2
    assert found["decisions_total", "request", "outage"] == 1
    assert found["decisions_total", "request", "refused"] == 1
    assert found["decisions_total", "response", "allow"] == 1
    assert found["denials_total", "R-1", "request"] == 1
    assert found["denials_total", OTHER, "request"] == 1
    assert found["denials_total", "engine_unavailable", "request"] == 1
    assert found["findings_total", "request", "EMAIL_ADDRESS"] == 1
    assert found["decision_duration_seconds_count",] == 4
    assert found["detector_duration_seconds_count", "words"] == 4
    decided = [record for record in guarded.log.records if record["kind"] == "decision"]
    requests = [found["decisions_total", "request", verdict] for verdict in VERDICTS]
    assert sum(requests) == len(decided) == 5
    await guarded.runtime.stop()


async def test_redactions_are_counted_by_type(tmp_path: Path) -> None:
    """Each value that was rewritten."""
    engine = ScriptedEngine(request=oblige({"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "replace"}))
    guarded = rig(tmp_path, engine=engine, detectors=[WordDetector()])
    await guarded.call(body=chat("jane@corp.com and jane@corp.com"))
    found = await values(guarded)
    assert found["redactions_total", "request", "EMAIL_ADDRESS"] == 2
    await guarded.runtime.stop()


async def test_a_connection_counts_as_its_records_do(tmp_path: Path) -> None:
    """The handshake and the message that is denied, each once: the outcome, which names both again, adds nothing."""
    client = Client("hello", "jane@corp.com")
    denying = ScriptedEngine(request=lambda document: deny() if document["findings"] else ALLOW)
    guarded = rig(tmp_path, app=echoing([]), engine=denying, detectors=[WordDetector()])
    await guarded.guard(client.scope, client.receive, client.send)
    found = await values(guarded)
    recorded = [record["decision"]["effect"] for record in guarded.log.records if record["kind"] == "decision"]
    assert recorded == ["allow", "deny"]
    assert found["decisions_total", "request", "allow"] == 1
    assert found["decisions_total", "request", "deny"] == 1
    assert sum(found["decisions_total", "response", verdict] for verdict in VERDICTS) == 0
    await guarded.runtime.stop()


async def test_what_fails_open_and_what_is_lost_is_counted(tmp_path: Path) -> None:
    """A log that takes nothing: the record is counted as unwritten, and as passed where the route fails open."""
    routes = [{"path": "/open/**", "unsafe_fail_open": True}, {"path": "/off", "inspect": False}]
    guarded = rig(tmp_path, log=MemoryLog(fail_at=0), routes=routes)
    assert (await guarded.call("POST", "/shut", body=chat("hello"))).status == 503
    assert (await guarded.call("POST", "/open/x", body=chat("hello"))).status == 200
    await guarded.call("GET", "/off")
    found = await values(guarded)
    assert (found["unwritten_total",], found["unrecorded_total",]) == (3, 2)
    assert found["fail_open_total",] == 2
    assert found["excluded_requests_total",] == 1
    assert found["decisions_total", "request", "allow"] == 1
    await guarded.runtime.stop()


def test_new_series_have_a_bound() -> None:
    """Whatever a policy or a detector makes up, at most so many are told apart, and none is lost."""
    meter = Meter()
    record: dict[str, Any] = {
        "kind": "decision", "stage": "request", "policy": None, "duration_us": 0, "would_deny": [], "why": [],
        "decision": {"effect": "allow", "http_status": None, "fail": None}, "policy_input": None, "redactions": {},
    }  # fmt: skip
    for number in range(3 * MAX_SERIES):
        run = {"name": f"d{number}", "outcome": "error", "duration_us": 200}
        meter.decided({**record, "detectors": [run], "redactions": {f"T{number}": 1}}, ())
    assert [len(each) for each in (meter.detectors, meter.incomplete, meter.redactions)] == [MAX_SERIES + 1] * 3
    assert sum(meter.redactions.values()) == 3 * MAX_SERIES
    assert sum(sum(each.counts) for each in meter.detectors.values()) == 3 * MAX_SERIES
    assert sum(meter.incomplete.values()) == 3 * MAX_SERIES


def test_a_duration_on_an_edge_counts_below_it() -> None:
    """A bin of Prometheus holds its upper bound (``le``), and what is past the last edge counts as well."""
    durations = Durations()
    durations.observe(0.0001)
    durations.observe(99.0)
    assert (durations.counts[0], durations.counts[-1], durations.seconds) == (1, 1, 99.0001)


# --- how it is told -------------------------------------------------------------------------------------------------


async def test_both_formats_parse_and_say_the_same(tmp_path: Path) -> None:
    """The library's own parsers take the text of Prometheus and that of OpenMetrics, and find the same families."""
    guarded = rig(tmp_path, detectors=[Watched()])
    await guarded.call(body=chat("hello"))
    text = await page_of(guarded)
    asked = await guarded.call(
        "GET", f"{HEALTH}/metrics", headers=[("accept", "application/openmetrics-text; version=1.0.0")]
    )
    assert asked.headers["content-type"].startswith("application/openmetrics-text")
    assert asked.headers["cache-control"] == "no-store"
    plain = {family.name: family.documentation for family in parse_text(text)}
    strict = list(parse_openmetrics(asked.body.decode()))
    # The two formats name a counter and an info differently; their samples are the same.
    assert len(plain) == len(strict)
    assert {family.documentation for family in strict} == set(plain.values())
    assert (await guarded.call("HEAD", f"{HEALTH}/metrics")).body == b""
    await guarded.runtime.stop()


async def test_the_page_and_the_exposition_name_the_same_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guard in which everything is in use exposes each metric of docs/metrics.md with its kind and labels, and none
    besides; the examples there use no other."""
    guarded = rig(tmp_path, log=Telling(), engine=ScriptedEngine(request=deny()), detectors=[Watched()])
    await guarded.call(body=chat("jane@corp.com"))
    everything(guarded, monkeypatch)
    text = await page_of(guarded)
    told = {}
    for family in parse_text(text):
        labels = {name for sample in family.samples for name in sample.labels} - {ORIGIN, "le"}
        # A counter is parsed without its suffix.
        name = f"{family.name}_total" if family.type == "counter" else family.name
        told[name] = labels
    page = PAGE.read_text("utf-8")
    rows = re.findall(r"^\| `(policy_guard_\w+)` \| (\w+) \| ([^|]+) \| (.+) \|$", page, re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, _, labels, _ in rows}
    never_here = {f"{PREFIX}_start_error"}  # a guard that is started has none: below
    assert documented == {family.whole: set(family.labels) for family in FAMILIES}
    assert [(kind, text) for _, kind, _, text in rows] == [(family.kind, family.help) for family in FAMILIES]
    assert told == {name: labels for name, labels in documented.items() if name not in never_here}
    examples = page.partition("## Alerts")[2]
    used = {name.removesuffix("_bucket") for name in re.findall(r"policy_guard_\w+", examples)}
    assert used <= documented.keys()
    assert all(f"`{verdict}`" in page for verdict in VERDICTS)


def everything(guarded: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a running guard one of each thing that may be absent, and count what the test does not bring about."""
    runtime, meter = guarded.runtime, guarded.runtime.tally.meter
    assert runtime.services is not None
    sharing = cast("Any", SimpleNamespace(state=SharingState))
    candidate = Candidate(ScriptedEngine(), entrypoint="data.guard.decision")
    monkeypatch.setattr(
        runtime, "_services", dataclasses.replace(runtime.services, candidate=candidate, sharing=sharing)
    )
    state = ReloadState("r1", 2, 1, "long", Refusal("policy_invalid", "a.rego:3"), watching=True)
    remote = RemoteState(name="b", failures=1, last_error_code="x", answered_seconds_ago=3, last_good=True)
    monkeypatch.setattr(Runtime, "reload_state", state)
    monkeypatch.setattr(Runtime, "bundles", (remote,))
    meter.shadow_denials["request", "R-1"] = 1
    meter.incomplete["words", "deadline"] = 1
    meter.redactions["request", "EMAIL_ADDRESS"] = 1


async def test_nothing_of_a_request_is_exposed(tmp_path: Path) -> None:
    """Neither who asked, nor what, nor where: a label holds names of the configuration and of rules only."""
    guarded = rig(tmp_path, engine=ScriptedEngine(request=deny("jane@corp.com")), detectors=[WordDetector()])
    await guarded.call("POST", "/secret-path/jane", body=chat("jane@corp.com"), headers=[("user-agent", "curl-77")])
    text = await page_of(guarded)
    assert not [word for word in ("jane", "secret-path", "curl-77", "10.0.0", str(tmp_path)) if word in text]
    await guarded.runtime.stop()


async def test_before_the_start_it_says_so_and_starts_nothing(tmp_path: Path) -> None:
    """A scrape never starts the guard, and is answered with 200: a target that is down is another alert."""
    guarded = rig(tmp_path)
    found = await values(guarded)
    assert (found["ready",], found["start_error", "not_started"]) == (0, 1)
    assert guarded.runtime.services is None
    assert ("engine_healthy",) not in found
    await guarded.call(body=chat("hello"))
    assert (await values(guarded))["ready",] == 1
    await guarded.runtime.stop()


async def test_the_health_app_serves_them(tmp_path: Path) -> None:
    """On a server of its own, as an operator scrapes it."""
    guarded = rig(tmp_path)
    await guarded.call(body=chat("hello"))
    with serve(HealthApp(guarded.runtime)) as url:
        async with httpx.AsyncClient(base_url=url) as client:
            answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert f'{PREFIX}_decisions_total{{origin="",stage="request",verdict="allow"}} 1.0' in answer.text
    await guarded.runtime.stop()


async def test_a_real_log_names_the_origin(tmp_path: Path) -> None:
    """The workers of one machine are told apart by the log that each writes."""
    config = load_config(environ={}, state_directory=tmp_path, detectors={"enabled": (), "behaviour": None})
    runtime = Runtime(config)
    await runtime.start()
    labels = {sample.labels[ORIGIN] for family in GuardCollector(runtime).collect() for sample in family.samples}
    assert labels == {f"{config.record.name}-0"}
    await runtime.stop()


async def test_an_app_adds_it_to_a_registry_of_its_own(tmp_path: Path) -> None:
    """Registering takes no snapshot and needs no start; two guards with different origins do not collide there."""
    guarded = rig(tmp_path)
    registry = prometheus_client.CollectorRegistry(auto_describe=True)
    registry.register(GuardCollector(guarded.runtime))
    assert b"policy_guard_ready" in prometheus_client.generate_latest(registry)


async def test_without_the_library_it_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """501 and one line for people; the rest of health is as ever."""
    guarded = rig(tmp_path)
    monkeypatch.setattr("guard.health.find_spec", lambda _name: None)
    answer = await guarded.call("GET", f"{HEALTH}/metrics")
    assert answer.status == 501
    assert b"pip install 'policy-guard[metrics]'" in answer.body
    assert (await guarded.call("GET", f"{HEALTH}/ready")).status == 200
    await guarded.runtime.stop()


# --- what others tell -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        Distribution((), (1,), 0.0),
        Distribution((0.5, 0.5), (1, 1, 1), 0.0),
        Distribution((0.5,), (1,), 0.0),
        Distribution((0.5,), (1, -1), 0.0),
        Distribution((float("nan"),), (1, 1), 0.0),
        Distribution(tuple(range(999)), (1,) * 1000, 0.0),
        None,
    ],
)
def test_a_distribution_that_is_none_is_left_out(told: Any) -> None:
    """Bins that do not rise, do not fit or are too many come from code that is not ours: the page goes on without."""

    class Odd:
        def distribution(self) -> Any:
            return told

    assert distribution_of(Odd()) is None
    assert distribution_of(object()) is None
    assert distribution_of(Watched()) == Distribution((0.1, 0.5), (2, 2, 1), 1.5)


async def test_two_detectors_of_one_name_are_told_once(tmp_path: Path) -> None:
    """Prometheus refuses a page on which a series stands twice."""
    guarded = rig(tmp_path, detectors=[Watched(), Watched()])
    await guarded.call(body=chat("hello"))
    lines = [line.rpartition(" ")[0] for line in (await page_of(guarded)).splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines))
    await guarded.runtime.stop()
