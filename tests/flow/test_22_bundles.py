"""Downloaded bundles: swapped under load without one wrong or missing decision, refused with a reason while the old one
goes on deciding, and kept for a restart while the server is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from guard.config import GuardConfig
from guard.errors import BundleUnavailable, BundleUntrusted
from guard.middleware import GuardMiddleware
from guard.policy.bundles.build import pack
from guard.record.verify import verify
from guard.runtime import Runtime
from guard.testing.records import log_directory, read_records
from guard.testing.server import serve
from guard.types import DecisionRecord
from tests.flow.rig import answering, chat
from tests.policy.bundling import BundleServer, Keys, archive, bundle_files, bundle_server, signed

PATIENCE_SECONDS = 30.0
QUICK = {"poll_min_seconds": 0.05, "poll_max_seconds": 0.1, "download_deadline_seconds": 5.0}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Keys for the whole file: making them takes a while."""
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def server() -> Iterator[BundleServer]:
    """A bundle server."""
    with bundle_server() as server:
        yield server


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers ``{}``, and takes no part in the lifespan."""
    assert scope["type"] == "http"
    await answering(b"{}")(scope, receive, send)


def configured(root: Path, url: str, key: Path, **bundle: Any) -> GuardConfig:
    """A guard that takes bundles signed with one key, and polls quickly."""
    return GuardConfig(
        state_directory=root / "state",
        health_path="/health",
        detectors={"enabled": (), "behaviour": None},
        record={"heartbeat_seconds": 0.2},
        policy={"bundle": {"source": url, "public_key_file": key, **QUICK, **bundle}},
    )


class Guarded:
    """A guard behind a real socket, and a client."""

    def __init__(self, config: GuardConfig) -> None:
        self.config = config
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.guard = GuardMiddleware(app, config=self.config)
        url = self._stack.enter_context(serve(self.guard, lifespan="on"))
        self.client = self._stack.enter_context(httpx.Client(base_url=url, timeout=30.0))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self) -> tuple[int, tuple[str, ...]]:
        """The status of one request, and the messages of the reasons."""
        answer = self.client.post("/v1/chat/completions", json=chat("hello"))
        return answer.status_code, tuple(reason["message"] for reason in answer.json().get("reasons", ()))

    def health(self) -> dict[str, Any]:
        """What the guard says of itself."""
        said: dict[str, Any] = self.client.get("/health").json()
        return said

    def records(self, kind: str) -> list[DecisionRecord]:
        """The records so far."""
        return read_records(self.config.state_directory, kind)

    def whole(self) -> None:
        """The log verifies, which holds every decision against the swaps before it."""
        report = verify(log_directory(self.config.state_directory))
        assert report.exit_code == 0, report.lines()


def until(happened: Callable[[], bool]) -> None:
    """Wait for it, not for a time."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


# --- swaps ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_swap_under_load_loses_no_decision(tmp_path: Path, server: BundleServer, keys: Keys) -> None:
    """Eight clients, three bundles one after another: each answer is one bundle's whole, each request has its record
    under that bundle's revision, and each swap is on record before its first decision."""
    server.long_poll = True
    server.put(archive("m1", "r1", key=keys.private("rsa")), '"1"')
    answers: list[tuple[int, tuple[str, ...]]] = []
    done = threading.Event()
    with Guarded(configured(tmp_path, server.url, keys.public("rsa"), long_poll_seconds=20)) as guarded:

        def ask() -> None:
            while not done.is_set():
                answers.append(guarded.ask())

        def swapped(number: int) -> bool:
            return answers[-8:].count((403, (f"m{number}",))) == 8

        with ThreadPoolExecutor(8) as pool:
            runs = [pool.submit(ask) for _ in range(8)]
            try:
                for number in (1, 2, 3):
                    server.put(archive(f"m{number}", f"r{number}", key=keys.private("rsa")), f'"{number}"')
                    until(partial(swapped, number))
            finally:
                done.set()
            for run in runs:
                run.result()
        assert {status for status, _ in answers} == {403}
        assert {said for _, said in answers} == {("m1",), ("m2",), ("m3",)}
        decisions = guarded.records("decision")
        assert len(decisions) == len(answers)
        told = [(record["policy"]["revision"], record["why"][0]["rule"]) for record in decisions]
        assert set(told) == {("r1", "ACME-1"), ("r2", "ACME-1"), ("r3", "ACME-1")}
        per_revision = {f"m{n}": sum(revision == f"r{n}" for revision, _ in told) for n in (1, 2, 3)}
        assert per_revision == {said: [s for _, (s,) in answers].count(said) for said in per_revision}
        swaps = guarded.records("config")
        assert [record["after"]["policy"]["revision"] for record in swaps] == ["r2", "r3"]
        first = {
            revision: min(r["seq"] for r in decisions if r["policy"]["revision"] == revision)
            for revision in ("r2", "r3")
        }
        assert all(first[record["after"]["policy"]["revision"]] > record["seq"] for record in swaps)
    guarded.whole()


