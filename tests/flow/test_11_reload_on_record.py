"""Reloads in the log and in health: on record before the first decision under them, refused with a code and a place,
and nothing undecided or unrecorded while they happen under load."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from guard.config import GuardConfig
from guard.errors import ConfigError, Diagnostic, LogUnavailable, PolicyInvalid
from guard.generation import uncollected
from guard.health import report
from guard.keyed import KeyedHash
from guard.middleware import GuardMiddleware
from guard.record.verify import verify
from guard.reload import ConfigSource, Refusal
from guard.runtime import Runtime
from guard.testing.records import log_directory, read_records
from guard.testing.server import serve
from guard.types import DecisionRecord, Receipt
from tests.flow.rig import MemoryLog
from tests.flow.test_11_reload import PATIENCE_SECONDS, Crowd, Place, app, rule

HEALTH = 'health_path = "/health"\n'


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Serves an app behind a guard that reloads and tells its health, over a real socket."""
    place = Place(tmp_path)
    place.write_toml(routes=HEALTH)
    place.write_rule(rule("one", "first"))
    place.guard = GuardMiddleware(app, place.toml, reload=True)
    with serve(place.guard, lifespan="on") as url, httpx.Client(base_url=url, timeout=30.0) as client:
        place.client = client
        yield place


def reloads(place: Place) -> list[DecisionRecord]:
    """The ``config`` records so far."""
    return read_records(place.root / "state", "config")


def healthy(place: Place) -> tuple[int, str, str, str]:
    """Readiness, status, and code and place of the last refused reload."""
    answer = place.client.get("/health/ready")
    said = answer.json()
    return answer.status_code, said["status"], said["reload"]["last_error_code"], said["reload"]["last_error_where"]


def assert_whole(place: Place) -> None:
    """The log verifies, which holds every decision against the reloads before it."""
    report = verify(log_directory(place.root / "state"))
    assert report.exit_code == 0, report.lines()


# --- order ----------------------------------------------------------------------------------------------------------


def test_a_reload_is_on_record_before_its_first_decision(place: Place) -> None:
    """Under load: behind the record decisions of both generations, before it only of the old."""
    with Crowd(place) as crowd:
        for message in ("second", "third"):
            place.write_rule(rule("one", message))
            place.until(lambda said=message: (403, (said,)) in crowd.answers[-4:])
    applied = reloads(place)
    assert [record["status"] for record in applied] == ["applied", "applied"]
    (opened,) = read_records(place.root / "state", "open")
    chain = [opened["policy"]["digest"], *(record["after"]["policy"]["digest"] for record in applied)]
    assert [record["before"]["policy"]["digest"] for record in applied] == chain[:-1]
    first: dict[str, int] = {}
    for decision in read_records(place.root / "state", "decision"):
        first.setdefault(decision["policy"]["digest"], decision["seq"])
    assert set(first) == set(chain)
    assert all(first[record["after"]["policy"]["digest"]] > record["seq"] for record in applied)
    assert_whole(place)


@pytest.mark.slow
def test_no_request_of_two_hundred_is_undecided(place: Place) -> None:
    """Sixteen clients, reloads in quick succession, broken ones between them: each answer is one revision's, whole, and
    has one record."""
    steps = ["first"]
    with Crowd(place, clients=16) as crowd:
        for number in range(3):
            place.write_rule(rule("one", f"quick-{number}"))
            place.write_rule(rule("one", f"step-{number}"))
            place.until(lambda said=f"step-{number}": (403, (said,)) in crowd.answers[-16:])
            steps += [f"quick-{number}", f"step-{number}"]
            failures = place.state.failures
            place.write_rule("package guard.rules.one\nnonsense")
            place.until(lambda before=failures: place.state.failures == before + 1)
        place.until(lambda: len(crowd.answers) >= 200)
    assert {status for status, _ in crowd.answers} == {403}
    assert {said for _, said in crowd.answers} <= {(step,) for step in steps}
    decisions = read_records(place.root / "state", "decision")
    assert len(decisions) == len(crowd.answers)
    assert [record["status"] for record in reloads(place)].count("refused") == 3
    assert_whole(place)


