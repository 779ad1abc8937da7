"""The door: lifespan with apps that take part in it, refuse it or fail; starts that fail; and the public names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import guard
from guard.config import load_config
from guard.errors import DetectorMissing, LogUnavailable
from guard.middleware import GuardMiddleware
from guard.runtime import Runtime, load_detectors
from tests.flow.rig import MemoryLog, Rig, answering, chat

pytestmark = pytest.mark.anyio


class Server:
    """Speaks the lifespan protocol as a server does."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self._events = ["lifespan.startup", "lifespan.shutdown"]

    async def receive(self) -> dict[str, Any]:
        return {"type": self._events.pop(0)}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message["type"])


class CountingLog(MemoryLog):
    """Counts its starts and stops."""

    def __init__(self, failing: bool = False) -> None:
        super().__init__()
        self.events: list[str] = []
        self._failing = failing

    async def start(self) -> None:
        if self._failing:
            raise LogUnavailable("the disk is full")
        self.events.append("start")

    async def stop(self) -> None:
        self.events.append("stop")


async def taking_part(scope: Any, receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})


async def refusing(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("no lifespan here")


async def refusing_late(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise ValueError("no lifespan here")


async def silent(scope: Any, receive: Any, send: Any) -> None:
    return


@pytest.mark.parametrize("app", [taking_part, refusing, refusing_late, silent])
async def test_the_guard_starts_and_stops_with_every_kind_of_app(tmp_path: Path, app: Any) -> None:
    """Django refuses the lifespan, others ignore it: the guard's log is opened and closed all the same."""
    log = CountingLog()
    server = Server()
    await Rig(tmp_path, app, log=log).guard({"type": "lifespan"}, server.receive, server.send)
    assert server.sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert log.events == ["start", "stop"]


async def test_a_guard_that_cannot_start_fails_the_startup(tmp_path: Path) -> None:
    """The server refuses to serve, instead of serving without a guard."""
    server = Server()
    await Rig(tmp_path, taking_part, log=CountingLog(failing=True)).guard(
        {"type": "lifespan"}, server.receive, server.send
    )
    assert server.sent == ["lifespan.startup.failed"]


async def test_an_app_whose_startup_fails_stops_the_guard(tmp_path: Path) -> None:
    """The failure of the app stays the failure that the server sees."""

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise RuntimeError("no database")

    log = CountingLog()
    server = Server()
    with pytest.raises(RuntimeError, match="no database"):
        await Rig(tmp_path, failing, log=log).guard({"type": "lifespan"}, server.receive, server.send)
    assert server.sent == ["lifespan.startup.failed"]
    assert log.events == ["start", "stop"]


async def test_without_a_lifespan_the_first_request_starts_the_guard(tmp_path: Path) -> None:
    """Once, however many requests come."""
    log = CountingLog()
    rig = Rig(tmp_path, answering(b"{}"), log=log)
    await rig.call(body=chat("one"))
    await rig.call(body=chat("two"))
    assert log.events == ["start"]


async def test_without_a_lifespan_a_start_that_fails_is_503(tmp_path: Path) -> None:
    """Nothing reaches the app while there is no guard."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), log=CountingLog(failing=True))
    answer = await rig.call(body=chat("hello"))
    assert (answer.status, seen) == (503, [])
    assert answer.json["error"]["code"] == "guard_unavailable"


async def test_a_detector_that_is_not_installed_stops_the_start(tmp_path: Path) -> None:
    """Named but missing is an error that says what is known."""
    config = load_config(environ={}, state_directory=tmp_path, detectors={"enabled": ("telepathy",)})
    with pytest.raises(DetectorMissing, match=r"telepathy.*known: .*pii"):
        load_detectors(config)


async def test_keywords_belong_to_a_file_not_to_a_finished_configuration(tmp_path: Path) -> None:
    """A keyword that would be ignored is an error."""
    with pytest.raises(TypeError, match="model_copy"):
        GuardMiddleware(answering(b"{}"), load_config(environ={}, state_directory=tmp_path), fail="closed")


async def test_public_names_are_lazy_and_complete() -> None:
    """``from guard import GuardMiddleware`` works; a name that does not exist is an AttributeError."""
    assert guard.GuardMiddleware is GuardMiddleware
    assert sorted(guard.__all__) == dir(guard)
    assert all(hasattr(guard, name) for name in guard.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = guard.nothing
    assert Runtime is not None
