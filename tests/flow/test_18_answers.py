"""Every form of answer: what is rewritten, what passes as it is, and that a denied one leaks nothing."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import sys
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from guard import GuardMiddleware
from guard.testing import serve
from tests.flow.rig import ALLOW, Rig, ScriptedEngine, answering, body_of, chat, deny, oblige

pytestmark = pytest.mark.anyio

REPLACE = oblige({"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "replace"})
MAIL = "jane@corp.com"
SAID = json.dumps({"text": f"ask {MAIL}"}).encode()
HIDDEN = b'{"text":"ask <EMAIL_ADDRESS>"}'
VALIDATORS = [
    (b"etag", b'"1"'),
    (b"last-modified", b"Sun, 22 Nov 2026 00:00:00 GMT"),
    (b"content-md5", b"AAAA"),
    (b"digest", b"sha-256=AAAA"),
    (b"content-digest", b"sha-256=:AAAA:"),
    (b"repr-digest", b"sha-256=:AAAA:"),
    (b"accept-ranges", b"bytes"),
]
Headers = Sequence[tuple[bytes, bytes]]


def sending(*pieces: bytes, headers: Headers = (), status: int = 200, end: bool = True) -> Any:
    """An app that answers with these pieces."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await body_of(receive)
        await send({"type": "http.response.start", "status": status, "headers": list(headers), "trailers": True})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if end:
            await send({"type": "http.response.body", "body": b""})

    return app


def typed(media_type: bytes) -> Headers:
    return [(b"content-type", media_type)]


def once_found(then: dict[str, Any]) -> Callable[[Any], Any]:
    """Answers ``then`` at the first finding, allows before."""
    return lambda document: then if document["findings"] else ALLOW


def gaps(engine: ScriptedEngine) -> set[str]:
    """Why which part of the answer was not inspected."""
    return {entry["reason"] for entry in engine.documents[1]["coverage"]["skipped"]} - {"not_inspected"}


# --- what a rewrite does to the headers -------------------------------------------------------------------------------


async def test_validators_leave_only_with_the_bytes_that_they_describe(tmp_path: Path) -> None:
    """Unchanged bytes keep their validators, rewritten ones lose them all, and the length fits."""
    app = answering(SAID, headers=VALIDATORS)
    as_it_was = await Rig(tmp_path, app).call(body=chat("x"))
    assert as_it_was.body == SAID
    assert {name for name, _ in VALIDATORS} <= {name.encode() for name in as_it_was.headers}
    rewritten = await Rig(tmp_path, app, engine=ScriptedEngine(response=REPLACE)).call(body=chat("x"))
    assert rewritten.body == HIDDEN
    assert {name.encode() for name in rewritten.headers} & {name for name, _ in VALIDATORS} == set()
    assert rewritten.headers["content-length"] == str(len(HIDDEN))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "identity", "gzip, br"])
async def test_an_app_that_compresses_unasked_is_inspected(tmp_path: Path, coding: str) -> None:
    """Accept-Encoding did not reach it; what it sends is inflated, rewritten and sent plain."""
    seen: list[Any] = []
    app = answering(packed(SAID, coding), headers=[(b"content-encoding", coding.encode())], seen=seen)
    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=REPLACE))
    answer = await rig.call(body=chat("x"), headers=[("accept-encoding", "gzip, br")])
    assert b"accept-encoding" not in dict(seen[0][0]["headers"])
    assert (answer.body, answer.headers.get("content-encoding")) == (HIDDEN, None)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes,
}  # fmt: skip


def packed(body: bytes, codings: str) -> bytes:
    """A body under content encodings; skips the test where a library for one is not installed."""
    libraries = {"br": "brotli", "zstd": "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"}
    for coding in codings.split(", "):
        if coding in libraries:
            library: Any = pytest.importorskip(libraries[coding])
            body = library.compress(body)
        else:
            body = PACKERS[coding](body)
    return body


