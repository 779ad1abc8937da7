"""Every framework on every server: what a user's app and client must not notice, and what must not pass."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
import websockets
from websockets.sync.client import connect

from guard.testing import assert_denied, assert_verified, read_records
from tests.compat.apps.contract import CARD, FILE_TEXT, LARGE, MAIL, PICTURE, SECRET, SSN
from tests.compat.fleet import Running
from tests.compat.matrix import BARE, DJANGO, INSIDE
from tests.compat.page import PAGE, expected, parse, render

pytestmark = pytest.mark.timeout(120)

See = Callable[[str], None]
TEXT = f"write to {MAIL}"
POLICY_VIOLATION = 1008
CORS = {"origin": "https://app.example", "access-control-request-method": "POST"}


def decision_of(answer: httpx2.Response) -> str:
    """The id under which an answer was decided."""
    return answer.headers["x-guard-decision-id"]


def restored(answer: httpx2.Response, text: str = TEXT) -> None:
    """The app did not receive the address; the client has it back."""
    assert answer.status_code == 200, answer.text
    assert (answer.json()["clean"], answer.json()["echo"]) == (True, text)


def refused(answer: httpx2.Response) -> None:
    """A body that the guard does not read is refused by name, and the refusal is recorded."""
    (reason,) = assert_denied(answer, status=415)
    assert reason["code"] == "media_type_unsupported"


def events(answer: httpx2.Response) -> list[Any]:
    """The data of a stream's events."""
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(each) for each in data if each != "[DONE]"]


def raw(running: Running) -> socket.socket:
    """A bare connection."""
    return socket.create_connection(("127.0.0.1", running.port), 10)


def head_of(running: Running, path: str, *lines: str) -> bytes:
    """The head of a POST of JSON, ended."""
    start = [f"POST {running.pair.prefix}{path} HTTP/1.1", f"host: 127.0.0.1:{running.port}"]
    return "\r\n".join([*start, "content-type: application/json", *lines, "", ""]).encode()


def received_until(connection: socket.socket, end: bytes) -> bytes:
    """All bytes up to and with ``end``."""
    received = b""
    while end not in received:
        piece = connection.recv(65_536)
        if not piece:
            raise AssertionError(f"the server closed after {received!r}")
        received += piece
    return received


def test_json(running: Running, see: See) -> None:
    """An address in a JSON body is a placeholder for the app and comes back to the client in clear."""
    with running.client() as client:
        answer = client.post("/ai/echo", json={"text": TEXT})
    restored(answer)
    assert answer.http_version == ("HTTP/2" if running.http2 else "HTTP/1.1")
    assert answer.json()["effect"] == "allow"
    assert running.record("decision", decision_of(answer))["redactions"] == {"EMAIL_ADDRESS": 1}
    assert running.record("outcome", decision_of(answer))["restored"] == 1
    see("restored")


def test_form(running: Running, see: See) -> None:
    """A form is redacted and restored like JSON, or refused by name: it never passes uninspected."""
    with running.client() as client:
        answer = client.post("/ai/form", data={"text": TEXT, "more": "1"})
    if answer.status_code == 415:
        refused(answer)
        see("refused, 415")
    else:
        restored(answer)
        see("restored")


def test_upload(running: Running, see: See) -> None:
    """Fields and text files of an upload are redacted, other files arrive whole and are named in the coverage; or the
    upload is refused by name."""
    files = {"note": ("note.txt", TEXT.encode(), "text/plain"), "picture": ("a.png", PICTURE, "image/png")}
    with running.client() as client:
        answer = client.post("/ai/upload", data={"text": TEXT}, files=files)
    if answer.status_code == 415:
        refused(answer)
        see("refused, 415")
        return
    restored(answer, f"{TEXT} {TEXT}")
    assert answer.json()["picture_whole"] is True
    skipped = running.record("decision", decision_of(answer))["policy_input"]["coverage"]["skipped"]
    assert any(entry["reason"] != "credential" for entry in skipped), skipped
    see("restored")


def test_large(running: Running, see: See) -> None:
    """A body past the bound, of a declared length and without one, reaches the app whole; its gap is on record."""
    headers = {"content-type": "application/octet-stream"}
    with running.client() as client:
        for content in (LARGE, (LARGE[at : at + 50_000] for at in range(0, len(LARGE), 50_000))):
            answer = client.post("/own/large", content=content, headers=headers)
            assert answer.status_code == 200, answer.text
            assert answer.json() == {"sha256": hashlib.sha256(LARGE).hexdigest()}
            decision = running.record("decision", decision_of(answer))
            assert {"pointer": "", "reason": "body_limit"} in decision["coverage"]["skipped"]
            passed = running.record("outcome", decision_of(answer))["request_content"]
            assert (passed["bytes"], passed["whole"]) == (len(LARGE), True)
    see("whole")


