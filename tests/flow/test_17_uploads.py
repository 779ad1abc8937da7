"""Request bodies past the bound, passed on by configuration; bodies that break off; and who is told."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard import GuardMiddleware
from guard.config import load_config
from guard.content import Head, ReadLimits, read_beginning
from guard.errors import ContentRefused
from guard.exchange.incoming import LargeReplay, read_body
from guard.keyed import KeyedHash
from guard.record.build import ContentHasher, digest_of
from guard.record.canonical import canonical
from guard.record.schema import read_record
from guard.runtime import Runtime
from tests.flow.rig import MemoryLog, Rig, ScriptedEngine, answering, body_of, oblige

pytestmark = pytest.mark.anyio

BOUND = 1000
LIMITS = {"max_body_bytes": BOUND, "inspect_limit_bytes": 600}
PASS = ({"path": "/**", "large_bodies": "pass"},)
KEYED = KeyedHash("test", b"k" * 32)
TEXT = [("content-type", "text/plain")]
GAP = {"pointer": "", "reason": "body_limit"}
REPLACE = {"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "replace"}
Receive = Callable[[], Awaitable[Any]]


def pieces(body: bytes, size: int = 100) -> list[dict[str, Any]]:
    """A body as a server hands it over."""
    cut = [body[i : i + size] for i in range(0, len(body), size)]
    return [{"type": "http.request", "body": c, "more_body": n < len(cut) - 1} for n, c in enumerate(cut)]


def passing(tmp_path: Path, app: Any, **more: Any) -> Rig:
    return Rig(tmp_path, app, limits=LIMITS, routes=PASS, **more)


async def test_a_large_body_is_refused_unless_its_route_says_otherwise(tmp_path: Path) -> None:
    """The default: 413, by what is declared and by what arrives, and no call."""
    seen: list[Any] = []
    for headers in ([*TEXT, ("content-length", "5000")], TEXT):
        rig = Rig(tmp_path, answering(b"{}", seen=seen), limits=LIMITS)
        answer = await rig.call(messages=pieces(b"x" * 5000), headers=headers)
        assert (answer.status, answer.json["error"]["code"]) == (413, "body_too_large")
        assert rig.log.records[0]["refusal"]["code"] == "body_too_large"
    assert seen == []


@pytest.mark.parametrize("declared", [True, False])
async def test_a_large_body_passes_with_its_gap_spoken(tmp_path: Path, declared: bool) -> None:
    """The beginning is inspected, the rest is coverage, the app gets every byte in order, the outcome says so."""
    body = b"hunter2 " + bytes(range(97, 123)) * 200
    seen: list[Any] = []
    engine = ScriptedEngine()
    rig = passing(tmp_path, answering(b"{}", seen=seen), engine=engine)
    headers = [*TEXT, ("content-length", str(len(body)))] if declared else TEXT
    answer = await rig.call(messages=pieces(body), headers=headers)
    assert answer.status == 200
    scope, received = seen[0]
    assert received == body
    assert dict(scope["headers"]).get(b"content-length") == (str(len(body)).encode() if declared else None)
    document = engine.documents[0]
    assert GAP in document["coverage"]["skipped"]
    assert [f["type"] for f in document["findings"]] == ["PASSWORD"]
    assert document["context"]["size_bytes"] == (len(body) if declared else 1100)
    decision, outcome = rig.log.records
    assert decision["content"] == as_recorded(body[:1100])
    assert outcome["request_content"] == {**as_recorded(body), "whole": True}


def as_recorded(body: bytes) -> dict[str, Any]:
    digest = digest_of(body, KEYED)
    return {"digest": digest.digest, "bytes": digest.size_bytes}


async def test_the_records_of_a_large_body_fit_the_schema(tmp_path: Path) -> None:
    """An outcome with what passed is a record that every reader takes."""
    rig = passing(tmp_path, answering(b"{}"))
    await rig.call(messages=pieces(b"x" * 5000), headers=TEXT)
    base = {"v": 1, "origin": "o", "boot": "0" * 16, "seq": 0, "id": "i", "prev": "0" * 64, "ts_us": 0, "mono_us": 0}
    record = read_record(canonical({**base, **rig.log.records[1]}))
    assert record.request_content.bytes == 5000  # type: ignore[union-attr]


async def test_a_body_within_the_bound_is_held_whole_on_such_a_route(tmp_path: Path) -> None:
    """Only what is larger goes another way."""
    seen: list[Any] = []
    rig = passing(tmp_path, answering(b"{}", seen=seen))
    await rig.call(messages=pieces(b"x" * BOUND), headers=TEXT)
    assert len(seen[0][1]) == BOUND
    assert "request_content" not in rig.log.records[1]
    assert GAP not in rig.log.records[0]["coverage"]["skipped"]


async def test_no_more_is_held_than_the_bound(tmp_path: Path) -> None:
    """The app pulls: the guard never has more in hand than the bound and one message, whatever the client sends."""
    taken = [0]
    most = [0]
    given_away = [0]
    queue = iter(pieces(b"x" * 100_000))

    async def receive() -> dict[str, Any]:
        message = next(queue, {"type": "http.disconnect"})
        taken[0] += len(message.get("body", b""))
        most[0] = max(most[0], taken[0] - given_away[0])
        return message

    async def app(scope: Any, app_receive: Receive, send: Any) -> None:
        more = True
        while more:
            message = await app_receive()
            given_away[0] += len(message["body"])
            more = message["more_body"]
        await answering(b"{}")(scope, nothing, send)

    rig = passing(tmp_path, app)
    assert await through(rig, receive) == 200
    assert given_away[0] == 100_000
    assert most[0] <= BOUND + 100


@given(st.binary(min_size=BOUND + 1, max_size=4 * BOUND), st.lists(st.integers(1, 700), min_size=1), st.booleans())
def test_any_chunking_of_a_large_body_gives_the_same_bytes_and_digest(
    body: bytes, sizes: list[int], declared: bool
) -> None:
    """What the app joins is what the client sent, and the digest of what passed is that of the whole."""
    edges = [0]
    for size in itertools.cycle(sizes):
        edges.append(min(len(body), edges[-1] + size))
        if edges[-1] == len(body):
            break
    queue = [{"type": "http.request", "body": body[a:b], "more_body": b < len(body)} for a, b in pairwise(edges)]
    head = Head("application/octet-stream", content_length=len(body) if declared else None)

    async def receive() -> Any:
        return queue.pop(0)

    async def run() -> tuple[bytes, Any]:
        arrived = await read_body(receive, head, max_bytes=BOUND, timeout_seconds=5, pass_large=True)
        assert arrived.large
        hasher = ContentHasher(KEYED)
        hasher.update(arrived.body)
        replay = LargeReplay(
            arrived, receive, hasher=hasher, declared=head.content_length, pause_seconds=5
        )  # fmt: skip
        return await body_of(replay), replay.passed()

    received, passed = asyncio.run(run())
    assert received == body
    assert (passed.whole, passed.content) == (True, digest_of(body, KEYED))


async def nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def through(rig: Rig, receive: Receive, headers: Any = ((b"content-type", b"text/plain"),)) -> int:
    """One request whose messages come from ``receive``; its status, 0 for none."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/up", "query_string": b"", "headers": headers, "client": None}
    await rig.guard(scope, receive, send)
    return sent[0]["status"] if sent else 0