async def test_a_compressed_answer_in_which_nothing_is_due_leaves_as_it_came(tmp_path: Path) -> None:
    """It is inflated to be inspected, and its packed bytes and validators stay as the app made them."""
    body = gzip.compress(SAID)
    engine = ScriptedEngine()
    answer = await Rig(
        tmp_path, answering(body, headers=[(b"content-encoding", b"gzip"), *VALIDATORS]), engine=engine
    ).call(body=chat("x"))
    assert (answer.body, answer.headers["content-encoding"], answer.headers["etag"]) == (body, "gzip", '"1"')
    assert [f["type"] for f in engine.documents[1]["findings"]] == ["EMAIL_ADDRESS"]


# --- media types, charsets, pieces ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media_type", "body", "expected"),
    [
        (b"text/plain; charset=iso-8859-1", f"é {MAIL}".encode("latin-1"), "é <EMAIL_ADDRESS>".encode("latin-1")),
        (b"text/plain; charset=windows-1252", f"€ {MAIL}".encode("cp1252"), "€ <EMAIL_ADDRESS>".encode("cp1252")),
        (b"text/html; charset=utf-8", f"<b>é {MAIL}</b>".encode(), "<b>é &lt;EMAIL_ADDRESS&gt;</b>".encode()),
        (b"application/problem+json", SAID, HIDDEN),
        (b"application/x-ndjson", SAID + b"\n" + SAID + b"\n", HIDDEN + b"\n" + HIDDEN + b"\n"),
        (b"", SAID, HIDDEN),
        (b"application/octet-stream", SAID, None),
    ],
)
async def test_an_answer_is_rewritten_in_its_own_media_type_and_charset(
    tmp_path: Path, media_type: bytes, body: bytes, expected: bytes | None
) -> None:
    """Or it is one that holds no text: then it passes, and its coverage says so."""
    headers = typed(media_type) if media_type else []
    engine = ScriptedEngine(response=REPLACE)
    answer = await Rig(tmp_path, sending(body, headers=headers), engine=engine).call(body=chat("x"))
    assert (answer.status, answer.body) == (200, body if expected is None else expected)
    assert gaps(engine) == ({"opaque_media_type"} if expected is None else set())


async def test_an_answer_in_an_unread_charset_is_denied_where_a_redaction_is_due(tmp_path: Path) -> None:
    """UTF-16 text hides from a detector that reads UTF-8."""
    app = sending(SAID.decode().encode("utf-16"), headers=typed(b"text/plain; charset=utf-16"))
    engine = ScriptedEngine()
    assert (await Rig(tmp_path, app, engine=engine).call(body=chat("x"))).status == 200
    assert gaps(engine) == {"charset_unsupported"}
    assert (await Rig(tmp_path, app, engine=ScriptedEngine(response=REPLACE)).call(body=chat("x"))).status == 403


@pytest.mark.slow
@given(st.integers(1, 40))
def test_any_chunking_of_a_buffered_answer_gives_the_same_bytes(size: int) -> None:
    """One byte at a time, too."""
    pieces = [SAID[i : i + size] for i in range(0, len(SAID), size)]
    with tempfile.TemporaryDirectory() as directory:
        app = sending(*pieces, headers=typed(b"application/json"))
        rig = Rig(Path(directory), app, engine=ScriptedEngine(response=REPLACE))
        answer = asyncio.run(rig.call(body=chat("x")))
    assert answer.body == HIDDEN
    assert answer.headers["content-length"] == str(len(HIDDEN))


