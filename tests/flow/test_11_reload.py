"""Hot reload: edits take effect while requests run, none of which fails or sees half of an edit; a broken edit keeps
the last good rules deciding, and is said."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from guard.config import GuardConfig
from guard.errors import ConfigError, LogUnavailable, PolicyInvalid
from guard.keyed import KeyedHash
from guard.middleware import GuardMiddleware
from guard.reload import ConfigSource, Refusal, Reloader, ReloadState, fingerprint, watched
from guard.runtime import Runtime
from guard.testing.records import read_records
from guard.testing.server import serve
from tests.flow.rig import MemoryLog, answering, body_of, chat

PATIENCE_SECONDS = 20.0


def rule(name: str, message: str, condition: str = 'input.stage == "request"') -> str:
    """A rule that denies, with its annotation."""
    return f"""package guard.rules.{name}

# METADATA
# title: A rule of this test
# custom:
#   id: {name.upper()}-1
#   severity: low
#   remediation: none
#   mode: enforce
deny contains {{"id": "{name.upper()}-1", "message": "{message}", "pointers": set()}} if {condition}
"""


class Place:
    """A directory with a guard.toml and policies, and a guard that serves from it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.policies = root / "policies"
        self.policies.mkdir()
        self.toml = root / "guard.toml"
        self.write_toml()
        self.guard: GuardMiddleware
        self.client: httpx.Client

    def write_toml(self, more: str = "", routes: str = "", record: str = "heartbeat_seconds = 0.2") -> None:
        """The configuration, replaced as editors do it: whole."""
        text = (
            f'state_directory = "state"\n{routes}\n[detectors]\nenabled = []\nbehaviour = ""\n'
            f'[record]\n{record}\n[policy]\ndirectories = ["policies"]\n{more}'
        )
        temporary = self.toml.with_suffix(".new")
        temporary.write_text(text)
        temporary.replace(self.toml)

    def write_rule(self, text: str, name: str = "one") -> None:
        """A policy, written in place."""
        (self.policies / f"{name}.rego").write_text(text)

    def ask(self, path: str = "/v1/chat/completions") -> tuple[int, tuple[str, ...]]:
        """The status of one request, and the messages of the reasons."""
        answer = self.client.post(path, json=chat("hello"))
        said = answer.json()
        return answer.status_code, tuple(sorted(reason["message"] for reason in said.get("reasons", ())))

    def until(self, happened: Callable[[], bool]) -> None:
        """Wait for it, not for a time."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not happened():
            assert time.monotonic() < end, f"it never happened; {self.state}"
            time.sleep(0.02)

    @property
    def state(self) -> Any:
        """How reloading fares."""
        return self.guard.runtime.reload_state


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Serves an app that answers ``{}`` behind a guard that reloads, over a real socket."""
    place = Place(tmp_path)
    place.write_rule(rule("one", "first"))
    place.guard = GuardMiddleware(app, place.toml, reload=True)
    with serve(place.guard, lifespan="on") as url, httpx.Client(base_url=url, timeout=30.0) as client:
        place.client = client
        yield place


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers ``{}``, and takes no part in the lifespan."""
    assert scope["type"] == "http"
    await answering(b"{}")(scope, receive, send)


class Crowd:
    """Clients that ask without a pause and keep every answer."""

    def __init__(self, place: Place, clients: int = 4) -> None:
        self.answers: list[tuple[int, tuple[str, ...]]] = []
        self._place = place
        self._done = threading.Event()
        self._pool = ThreadPoolExecutor(clients)
        self._runs = [self._pool.submit(self._run) for _ in range(clients)]

    def _run(self) -> None:
        while not self._done.is_set():
            self.answers.append(self._place.ask())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for run in self._runs:
            run.result()
        self._pool.shutdown()


def test_a_rule_edited_while_requests_run(place: Place) -> None:
    """Every request is answered, by the old rule or by the new one; the new one decides within moments."""
    with Crowd(place) as crowd:
        place.until(lambda: len(crowd.answers) > 20)
        place.write_rule(rule("one", "second"))
        place.until(lambda: (403, ("second",)) in crowd.answers[-4:])
        place.write_rule(rule("one", "third", 'input.stage == "nothing"'))
        place.until(lambda: (200, ()) in crowd.answers[-4:])
    assert set(crowd.answers) == {(403, ("first",)), (403, ("second",)), (200, ())}
    assert (place.state.reloads, place.state.failures, place.state.last_error) == (2, 0, "")
    assert place.state.revision == place.guard.runtime.services.engine.info.revision


def test_rules_that_change_together_decide_together(tmp_path: Path) -> None:
    """A directory that is swapped as Kubernetes swaps a ConfigMap: no request sees one file of it old and one new."""
    place = Place(tmp_path)
    place.policies.rmdir()
    for version in ("old", "new"):
        (tmp_path / version).mkdir()
        for name in ("one", "two"):
            (tmp_path / version / f"{name}.rego").write_text(rule(name, version))
    place.policies.symlink_to(tmp_path / "old")
    place.guard = GuardMiddleware(app, place.toml, reload=True)
    with serve(place.guard, lifespan="on") as url, httpx.Client(base_url=url, timeout=30.0) as client:
        place.client = client
        with Crowd(place) as crowd:
            place.until(lambda: len(crowd.answers) > 20)
            (tmp_path / "link").symlink_to(tmp_path / "new")
            (tmp_path / "link").replace(place.policies)
            place.until(lambda: (403, ("new", "new")) in crowd.answers[-4:])
    assert set(crowd.answers) == {(403, ("old", "old")), (403, ("new", "new"))}


def test_a_broken_edit_keeps_the_last_good_rules_deciding(place: Place) -> None:
    """The failure is said with file and line, in the state and in the heartbeats; the mended edit takes effect."""
    with Crowd(place, clients=2) as crowd:
        before = place.state.revision
        place.write_rule(rule("one", "broken").replace("contains", "contain"))
        place.until(lambda: place.state.failures == 1)
        assert "one.rego:10:1: rego_parse_error" in place.state.last_error
        assert (place.state.revision, place.state.reloads) == (before, 0)
        asked = len(crowd.answers)
        place.until(lambda: len(crowd.answers) > asked + 10)
        assert set(crowd.answers) == {(403, ("first",))}
        place.write_rule(rule("one", "mended"))
        place.until(lambda: (403, ("mended",)) in crowd.answers[-2:])
    assert set(crowd.answers) == {(403, ("first",)), (403, ("mended",))}
    assert (place.state.reloads, place.state.failures, place.state.last_error) == (1, 1, "")

    def counted() -> bool:
        beats = read_records(place.root / "state", "heartbeat")
        return bool(beats) and beats[-1]["counters"].items() >= {"reloads": 1, "reloads_failed": 1}.items()

    place.until(counted)


def test_a_broken_edit_that_is_taken_back_is_no_error_any_more(place: Place) -> None:
    """Nothing is reloaded for what is again as the guard runs it."""
    place.write_rule("package guard.rules.one\nnonsense")
    place.until(lambda: bool(place.state.last_error))
    place.write_rule(rule("one", "first"))
    place.until(lambda: not place.state.last_error)
    assert place.state.reloads == 0
    assert place.ask() == (403, ("first",))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda place: place.toml.unlink(), "there is no such file"),
        (lambda place: place.write_toml("[limit]\n"), "unknown key 'limit'"),
        (lambda place: place.toml.write_bytes(b"\xff"), "is not UTF-8"),
        (lambda place: place.write_toml("[policy.settings]\nmax_token = 1\n"), "max_token"),
        (lambda place: place.write_toml('entrypoint = "data.nothing"\n'), "names no rule"),
        (lambda place: place.write_toml(record='name = "other"'), "record: cannot change while the guard runs"),
        (lambda place: place.write_toml('[identity.jwt]\njwks_file="none"\nissuer="i"\naudience="a"\n'), "key set"),
    ],
    ids=["removed", "unknown key", "bytes", "setting", "entrypoint", "the log's name", "no such key set"],
)
def test_a_configuration_that_cannot_be_taken_changes_nothing(
    place: Place, harm: Callable[[Place], None], said: str
) -> None:
    """A file that is gone is not the defaults, and a log does not change its name while it is written."""
    running = place.guard.runtime.services
    harm(place)
    place.until(lambda: said in place.state.last_error)
    assert place.ask() == (403, ("first",))
    assert place.guard.runtime.services is running
    place.write_toml("# mended\n")
    place.until(lambda: not place.state.last_error)


def test_routes_change_with_the_rules(place: Place) -> None:
    """A route that is excluded from now on is not inspected any more, and one that is taken back is again."""
    assert place.ask("/open") == (403, ("first",))
    place.write_toml(routes='[[routes]]\npath = "/open"\ninspect = false\n')
    place.until(lambda: place.ask("/open") == (200, ()))
    assert place.ask() == (403, ("first",))
    place.write_toml()
    place.until(lambda: place.ask("/open") == (403, ("first",)))


def test_a_request_under_way_ends_under_the_rules_with_which_it_began(tmp_path: Path) -> None:
    """Its answer is decided by the revision that let it in, as its two records show."""
    place = Place(tmp_path)
    place.write_rule(rule("one", "old", 'input.stage == "nothing"'))
    entered, go_on = threading.Event(), threading.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await body_of(receive)
        entered.set()
        await asyncio.to_thread(go_on.wait, PATIENCE_SECONDS)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b'{"a": "b"}'})

    place.guard = GuardMiddleware(slow, place.toml, reload=True)
    with serve(place.guard, lifespan="on") as url, httpx.Client(base_url=url, timeout=30.0) as client:
        place.client = client
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(place.ask)
            assert entered.wait(PATIENCE_SECONDS)
            old = place.guard.runtime.services.engine.info.digest
            place.write_rule(rule("one", "new", 'input.stage == "response"'))
            place.until(lambda: place.state.reloads == 1)
            go_on.set()
            assert first.result() == (200, ())
        assert place.ask() == (403, ("new",))
    decision, _ = read_records(tmp_path / "state", "decision")
    outcome, _ = read_records(tmp_path / "state", "outcome")
    assert decision["policy"]["digest"] == outcome["decisions"][0]["policy"]["digest"] == old


def test_reload_needs_a_file_to_read_again() -> None:
    """A finished configuration cannot be read a second time, and silence would look like reloading."""
    with pytest.raises(TypeError, match="give its path"):
        GuardMiddleware(app, GuardConfig(), reload=True)


# --- the parts ------------------------------------------------------------------------------------------------------


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    """A runtime over real policies, whose log is in memory."""
    place = Place(tmp_path)
    place.write_rule(rule("one", "first"))
    source = ConfigSource.of(place.toml, {"detectors": {"enabled": ("secrets",), "behaviour": "behaviour"}})
    return Runtime(source.load(), log=MemoryLog(), keyed=KeyedHash("test", b"k" * 32))


@pytest.mark.anyio
async def test_what_did_not_change_is_shared(runtime: Runtime) -> None:
    """A new rule costs neither the detectors nor what the behaviour model has learned."""
    before = await runtime.start()
    assert runtime.prepare(runtime.config) is None
    generation = runtime.prepare(GuardConfig(**{**runtime.config.model_dump(), "tenants": {"acme": {}}}))
    assert generation is not None
    await runtime.adopt(generation)
    after = runtime.services
    assert after is not None
    assert after.config.tenants.keys() == {"acme"}
    assert after.config_digest != before.config_digest
    assert after.engine.info.digest != before.engine.info.digest
    assert after.pipeline is before.pipeline
    assert after.behaviour is before.behaviour
    assert after.authenticator is before.authenticator
    assert after.log is before.log
    await runtime.stop()


@pytest.mark.anyio
async def test_parts_are_put_away_when_their_last_request_has_ended(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine of two generations ago still decides for the stream that began with it, and is closed after it."""
    stopped: list[str] = []

    def stopping(engine: Any) -> None:
        async def stop() -> None:
            stopped.append(engine.info.revision)

        monkeypatch.setattr(engine, "stop", stop)

    stopping(runtime._now.engine)
    stream = await runtime.start()
    old = stream.engine.info.revision
    for name in ("acme", "other"):
        generation = runtime.prepare(GuardConfig(**{**runtime.config.model_dump(), "tenants": {name: {}}}))
        assert generation is not None
        stopping(generation.engine)
        await runtime.adopt(generation)
        await turns()
    middle = [revision for revision in stopped if revision != old]
    assert (len(stopped), len(middle)) == (1, 1)
    del stream
    await turns()
    assert stopped == [*middle, old]
    assert runtime.services is not None
    await runtime.stop()
    assert len(stopped) == 3