def test_long_polling_asks_once_for_each_change(tmp_path: Path, server: BundleServer, keys: Keys) -> None:
    """The server holds the request back; between two changes there is one request, with the ETag of what decides."""
    server.long_poll = True
    server.put(archive("m1", key=keys.private("ed")), '"1"')
    config = configured(tmp_path, server.url, keys.public("ed"), long_poll_seconds=60)
    with Guarded(config) as guarded:
        until(lambda: len(server.requests) == 2)
        server.put(archive("m2", key=keys.private("ed")), '"2"')
        until(lambda: guarded.ask() == (403, ("m2",)))
        until(lambda: len(server.requests) == 3)
    assert "wait=60" not in server.requests[0]["prefer"]
    assert [request.get("if-none-match") for request in server.requests] == [None, '"1"', '"2"']
    assert all(request["prefer"].endswith("wait=60") for request in server.requests[1:])


def test_a_new_revision_of_equal_policies_is_told(tmp_path: Path, server: BundleServer, keys: Keys) -> None:
    """Records name the revision that the manifest says, also where nothing else changed."""
    server.put(archive("m1", "r1", key=keys.private("rsa")), '"1"')
    with Guarded(configured(tmp_path, server.url, keys.public("rsa"))) as guarded:
        assert guarded.ask() == (403, ("m1",))
        server.put(archive("m1", "r2", key=keys.private("rsa")), '"2"')
        until(lambda: guarded.health()["engine"]["revision"] == "r2")
        assert guarded.ask() == (403, ("m1",))
        revisions = [record["policy"]["revision"] for record in guarded.records("decision")]
        digests = {record["policy"]["digest"] for record in guarded.records("decision")}
        assert revisions == ["r1", "r2"]
        assert len(digests) == 1
    guarded.whole()


# --- refusals -------------------------------------------------------------------------------------------------------


def tampered(keys: Keys) -> bytes:
    """Signed, and then another rule put in."""
    files = signed(bundle_files("m2", "r2"), keys.private("rsa"))
    return pack({**files, "rules/acme.rego": files["rules/acme.rego"].replace(b"m2", b"m3")})


def wrong_root(keys: Keys) -> bytes:
    """Signed, and reaching into what it says it does not own."""
    files = {**bundle_files("m2", "r2"), "more/data.json": b'{"x": 1}'}
    return pack(signed(files, keys.private("rsa")))


def broken(keys: Keys) -> bytes:
    """Signed, and no Rego."""
    return pack(
        signed({**bundle_files(), "rules/acme.rego": b"package guard.rules.acme\nnonsense"}, keys.private("rsa"))
    )