@given(
    st.binary(max_size=300).filter(lambda b: b"hunter2" not in b),
    st.lists(st.integers(0, 330), max_size=8),
    st.sampled_from([b"application/json", b"text/plain", b"text/html", b"", b"application/x-ndjson"]),
)
@pytest.mark.slow
def test_a_denied_answer_never_leaks_its_beginning(beginning: bytes, cuts: list[int], media_type: bytes) -> None:
    """For any chunking of any buffered answer with a secret at its end: not one byte of its body, not one of its
    headers."""
    text = bytes(byte if 32 <= byte < 127 and byte not in b'"\\' else 46 for byte in beginning)
    body = b'{"text": "MARK ' + text + b' hunter2"}'
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[a:b] for a, b in itertools.pairwise(edges)]
    headers = [*([(b"content-type", media_type)] if media_type else []), (b"x-app", b"MARK"), (b"etag", b'"MARK"')]
    with tempfile.TemporaryDirectory() as directory:
        engine = ScriptedEngine(response=once_found(deny("ANS-1")))
        routes = [{"path": "/**", "streams": "buffer"}]
        rig = Rig(Path(directory), sending(*pieces, headers=headers), engine=engine, routes=routes)
        answer = asyncio.run(rig.call(body=chat("x")))
    assert answer.status == 403
    assert b"MARK" not in answer.body
    assert not {"x-app", "etag"} & set(answer.headers)
    assert rig.log.records[1]["aborted"] == "denied"


# --- lengths, ranges, answers without an end --------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [5, 500])
async def test_a_length_that_lies_is_not_made_true(tmp_path: Path, declared: int) -> None:
    """What is missing must not look whole: the app's length stays for the server to hold against the body; the answer
    is inspected, the flaw spoken, and where a redaction is due it is denied."""
    app = sending(SAID, headers=[*typed(b"application/json"), (b"content-length", str(declared).encode())])
    engine = ScriptedEngine()
    answer = await Rig(tmp_path, app, engine=engine).call(body=chat("x"))
    assert (answer.status, answer.headers["content-length"]) == (200, str(declared))
    assert gaps(engine) == {"body_length_mismatch"}
    assert [f["type"] for f in engine.documents[1]["findings"]] == ["EMAIL_ADDRESS"]
    held = await Rig(tmp_path, app, engine=ScriptedEngine(response=REPLACE)).call(body=chat("x"))
    assert (held.status, MAIL.encode() in held.body) == (403, False)


async def test_no_range_reaches_the_app(tmp_path: Path) -> None:
    """A range would cut a value in two; the client gets the whole, which RFC 9110 section 14.2 allows."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"whole", content_type="text/plain", seen=seen))
    answer = await rig.call("GET", "/x", headers=[("range", "bytes=0-1"), ("if-range", '"1"')])
    assert (answer.status, answer.body) == (200, b"whole")
    assert {b"range", b"if-range"} & set(dict(seen[0][0]["headers"])) == set()


BYTERANGES = (
    b"--b\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-3/40\r\n\r\nask \r\n"
    b"--b\r\ncontent-type: text/plain\r\ncontent-range: bytes 4-16/40\r\n\r\njane@corp.com\r\n--b--\r\n"
)


@pytest.mark.parametrize(
    ("media_type", "body", "reasons"),
    [
        (b"text/plain", b"k jane@corp.com", {"partial_content"}),
        (b"application/json", b'sk jane@corp.com"}', {"json_invalid"}),
        (b"multipart/byteranges; boundary=b", BYTERANGES, {"partial_content"}),
    ],
)
async def test_a_range_that_nobody_asked_for_is_a_part(
    tmp_path: Path, media_type: bytes, body: bytes, reasons: set[str]
) -> None:
    """It is inspected as far as it can be read; nothing in it is rewritten, so a due redaction denies it."""
    headers = [*typed(media_type), (b"content-range", b"bytes 2-20/40")]
    engine = ScriptedEngine()
    app = sending(body, headers=headers, status=206)
    answer = await Rig(tmp_path, app, engine=engine).call("GET", "/x")
    assert (answer.status, answer.body, gaps(engine)) == (206, body, reasons)
    strict = ScriptedEngine(response=once_found(deny()))
    if "partial_content" in reasons:
        assert (await Rig(tmp_path, app, engine=strict).call("GET", "/x")).status == 403
    assert (await Rig(tmp_path, app, engine=ScriptedEngine(response=REPLACE)).call("GET", "/x")).status == 403


async def test_parts_that_replace_each_other_flow(tmp_path: Path) -> None:
    """A camera's stream has no end to wait for: each part leaves at once, and the gap is spoken at its head."""
    order: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = typed(b"multipart/x-mixed-replace; boundary=b")
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in range(2):
            order.append(f"made {number}")
            await send({"type": "http.response.body", "body": b"--b\r\n\r\nx\r\n", "more_body": True})

    engine = ScriptedEngine()
    await Rig(tmp_path, app, engine=engine).call(
        "GET", "/x", on_send=lambda m: order.append("left") if m["type"].endswith("body") else None
    )
    assert order == ["made 0", "left", "made 1", "left"]
    assert gaps(engine) == {"multipart_stream"}
    assert (await Rig(tmp_path, app, engine=ScriptedEngine(response=REPLACE)).call("GET", "/x")).status == 403


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_keeps_its_target_and_its_body_is_inspected(tmp_path: Path, status: int) -> None:
    """The body that nobody reads is no way out."""
    app = sending(SAID, headers=[*typed(b"application/json"), (b"location", b"/elsewhere")], status=status)
    answer = await Rig(tmp_path, app, engine=ScriptedEngine(response=REPLACE)).call("GET", "/x")
    assert (answer.status, answer.headers["location"], answer.body) == (status, "/elsewhere", HIDDEN)


