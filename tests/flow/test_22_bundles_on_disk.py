"""Bundles on disk are watched as policies in directories are, and an edit may name another source while the guard
runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from guard.middleware import GuardMiddleware
from guard.testing.records import read_records
from guard.testing.server import serve
from tests.flow.rig import chat
from tests.flow.test_22_bundles import app, until
from tests.policy.bundling import BundleServer, Keys, archive, bundle_files, bundle_server, signed


class Place:
    """A directory with a guard.toml, and a guard that reloads."""

    def __init__(self, root: Path, keys: Keys) -> None:
        self.root, self.keys = root, keys
        self.client: httpx.Client

    def write(self, source: str, more: str = "") -> None:
        """The configuration, replaced whole."""
        (self.root / "guard.new").write_text(
            'state_directory = "state"\nhealth_path = "/health"\n[detectors]\nenabled = []\nbehaviour = ""\n'
            f'[policy.bundle]\nsource = "{source}"\npublic_key_file = "ed.pub"\n{more}'
        )
        (self.root / "guard.new").replace(self.root / "guard.toml")

    def put(self, message: str, revision: str) -> None:
        """A signed bundle beside it, replaced whole."""
        (self.root / "b.new").write_bytes(archive(message, revision, key=self.keys.private("ed")))
        (self.root / "b.new").replace(self.root / "b.tar.gz")

    def ask(self) -> tuple[int, tuple[str, ...]]:
        """The status of one request, and the messages of the reasons."""
        answer = self.client.post("/v1/chat/completions", json=chat("hello"))
        return answer.status_code, tuple(reason["message"] for reason in answer.json().get("reasons", ()))

    def health(self) -> dict[str, Any]:
        """What the guard says of itself."""
        said: dict[str, Any] = self.client.get("/health").json()
        return said


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A guard that serves a bundle on disk and reloads."""
    place = Place(tmp_path, Keys(tmp_path))
    place.put("m1", "r1")
    place.write("b.tar.gz")
    with ExitStack() as stack:
        guard = GuardMiddleware(app, tmp_path / "guard.toml", reload=True)
        url = stack.enter_context(serve(guard, lifespan="on"))
        place.client = stack.enter_context(httpx.Client(base_url=url, timeout=30.0))
        yield place


@pytest.mark.slow
def test_an_archive_that_is_replaced_is_taken_over(place: Place) -> None:
    """Or refused: half of one, or one that somebody changed."""
    assert place.ask() == (403, ("m1",))
    place.put("m2", "r2")
    until(lambda: place.ask() == (403, ("m2",)))
    whole = archive("m3", "r3", key=place.keys.private("ed"))
    (place.root / "b.tar.gz").write_bytes(whole[:-20])
    until(lambda: place.health()["reload"]["last_error_code"] == "bundle_invalid")
    (place.root / "b.tar.gz").write_bytes(archive("m3", "r3", key=place.keys.private("rsa")))
    until(lambda: place.health()["reload"]["last_error_code"] == "bundle_untrusted")
    assert place.ask() == (403, ("m2",))
    assert place.health()["engine"]["revision"] == "r2"
    (place.root / "b.tar.gz").write_bytes(whole)
    until(lambda: place.ask() == (403, ("m3",)))
    until(lambda: place.health()["status"] == "ok")


@pytest.mark.slow
def test_a_key_that_is_exchanged_counts_for_the_next_look(place: Place) -> None:
    """A bundle of the old key is refused from then on; what decides stays."""
    (place.root / "ed.pub").write_bytes(place.keys.public("other").read_bytes())
    until(lambda: place.health()["reload"]["last_error_code"] == "bundle_untrusted")
    assert place.ask() == (403, ("m1",))
    files = signed(bundle_files("m2", "r2"), place.keys.private("other"))
    for name, content in files.items():
        (place.root / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (place.root / "d" / name).write_bytes(content)
    place.write("d")
    until(lambda: place.ask() == (403, ("m2",)))


@pytest.mark.slow
def test_an_edit_names_a_server_that_comes_later(place: Place) -> None:
    """It is refused and tried again by itself; from then on the server is polled, until an edit names a file again."""
    server = BundleServer()
    with bundle_server(given=server):
        port = int(server.url.split(":")[2].split("/")[0])
    place.write(server.url, "poll_min_seconds = 0.05\npoll_max_seconds = 0.1\n")
    until(lambda: place.health()["reload"]["last_error_code"] == "bundle_unavailable")
    assert place.ask() == (403, ("m1",))
    server.put(archive("m2", "r2", key=place.keys.private("ed")), '"2"')
    with bundle_server(port, server):
        until(lambda: place.ask() == (403, ("m2",)))
        server.put(archive("m3", "r3", key=place.keys.private("ed")), '"3"')
        until(lambda: place.ask() == (403, ("m3",)))
        until(lambda: [bundle["name"] for bundle in place.health()["bundles"]] == ["bundle.tar.gz"])
        place.write("b.tar.gz")
        until(lambda: place.ask() == (403, ("m1",)))
        until(lambda: place.health()["bundles"] == [])
    refused = [r for r in read_records(place.root / "state", "config") if r["status"] == "refused"]
    assert [record["error"]["code"] for record in refused] == ["bundle_unavailable"]


@pytest.mark.slow
def test_polling_goes_on_when_reloading_is_switched_off(place: Place) -> None:
    """The file is not watched any more; the server is."""
    with bundle_server() as server:
        server.put(archive("m2", "r2", key=place.keys.private("ed")), '"2"')
        place.write(server.url, "poll_min_seconds = 0.05\npoll_max_seconds = 0.1\n")
        until(lambda: place.ask() == (403, ("m2",)))
        text = (place.root / "guard.toml").read_text()
        (place.root / "guard.toml").write_text("reload = false\n" + text)
        server.put(archive("m3", "r3", key=place.keys.private("ed")), '"3"')
        until(lambda: place.ask() == (403, ("m3",)))
        until(lambda: place.health()["status"] == "ok")
