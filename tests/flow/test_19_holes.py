"""Ways past the guard that a reader of its code found: each is closed, and stays so."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from guard.config import Route
from guard.content import ReadLimits, read_headers
from guard.errors import GuardStopped
from guard.exchange.failing import as_if_complete
from guard.keyed import KeyedHash
from guard.middleware import Routes
from guard.workers import Workers
from tests.flow.rig import Rig, ScriptedEngine, answering, chat, deny
from tests.flow.test_12_websocket import Client, echoing

pytestmark = pytest.mark.anyio

REST: dict[str, Any] = {"path": "/**", "inspect": False}


def told(routes: list[dict[str, Any]], path: str, method: str = "POST", root_path: str = "") -> str:
    """The route of a request, or ``"ambiguous"``."""
    matched = Routes([Route(**route) for route in routes]).match(path, method, root_path)
    return "ambiguous" if matched.ambiguous else matched.route.path


async def test_a_method_in_lower_case_does_not_leave_its_route(tmp_path: Path) -> None:
    """Servers pass ``post`` on (uvicorn, granian), apps take it for POST (Django, Quart): so do routes and policies."""
    seen: list[Any] = []
    engine = ScriptedEngine(lambda document: deny() if document["action"]["method"] == "POST" else deny("R-2"))
    rig = Rig(
        tmp_path, answering(b"{}", seen=seen), engine=engine, routes=({"path": "/chat", "methods": ["POST"]}, REST)
    )
    answer = await rig.call("post", "/chat", chat("hunter2"))
    assert (answer.status, answer.json["reasons"][0]["rule"], seen) == (403, "R-1", [])
    # It stays a text, too: a client may write anything there.
    assert "method" in engine.documents[0]["coverage"]["inspected"]


def test_head_is_on_the_routes_of_get() -> None:
    """Who answers GET answers HEAD: its query and headers are not let by unseen."""
    routes = [{"path": "/find", "methods": ["GET"]}, REST]
    assert [told(routes, "/find", method) for method in ("HEAD", "head", "POST")] == ["/find", "/find", "/**"]


@pytest.mark.parametrize(
    ("routes", "path", "route"),
    [
        ([{"path": "/chat"}, REST], "/chat", "/chat"),
        ([{"path": "/chat"}, REST], "/chat/", "ambiguous"),
        ([{"path": "/chat/"}, REST], "/chat", "ambiguous"),
        ([{"path": "/chat", "provider": "far"}], "/chat/", "ambiguous"),
        ([{"path": "/chat/**"}, REST], "/chat/", "/chat/**"),
        ([{"path": "/chat"}, {"path": "/chat/"}], "/chat/", "/chat/"),
        ([{"path": "/health", "inspect": False}], "/health/", "/**"),
        ([{"path": "/files/*"}], "/files", "/**"),
        ([{"path": "/files/*"}], "/files/", "/files/*"),
        ([{"path": "/files/*"}, REST], "/files/7/", "ambiguous"),
        ([{"path": "/files/*", "inspect": False}], "/files/", "ambiguous"),
        ([{"path": "/chat", "methods": ["PUT"]}, REST], "/chat/", "/**"),
        ([{"path": "/chat"}, REST], "/", "/**"),
    ],
)
def test_a_last_slash_does_not_lead_past_inspection(routes: list[dict[str, Any]], path: str, route: str) -> None:
    """Litestar has one handler for ``/chat`` and ``/chat/``: what only the slash keeps from its route is refused, and
    nothing else is."""
    assert told(routes, path) == route


@pytest.mark.parametrize("path", ["http://a/chat", "HTTP://a:80/chat?x", "http://a//chat", "x+y.z-1://a/b/../chat"])
def test_a_target_in_absolute_form_does_not_leave_its_route(path: str) -> None:
    """Servers hand it over as the path, and Quart takes the path out of it: rules for ``/chat`` would not see it."""
    assert told([{"path": "/chat", "provider": "far"}], path) == "ambiguous"
    assert told([], path) == "/**"


@pytest.mark.parametrize(
    ("path", "root_path", "route"),
    [
        ("/api/chat", "/api", "/api/chat"),
        ("/chat", "/api", "ambiguous"),
        ("/other", "/api", "/**"),
        ("/chat", "", "/**"),
    ],
)
def test_a_path_without_the_prefix_of_its_mount_does_not_leave_its_route(path: str, root_path: str, route: str) -> None:
    """Where the server does not put ``root_path`` in front, Starlette serves ``/chat`` and ``/api/chat`` alike."""
    assert told([{"path": "/api/chat"}, REST], path, root_path=root_path) == route


def test_what_was_left_out_for_want_of_room_never_counts_as_complete() -> None:
    """A body that says too much for the policy document does not open a route that fails open."""
    gaps = [{"detector": "pii", "reason": "deadline"}, {"detector": "pii", "reason": "limit"}]
    document = {"coverage": {"inspected": [], "skipped": [], "incomplete": gaps}}
    assert as_if_complete(document)["coverage"]["incomplete"] == [{"detector": "pii", "reason": "limit"}]


async def test_a_path_that_hangs_on_its_slash_never_reaches_the_app(tmp_path: Path) -> None:
    """400, with the way out, and a record."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), routes=({"path": "/chat"}, REST))
    answer = await rig.call(path="/chat/", body=chat("hunter2"))
    assert (answer.status, answer.json["error"]["code"], seen) == (400, "path_ambiguous", [])
    assert rig.log.records[0]["refusal"]["code"] == "path_ambiguous"