@pytest.mark.anyio
async def test_an_invalid_generation_is_refused_before_it_exists(runtime: Runtime, tmp_path: Path) -> None:
    """What needs a restart, and policies that do not compile, are errors of ``prepare``."""
    await runtime.start()
    moved = GuardConfig(**{**runtime.config.model_dump(), "state_directory": tmp_path / "elsewhere"})
    with pytest.raises(ConfigError, match=r"state_directory.*restart"):
        runtime.prepare(moved)
    (tmp_path / "policies/one.rego").write_text("package guard.rules.one\nnonsense")
    with pytest.raises(PolicyInvalid, match=r"one\.rego"):
        runtime.prepare(runtime.config)
    await runtime.stop()


async def turns() -> None:
    """What nobody refers to is dropped, and the loop does what follows from that."""
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)


class Revision:
    """A prepared generation, as far as the reloader looks."""

    def __init__(self, revision: str) -> None:
        self.revision = revision
        self.left_out = None


class Owner:
    """Builds revisions of the policy's text, and keeps what it is asked."""

    def __init__(self, place: Place, fails: Callable[[int], Exception | None] = lambda _: None) -> None:
        self.read: list[str] = []
        self.adopted: list[str] = []
        self.refused: list[tuple[Refusal, str | None]] = []
        self.done = asyncio.Event()
        self.tries = 0
        self._policy = place.policies / "one.rego"
        self._fails = fails

    def prepare(self, _: GuardConfig) -> Revision:
        """A revision that is the text."""
        self.read.append(self._policy.read_text())
        return Revision(self.read[-1])

    async def adopt(self, prepared: Revision) -> None:
        """Keep it, or fail as told."""
        self.tries += 1
        if error := self._fails(self.tries):
            raise error
        self.adopted.append(prepared.revision)
        self.done.set()

    async def refuse(self, refusal: Refusal, prepared: Revision | None) -> None:
        """Keep it."""
        self.refused.append((refusal, None if prepared is None else prepared.revision))


