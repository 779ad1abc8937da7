"""Answers that stream as JSON lines or as plain text: redacted and restored as they flow."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.stream import LONGEST_TOKEN_CHARACTERS, SWALLOWED
from tests.flow.rig import Rig, ScriptedEngine, body_of, chat, deny, oblige
from tests.flow.test_23_live_streams import BUFFER, PSEUDONYM, REPLACE, cut

pytestmark = pytest.mark.anyio

HIDE = oblige(REPLACE, {**REPLACE, "entity": "PASSWORD", "operator": "mask", "keep_last": 2})
SAID = 'grüße an jane@corp.com, 😀 „hunter2" und jane@corp.com\n'
HIDDEN = SAID.replace("jane@corp.com", "<EMAIL_ADDRESS>").replace("hunter2", "*****r2")
NDJSON = b"application/x-ndjson"
PLAIN = b"text/plain; charset=utf-8"


def sent_as(media_type: bytes, *pieces: bytes, headers: Any = (), status: int = 200) -> Any:
    """An app that sends these pieces."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await body_of(receive)
        head = [(b"content-type", media_type), *headers]
        await send({"type": "http.response.start", "status": status, "headers": head})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


async def through(media_type: bytes, pieces: list[bytes], response: Any, **config: Any) -> bytes:
    """What a client receives."""
    with tempfile.TemporaryDirectory() as directory:
        rig = Rig(Path(directory), sent_as(media_type, *pieces), engine=ScriptedEngine(response=response), **config)
        return (await rig.call(path="/api/chat", body=chat("x", stream=True))).body


def line(**members: Any) -> bytes:
    """One line as Ollama sends it."""
    frame = {"model": "m", "created_at": "2026-01-01T00:00:00.5Z"}
    return json.dumps({**frame, **members}, ensure_ascii=False).encode() + b"\n"


def ollama(words: list[str], thoughts: list[str] = (), member: str = "message") -> bytes:  # type: ignore[assignment]
    """An answer of ``/api/chat``, or of ``/api/generate``."""

    def piece(text: str, key: str = "content") -> bytes:
        if member == "message":
            return line(message={"role": "assistant", "content": "", key: text}, done=False)
        return line(**{"thinking" if key == "thinking" else "response": text}, done=False)

    return b"".join([
        *(piece(thought, "thinking") for thought in thoughts),
        *(piece(word) for word in words),
        line(message={"role": "assistant", "content": ""}, done=True, done_reason="stop", eval_count=7,
             total_duration=4883583458),
    ])  # fmt: skip


def said(body: bytes, member: str = "content") -> str:
    """The joined text of the lines."""
    lines = [json.loads(one) for one in body.splitlines() if one]
    top = {"content": "response", "thinking": "thinking"}[member]
    return "".join((one.get("message") or {}).get(member) or one.get(top) or "" for one in lines)


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([1, 4, 12]),
    wire=st.sampled_from([5, 60, 10**6]),
    member=st.sampled_from(["message", "response"]),
)
def test_lines_of_a_model_are_joined(seed: int, size: int, wire: int, member: str) -> None:
    """Any chunking: text and thinking say what the answer read whole says; the other lines pass."""
    stream = ollama(cut(SAID, seed, size), cut(SAID, seed + 1, size), member)

    async def both() -> tuple[bytes, bytes]:
        return await through(NDJSON, cut(stream, seed, wire), HIDE), await through(
            NDJSON, [stream], HIDE, routes=BUFFER
        )

    live, whole = anyio.run(both)
    assert said(live) == said(whole) == HIDDEN
    assert said(live, "thinking") == said(whole, "thinking") == HIDDEN
    last = json.loads(live.splitlines()[-1])
    assert (last["done"], last["eval_count"], last["total_duration"]) == (True, 7, 4883583458)
    assert len(live.splitlines()) == len(stream.splitlines())


@pytest.mark.parametrize("wire", [1, 13, 10**6])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
async def test_lines_that_do_not_change_leave_as_they_came(wire: int, ends: bytes) -> None:
    """Byte for byte: blank lines, line ends, a last line without one."""
    stream = ends.join([*ollama(["one ", "two"]).split(b"\n"), b"", b'{"a": [1, "b"]}'])
    assert await through(NDJSON, cut(stream, 1, wire), HIDE) == stream