@pytest.mark.parametrize("text", ["", "harmless"])
async def test_a_message_that_is_text_and_binary_at_once_does_not_pass(tmp_path: Path, text: str) -> None:
    """Servers send the bytes where only the text was inspected: the connection is closed, in both directions."""
    both = {"text": text, "bytes": b"hunter2"}
    client: Any = Client()
    client._incoming.append({"type": "websocket.receive", **both})
    seen: list[Any] = []
    await Rig(tmp_path, echoing(seen)).guard(client.scope, client.receive, client.send)
    assert client.closed[0] == 1008
    assert [message["type"] for message in seen] == ["websocket.connect", "websocket.disconnect"]

    async def answering_both(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", **both})

    client = Client()
    await Rig(tmp_path / "out", answering_both).guard(client.scope, client.receive, client.send)
    assert (client.texts, client.closed[0]) == ([], 1008)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32-le"])
async def test_json_behind_much_white_space_is_json(tmp_path: Path, encoding: str) -> None:
    """A large body without a type that an app may parse is held whole or refused, however late its brace comes."""
    body = (" " * 9000 + json.dumps({"a": "x" * 3000})).encode(encoding)
    seen: list[Any] = []
    rig = Rig(
        tmp_path,
        answering(b"{}", seen=seen),
        limits={"max_body_bytes": 1000, "inspect_limit_bytes": 600},
        routes=({"path": "/**", "large_bodies": "pass"},),
    )
    answer = await rig.call(body=body)
    assert (answer.status, answer.json["error"]["code"], seen) == (413, "body_too_large", [])


@pytest.mark.parametrize("name", ["host", "origin", "x-forwarded-host", "via", "cf-worker"])
@pytest.mark.parametrize(
    "value", ["4111-1111-1111-1111", "078-05-1120", "AKIAIOSFODNN7EXAMPLE", "sk-abcdef0123456789abcdef"]
)
def test_what_is_no_name_of_a_host_is_read_where_hosts_stand(name: str, value: str) -> None:
    """A card number or a key in a header that names machines is a text like any other."""
    sent = f"1.1 {value}" if name == "via" else value
    content = read_headers([(name.encode(), sent.encode())], keyed=KeyedHash("test", b"k" * 32), limits=ReadLimits())
    assert [segment.text for segment in content.segments] == [sent]


@pytest.mark.parametrize(("reason", "heard"), [("hunter2", ""), ("tired", "tired"), (None, None)])
async def test_the_reason_for_which_a_client_leaves_is_inspected(tmp_path: Path, reason: Any, heard: Any) -> None:
    """It holds 123 bytes of the client's, and frameworks hand it to the app: one with a finding stays unsaid."""
    client: Any = Client()
    client._incoming.append({"type": "websocket.disconnect", "code": 4000, "reason": reason})
    seen: list[Any] = []
    await Rig(tmp_path, echoing(seen)).guard(client.scope, client.receive, client.send)
    assert seen[-1] == {"type": "websocket.disconnect", "code": 4000, "reason": heard}


async def test_an_outcome_counts_the_bytes_of_a_message(tmp_path: Path) -> None:
    """As they go over the wire: UTF-8."""
    client: Any = Client("äöü")
    rig = Rig(tmp_path, echoing([]))
    await rig.guard(client.scope, client.receive, client.send)
    assert rig.log.records[-1]["size_bytes"] == 6


@pytest.mark.parametrize("big", [False, True])
async def test_a_request_under_way_when_the_guard_is_stopped_is_not_let_through(tmp_path: Path, big: bool) -> None:
    """A stop is on purpose: also where the route fails open, what nobody can read any more is 503."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), routes=({"path": "/**", "unsafe_fail_open": True},))
    await rig.runtime.start()
    services = rig.runtime.services
    assert services is not None
    services.workers.close()
    answer = await rig.call(body=chat("hunter2 " * (10_000 if big else 1)))
    assert (answer.status, len(seen)) == ((503, 0) if big else (200, 1))


async def test_work_that_waits_when_the_guard_stops_is_refused_not_cancelled() -> None:
    """Whoever waits for it has an answer to give: a cancellation that nobody asked for would leave the client alone."""
    workers = Workers("test", threads=1, queue=1)
    running, done = threading.Event(), threading.Event()

    def busy() -> bool:
        running.set()
        return done.wait(10)

    first = asyncio.create_task(workers.run(busy, seconds=10))
    await asyncio.to_thread(running.wait, 10)
    waiting = asyncio.create_task(workers.run(busy, seconds=10))
    await asyncio.sleep(0)
    assert workers.busy == 2
    workers.close()
    with pytest.raises(GuardStopped):
        await waiting
    done.set()
    assert await first
