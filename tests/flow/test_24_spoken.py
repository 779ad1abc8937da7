"""Answers that an app says in pieces over a WebSocket: joined, redacted and restored like an event stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.flow.rig import Rig, ScriptedEngine, deny, oblige
from tests.flow.test_12_websocket import PSEUDONYM, REPLACE, Client
from tests.flow.test_23_live_streams import cut

pytestmark = pytest.mark.anyio

HIDE = oblige(REPLACE)
AT = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}


def answer(text: str, size: int, kind: str = "response.output_text") -> list[str]:
    """The messages of one answer of the realtime API."""
    part = {"type": "text", "text": text}
    item = {"id": "i", "type": "message", "role": "assistant", "content": [part]}
    return [
        json.dumps(one)
        for one in (
            {"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}},
            *({"type": f"{kind}.delta", "delta": piece, **AT} for piece in cut(text, 1, size)),
            {"type": f"{kind}.done", "text": text, **AT},
            {"type": "response.content_part.done", "part": part, **AT},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.done", "response": {"id": "r", "status": "completed", "output": [item]}},
        )
    ]


def saying(*messages: str, then: Any = None) -> Any:
    """An app that sends these messages, and returns."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "headers": []})
        for message in messages:
            await send({"type": "websocket.send", "text": message})
        if then:
            await send(then)

    return app


def said(texts: list[str]) -> tuple[str, list[str]]:
    """The joined pieces, and the copies."""
    events = [json.loads(text) for text in texts]
    copies = [e["text"] for e in events if e["type"].endswith("text.done")]
    copies += [e["part"]["text"] for e in events if "part" in e]
    items = [e["item"] for e in events if "item" in e]
    items += [item for e in events for item in e.get("response", {}).get("output", ())]
    return "".join(e.get("delta", "") for e in events), copies + [item["content"][0]["text"] for item in items]


async def spoken(tmp_path: Path, app: Any, response: Any = HIDE, **config: Any) -> tuple[Client, Rig]:
    """What the client is sent."""
    rig = Rig(tmp_path, app, engine=ScriptedEngine(response=response), **config)
    client: Any = Client()
    await rig.guard(client.scope, client.receive, client.send)
    return client, rig


@pytest.mark.parametrize("kind", ["response.output_text", "response.text"])
@pytest.mark.parametrize("size", [1, 5, 100])
async def test_a_value_over_messages_is_hidden(tmp_path: Path, size: int, kind: str) -> None:
    """In the pieces and in every copy, in two answers of one connection; what changes is on record before it leaves."""
    text = "write to jane@corp.com, please"
    client, rig = await spoken(tmp_path, saying(*answer(text, size, kind), *answer(text, size, kind)))
    hidden = text.replace("jane@corp.com", "<EMAIL_ADDRESS>")
    joined, copies = said(client.texts)
    assert joined == hidden * 2
    assert copies == [hidden] * 8
    assert len(client.texts) == 2 * len(answer(text, size))
    rewritten = [record for record in rig.log.records if record["kind"] == "decision"][1:]
    assert sum(record["redactions"].get("EMAIL_ADDRESS", 0) for record in rewritten) == 2
    assert rig.log.records[-1]["redactions"] == {"EMAIL_ADDRESS": 2}


async def test_what_does_not_change_leaves_as_it_came(tmp_path: Path) -> None:
    """Messages in which nothing is found pass unchanged and unrecorded, although a redaction is armed."""
    messages = answer("many words to say", 3)
    client, rig = await spoken(tmp_path, saying(*messages))
    assert client.texts == messages
    assert rig.log.kinds() == ["decision", "outcome"]


@settings(max_examples=5, deadline=None)
@given(size=st.integers(1, 30))
async def test_placeholders_come_back_at_every_cut(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    """What the client said is restored in the pieces; a forged placeholder stays."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "headers": []})
        name = json.loads((await receive())["text"])["say"]
        for message in answer(f"to {name} and <EMAIL_ADDRESS_9_aaaaaa>.", size):
            await send({"type": "websocket.send", "text": message})

    rig = Rig(tmp_path_factory.mktemp("rig"), app, engine=ScriptedEngine(oblige(PSEUDONYM), HIDE))
    client: Any = Client(json.dumps({"say": "jane@corp.com"}))
    await rig.guard(client.scope, client.receive, client.send)
    joined, copies = said(client.texts)
    assert joined == "to jane@corp.com and <EMAIL_ADDRESS_9_aaaaaa>."
    assert copies == [joined] * 4


async def test_an_answer_that_is_cut_off_leaves_with_the_close(tmp_path: Path) -> None:
    """What waits for its next word is over when the app closes, or returns."""
    messages = answer("to jane@corp.com", 4)[:-4]
    for then in ({"type": "websocket.close", "code": 1000}, None):
        client, _ = await spoken(tmp_path, saying(*messages, then=then))
        assert said(client.texts)[0] == "to <EMAIL_ADDRESS>"
        assert client.sent[-1]["type"] == ("websocket.close" if then else "websocket.send")


async def test_a_denial_closes_the_connection(tmp_path: Path) -> None:
    """What stands before the finding has left, the finding has not."""
    response = lambda document: deny("SEC") if document["findings"] else HIDE  # noqa: E731
    client, rig = await spoken(tmp_path, saying(*answer("many words, hunter2 and on", 4)), response)
    assert said(client.texts)[0].startswith("many ")
    assert "hunter2" not in said(client.texts)[0]
    assert client.closed[0] == 1008
    assert rig.log.records[-1]["aborted"] == "stopped"


async def test_other_messages_do_not_wait(tmp_path: Path) -> None:
    """Messages that are no part of an answer pass, each inspected by itself; so do binary ones."""
    messages = answer("to jane@corp.com", 4)
    other = '{"type":"rate_limits.updated","note":"of jane@corp.com"}'
    client, _ = await spoken(tmp_path, saying(*messages[:3], other, *messages[3:]))
    assert '{"type":"rate_limits.updated","note":"of <EMAIL_ADDRESS>"}' in client.texts
    assert said([text for text in client.texts if "rate" not in text])[0] == "to <EMAIL_ADDRESS>"


async def test_a_route_may_have_each_message_inspected_by_itself(tmp_path: Path) -> None:
    """With streams = "buffer" nothing is joined; that stands in the coverage."""
    routes = [{"path": "/**", "streams": "buffer"}]
    client, rig = await spoken(tmp_path, saying(*answer("to jane@corp.com", 6)), routes=routes)
    assert said(client.texts)[0] == "to jane@corp.com"
    assert isinstance(rig.engine, ScriptedEngine)
    gaps = {gap["reason"] for document in rig.engine.documents for gap in document["coverage"]["skipped"]}
    assert "unjoined_stream" in gaps