async def test_the_decision_is_durable_before_the_app_sees_the_beginning(tmp_path: Path) -> None:
    """A large body is no way around the log: without it, no call."""
    seen: list[Any] = []
    rig = passing(tmp_path, answering(b"{}", seen=seen), log=MemoryLog(fail_at=0))
    answer = await rig.call(messages=pieces(b"x" * 5000), headers=TEXT)
    assert (answer.status, seen) == (503, [])


async def test_a_redaction_that_is_due_denies_a_large_body(tmp_path: Path) -> None:
    """A part cannot be rewritten while its rest may hold the same."""
    seen: list[Any] = []
    rig = passing(tmp_path, answering(b"{}", seen=seen), engine=ScriptedEngine(oblige(REPLACE)))
    answer = await rig.call(messages=pieces(b"x" * 5000), headers=TEXT)
    assert (answer.status, seen) == (403, [])
    assert rig.log.records[0]["why"][0]["code"] == "obligation_failed"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([("content-type", "application/json")], b'{"a": "' + b"x" * 5000 + b'"}'),
        ([("content-type", "application/octet-stream")], b' {"a": "' + b"x" * 5000 + b'"}'),
        ([], b'["' + b"x" * 5000 + b'"]'),
        ([], ('["' + "x" * 5000 + '"]').encode("utf-16")),
        ([*TEXT, ("content-encoding", "gzip")], b"\x1f\x8b" + b"x" * 5000),
    ],
    ids=["JSON", "JSON by its bytes", "JSON without a type", "JSON in UTF-16", "compressed"],
)
async def test_what_means_nothing_in_parts_is_refused(
    tmp_path: Path, headers: list[tuple[str, str]], body: bytes
) -> None:
    """Half a JSON text, and a compressed body, are refused even where large bodies pass."""
    seen: list[Any] = []
    rig = passing(tmp_path, answering(b"{}", seen=seen))
    answer = await rig.call(messages=pieces(body), headers=headers)
    assert (answer.status, answer.json["error"]["code"], seen) == (413, "body_too_large", [])