@pytest.mark.parametrize("headers", [[], typed(b"application/json"), typed(b"text/plain")])
async def test_an_empty_answer_stays_empty(tmp_path: Path, headers: Headers) -> None:
    """Nothing to read is no error, with a redaction due or without."""
    for engine in (ScriptedEngine(), ScriptedEngine(response=REPLACE)):
        answer = await Rig(tmp_path, sending(headers=headers), engine=engine).call("GET", "/x")
        assert (answer.status, answer.body) == (200, b"")


# --- ways to answer that are not offered ------------------------------------------------------------------------------

EXTENSIONS = ("early_hint", "push", "trailers", "pathsend", "zerocopysend", "debug")


@pytest.mark.parametrize("extension", EXTENSIONS)
async def test_an_extension_that_skips_inspection_is_not_offered(tmp_path: Path, extension: str) -> None:
    """103 Early Hints, server push, trailers, files by path: an app that uses one unasked gets an exception, and
    nothing of it leaves."""
    offered: list[Any] = []
    name = f"http.response.{extension}"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        offered.append(scope["extensions"])
        await send({"type": name, "links": [b"</MARK.css>; rel=preload"], "path": "/MARK", "headers": []})

    sent: list[Any] = []
    rig = Rig(tmp_path, app)
    with pytest.raises(RuntimeError, match=name):
        await rig.call("GET", "/x", extensions={name: {}, "tls": {}}, on_send=sent.append)
    assert offered == [{"tls": {}}]
    assert sent[0]["status"] == 500
    assert b"MARK" not in sent[1]["body"]


async def test_trailers_are_not_announced(tmp_path: Path) -> None:
    """An app that sets ``trailers`` on its head does not make the server wait for them."""
    answer = await Rig(tmp_path, sending(b"{}", headers=typed(b"application/json"))).call("GET", "/x")
    assert "trailers" not in answer.messages[0]
    assert answer.messages[-1]["more_body"] is False


# --- streams that are stopped: what each SDK makes of them -----------------------------------------------------------

SECRET = "AKIA{}".format("Q7ZL5TN4WX2RKD3V")
STREAMS: dict[str, Any] = {
    "routes": ({"path": "/v1/**", "provider": "mock"},),
    "providers": {"mock": {"external": True}},
    # Without a redaction that is due, a stream flows, and a secret in it stops it.
    "policy": {"settings": {"pii_answer_replace": [], "pii_answer_mask": []}},
}


def sse(name: str | None, data: dict[str, Any]) -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


