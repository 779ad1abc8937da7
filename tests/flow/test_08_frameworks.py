"""Starlette and FastAPI on uvicorn, over a real socket, with the guard mounted as their users mount it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.routing import Route

from guard import GuardMiddleware
from guard.testing import read_records, serve

MAIL = "jane.roe@northwind-traders.com"
AI = {"routes": ({"path": "/ai/**", "provider": "p"},), "providers": {"p": {"external": True}}}


@pytest.fixture
def mounted(tmp_path: Path) -> dict[str, Any]:
    return {"state_directory": tmp_path / "state", **AI}


def test_fastapi_with_its_own_lifespan(mounted: dict[str, Any]) -> None:
    """The app's startup and shutdown run, its parsed body is the redacted one, its answer is restored."""
    events: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        events.append("up")
        yield
        events.append("down")

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(GuardMiddleware, **mounted)
    seen: list[Any] = []

    @app.post("/ai/ask")
    async def ask(request: Request) -> JSONResponse:
        body = await request.json()
        seen.append((body, request.scope["guard"].effect))
        return JSONResponse({"echo": body["text"]})

    with serve(app) as url:
        answer = httpx2.post(f"{url}/ai/ask", json={"text": f"write to {MAIL}"})
    assert answer.json() == {"echo": f"write to {MAIL}"}
    assert MAIL not in seen[0][0]["text"]
    assert seen[0][1] == "allow"
    assert events == ["up", "down"]
    assert [r["kind"] for r in read_records(mounted["state_directory"])][-1] == "close"


def test_validation_errors_of_the_app_stay_its_own(mounted: dict[str, Any]) -> None:
    """A 422 of FastAPI arrives as FastAPI made it."""
    app = FastAPI()
    app.add_middleware(GuardMiddleware, **mounted)

    @app.post("/ai/number")
    async def number(value: int) -> int:
        return value

    with serve(app) as url:
        answer = httpx2.post(f"{url}/ai/number", params={"value": "x"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "value"]


def test_a_file_goes_out_whole_and_not_by_its_path(mounted: dict[str, Any], tmp_path: Path) -> None:
    """FileResponse must not bypass the guard: a text file is inspected, an image streams with the gap spoken."""
    (tmp_path / "a.txt").write_text(f"ask {MAIL}")
    (tmp_path / "a.png").write_bytes(b"\x89PNG" + b"\x00" * 300_000)
    app = FastAPI()
    app.add_middleware(GuardMiddleware, **mounted)

    @app.get("/ai/{name}")
    async def file(name: str) -> FileResponse:
        return FileResponse(tmp_path / name)

    with serve(app) as url:
        text = httpx2.get(f"{url}/ai/a.txt", headers={"range": "bytes=0-3"})
        image = httpx2.get(f"{url}/ai/a.png")
    assert (text.status_code, text.text) == (200, "ask <EMAIL_ADDRESS>")
    assert len(image.content) == 300_004
    skipped = read_records(mounted["state_directory"], "outcome")[1]["policy_input"]["coverage"]["skipped"]
    assert {"pointer": "", "reason": "opaque_media_type"} in skipped


def test_background_tasks_do_not_hold_the_answer_back(mounted: dict[str, Any]) -> None:
    """The answer is complete before the task is done."""
    release = threading.Event()

    async def work(_request: Any) -> JSONResponse:
        return JSONResponse({}, background=BackgroundTask(release.wait, 10))

    app = Starlette(routes=[Route("/ai/x", work)])
    app.add_middleware(GuardMiddleware, **mounted)
    with serve(app) as url:
        answer = httpx2.get(f"{url}/ai/x", timeout=5)
        assert not release.is_set()
        release.set()
    assert answer.status_code == 200


def test_a_client_that_leaves_ends_the_app_s_stream(mounted: dict[str, Any]) -> None:
    """The disconnect reaches the app through the guard, so a provider is not paid for nobody."""
    ended = threading.Event()

    async def chunks() -> AsyncIterator[bytes]:
        try:
            for number in range(10_000):
                yield b"\x00" * 1000 + str(number).encode()
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    async def stream(_request: Any) -> StreamingResponse:
        return StreamingResponse(chunks(), media_type="application/octet-stream")

    app = Starlette(routes=[Route("/ai/x", stream)])
    app.add_middleware(GuardMiddleware, **mounted)
    with serve(app) as url:
        with httpx2.stream("GET", f"{url}/ai/x") as answer:
            next(answer.iter_raw())
        assert ended.wait(5)
        until = time.monotonic() + 5
        while not read_records(mounted["state_directory"], "outcome") and time.monotonic() < until:
            time.sleep(0.02)
    assert read_records(mounted["state_directory"], "outcome")[0]["aborted"] is not None


def test_a_slow_reader_slows_the_app_down(mounted: dict[str, Any]) -> None:
    """Back-pressure reaches through the guard: the app is not asked for more than a slow client takes."""
    made = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(4000):
            made += 1
            yield b"\x00" * 65_536

    async def stream(_request: Any) -> StreamingResponse:
        return StreamingResponse(chunks(), media_type="application/octet-stream")

    app = Starlette(routes=[Route("/ai/x", stream)])
    app.add_middleware(GuardMiddleware, **mounted)
    with serve(app) as url, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.connect(("127.0.0.1", urlsplit(url).port or 0))
        client.sendall(b"GET /ai/x HTTP/1.1\r\nhost: x\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        before = -1
        while made != before:
            before = made
            time.sleep(0.3)
        assert made < 1000


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"content-type: application/json\r\ncontent-length: 3\r\n\r\n{\xff}", 400),
        (b"content-type: application/json\r\ncontent-length: 13\r\n\r\n" + b'{"a":1,"a":2}', 400),
        (b"content-type: application/json\r\ncontent-length: 99999999\r\n\r\n", 413),
        (b"content-type: multipart/form-data; boundary=x\r\ncontent-length: 1\r\n\r\nx", 400),
        (b"content-encoding: compress\r\ncontent-length: 1\r\n\r\nx", 415),
    ],
    ids=["not UTF-8", "duplicate key", "announced too large", "multipart", "unknown encoding"],
)
def test_refusals_arrive_over_the_wire(mounted: dict[str, Any], head: bytes, status: int) -> None:
    """A malformed body is answered on the socket it came from, and never reaches the app."""
    calls: list[Any] = []

    async def never(_request: Any) -> JSONResponse:
        calls.append(1)
        return JSONResponse({})

    app = Starlette(routes=[Route("/ai/x", never, methods=["POST"])])
    app.add_middleware(GuardMiddleware, **mounted)
    with serve(app) as url, socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), 10) as client:
        client.sendall(b"POST /ai/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + head)
        answer = client.recv(65_536)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert calls == []