MULTIPART = [("content-type", "multipart/form-data; boundary=b")]


def form(*parts: tuple[str, bytes, str]) -> bytes:
    """A multipart form of (name, data, type)."""
    head = b'--b\r\ncontent-disposition: form-data; name="%s"\r\ncontent-type: %s\r\n\r\n%s\r\n'
    return b"".join(head % (n.encode(), t.encode(), d) for n, d, t in parts) + b"--b--\r\n"


async def test_the_fields_before_a_large_file_are_inspected(tmp_path: Path) -> None:
    """A browser's upload: a field and a text file that is cut are read, the picture behind them is not."""
    engine = ScriptedEngine()
    seen: list[Any] = []
    body = form(
        ("title", b"ask jane@corp.com", "text/plain"),
        ("note", b"hunter2 " * 100, "text/plain"),
        ("picture", b"\x89PNG" * 2000, "image/png"),
    )
    rig = passing(tmp_path, answering(b"{}", seen=seen), engine=engine)
    answer = await rig.call(messages=pieces(body), headers=MULTIPART)
    assert (answer.status, seen[0][1]) == (200, body)
    assert {f["type"] for f in engine.documents[0]["findings"]} == {"EMAIL_ADDRESS", "PASSWORD"}
    assert GAP in engine.documents[0]["coverage"]["skipped"]


@given(st.binary(max_size=900), st.integers(1, 60))
def test_wherever_a_form_is_cut_its_whole_parts_are_read(picture: bytes, size: int) -> None:
    """The field before the cut is a segment for every cut behind it."""
    picture = picture.replace(b"--b", b"")
    body = form(("title", "jané".encode(), "text/plain"), ("picture", b"\x00" + picture + b"-" * size, "image/png"))
    field_end = body.index(b"\r\n--b\r\n") + len(b"\r\n--b\r\n")
    for cut in range(field_end, len(body), 7):
        content = beginning(body[:cut], Head("multipart/form-data", boundary="b"))
        assert "jané" in [segment.text for segment in content.segments]