def test_stream(running: Running, see: See) -> None:
    """A placeholder that the app streams in pieces is whole and in clear for the client."""
    with running.client() as client:
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": TEXT}]}
        answer = client.post("/ai/chat", json=body)
    assert answer.status_code == 200, answer.text
    assert "".join(event["choices"][0]["delta"]["content"] for event in events(answer)) == TEXT
    assert running.record("decision", decision_of(answer))["redactions"] == {"EMAIL_ADDRESS": 1}
    assert running.record("outcome", decision_of(answer))["aborted"] is None
    see("restored")


def test_flow(running: Running, see: See) -> None:
    """The first event is with the client before the app has the second: nothing buffers the stream."""
    with running.client() as client, client.stream("GET", "/own/flow") as answer:
        lines = (line for line in answer.iter_lines() if line)
        assert next(lines) == 'data: {"text": "first"}'
        with running.client() as other:
            other.post("/own/release", json={})
        assert next(lines) == 'data: {"text": "released"}'
    see("flows")


def test_websocket(running: Running, see: See) -> None:
    """A WebSocket is refused, or its messages are inspected like bodies and a denied one closes it."""
    url = running.url.replace("http:", "ws:") + "/ai/ws"
    try:
        with connect(url, open_timeout=10, close_timeout=2, proxy=None) as session:
            session.send(json.dumps({"text": TEXT}))
            answer = json.loads(session.recv(timeout=10))
            assert (answer["clean"], answer["echo"]) == (True, TEXT)
            session.send(json.dumps({"text": f"card {CARD}"}))
            with pytest.raises(websockets.ConnectionClosed) as closed:
                session.recv(timeout=10)
    except websockets.InvalidStatus:
        assert "message" not in running.journal()
        see("none" if running.pair.framework == DJANGO else "refused")
        return
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == POLICY_VIOLATION
    assert running.journal().count("message") == 1
    see("restored; denied 1008")


def test_denial(running: Running, see: See) -> None:
    """A card number for an unfit provider is 403 with the rule, and never reaches the app."""
    with running.client() as client:
        answer = client.post("/ai/never", json={"text": f"my card is {CARD}"})
    (reason,) = assert_denied(answer, "PII-002")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["error"]["code"]
    assert reason["pointers"]
    assert running.record("decision", decision_of(answer))["decision"]["effect"] == "deny"
    assert "never" not in running.journal()
    see("403")


def test_leak(running: Running, see: See) -> None:
    """An answer with a secret is replaced by a denial; not even its beginning leaves."""
    with running.client() as client:
        answer = client.get("/ai/leak")
    assert_denied(answer, "SEC-002")
    assert "beginning" not in answer.text
    assert SECRET not in answer.text
    assert running.record("outcome", decision_of(answer))["aborted"] == "denied"
    see("403")


def test_file(running: Running, see: See) -> None:
    """An SSN in a file response is replaced, whether the app sends bytes, a range of them, or a path to the server."""
    with running.client() as client:
        answer = client.get("/ai/file", headers={"range": "bytes=0-9"})
    assert answer.status_code == 200
    assert (SSN in answer.text, answer.text) == (False, "The employee's SSN is <US_SSN>.\n")
    assert running.record("outcome", decision_of(answer))["redactions"] == {"US_SSN": 1}
    assert "path sent" not in running.journal()
    if (running.pair.server, running.pair.framework) == ("granian", BARE):
        with running.client() as client:
            assert client.get("/free/file").text == FILE_TEXT
        assert "path sent" in running.journal(), "granian offers no pathsend: this cell proves nothing"
    see("redacted")


def test_head(running: Running, see: See) -> None:
    """HEAD has the app's status, no body, and a decision."""
    with running.client() as client:
        answer = client.head("/ai/hello")
        again = client.get("/ai/hello")
    assert (answer.status_code, answer.content) == (200, b"")
    assert again.json() == {"text": "hello"}
    assert running.record("outcome", decision_of(answer))["status"] == 200
    see("200")


