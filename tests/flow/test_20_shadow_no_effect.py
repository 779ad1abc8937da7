"""No candidate has an effect: whatever it answers, the client and the app get the same bytes, and the log the same
verdicts, as without one."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.flow.rig import ALLOW, Answer, Rig, ScriptedEngine, answering, body_of, chat, delta, deny, oblige, streaming
from tests.flow.shadows import CANDIDATES, candidate
from tests.flow.test_12_websocket import Client, echoing

IDENTIFIERS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
WORDS = ["hello", "jane@corp.com", "hunter2", "2026", "é", "\\u0000"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
VERDICTS = st.sampled_from(
    [
        ALLOW,
        deny("R-1"),
        deny("R-2", "because"),
        {**ALLOW, "would_deny": [{"id": "S-1", "message": "no", "pointers": []}]},
        oblige({"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "replace"}),
        oblige({"type": "redact", "entity": "PASSWORD", "operator": "mask"}),
        oblige({"type": "frobnicate"}),
        oblige({"type": "annotate", "headers": {"x-live": "1"}}),
        {"allow": "nonsense"},
    ]
)


class Twins:
    """A guard without a candidate, and one for each candidate; otherwise alike."""

    def __init__(self, root: Path) -> None:
        self.answers: dict[str, Any] = {"request": ALLOW, "response": ALLOW}
        self.reply = ""
        self.seen: list[Any] = []
        self.loop = asyncio.Runner()
        self.plain = self._rig(root / "plain", {})
        self.shadowed = {
            name: self._rig(root / name, candidate(root / "next" / name, text)) for name, text in CANDIDATES.items()
        }

    def _rig(self, root: Path, policy: Any) -> Rig:
        root.mkdir(parents=True)
        engine = ScriptedEngine(lambda _: self.answers["request"], lambda _: self.answers["response"])

        async def app(scope: Any, receive: Any, send: Any) -> None:
            context = scope["guard"]
            self.seen.append((scope["headers"], scope["query_string"], context.effect, context.obligations))
            if scope["type"] == "websocket":
                await echoing(self.seen)(scope, receive, send)
                return
            self.seen.append(await body_of(receive))
            text = self.reply
            reply = streaming(delta(text), delta("end")) if scope["path"] == "/stream" else answering(text.encode())
            await reply(scope, receive, send)

        return Rig(root, app, engine=engine, policy=policy)

    def told(self, rig: Rig, path: str, text: str) -> Any:
        """All that came of one exchange, without what is new each time."""
        self.seen.clear()
        rig.log.records.clear()
        if path == "/ws":
            client = Client(text, "bye")
            self.loop.run(rig.guard(client.scope, client.receive, client.send))
            came: Any = client.sent
        else:
            answer: Answer = self.loop.run(rig.call("POST", path, chat(text), query_string=b"q=jane%40corp.com"))
            came = answer.messages
        return IDENTIFIERS.sub("ID", repr((came, self.seen))), [_plain(record) for record in rig.log.records]


def _plain(record: dict[str, Any]) -> str:
    """A record without its shadow and without what is new each time."""

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            new = {"shadow", "duration_us", "config_digest", "ts_us", "time", "request_id"}
            return {key: stripped(member) for key, member in value.items() if key not in new}
        return [stripped(member) for member in value] if isinstance(value, list) else value

    return IDENTIFIERS.sub("ID", json.dumps(stripped(record), sort_keys=True))


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    """Built once: compiling a dozen bundles takes its time."""
    twins = Twins(tmp_path_factory.mktemp("twins"))
    with twins.loop:
        yield twins


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(["/v1/chat/completions", "/stream", "/ws"]), text=TEXTS, reply=TEXTS, data=st.data())
def test_answers_statuses_headers_and_records_are_the_same(
    twins: Twins, path: str, text: str, reply: str, data: st.DataObject
) -> None:
    """For any request, any answer of the app and any verdict, under candidates that deny, loop, fail or are huge.

    A WebSocket message that only something in shadow would deny has a record more, and nothing else.
    """
    twins.answers = {"request": data.draw(VERDICTS), "response": data.draw(VERDICTS)}
    twins.reply = reply if path == "/stream" else json.dumps({"said": reply})
    outside, records = twins.told(twins.plain, path, text)
    for name, rig in twins.shadowed.items():
        shadowed_outside, shadowed_records = twins.told(rig, path, text)
        assert shadowed_outside == outside, name
        if path != "/ws":
            assert shadowed_records == records, name
        else:
            assert [record for record in shadowed_records if record in records] == records, name