async def test_records_of_no_known_shape_are_read_line_by_line(tmp_path: Path) -> None:
    """Each is redacted by itself; that no text is joined over lines stands in the coverage."""
    records = (
        b'{"id": 1, "response": "jane@corp.com"}\n["hunter2 jane@corp.com"]\nno json, jane@corp.com\n"jane@corp.com"\n'
    )
    engine = ScriptedEngine(response=HIDE)
    rig = Rig(tmp_path, sent_as(NDJSON, records), engine=engine)
    answer = await rig.call(path="/export", body=chat("x"))
    assert answer.body.splitlines() == [
        b'{"id":1,"response":"<EMAIL_ADDRESS>"}',
        b'["*****r2 <EMAIL_ADDRESS>"]',
        b"no json, <EMAIL_ADDRESS>",
        b'"<EMAIL_ADDRESS>"',
    ]
    gaps = {entry["reason"] for entry in engine.documents[-1]["coverage"]["skipped"]}
    assert gaps == {"unjoined_stream"}


async def test_events_of_other_apis_may_come_as_lines() -> None:
    """Chunks of OpenAI's chat completions, a line each, are joined as such."""
    pieces = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in ("to ja", "ne@co", "rp.com now")]
    body = await through(NDJSON, [json.dumps(one).encode() + b"\n" for one in pieces], HIDE)
    lines = [json.loads(one) for one in body.splitlines()]
    assert "".join(one["choices"][0]["delta"]["content"] for one in lines) == "to <EMAIL_ADDRESS> now"


async def test_a_line_leaves_while_the_next_is_made(tmp_path: Path) -> None:
    """As soon as the next one shows that its last word is over."""
    order: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", NDJSON)]})
        for word in (" one", " two", " three"):
            order.append(f"made{word}")
            piece = line(message={"role": "assistant", "content": word}, done=False)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send(
            {"type": "http.response.body", "body": line(message={"role": "assistant", "content": ""}, done=True)}
        )

    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=HIDE))
    await rig.call(body=chat("x"), on_send=lambda m: order.append(f"left{said(m['body'])}") if m.get("body") else None)
    assert order == ["made one", "made two", "left one", "made three", "left two", "left three"]


async def test_a_denied_line_ends_the_stream_with_a_line(tmp_path: Path) -> None:
    """Clients of Ollama raise ``error``; the value has not left."""
    response = lambda document: deny("SEC") if document["findings"] else HIDE  # noqa: E731
    rig = Rig(
        tmp_path, sent_as(NDJSON, ollama(["it is ", "hun", "ter2", " on"])), engine=ScriptedEngine(response=response)
    )
    answer = await rig.call(body=chat("x"))
    *lines, last = [json.loads(one) for one in answer.body.splitlines()]
    assert "".join(one["message"]["content"] for one in lines) == "it is "
    assert last["error"].startswith("[SEC]")
    assert last["done"] is True
    assert rig.log.records[1]["aborted"] == "stopped"


async def test_a_line_that_is_too_long_stops_the_stream(tmp_path: Path) -> None:
    """A megabyte without a line end is no line."""
    rig = Rig(tmp_path, sent_as(NDJSON, b'{"a": "', b"x" * (1 << 20), b'"}\n'), engine=ScriptedEngine(response=HIDE))
    answer = await rig.call(body=chat("x"))
    assert "larger than the limit" in json.loads(answer.body)["error"]


# --- plain text ------------------------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), wire=st.sampled_from([1, 3, 17, 10**6]))
def test_text_in_any_pieces_is_the_whole_redacted(seed: int, wire: int) -> None:
    """Cut inside UTF-8 sequences, too."""
    body = anyio.run(through, PLAIN, cut(SAID.encode(), seed, wire), HIDE)
    assert body.decode() == HIDDEN