REFUSED = {
    "tampered": (tampered, "bundle_untrusted", "bundle.tar.gz/rules/acme.rego"),
    "unsigned": (lambda _: archive("m2", "r2"), "bundle_untrusted", "bundle.tar.gz"),
    "another_key": (
        lambda keys: archive("m2", "r2", key=keys.private("other")),
        "bundle_untrusted",
        "bundle.tar.gz/.signatures.json",
    ),
    "wrong_root": (wrong_root, "bundle_outside_roots", "bundle.tar.gz/more/data.json"),
    "shipped_root": (
        lambda keys: archive("m2", "r2", key=keys.private("rsa"), roots=["guard/rules"]),
        "bundle_outside_roots",
        "bundle.tar.gz/.manifest",
    ),
    "broken_policy": (broken, "policy_invalid", "bundle.tar.gz/rules/acme.rego:2"),
    "no_archive": (lambda _: b"<html>", "bundle_invalid", "bundle.tar.gz"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_bundle_leaves_the_old_one_deciding(
    tmp_path: Path, server: BundleServer, keys: Keys, case: str
) -> None:
    """It is on record once, with its code and place, and in health until a good one comes."""
    make, code, where = REFUSED[case]
    server.put(archive("m1", "r1", key=keys.private("rsa")), '"1"')
    with Guarded(configured(tmp_path, server.url, keys.public("rsa"))) as guarded:
        server.put(make(keys), '"2"')
        until(lambda: guarded.health()["reload"]["failures"] == 1)
        # It is asked for again in full, and what is refused again is no news.
        asked = len(server.requests)
        until(lambda: len(server.requests) >= asked + 3)
        assert "if-none-match" not in server.requests[-1]
        assert guarded.ask() == (403, ("m1",))
        health = guarded.health()
        assert health["status"] == "degraded"
        assert (health["reload"]["last_error_code"], health["reload"]["last_error_where"]) == (code, where)
        assert health["engine"]["revision"] == "r1"
        until(lambda: bool(guarded.records("config")))
        (refusal,) = guarded.records("config")
        assert (refusal["status"], refusal["error"]["code"], refusal["error"]["where"]) == ("refused", code, where)
        server.put(archive("m4", "r4", key=keys.private("rsa")), '"4"')
        until(lambda: guarded.ask() == (403, ("m4",)))
        until(lambda: guarded.health()["status"] == "ok")
    guarded.whole()


@pytest.mark.parametrize("mode", ["refuse", "garbage", "truncated"])
def test_a_server_that_fails_is_told_and_comes_back(
    tmp_path: Path, server: BundleServer, keys: Keys, mode: Any
) -> None:
    """Health says so, a record says so once, and the next good answer ends it."""
    server.put(archive("m1", "r1", key=keys.private("rsa")), '"1"')
    with Guarded(configured(tmp_path, server.url, keys.public("rsa"))) as guarded:
        server.mode, server.etag = mode, '"2"'
        until(lambda: guarded.health()["status"] == "degraded")
        until(lambda: len(guarded.records("config")) == 1)
        assert guarded.ask() == (403, ("m1",))
        (refusal,) = guarded.records("config")
        wanted = "bundle_invalid" if mode == "garbage" else "bundle_unavailable"
        assert (refusal["status"], refusal["error"]["code"]) == ("refused", wanted)
        server.mode = "serve"
        server.put(archive("m2", "r2", key=keys.private("rsa")), '"3"')
        until(lambda: guarded.ask() == (403, ("m2",)))
        until(lambda: guarded.health()["status"] == "ok")
        (bundle,) = guarded.health()["bundles"]
        assert (bundle["failures"], bundle["last_error_code"], bundle["last_good"]) == (0, "", False)
    guarded.whole()


# --- starts ---------------------------------------------------------------------------------------------------------


def test_a_restart_while_the_server_is_away_decides_by_the_last_good_bundle(tmp_path: Path, keys: Keys) -> None:
    """Degraded, said in a record, and taken over as soon as the server is back."""
    with bundle_server() as server:
        server.put(archive("m1", "r1", key=keys.private("rsa")), '"1"')
        config = configured(tmp_path, server.url, keys.public("rsa"))
        with Guarded(config) as guarded:
            assert guarded.ask() == (403, ("m1",))
    with Guarded(config) as guarded:
        assert guarded.ask() == (403, ("m1",))
        health = guarded.health()
        assert health["status"] == "degraded"
        (bundle,) = health["bundles"]
        assert (bundle["name"], bundle["last_good"]) == ("bundle.tar.gz", True)
        assert (bundle["answered_seconds_ago"], bundle["last_error_code"]) == (-1, "bundle_unavailable")
        until(lambda: len(guarded.records("config")) == 1)
        assert guarded.records("config")[0]["error"]["code"] == "bundle_unavailable"
        with bundle_server(int(server.url.split(":")[2].split("/")[0]), server):
            server.put(archive("m2", "r2", key=keys.private("rsa")), '"2"')
            until(lambda: guarded.ask() == (403, ("m2",)))
            until(lambda: guarded.health()["status"] == "ok")
    guarded.whole()


@pytest.mark.slow
def test_a_restart_asks_only_for_what_changed(tmp_path: Path, server: BundleServer, keys: Keys) -> None:
    """The ETag is kept with the archive; 304 at the start means the one on disk."""
    server.put(archive("m1", "r1", key=keys.private("rsa")), '"1"')
    config = configured(tmp_path, server.url, keys.public("rsa"), poll_min_seconds=60, poll_max_seconds=60)
    with Guarded(config) as guarded:
        guarded.ask()
    with Guarded(config) as guarded:
        assert guarded.ask() == (403, ("m1",))
        assert guarded.health()["status"] == "ok"
    assert [request.get("if-none-match") for request in server.requests] == [None, '"1"']


def test_a_restart_with_a_refused_bundle_decides_by_the_last_good_one(
    tmp_path: Path, server: BundleServer, keys: Keys
) -> None:
    """What the server gives now is refused as it would be while the guard runs."""
    server.put(archive("m1", "r1", key=keys.private("rsa")), '"1"')
    config = configured(tmp_path, server.url, keys.public("rsa"))
    with Guarded(config) as guarded:
        guarded.ask()
    server.put(tampered(keys), '"2"')
    with Guarded(config) as guarded:
        assert guarded.ask() == (403, ("m1",))
        until(lambda: guarded.health()["reload"]["last_error_code"] == "bundle_untrusted")
        until(lambda: bool(guarded.records("config")))
        assert [record["error"]["code"] for record in guarded.records("config")] == ["bundle_untrusted"]
    guarded.whole()


def test_what_lies_on_disk_is_verified_again(tmp_path: Path, keys: Keys) -> None:
    """Whoever can write to the state directory cannot put policies there."""
    with bundle_server() as server:
        server.put(archive("m1", "r1", key=keys.private("rsa")), '"1"')
        config = configured(tmp_path, server.url, keys.public("rsa"))
        with Guarded(config) as guarded:
            guarded.ask()
    (stored,) = (tmp_path / "state" / "bundles").rglob("bundle.tar.gz")
    assert stored.stat().st_mode & 0o777 == 0o600
    stored.write_bytes(tampered(keys))
    with pytest.raises(BundleUntrusted):
        Runtime(config)


def test_without_a_server_and_a_last_good_bundle_nothing_starts(tmp_path: Path, keys: Keys) -> None:
    """Never the shipped policies alone where the owner wanted more; nor the last good one where that is not wanted."""
    with bundle_server() as server:
        server.put(archive("m1", "r1", key=keys.private("rsa")), '"1"')
        with Guarded(configured(tmp_path, server.url, keys.public("rsa"))) as guarded:
            guarded.ask()
        server.put(tampered(keys), '"2"')
        for root, options in ((tmp_path / "empty", {}), (tmp_path, {"start_with_last_good": False})):
            with pytest.raises(BundleUntrusted):
                Runtime(configured(root, server.url, keys.public("rsa"), **options))
    for root, options in ((tmp_path / "empty", {}), (tmp_path, {"start_with_last_good": False})):
        with pytest.raises(BundleUnavailable):
            Runtime(configured(root, server.url, keys.public("rsa"), **options))


def test_a_candidate_is_downloaded_beside_the_live_policies(tmp_path: Path, keys: Keys) -> None:
    """It never keeps the guard from starting, comes when its server does, and a refused one is left out alone."""
    with bundle_server() as server:
        port = int(server.url.split(":")[2].split("/")[0])
    bundle = {"source": server.url, "public_key_file": keys.public("rsa"), **QUICK}
    config = GuardConfig(
        state_directory=tmp_path / "state",
        health_path="/health",
        detectors={"enabled": (), "behaviour": None},
        policy={"candidate": {"bundle": bundle}},
    )
    with Guarded(config) as guarded:
        assert guarded.ask()[0] == 200
        assert guarded.health()["candidate"] is None
        server.put(archive("m1", "r1", key=keys.private("rsa")), '"1"')
        with bundle_server(port, server):
            until(lambda: (guarded.health()["candidate"] or {}).get("revision") == "r1")
            assert guarded.ask()[0] == 200
            server.put(tampered(keys), '"2"')
            until(lambda: guarded.health()["reload"]["last_error_code"] == "bundle_untrusted")
            assert guarded.health()["candidate"]["revision"] == "r1"
            server.put(archive("m3", "r3", key=keys.private("rsa")), '"3"')
            until(lambda: guarded.health()["candidate"]["revision"] == "r3")
            until(lambda: guarded.health()["status"] == "ok")
            assert guarded.ask()[0] == 200
    shadows = [record["shadow"] for record in guarded.records("decision") if record.get("shadow")]
    assert [shadow["revision"] for shadow in shadows] == ["r1", "r3"]
    assert {shadow["effect"] for shadow in shadows} == {"deny"}
    guarded.whole()
