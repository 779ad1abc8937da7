"""Every server, without a framework: uploads past the bound, connections that break off in each phase, answers that
are broken."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar

import h2.exceptions
import httpx2
import pytest

from guard.testing import assert_denied, assert_verified, read_records
from guard.types import DecisionRecord
from tests.compat.apps.contract import CARD, MAIL, SECRET, SSN
from tests.compat.apps.wire_app import BIG, BOUND, WAITS
from tests.compat.conftest import seeing
from tests.compat.fleet import ROOT, Running, launch
from tests.compat.http2 import Http2, frame, unframed
from tests.compat.matrix import SERVERS, WIRE, WIRE_FRAMEWORK, Pair
from tests.components import require_package

pytestmark = pytest.mark.timeout(120)

See = Callable[[str], None]
T = TypeVar("T")
UPLOAD = bytes(range(256)) * (8 * 4096)
WAIT_SECONDS = 10.0


@pytest.fixture(scope="module")
def launched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Running]]]:
    """The servers that are asked for, two starting at a time."""
    asked = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    servers = dict.fromkeys(params["server"] for params in asked if params.get("server") in SERVERS)
    with ThreadPoolExecutor(max_workers=2) as pool:
        started = {
            server: pool.submit(launch, Pair(server, WIRE_FRAMEWORK), tmp_path_factory.mktemp("wire"))
            for server in servers
        }
        yield started
    for future in started.values():
        if future.exception() is None:
            future.result().stop()


@pytest.fixture(params=[pytest.param(name, marks=() if name == "uvicorn" else pytest.mark.slow) for name in SERVERS])
def server(request: pytest.FixtureRequest) -> str:
    """The name of a server whose packages are installed."""
    name: str = request.param
    for distribution in (*Pair(name, WIRE_FRAMEWORK).distributions, "h2"):
        require_package(distribution)
    return name


@pytest.fixture
def wire(server: str, launched: dict[str, Future[Running]]) -> Running:
    """The server, running."""
    return launched[server].result()


@pytest.fixture
def see(request: pytest.FixtureRequest, server: str) -> See:
    """Says what a cell saw."""
    return seeing(request.config, server, "", request.node.originalname.removeprefix("test_"))


def records(running: Running, kind: str, path: str) -> list[DecisionRecord]:
    """The records of a route."""
    if kind == "decision":
        return [record for record in read_records(running.state, kind) if record["what"]["route"] == path]
    known = {record["id"] for record in records(running, "decision", path)}
    return [record for record in read_records(running.state, kind) if record["decision_ref"] in known]


def wait_for(what: str, ready: Callable[[], T]) -> T:
    """The first truth that ``ready`` gives."""
    until = time.monotonic() + WAIT_SECONDS
    while not (seen := ready()):
        assert time.monotonic() < until, f"waited for {what}"
        time.sleep(0.02)
    return seen


def outcome_of(running: Running, path: str) -> DecisionRecord:
    """The outcome of the last request of a route."""
    found = wait_for(f"an outcome of {path}", lambda: records(running, "outcome", path))
    return found[-1]


def healthy(running: Running) -> None:
    """The server answers others."""
    with running.client() as client:
        assert client.get("/ai/hello").status_code == 200


# --- uploads ----------------------------------------------------------------------------------------------------------


def test_large(wire: Running, see: See) -> None:
    """8 MiB on a route with ``large_bodies = "pass"``: the app has every byte, the guard never held more than its bound
    and one message of the server, and the outcome says what passed."""
    headers = {"content-type": "application/octet-stream"}
    with wire.client() as client:
        answer = client.post("/own/large", content=UPLOAD, headers=headers)
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    assert seen["sha256"] == hashlib.sha256(UPLOAD).hexdigest()
    assert seen["most"] <= BOUND + seen["message"]
    decision = records(wire, "decision", "/own/large")[-1]
    assert {"pointer": "", "reason": "body_limit"} in decision["coverage"]["skipped"]
    passed = outcome_of(wire, "/own/large")["request_content"]
    assert (passed["bytes"], passed["whole"]) == (len(UPLOAD), True)
    see("whole, in bounds")


def test_broken_upload(wire: Running, see: See) -> None:
    """A client that leaves in the rest of such an upload: the app is told, the outcome counts what passed."""
    with breaking(wire, "/own/large", b"x" * 2 * BOUND, declared=len(UPLOAD)):
        wait_for("the decision", lambda: len(records(wire, "decision", "/own/large")) > 1)
    outcome = wait_for("the outcome", lambda: records(wire, "outcome", "/own/large")[1:])[0]
    assert outcome["request_content"]["whole"] is False
    assert outcome["request_content"]["bytes"] < len(UPLOAD)
    healthy(wire)
    see("told; counted")


def test_refused(wire: Running, see: See) -> None:
    """Elsewhere 413, before the body was sent."""
    with breaking(wire, "/own/hello", b"x", declared=len(UPLOAD)) as session:
        assert session.status() == 413
    assert records(wire, "decision", "/own/**")[-1]["refusal"]["code"] == "body_too_large"
    see("413")


def test_early(wire: Running, see: See) -> None:
    """An app that answers before it has read the body is heard at once."""
    with breaking(wire, "/own/early", b"x" * 1000, declared=1000) as session:
        assert session.status() == 413
    assert outcome_of(wire, "/own/early")["status"] == 413
    see("413, the app's")


# --- clients that leave -----------------------------------------------------------------------------------------------


class Session:
    """One request on a connection of its own, in HTTP/1.1."""

    def __init__(self, running: Running, path: str, body: bytes, *, declared: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", running.port), WAIT_SECONDS)
        lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {declared}"]
        self.socket.sendall("\r\n".join([*lines, "content-type: text/plain", "", ""]).encode() + body)
        self.received = b""

    def status(self) -> int:
        """The status of the answer."""
        while b"\r\n" not in self.received:
            piece = self.socket.recv(65_536)
            assert piece, "closed without an answer"
            self.received += piece
        return int(self.received.split(b" ")[1])

    def nothing_came(self) -> bool:
        """Whether no byte of an answer has come."""
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1) == b""
        except BlockingIOError:
            return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


class Session2(Session):
    """The same in HTTP/2."""

    def __init__(self, running: Running, path: str, body: bytes, *, declared: int) -> None:
        self._http = Http2(running.port)
        self.socket = self._http.socket
        self._http.until(lambda http: http.settled)
        headers = [("content-type", "text/plain"), ("content-length", str(declared))]
        # The window of a stream that nobody has widened.
        self._http.request("POST", path, body[:16_000], headers)
        for start in range(16_000, len(body), 16_000):
            self._http.send_when_open(body[start : start + 16_000])

    def status(self) -> int:
        """The status of the answer."""
        return self._http.until(lambda http: http.status).status

    def nothing_came(self) -> bool:
        """Whether no head of an answer has come."""
        return not self._http.status


def breaking(running: Running, path: str, body: bytes, *, declared: int | None = None) -> Session:
    """A request whose connection is closed with the block, whatever has come until then."""
    kind = Session2 if running.http2 else Session
    return kind(running, path, body, declared=len(body) if declared is None else declared)


def test_leaves_head(wire: Running, see: See) -> None:
    """A client that leaves in its headers was never a request."""
    before = len(read_records(wire.state, "decision"))
    with socket.create_connection(("127.0.0.1", wire.port), WAIT_SECONDS) as connection:
        connection.sendall(b"PRI * HT" if wire.http2 else b"POST /ai/echo HTTP/1.1\r\nhost: 127.0.0.1\r\nx-a")
    healthy(wire)
    assert len(read_records(wire.state, "decision")) == before + 1
    see("no request")


def test_leaves_body(wire: Running, see: See) -> None:
    """In its body: a refusal on record, no call."""
    with breaking(wire, "/ai/detection", b"half", declared=1000):
        time.sleep(0.1)  # the server hands the head on
    record = wait_for("the refusal", lambda: records(wire, "decision", "/ai/detection"))[0]
    assert record["refusal"]["code"] == "client_disconnected"
    assert (record["decision"]["effect"], record["decision"]["http_status"]) == ("deny", None)
    assert "called /ai/detection" not in wire.journal()
    see("refused, on record")


PHASES = {
    "detection": ("/ai/detection", f"{WAITS} ".encode() * 200),
    "commit": ("/ai/commit", b"hello"),
    "compute": ("/ai/compute", b"hello"),
    "half": ("/ai/half", b"hello"),
}


def leave_at(wire: Running, gate: str) -> str:
    """Leave while the exchange waits at a gate, open it, and say how the outcome reads."""
    path, body = PHASES[gate]
    with breaking(wire, path, body) as session:
        wait_for(f"the gate {gate}", lambda: f"at {gate}" in wire.journal())
        assert session.nothing_came()
    (wire.directory / f"open {gate}").touch()
    outcome = outcome_of(wire, path)
    assert f"called {path}" in wire.journal()
    decision = records(wire, "decision", path)[-1]
    assert (decision["decision"]["effect"], decision["refusal"]) == ("allow", None)
    healthy(wire)
    return f"called; {outcome['aborted'] or 'answered'}"


def test_leaves_detection(wire: Running, see: See) -> None:
    """While detectors run: the decision falls, and the app is called, which can find out for itself."""
    see(leave_at(wire, "detection"))


def test_leaves_commit(wire: Running, see: See) -> None:
    """While the decision is being made durable: it is, and the app is called."""
    see(leave_at(wire, "commit"))


def test_leaves_compute(wire: Running, see: See) -> None:
    """While the app computes: its answer is decided and recorded."""
    see(leave_at(wire, "compute"))


def test_leaves_half(wire: Running, see: See) -> None:
    """In the middle of a buffered answer: nothing of it had left."""
    see(leave_at(wire, "half"))


def test_leaves_stream(wire: Running, see: See) -> None:
    """In the middle of a stream: the app is told, and the outcome says so."""
    with breaking(wire, "/own/endless", b"hello") as session:
        assert session.status() == 200
        wait_for("the app", lambda: "called /own/endless" in wire.journal())
    outcome = outcome_of(wire, "/own/endless")
    wait_for("the app's end", lambda: "stream ended" in wire.journal())
    assert "stream ran out" not in wire.journal()
    assert outcome["aborted"] is not None
    see(outcome["aborted"])


# --- answers ----------------------------------------------------------------------------------------------------------


def test_trickle(wire: Running, see: See) -> None:
    """An answer in pieces of one byte with a secret at its end: no byte and no header of it leaves."""
    with wire.client() as client:
        answer = client.get("/ai/trickle")
    assert_denied(answer, "SEC-002")
    assert "beginning" not in answer.text
    assert "x-app" not in answer.headers
    see("403")


def test_error(wire: Running, see: See) -> None:
    """An error of the app that quotes personal data is redacted like any answer."""
    with wire.client() as client:
        answer = client.get("/ai/error")
    assert (answer.status_code, answer.json()) == (500, {"error": "no such person: <US_SSN>"})
    assert SSN not in answer.text
    see("500, redacted")


def test_bodiless(wire: Running, see: See) -> None:
    """204 and 304 have no body, whatever the app sends behind them."""
    with wire.client() as client:
        answers = [client.get("/own/204"), client.get("/own/304")]
        again = client.get("/own/hello")
    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b""), (304, b"")]
    assert answers[1].headers["etag"] == '"1"'
    assert again.json() == {"text": "hello"}
    see("none")


def test_length(wire: Running, see: See) -> None:
    """An answer shorter than its Content-Length does not look whole to the client: it is broken off, or waits."""
    with wire.client() as client, pytest.raises((httpx2.TransportError, h2.exceptions.ProtocolError)) as raised:
        client.get("/own/short", timeout=2)
    skipped = outcome_of(wire, "/own/short")["coverage"]["skipped"]
    assert {"pointer": "", "reason": "body_length_mismatch"} in skipped
    see("waits" if isinstance(raised.value, httpx2.ReadTimeout) else "broken off")


def test_big(wire: Running, see: See) -> None:
    """9 MiB of text in pieces are past ``limits.answer_buffer_bytes``: they flow through the inspection, whole."""
    with wire.client() as client:
        answer = client.get("/own/big")
    assert len(answer.content) == BIG
    assert outcome_of(wire, "/own/big")["coverage"]["skipped"] == []
    see("whole, inspected")


def test_extensions(wire: Running, see: See) -> None:
    """No way to answer past the inspection is offered: paths, early hints, push, trailers."""
    with wire.client() as client:
        offered = client.get("/own/extensions").json()
    assert [name for name in offered if name.startswith(("http.response.", "websocket.http."))] == []
    see("none offered")


def test_raises(wire: Running, see: See) -> None:
    """An app that raises in the middle of a stream: what was inspected has arrived, the end does not look like one."""
    got = b""
    with wire.client() as client:
        try:
            with client.stream("GET", "/own/raises", timeout=2) as answer:
                for piece in answer.iter_raw():
                    got += piece
            end = "ended"
        except httpx2.ReadTimeout:
            end = "waits"
        except httpx2.TransportError:
            end = "broken off"
    assert got in {b"", b'data: {"text": "first"}\n\n'}
    assert outcome_of(wire, "/own/raises")["aborted"] == "app_error"
    see(end)


@pytest.mark.parametrize(
    "server",
    [pytest.param(name, marks=pytest.mark.slow) for name, settings in SERVERS.items() if settings.http2],
    indirect=True,
)
def test_websocket_http2(wire: Running, see: See) -> None:
    """A WebSocket over a stream of HTTP/2 (RFC 8441): a message is restored, a denied one closes it with 1008."""
    with Http2(wire.port) as http:
        http.until(lambda http: http.settled)
        if not http.connects:
            see("not served")
            return
        http.request("CONNECT", "/ai/ws", headers=[("sec-websocket-version", "13")], protocol="websocket")
        assert http.until(lambda http: http.status).status == 200
        http.send(frame(json.dumps({"text": f"write to {MAIL}"}).encode()))
        http.until(lambda http: unframed(http.data))
        said = json.loads(unframed(http.data)[0][1])
        assert (said["clean"], said["echo"]) == (True, f"write to {MAIL}")
        http.send(frame(json.dumps({"text": f"card {CARD}"}).encode()))
        http.until(lambda http: len(unframed(http.data)) > 1)
        opcode, payload = unframed(http.data)[1]
    assert (opcode, int.from_bytes(payload[:2], "big")) == (8, 1008)
    see("restored; denied 1008")


def test_quiet(wire: Running, see: See) -> None:
    """After all this the log is closed and verifies, holds nothing in clear, and no failure that the server's own log
    shows began in the guard."""
    wire.stop()
    assert_verified(wire.state)
    assert read_records(wire.state)[-1]["kind"] == "close"
    written = b"".join(path.read_bytes() for path in (wire.state / "log").rglob("*") if path.is_file())
    assert [value for value in (MAIL, SSN, CARD, SECRET) if value.encode() in written] == []
    said = wire.said()
    assert "the guard failed" not in said
    assert "could not be recorded" not in said
    innermost = [re.findall(r'File "([^"]+)"', trace)[-1] for trace in said.split("Traceback (")[1:]]
    assert [place for place in innermost if place.startswith(f"{ROOT}/guard/")] == []
    see("closed, quiet")


def test_every_cell_of_the_wire_has_a_test() -> None:
    """The table and this file name the same cells."""
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert tests - {"every_cell_of_the_wire_has_a_test"} == set(WIRE)