def test_options(running: Running, see: See) -> None:
    """OPTIONS reaches the app, a CORS preflight its middleware, each under a decision."""
    with running.client() as client:
        answer = client.options("/ai/hello", headers=CORS)
    assert answer.status_code in {200, 204, 405}
    assert running.record("decision", decision_of(answer))["decision"]["effect"] == "allow"
    allowed = answer.headers.get("access-control-allow-origin") == CORS["origin"]
    see(f"{answer.status_code}, CORS" if allowed else str(answer.status_code))


def test_continue(running: Running, see: See) -> None:
    """A client that expects 100 Continue is told to go on, sends its body, and has its answer."""
    body = json.dumps({"text": TEXT}).encode()
    with raw(running) as connection:
        lines = ("expect: 100-continue", f"content-length: {len(body)}", "connection: close")
        connection.sendall(head_of(running, "/ai/echo", *lines))
        interim = received_until(connection, b"\r\n\r\n")
        assert interim.startswith(b"HTTP/1.1 100 "), interim
        connection.sendall(body)
        answer = interim.partition(b"\r\n\r\n")[2] + received_until(connection, MAIL.encode())
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    see("200")


def test_half(running: Running, see: See) -> None:
    """A client that leaves in the middle of its body never reaches the app, and harms nobody."""
    if running.http2:
        leave_half_http2(running)
    else:
        with raw(running) as connection:
            connection.sendall(head_of(running, "/ai/never", "content-length: 1000") + b'{"text": "ha')
            time.sleep(0.1)
    with running.client() as client:
        assert client.get("/ai/hello").status_code == 200
        assert "never" not in running.journal()
        assert client.post("/ai/never", json={}).status_code == 200
    assert running.journal().count("never") == 1
    until = time.monotonic() + 5
    while not left_halfway(running):
        assert time.monotonic() < until, "the refusal is not on record"
        time.sleep(0.05)
    see("not called, on record")


def left_halfway(running: Running) -> bool:
    """Whether the client that left in the middle of its body stands in the log."""
    refusals = [record["refusal"] for record in read_records(running.state, "decision")]
    return {"code": "client_disconnected", "where": ""} in refusals


def leave_half_http2(running: Running) -> None:
    """The same over HTTP/2: the connection breaks off while the stream is open."""

    def half() -> Any:
        yield b'{"text": "ha'
        time.sleep(0.1)
        raise ConnectionAbortedError

    with running.client() as client, pytest.raises(ConnectionAbortedError):
        client.post("/ai/never", content=half(), headers={"content-type": "application/json"})


def test_leave(running: Running, see: See) -> None:
    """A client that leaves an answer ends the app's stream, and the outcome says that it was not whole."""
    with running.client() as client, client.stream("GET", "/own/endless") as answer:
        decision = decision_of(answer)
        next(answer.iter_raw())
    outcome = running.record("outcome", decision)
    assert outcome["aborted"] is not None
    until = time.monotonic() + 5
    while "stream ended" not in running.journal() and time.monotonic() < until:
        time.sleep(0.05)
    assert "stream ended" in running.journal()
    assert "stream ran out" not in running.journal()
    see("app ended")


def test_lifespan(running: Running, see: See) -> None:
    """The app's startup and shutdown run around the guard's; the log is closed, verifies and holds nothing in clear."""
    running.stop()
    took_part = [word for word in running.journal() if word in {"up", "down"}]
    assert took_part == ([] if running.pair.framework == DJANGO else ["up", "down"])
    records = read_records(running.state)
    assert records[0]["kind"] == "open"
    closed = records[-1]["kind"] == "close"
    assert closed or running.pair.framework == INSIDE
    assert_verified(running.state)
    # Django says with an exception that it knows no WebSocket.
    assert running.said().count("Traceback") <= (running.pair.framework == DJANGO), running.said()[-3000:]
    written = b"".join(path.read_bytes() for path in (running.state / "log").rglob("*") if path.is_file())
    assert [value for value in (MAIL, SSN, CARD, SECRET) if value.encode() in written] == []
    see("both" if took_part and closed else "guard" if closed else "app; guard not closed")


def test_the_page_has_every_cell_and_no_other() -> None:
    """docs/compatibility.md names the frameworks and servers of the tests, and what it says can be read back."""
    if os.environ.get("GUARD_WRITE_COMPAT") == "1":
        pytest.skip("the page is being written")
    seen = parse(PAGE.read_text(encoding="utf-8"))
    assert sorted(seen) == sorted(expected())
    assert parse(render(seen)) == seen