@pytest.mark.anyio
async def test_files_that_change_while_they_are_read_are_read_again(tmp_path: Path) -> None:
    """What was compiled from files of two moments never decides."""
    place = Place(tmp_path)
    source = ConfigSource.of(place.toml, {"reload": True})

    class Meddled(Owner):
        def prepare(self, config: GuardConfig) -> Revision:
            prepared = super().prepare(config)
            if len(self.read) == 1:
                place.write_rule("# second")
            return prepared

    owner = Meddled(place)
    reloader = Reloader(source, source.load(), owner, poll_seconds=0.05)
    reloader.start("r0")
    place.write_rule("# first")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await owner.done.wait()
    await reloader.stop()
    assert (owner.adopted, owner.refused) == (["# second"], [])
    assert (reloader.state.revision, reloader.state.reloads, reloader.state.failures) == ("# second", 1, 0)


@pytest.mark.anyio
async def test_what_could_not_be_adopted_is_tried_again(tmp_path: Path) -> None:
    """The files are good and the log was full: they decide once it is not, without another edit. It is said once."""
    place = Place(tmp_path)
    source = ConfigSource.of(place.toml, {"reload": True})
    owner = Owner(place, lambda tries: LogUnavailable("the disk is full") if tries < 4 else None)
    reloader = Reloader(source, source.load(), owner, poll_seconds=0.01)
    reloader.start("r0")
    place.write_rule("# first")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await owner.done.wait()
    await reloader.stop()
    assert owner.refused == [(Refusal("log_unavailable", ""), "# first")]
    assert (owner.tries, owner.adopted) == (4, ["# first"])
    assert reloader.state == ReloadState("# first", reloads=1, failures=1)