async def test_text_leaves_as_it_comes(tmp_path: Path) -> None:
    """All but its last word, in the pieces of the app."""
    bodies: list[bytes] = []
    rig = Rig(tmp_path, sent_as(PLAIN, b"many wor", b"ds to ", b"say"), engine=ScriptedEngine(response=HIDE))
    await rig.call(body=chat("x"), on_send=lambda m: bodies.append(m.get("body", b"")))
    assert [body for body in bodies if body] == [b"many ", b"words ", b"to ", b"say"]


@pytest.mark.parametrize("most", [1, 3, 100])
async def test_placeholders_are_restored_in_text_and_lines(tmp_path: Path, most: int) -> None:
    """At every cut; a forged one stays."""
    for media_type in (PLAIN, NDJSON):

        async def app(scope: Any, receive: Any, send: Any, media_type: bytes = media_type) -> None:
            asked = json.loads((await receive())["body"])["messages"][0]["content"]
            text = f"to {asked.split()[-1]} and <EMAIL_ADDRESS_9_aaaaaa>"
            stream = text.encode() if media_type == PLAIN else ollama(cut(text, most, most))
            await sent_as(media_type, *cut(stream, most, 40))(scope, _nothing, send)

        rig = Rig(tmp_path, app, engine=ScriptedEngine(oblige(PSEUDONYM), oblige(REPLACE)))
        body = (await rig.call(body=chat("write to jane@corp.com"))).body
        assert (body.decode() if media_type == PLAIN else said(body)) == "to jane@corp.com and <EMAIL_ADDRESS_9_aaaaaa>"


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def test_a_word_that_is_too_long_is_swallowed() -> None:
    """Memory is bounded; what was not inspected whole does not leave."""
    word = b"x" * (LONGEST_TOKEN_CHARACTERS + 5)
    assert (
        await through(PLAIN, cut(b"before " + word + b" behind", 3, 4096), HIDE)
        == f"before {SWALLOWED} behind".encode()
    )


async def test_a_denied_text_ends_with_the_reason(tmp_path: Path) -> None:
    """In brackets, on a line of its own: plain text has no other form for it."""
    response = lambda document: deny("SEC") if document["findings"] else HIDE  # noqa: E731
    rig = Rig(tmp_path, sent_as(PLAIN, b"it is hun", b"ter2 now"), engine=ScriptedEngine(response=response))
    answer = await rig.call(body=chat("x"))
    assert answer.body.startswith(b"it is \n[stopped: [SEC] ")
    assert b"hunter2" not in answer.body


@pytest.mark.parametrize(
    ("media_type", "pieces", "headers"),
    [
        (PLAIN, [b"jane@corp.com"], [(b"content-length", b"13")]),
        (PLAIN, [b" ", b'{"a": "', b'jane@corp.com"}'], []),
        (b"text/plain; charset=latin-1", [b"jane@", b"corp.com"], []),
        (b"text/html", [b"jane@", b"corp.com"], []),
    ],
)
async def test_what_does_not_flow_is_inspected_whole(
    tmp_path: Path, media_type: bytes, pieces: list[bytes], headers: Any
) -> None:
    """A stated length, JSON as text, other charsets and types: denied before the first byte."""
    response = lambda document: deny("SEC") if document["findings"] else HIDE  # noqa: E731
    rig = Rig(tmp_path, sent_as(media_type, *pieces, headers=headers), engine=ScriptedEngine(response=response))
    assert (await rig.call(body=chat("x"))).status == 403


async def test_an_answer_that_is_whole_with_its_first_piece_does_not_flow(tmp_path: Path) -> None:
    """It can be denied before its first byte, and has a length."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", PLAIN)]})
        await send({"type": "http.response.body", "body": b"to jane@corp.com"})

    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=HIDE))
    answer = await rig.call(body=chat("x"))
    assert answer.body == b"to <EMAIL_ADDRESS>"
    assert answer.headers["content-length"] == "18"


async def test_text_that_is_no_utf_8_stops_the_stream() -> None:
    """What stands before it has left; the rest cannot be read."""
    body = await through(PLAIN, [b"good words ", b"bad \xff\xfe", b" more"], HIDE)
    assert body.startswith(b"good ")
    assert b"\xff" not in body
    assert b"not UTF-8" in body