def beginning(body: bytes, head: Head, inspect_limit_bytes: int = 1 << 20) -> Any:
    return read_beginning(
        body, head, shape="generic", path="/", keyed=KEYED, limits=ReadLimits(inspect_limit_bytes=inspect_limit_bytes)
    )


@given(st.text(min_size=1), st.integers(0, 200))
def test_a_text_is_cut_between_two_characters(text: str, cut: int) -> None:
    """What is inspected is a beginning of the text, at most one character shorter than the cut."""
    whole = ("t" + text).encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\x00", "")
    body = whole.encode()
    limit = min(cut + 1, len(body))
    content = beginning(body, Head("text/plain"), limit)
    read = "".join(segment.text for segment in content.segments)
    assert whole.removeprefix("\ufeff").startswith(read)
    assert limit - len(read.encode()) < 4 + 3 * whole.startswith("\ufeff")


@pytest.mark.parametrize(
    ("media_type", "body", "texts"),
    [
        ("application/x-ndjson", b'{"a": "one"}\n{"a": "tw', ["one"]),
        ("application/x-www-form-urlencoded", b"a=one&b=tw", ["one"]),
        ("application/json-seq", b'\x1e{"a": "one"}\n\x1e{"a": "tw', ["one"]),
    ],
)
def test_records_and_fields_are_cut_after_a_whole_one(media_type: str, body: bytes, texts: list[str]) -> None:
    """Half a record is not read as one."""
    content = beginning(body, Head(media_type))
    assert [s.text for s in content.segments if s.text in ("one", "tw")] == texts
    assert [s.reason for s in content.skipped] == ["body_limit"]


def test_a_beginning_that_is_wrong_in_itself_is_refused() -> None:
    """The cut excuses nothing that stands before it."""
    with pytest.raises(ContentRefused) as refused:
        beginning(b"\xff" + b"x" * 50, Head("text/plain"))
    assert refused.value.refusal == "text_invalid"


async def test_a_client_that_leaves_in_the_rest_is_seen_by_the_app_and_the_record(tmp_path: Path) -> None:
    """The app is told of the disconnect, not of an end; the outcome counts what it was given."""
    told: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request":
            told.append(message["more_body"])
        told.append(message["type"])

    rig = passing(tmp_path, app)
    messages = [*pieces(b"x" * 5000)[:20], {"type": "http.disconnect"}]
    answer = await rig.call(messages=messages, headers=TEXT)
    assert answer.messages == []
    assert told == [True] * 10 + ["http.disconnect"]
    outcome = rig.log.records[1]
    assert outcome["aborted"] == "client_left"
    assert outcome["request_content"] == {**as_recorded(b"x" * 2000), "whole": False}


@pytest.mark.parametrize("length", [4000, 6000])
async def test_a_rest_of_another_length_than_declared_never_looks_whole(tmp_path: Path, length: int) -> None:
    """Where a server lets a false Content-Length through, the app gets no last piece."""
    ends: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request" and message["more_body"]:
            pass
        ends.extend([message["type"], (await receive())["type"]])

    rig = passing(tmp_path, app)
    await rig.call(messages=pieces(b"x" * length), headers=[*TEXT, ("content-length", "5000")])
    assert ends == ["http.disconnect", "http.disconnect"]
    assert rig.log.records[1]["request_content"]["whole"] is False


async def test_a_rest_that_pauses_ends_for_the_app(tmp_path: Path) -> None:
    """The body timeout holds for each pause of the rest: an app does not wait for ever."""
    queue = iter(pieces(b"x" * 5000)[:15])
    for_ever = asyncio.Event()
    told: list[str] = []

    async def receive() -> dict[str, Any]:
        message = next(queue, None)
        if message is None:
            await for_ever.wait()
            raise AssertionError
        return message

    async def app(scope: Any, app_receive: Receive, send: Any) -> None:
        while (message := await app_receive())["type"] == "http.request":
            pass
        told.append(message["type"])

    rig = Rig(tmp_path, app, limits={**LIMITS, "body_timeout_seconds": 0.05}, routes=PASS)
    await through(rig, receive)
    assert told == ["http.disconnect"]
    assert rig.log.records[1]["request_content"]["bytes"] == 1500