@pytest.mark.anyio
async def test_a_generation_that_cannot_be_started_is_a_failed_reload(tmp_path: Path) -> None:
    """An error on the event loop's side is told like one of the files, by its class if it is not ours."""
    place = Place(tmp_path)
    source = ConfigSource.of(place.toml, {"reload": True})
    owner = Owner(place, lambda _: RuntimeError("prompt: hello"))
    reloader = Reloader(source, source.load(), owner, poll_seconds=0.05)
    reloader.start("r0")
    place.write_rule("# first")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not owner.refused:  # noqa: ASYNC110 - it is told from another thread
            await asyncio.sleep(0.01)
    await reloader.stop()
    state = reloader.state
    assert (state.revision, state.failures, state.last_error, state.watching) == ("r0", 1, "RuntimeError", False)
    ((refusal, revision),) = owner.refused
    assert (refusal.code, revision) == ("guard_error", "# first")
    assert refusal.where.startswith("test_11_reload.py:")


@pytest.mark.anyio
async def test_a_policy_that_is_still_being_written_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first half of a file may be a policy without its last rules: it never decides, however it parses."""
    monkeypatch.setattr("guard.reload._SETTLE_MS", 1000)
    place = Place(tmp_path)
    source = ConfigSource.of(place.toml, {"reload": True})
    owner = Owner(place)
    reloader = Reloader(source, source.load(), owner, poll_seconds=0.01)
    reloader.start("r0")
    with (place.policies / "one.rego").open("w") as file:
        for part in range(30):
            file.write(f"# {part}\n")
            file.flush()
            await asyncio.sleep(0.02)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await owner.done.wait()
    await reloader.stop()
    assert [text.count("#") for text in owner.read] == [30]


@pytest.mark.anyio
async def test_a_new_directory_is_watched_from_then_on(tmp_path: Path) -> None:
    """A configuration that fails over a directory which it names is mended in that directory."""
    place = Place(tmp_path)
    place.write_rule(rule("one", "first"))
    config = ConfigSource.of(place.toml, {"reload": True})
    runtime = Runtime(config.load(), source=config, log=MemoryLog(), keyed=KeyedHash("test", b"k" * 32))
    await runtime.start()
    (tmp_path / "more").mkdir()
    (tmp_path / "more/two.rego").write_text("nonsense")
    place.toml.write_text(place.toml.read_text().replace('["policies"]', '["policies", "more"]'))

    async def until(happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not happened():  # noqa: ASYNC110 - it happens in another thread
                await asyncio.sleep(0.01)

    await until(lambda: "two.rego" in runtime.reload_state.last_error)
    (tmp_path / "more/two.rego").write_text(rule("two", "second"))
    await until(lambda: runtime.reload_state.reloads == 1)
    assert "TWO-1" in runtime.services.engine.rules
    await runtime.stop()


def test_a_fingerprint_tells_every_change_of_what_is_read(tmp_path: Path) -> None:
    """Another content of the same size and time, a new file, a removed one and another file in its place; not the
    log that grows beside them."""
    place = Place(tmp_path)
    place.write_rule("one")
    config = ConfigSource.of(place.toml, {"reload": True}).load()
    paths = watched(ConfigSource(place.toml), config)
    assert paths == [str(place.toml), str(place.policies)]
    seen = [fingerprint(paths)]
    file = place.policies / "one.rego"
    status = file.stat()
    file.write_text("two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    seen.append(fingerprint(paths))
    place.write_rule("three", "two")
    seen.append(fingerprint(paths))
    (place.policies / "two.rego").unlink()
    (place.policies / "data.json").write_text(json.dumps({}))
    seen.append(fingerprint(paths))
    place.toml.unlink()
    seen.append(fingerprint(paths))
    assert all(before != after for before, after in itertools.pairwise(seen))
    (place.policies / ".guard").mkdir()
    (place.policies / ".guard" / "log.json").write_text("")
    (place.policies / "notes.txt").write_text("")
    assert fingerprint(paths) == seen[-1]