def openai_chat(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return sse(None, frame)


def openai_response(number: int, text: str) -> bytes:
    kind = "response.output_text.delta"
    place = {"item_id": "i", "output_index": 0, "content_index": 0, "logprobs": []}
    return sse(kind, {"type": kind, "sequence_number": number, "delta": text, **place})


def anthropic_start() -> bytes:
    message: dict[str, Any] = {
        "id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    return sse("message_start", {"type": "message_start", "message": message}) + sse("content_block_start", block)


def anthropic_delta(text: str) -> bytes:
    kind = "content_block_delta"
    return sse(kind, {"type": kind, "index": 0, "delta": {"type": "text_delta", "text": text}})


async def talking(request: Request) -> StreamingResponse:
    """Each provider's stream: a harmless beginning, a secret of somebody else, and more."""
    words = ["The key is ", SECRET, " and more"]
    form = request.url.path
    if form.endswith("/messages"):
        frames = [anthropic_start(), *map(anthropic_delta, words)]
    elif form.endswith("/responses"):
        frames = [openai_response(number, word) for number, word in enumerate(words)]
    else:
        frames = [*map(openai_chat, words), b"data: [DONE]\n\n"]

    async def body() -> Any:
        for frame in frames:
            yield frame

    return StreamingResponse(body(), media_type="text/event-stream")


@pytest.fixture
def talkative(tmp_path: Path) -> Any:
    paths = ["/v1/chat/completions", "/v1/responses", "/v1/messages"]
    app = Starlette(routes=[Route(path, talking, methods=["POST"]) for path in paths])
    with serve(GuardMiddleware(app, state_directory=tmp_path / "state", **STREAMS)) as url:
        yield url


def test_a_stopped_openai_chat_stream_raises(talkative: str) -> None:
    """The beginning arrives, then APIError with the rule; the secret and what follows do not."""
    asked: Any = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": True}
    got: list[str] = []
    with (
        openai.OpenAI(base_url=f"{talkative}/v1", api_key="none", max_retries=0) as client,
        pytest.raises(openai.APIError) as raised,
    ):
        got.extend(chunk.choices[0].delta.content for chunk in client.chat.completions.create(**asked))
    assert "".join(got) == "The key is "
    assert (raised.value.code, "SEC-002" in raised.value.message) == ("content_policy_violation", True)


def test_a_stopped_openai_responses_stream_raises(talkative: str) -> None:
    """As in the chat API; on the wire it is the Responses API's own error event, numbered on."""
    asked: Any = {"model": "m", "input": "hello", "stream": True}
    got: list[str] = []
    with (
        openai.OpenAI(base_url=f"{talkative}/v1", api_key="none", max_retries=0) as client,
        pytest.raises(openai.APIError) as raised,
    ):
        got.extend(getattr(event, "delta", "") for event in client.responses.create(**asked))
    assert "".join(got) == "The key is "
    assert (raised.value.code, "SEC-002" in raised.value.message) == ("content_policy_violation", True)
    text = httpx2.post(f"{talkative}/v1/responses", json=asked).text
    name, data = text.strip().rsplit("\n\n", 1)[1].split("\n")
    event = json.loads(data.removeprefix("data: "))
    assert name == "event: error"
    assert (event["type"], event["sequence_number"], event["code"]) == ("error", 1, "content_policy_violation")
    assert "SEC-002" in event["message"]
    assert openai.types.responses.ResponseErrorEvent.model_validate(event).sequence_number == 1


def test_a_stopped_anthropic_stream_raises(talkative: str) -> None:
    """The SDK's stream helper raises, with Anthropic's error object in the body."""
    asked: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    got: list[str] = []
    with (
        anthropic.Anthropic(base_url=talkative, api_key="none", max_retries=0) as client,
        pytest.raises(anthropic.APIStatusError) as raised,
        client.messages.stream(**asked) as stream,
    ):
        got.extend(stream.text_stream)
    assert "".join(got) == "The key is "
    body: Any = raised.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "permission_error")
    assert "SEC-002" in body["error"]["message"]
