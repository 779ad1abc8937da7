"""The heads of streams that flow: what says something of a body that is written again does not leave with it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from guard.testing import serve
from tests.components import require_package
from tests.flow.rig import ALLOW, Rig, ScriptedEngine, body_of, chat, deny, oblige
from tests.flow.test_23_live_streams import BUFFER, DONE, REPLACE, chunk, text_of

HIDE = oblige(REPLACE)
SAID = ("write to jane@c", "orp.com and jane@corp", ".com now")
SHOWN = "write to <EMAIL_ADDRESS> and <EMAIL_ADDRESS> now"
STREAM = (*(chunk({"content": words}) for words in SAID), chunk({}, "stop"), DONE)
STALE = {
    "etag": '"v1"',
    "last-modified": "Mon, 23 Nov 2026 00:00:00 GMT",
    "content-md5": "Q2hlY2sgSW50ZWdyaXR5IQ==",
    "digest": "sha-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=",
    "content-digest": "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
    "repr-digest": "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
    "accept-ranges": "bytes",
}


def stating(pieces: Sequence[bytes], **more: str) -> Any:
    """An app that states the length of its stream, a digest of it and what else concerns those very bytes."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await body_of(receive)
        length = str(sum(map(len, pieces)))
        fields = {"content-type": "text/event-stream", "content-length": length, **STALE, **more}
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


def asked(url: str, version: str) -> tuple[int, set[str], bytes]:
    """Status, names of headers and body that a client gets; one that hangs fails within seconds, and one that gets
    less than was promised raises ``IncompleteRead``."""
    host, _, port = url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection._http_vsn_str = version  # type: ignore[attr-defined]
    body = json.dumps(chat("hello", stream=True))
    try:
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, {name.lower() for name, _ in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def stopping(document: Any) -> Any:
    """Hides addresses, and denies once it sees one."""
    return deny("SEC") if document["findings"] else HIDE


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize(
    ("response", "text"),
    [(HIDE, SHOWN), (ALLOW, "".join(SAID)), (stopping, "write to ")],
    ids=["redacted", "untouched", "stopped"],
)
def test_a_stated_length_does_not_break_a_stream_on_the_wire(
    tmp_path: Path, response: Any, text: str, version: str
) -> None:
    """A server raises where a body is shorter or longer than its Content-Length, and a client waits for the missing
    bytes: a stream that is written again, or stopped, has none, and ends for the client."""
    require_package("uvicorn")
    rig = Rig(tmp_path, stating(STREAM), engine=ScriptedEngine(response=response))
    with serve(rig.guard, lifespan="on") as url:
        status, headers, body = asked(url, version)
    assert (status, text_of(body)) == (200, text)
    assert not {"content-length", *STALE} & headers
    assert rig.log.records[1]["size_bytes"] == len(body)


@pytest.mark.anyio
async def test_a_stream_rewritten_whole_states_its_own_length(tmp_path: Path) -> None:
    """Held to its end, a stream has a length again: that of what leaves."""
    rig = Rig(tmp_path, stating(STREAM), engine=ScriptedEngine(response=HIDE), routes=BUFFER)
    answer = await rig.call(body=chat("x", stream=True))
    assert text_of(answer.body) == SHOWN
    assert answer.headers["content-length"] == str(len(answer.body))
    assert not STALE.keys() & answer.headers.keys()


@pytest.mark.anyio
async def test_a_stream_that_is_not_read_keeps_its_head(tmp_path: Path) -> None:
    """What passes byte for byte, an encoded stream under a policy that hides nothing, may say all it said."""
    rig = Rig(tmp_path, stating(STREAM, **{"content-encoding": "x-own"}), engine=ScriptedEngine(response=ALLOW))
    answer = await rig.call(body=chat("x", stream=True))
    assert answer.body == b"".join(STREAM)
    assert STALE.items() <= answer.headers.items()
    assert answer.headers["content-length"] == str(len(answer.body))


@pytest.mark.anyio
async def test_other_headers_of_a_stream_stay(tmp_path: Path) -> None:
    """In their order and number; those that the guard adds come last."""
    app = stating(STREAM, **{"x-ratelimit-remaining": "41", "cache-control": "no-cache", "vary": "accept"})
    answer = await Rig(tmp_path, app, engine=ScriptedEngine(response=HIDE)).call(body=chat("x", stream=True))
    assert list(answer.headers)[:4] == ["content-type", "x-ratelimit-remaining", "cache-control", "vary"]
    assert list(answer.headers)[-1] == "x-guard-decision-id"


@pytest.mark.anyio
async def test_redactions_of_head_and_body_are_counted_together(tmp_path: Path) -> None:
    """The outcome of a stream that flows has the values hidden in its headers and those hidden in its events."""
    app = stating(STREAM, **{"x-contact": "jane@corp.com", "x-key": "hunter2"})
    hide = oblige(REPLACE, {**REPLACE, "entity": "PASSWORD"})
    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=hide))
    answer = await rig.call(body=chat("x", stream=True))
    assert (answer.headers["x-contact"], answer.headers["x-key"]) == ("<EMAIL_ADDRESS>", "<PASSWORD>")
    assert text_of(answer.body) == SHOWN
    assert rig.log.records[1]["redactions"] == {"EMAIL_ADDRESS": 3, "PASSWORD": 1}


@pytest.mark.anyio
async def test_what_was_hidden_before_a_stream_was_stopped_is_counted(tmp_path: Path) -> None:
    """The header left hidden, the first address as well; the second type of finding stops the stream."""

    def response(document: Any) -> Any:
        return deny("SEC") if any(f["type"] == "PASSWORD" for f in document["findings"]) else HIDE

    pieces = (chunk({"content": "to jane@corp.com or "}), chunk({"content": "hunter2 too"}, "stop"), DONE)
    rig = Rig(tmp_path, stating(pieces, **{"x-contact": "jane@corp.com"}), engine=ScriptedEngine(response=response))
    answer = await rig.call(body=chat("x", stream=True))
    assert text_of(answer.body) == "to <EMAIL_ADDRESS> or "
    outcome = rig.log.records[1]
    assert (outcome["aborted"], outcome["redactions"]) == ("stopped", {"EMAIL_ADDRESS": 2})


@pytest.mark.anyio
async def test_placeholders_of_head_and_body_are_counted_together(tmp_path: Path) -> None:
    """Restored in a header and in the events: the outcome has both."""
    pseudonym = oblige({**REPLACE, "operator": "pseudonym"})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        held = await body_of(receive)
        place = json.loads(held)["messages"][0]["content"].split()[-1]
        pieces = [chunk({"content": f"dear {place[:9]}"}), chunk({"content": f"{place[9:]} and {place}"}, "stop"), DONE]

        async def given() -> dict[str, Any]:
            return {"type": "http.request", "body": held, "more_body": False}

        await stating(pieces, **{"x-contact": place})(scope, given, send)

    rig = Rig(tmp_path, app, engine=ScriptedEngine(pseudonym, ALLOW))
    answer = await rig.call(body=chat("write to jane@corp.com", stream=True))
    assert answer.headers["x-contact"] == "jane@corp.com"
    assert text_of(answer.body) == "dear jane@corp.com and jane@corp.com"
    assert rig.log.records[1]["restored"] == 3