def test_two_edits_at_once_are_one_reload_or_two(place: Place) -> None:
    """The state of the files counts, not how often they were written; the last one decides."""
    for number in range(5):
        place.write_rule(rule("one", f"edit-{number}"))
    place.until(lambda: place.ask() == (403, ("edit-4",)))
    applied = reloads(place)
    assert 1 <= len(applied) <= 5
    assert place.state.reloads == len(applied)
    for before, after in itertools.pairwise(applied):
        assert before["after"] == after["before"]
    assert_whole(place)


# --- refused --------------------------------------------------------------------------------------------------------


def remove_policies(place: Place) -> None:
    """The directory is gone."""
    shutil.rmtree(place.policies)


def dangle(place: Place) -> None:
    """The file became a link to nothing, as a ConfigMap that was unmounted."""
    place.toml.unlink()
    place.toml.symlink_to(place.root / "nowhere")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "code", "where"),
    [
        (lambda p: p.write_rule(rule("one", "x").replace("contains", "contain")), "policy_invalid", "one.rego:10"),
        (lambda p: p.write_toml("[limit]\n", HEALTH), "config_invalid", "guard.toml:11"),
        (lambda p: p.write_toml(routes=HEALTH, record='name = "other"'), "config_invalid", "record"),
        (lambda p: p.toml.unlink(), "config_invalid", "guard.toml"),
        (dangle, "config_invalid", "guard.toml"),
        (remove_policies, "policy_invalid", "policies"),
        (lambda p: (p.policies / "one.rego").write_bytes(b"package x # \xff"), "policy_invalid", "one.rego"),
    ],
    ids=["policy", "key", "a restart", "no file", "no target", "no directory", "bytes"],
)
def test_a_refused_reload_is_recorded_and_told(
    place: Place, harm: Callable[[Place], None], code: str, where: str
) -> None:
    """Code and place in the record and in health, and of the content nothing; mended, health is ok again."""
    before = reloads(place)
    assert (before, healthy(place)) == ([], (200, "ok", "", ""))
    harm(place)
    place.until(lambda: len(reloads(place)) == 1)
    (record,) = reloads(place)
    assert (record["status"], record["after"], record["error"]["code"]) == ("refused", None, code)
    assert record["error"]["where"].endswith(where)
    assert str(place.root) not in str(record["error"])
    place.until(lambda: healthy(place) == (200, "degraded", code, record["error"]["where"]))
    assert place.ask() == (403, ("first",))
    place.toml.unlink(missing_ok=True)
    place.policies.mkdir(exist_ok=True)
    place.write_toml(routes=HEALTH)
    place.write_rule(rule("one", "mended"))
    place.until(lambda: place.ask() == (403, ("mended",)))
    place.until(lambda: healthy(place) == (200, "ok", "", ""))
    assert reloads(place)[-1]["status"] == "applied"
    assert_whole(place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_any_more(place: Place) -> None:
    """A lost permission is a refused reload; given back, the files are as the guard runs them."""
    (place.policies / "one.rego").chmod(0)
    place.until(lambda: healthy(place)[1] == "degraded")
    assert place.ask() == (403, ("first",))
    (place.policies / "one.rego").chmod(0o600)
    place.until(lambda: healthy(place)[1] == "ok")


def test_a_config_map_is_swapped_whole(tmp_path: Path) -> None:
    """guard.toml and policies are links through ``..data``, which Kubernetes replaces: one reload, on record."""
    place = Place(tmp_path)
    shutil.rmtree(place.policies)
    place.toml.unlink()
    for version in ("v1", "v2"):
        made = tmp_path / f"..{version}"
        (made / "policies").mkdir(parents=True)
        (made / "policies/one.rego").write_text(rule("one", version))
        (made / "guard.toml").write_text(
            f'reload = true\n[tenants.{version}]\n[detectors]\nenabled = []\nbehaviour = ""\n'
            '[policy]\ndirectories = ["policies"]\n'
        )
    (tmp_path / "..data").symlink_to("..v1")
    place.toml.symlink_to("..data/guard.toml")
    place.policies.symlink_to("..data/policies")
    place.guard = GuardMiddleware(app, place.toml, state_directory=tmp_path / "state")
    with (
        serve(place.guard, lifespan="on") as url,
        httpx.Client(base_url=url, timeout=30.0) as place.client,
        Crowd(place, clients=2) as crowd,
    ):
        place.until(lambda: len(crowd.answers) > 10)
        (tmp_path / "..data_tmp").symlink_to("..v2")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        place.until(lambda: (403, ("v2",)) in crowd.answers[-2:])
    assert set(crowd.answers) == {(403, ("v1",)), (403, ("v2",))}
    (record,) = reloads(place)
    assert record["before"]["config_digest"] != record["after"]["config_digest"]
    assert_whole(place)


# --- the log cannot take it -----------------------------------------------------------------------------------------


class Choosy(MemoryLog):
    """A log that takes no ``config`` record while it is ``full``."""

    full = True

    async def append(self, record: dict[str, Any]) -> Receipt:
        """Keep the record, or refuse it."""
        if self.full and record["kind"] == "config":
            raise LogUnavailable("the disk is full")
        return await super().append(record)


def started(tmp_path: Path, log: MemoryLog, **more: Any) -> tuple[Place, Runtime]:
    """A runtime over real policies that reloads, not started."""
    place = Place(tmp_path)
    place.write_rule(rule("one", "first"))
    source = ConfigSource.of(place.toml, {"reload": True, **more})
    return place, Runtime(source.load(), source=source, log=log, keyed=KeyedHash("test", b"k" * 32))


async def until(happened: Callable[[], bool]) -> None:
    """Wait for it, not for a time."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not happened():  # noqa: ASYNC110 - it happens in another thread
            await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.anyio
async def test_what_cannot_be_recorded_does_not_decide(tmp_path: Path) -> None:
    """The last good one stays, and what was opened for the new one is closed; once the log takes it, it decides."""
    log = Choosy()
    place, runtime = started(tmp_path, log)
    before = await runtime.start()
    place.write_rule(rule("one", "second"))
    await until(lambda: runtime.reload_state.failures == 1)
    assert runtime.services is before
    assert runtime.standing.engine == before.engine.info
    assert runtime.reload_state.refusal == Refusal("log_unavailable", "")
    assert log.records == []
    log.full = False
    await until(lambda: runtime.reload_state.reloads == 1)
    assert (runtime.reload_state.failures, runtime.reload_state.refusal) == (1, None)
    assert runtime.services.engine.info.digest != before.engine.info.digest
    (record,) = log.records
    assert (record["status"], record["before"]["policy"]["digest"]) == ("applied", before.engine.info.digest)
    await runtime.stop()


@pytest.mark.anyio
async def test_a_runtime_that_stopped_adopts_and_records_nothing(tmp_path: Path) -> None:
    """What arrives after the end changes nothing."""
    log = MemoryLog()
    _, runtime = started(tmp_path, log)
    await runtime.start()
    generation = runtime.prepare(runtime.config.model_copy(update={"health_path": "/h"}))
    assert generation is not None
    await runtime.stop()
    await runtime.adopt(generation)
    await runtime.refuse(Refusal("config_invalid", "guard.toml:1"), None)
    assert (runtime.services, log.records) == (None, [])


# --- the key --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("written", "variable", "keyword", "watches"),
    [
        ("", "", None, False),
        ("reload = true", "", None, True),
        ("reload = true", "false", None, False),
        ("", "true", None, True),
        ("reload = true", "", False, False),
        ("reload = false", "false", True, True),
    ],
)
def test_the_keyword_wins_over_the_variable_over_the_file(
    tmp_path: Path, written: str, variable: str, *, keyword: bool | None, watches: bool
) -> None:
    """As for every other key."""
    (tmp_path / "guard.toml").write_text(f'{written}\n[detectors]\nenabled = []\nbehaviour = ""\n')
    with pytest.MonkeyPatch.context() as patch:
        if variable:
            patch.setenv("GUARD_RELOAD", variable)
        guard = GuardMiddleware(app, tmp_path / "guard.toml", reload=keyword)
    assert guard.runtime.config.reload is watches
    assert (guard.runtime.reload_state is not None) is watches


def test_a_finished_configuration_cannot_be_watched() -> None:
    """The key in a ``GuardConfig`` asks for what cannot be done; the keyword takes it back."""
    config = GuardConfig(reload=True, detectors={"enabled": (), "behaviour": ""})
    with pytest.raises(TypeError, match="give its path"):
        GuardMiddleware(app, config)
    assert GuardMiddleware(app, config, reload=False).runtime.reload_state is None


def test_the_key_switched_off_is_the_last_edit(tmp_path: Path) -> None:
    """It takes effect and is recorded; what is written later waits for a restart."""
    place = Place(tmp_path)
    place.write_rule(rule("one", "first"))
    place.write_toml(routes=f"reload = true\n{HEALTH}")
    place.guard = GuardMiddleware(app, place.toml)
    with serve(place.guard, lifespan="on") as url, httpx.Client(base_url=url, timeout=30.0) as place.client:
        assert place.state.watching
        place.write_toml(routes=f"reload = false\n{HEALTH}")
        place.until(lambda: not place.state.watching)
        place.write_rule(rule("one", "second"))
        assert place.ask() == (403, ("first",))
        assert healthy(place)[1] == "ok"
        assert place.state.reloads == 1
    assert [record["status"] for record in reloads(place)] == ["applied"]
    assert_whole(place)


# --- places ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (ConfigError("no", where="/home/jane/app/guard.toml:3:14"), "guard.toml:3"),
        (ConfigError("no", where="/home/jane/keys.json"), "keys.json"),
        (ConfigError("no", where="https://user:hunter2@keys.example/jwks"), ""),
        (ConfigError("no", where="[policy.opa] token_file = /home/jane/token"), "[policy.opa] token_file"),
        (ConfigError("no", where="environment variable GUARD_LIMITS__MAX_BODY_BYTES"), None),
        (ConfigError("no", where="record, state_directory"), None),
        (ConfigError("hunter2"), ""),
        (PolicyInvalid([Diagnostic("c", "hunter2")]), ""),
        (PolicyInvalid([Diagnostic("c", "m", "/home/jane/p/a.rego", 3, 1)]), "a.rego:3"),
        (PolicyInvalid([Diagnostic("c", "m"), Diagnostic("c", "m", "policies/x/a.rego", 3, 1)]), "policies/x/a.rego:3"),
    ],
)
def test_a_place_tells_neither_values_nor_directories(error: ConfigError | PolicyInvalid, where: str | None) -> None:
    """Addresses may hold passwords, paths the names of people, messages anything."""
    refusal = Refusal.of(error)
    assert refusal == Refusal(error.code, error.where if where is None else where)
    assert "jane" not in refusal.where
    assert "hunter2" not in refusal.where


# --- what others feel -----------------------------------------------------------------------------------------------


def test_the_collector_rests_while_a_generation_is_built() -> None:
    """A full collection would hold up every request; what was built is old afterwards, and whoever froze objects or
    switched the collector off finds that as it was."""
    gc.unfreeze()  # a guard that an earlier test started has frozen this process
    assert gc.isenabled()
    with suppress(PolicyInvalid), uncollected():
        assert not gc.isenabled()
        made = [[number] for number in range(5000)]
        raise PolicyInvalid([])
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    old = {id(each) for each in gc.get_objects(generation=2)}
    assert all(id(each) in old for each in made)
    gc.disable()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.anyio
async def test_a_watcher_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours ends reloading, not the guard: the last good configuration decides, and health is degraded."""
    place, runtime = started(tmp_path, MemoryLog(), health_path="/health")

    async def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(runtime, "refuse", broken)
    await runtime.start()
    assert report(runtime).status == "ok"
    place.write_rule("nonsense")
    await until(lambda: not runtime.reload_state.watching)
    assert report(runtime).status == "degraded"
    await runtime.stop()