async def test_an_app_that_answers_early_leaves_the_rest_unread(tmp_path: Path) -> None:
    """Nothing is pulled for an app that does not ask, and the outcome says how much it took."""
    queue = pieces(b"x" * 5000)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"too much"})

    rig = passing(tmp_path, app)
    answer = await rig.call(messages=queue, headers=TEXT)
    assert (answer.status, answer.body) == (413, b"too much")
    assert rig.log.records[1]["request_content"] == {"digest": None, "bytes": 0, "whole": False}


async def test_the_memory_of_the_body_ends_when_the_app_has_it(tmp_path: Path) -> None:
    """While an app works for minutes, nobody else keeps its request body."""
    marker = b"y" * 500
    messages = [{"type": "http.request", "body": marker, "more_body": False}]
    references: list[int] = []

    def count() -> None:
        references.append(sys.getrefcount(marker))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        count()
        await receive()
        count()
        await answering(b"{}")(scope, nothing, send)

    count()
    await Rig(tmp_path, app).call(messages=messages, headers=TEXT)
    before, held, taken = references
    assert (held - before, taken - before) == (1, 0)


async def test_a_slow_body_is_recorded_as_a_broken_one_is(tmp_path: Path) -> None:
    """Both leave one refusal in the log, and the app is not called."""
    seen: list[Any] = []
    for_ever = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await for_ever.wait()
        raise AssertionError

    rig = Rig(tmp_path, answering(b"{}", seen=seen), limits={"body_timeout_seconds": 0.02})
    assert await through(rig, receive) == 400
    assert await through(rig, gone) == 0
    assert [r["refusal"]["code"] for r in rig.log.records] == ["body_too_slow", "client_disconnected"]
    assert [r["kind"] for r in rig.log.records] == ["decision", "decision"]
    assert seen == []


async def gone() -> dict[str, Any]:
    return {"type": "http.disconnect"}


async def test_a_full_log_answers_nobody_who_has_left(tmp_path: Path) -> None:
    """A refusal that cannot be recorded is an error line, not an answer into a closed connection."""
    rig = Rig(tmp_path, answering(b"{}"), log=MemoryLog(fail_at=0))
    assert await through(rig, gone) == 0
    assert rig.log.records == []


AWAY: dict[str, Any] = {"providers": {"away": {"external": True}}}
EXEMPT: dict[str, Any] = {"policy": {"settings": {"large_body_routes": ["/up"]}}}


@pytest.mark.parametrize(
    ("config", "provider", "status"),
    [({}, None, 200), (AWAY, "away", 403), ({**AWAY, **EXEMPT}, "away", 200)],
    ids=["into the app", "out of the tenant", "out, by the owner's leave"],
)
async def test_the_shipped_policies_and_a_large_upload(
    tmp_path: Path, config: dict[str, Any], provider: str | None, status: int
) -> None:
    """Into the app itself it passes; out of the tenant only where the owner names the route."""
    loaded = load_config(
        environ={}, state_directory=tmp_path / "state", limits=LIMITS, detectors={"enabled": (), "behaviour": ""},
        routes=({"path": "/up", "large_bodies": "pass", "provider": provider},), **config,
    )  # fmt: skip
    rig = Rig(tmp_path, answering(b"done", content_type="text/plain"))
    rig.guard = GuardMiddleware(answering(b"done", content_type="text/plain"), runtime=Runtime(loaded))
    queue = iter(pieces(b"x" * 5000))

    async def receive() -> dict[str, Any]:
        return next(queue, {"type": "http.disconnect"})

    try:
        assert await through(rig, receive) == status
    finally:
        await rig.guard.runtime.stop()
