"""Pseudonyms through the whole guard: what the provider saw, and what came back to whom."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from guard.config import load_config
from guard.errors import ConfigError
from guard.types import DetectContext, DetectorInfo, Finding, Segment
from tests.flow.rig import Rig, ScriptedEngine, answering, chat, delta, oblige, streaming

pytestmark = pytest.mark.anyio

HARD = 'Joe "Hog" O\\Neil\n<1 Main St> & 50 %'
PLAIN = "jane@corp.com"
HIDE = ScriptedEngine(
    request=oblige(*({"type": "redact", "entity": entity, "operator": "pseudonym"} for entity in ("PERSON", "EMAIL")))
)
PLACEHOLDER = re.compile(r"<[A-Z]+_[0-9]+_[a-z2-9]{6}>")


class Names:
    """Finds the hard value as PERSON and the plain one as EMAIL, and everything like a placeholder as PERSON, as an
    eager recogniser of names would."""

    info = DetectorInfo("names", "1", "0" * 64)
    entities = frozenset({"PERSON", "EMAIL"})
    local = entities

    def detect(self, segments: Sequence[Segment], context: DetectContext) -> list[Finding]:
        """Every occurrence."""
        del context
        found = []
        for index, segment in enumerate(segments):
            for value, entity in ((HARD, "PERSON"), (PLAIN, "EMAIL")):
                found += [
                    Finding(entity, index, match.start(), match.end(), 0.9, "names")
                    for match in re.finditer(re.escape(value), segment.text)
                ]
            found += [
                Finding("PERSON", index, match.start(), match.end(), 0.8, "names")
                for match in PLACEHOLDER.finditer(segment.text)
            ]
        return found


def echoing(make: Callable[[str], Any]) -> Callable[[bytes], bytes]:
    """An app's answer, made from the first placeholder of the request that it got."""

    def answer(request: bytes) -> bytes:
        text = json.dumps(json.loads(request), ensure_ascii=False)
        match = PLACEHOLDER.search(text)
        assert match is not None
        assert PLAIN not in text
        return json.dumps(make(match[0])).encode()

    return answer


def rig_of(tmp_path: Path, app: Any, **config: Any) -> Rig:
    return Rig(tmp_path, app, engine=HIDE, detectors=[Names()], **config)


def call_of(arguments: str) -> dict[str, Any]:
    """An OpenAI chat answer with one tool call."""
    call = {"id": "c", "type": "function", "function": {"name": "mail", "arguments": arguments}}
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}}]}


@pytest.mark.parametrize(
    "arguments",
    ['{"to": "@", "n": [1, "x @"]}', '{"a": "{\\"b\\": \\"@\\"}"}', '{"@": 1}', '{"to": "\\u003c@\\u003e"}'],
)
async def test_arguments_of_a_tool_call_stay_valid_json(tmp_path: Path, arguments: str) -> None:
    """A value with quotation marks and line breaks is escaped for the string in a string that it stands in."""

    def make(placeholder: str) -> Any:
        bare = placeholder[1:-1] if "u003c" in arguments else placeholder
        return call_of(arguments.replace("@", bare))

    answer = await rig_of(tmp_path, answering(echoing(make))).call(body=chat(f"Write to {HARD}."))
    got = json.loads(answer.json["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])
    expected = json.loads(arguments.replace("\\u003c@\\u003e", "@"))
    if isinstance(expected.get("a"), str):
        got["a"], expected["a"] = json.loads(got["a"]), json.loads(expected["a"])
    assert got == json.loads(json.dumps(expected).replace("@", json.dumps(HARD)[1:-1]))


async def test_structured_output_stays_valid_json(tmp_path: Path) -> None:
    """A message whose text is JSON is text for the API; the value is escaped for its strings all the same."""

    def make(placeholder: str) -> Any:
        text = json.dumps({"name": placeholder, "mangled": placeholder[1:-1].lower()})
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}

    answer = await rig_of(tmp_path, answering(echoing(make))).call(body=chat(f"Who is {HARD}?"))
    assert json.loads(answer.json["choices"][0]["message"]["content"]) == {"name": HARD, "mangled": HARD}


@pytest.mark.parametrize(("opened", "closed"), [("<", ">"), ("&lt;", "&gt;")])
async def test_a_page_of_html_shows_the_value(tmp_path: Path, opened: str, closed: str) -> None:
    """In markup the value is text: it is escaped once, however its placeholder was."""

    def answer(request: bytes) -> bytes:
        match = PLACEHOLDER.search(json.loads(request)["messages"][0]["content"])
        assert match is not None
        return f"<p>{opened}{match[0][1:-1]}{closed}</p>".encode()

    app = answering(answer, content_type="text/html; charset=utf-8")
    got = await rig_of(tmp_path, app).call(body=chat(f"Who is {HARD}?"))
    assert got.body.decode() == "<p>Joe &quot;Hog&quot; O\\Neil\n&lt;1 Main St&gt; &amp; 50 %</p>"


async def test_a_restored_value_is_not_masked_again(tmp_path: Path) -> None:
    """The response stage redacts what the model brought in; what the client had sent comes back in clear."""
    mask = oblige(
        {"type": "redact", "entity": "EMAIL", "operator": "mask"},
        {"type": "redact", "entity": "PERSON", "operator": "replace"},
    )
    engine = ScriptedEngine(request=HIDE._answers["request"], response=mask)

    def make(placeholder: str) -> Any:
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": f"{placeholder} {HARD}"}}]}

    rig = Rig(tmp_path, answering(echoing(make)), engine=engine, detectors=[Names()])
    answer = await rig.call(body=chat(f"Write to {PLAIN}."))
    assert answer.json["choices"][0]["message"]["content"] == f"{PLAIN} <PERSON>"


async def test_placeholders_that_a_model_invents_stay(tmp_path: Path) -> None:
    """Another number, another suffix, another entity: nothing is put there."""
    invented: list[str] = []

    def make(placeholder: str) -> Any:
        suffix = placeholder[-7:-1]
        invented.append(f"<EMAIL_2_{suffix}> <PERSON_1_{suffix}> <EMAIL_1_abcdef> <EMAIL_1>")
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": invented[0]}}]}

    answer = await rig_of(tmp_path, answering(echoing(make))).call(body=chat(f"Write to {PLAIN}."))
    assert answer.json["choices"][0]["message"]["content"] == invented[0]


# --- conversations --------------------------------------------------------------------------------------------------

KEYS = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("jane", "joe")}
CONVERSATION: dict[str, Any] = {
    "identity": {
        "api_keys": tuple({"id": name, "hash": f"sha256:{hashed}", "tenant": "acme"} for name, hashed in KEYS.items())
    },
    "vault": {"scope": "conversation", "conversation_header": "x-conversation"},
}


def as_user(name: str | None, conversation: str | None = "c-1") -> list[tuple[str, str]]:
    headers = [("authorization", f"Bearer {name}")] if name else []
    return headers + ([("x-conversation", conversation)] if conversation else [])


class Provider:
    """Repeats the last message of a chat; keeps what it saw."""

    def __init__(self) -> None:
        self.saw: list[str] = []
        self.app = answering(self._answer)

    def _answer(self, request: bytes) -> bytes:
        self.saw.append(json.loads(request)["messages"][-1]["content"])
        message = {"role": "assistant", "content": f"You wrote: {self.saw[-1]}"}
        return json.dumps({"choices": [{"index": 0, "message": message}]}).encode()


def said(answer: Any) -> str:
    assert answer.status == 200
    return str(answer.json["choices"][0]["message"]["content"])


async def test_a_conversation_keeps_its_pseudonyms(tmp_path: Path) -> None:
    """The provider sees one name over all requests, and what the client sends back unrestored comes back restored."""
    provider = Provider()
    rig = rig_of(tmp_path, provider.app, **CONVERSATION)
    assert said(await rig.call(body=chat(f"I am {PLAIN}."), headers=as_user("jane"))) == f"You wrote: I am {PLAIN}."
    (placeholder,) = PLACEHOLDER.findall(provider.saw[0])
    await rig.call(body=chat(f"Again {PLAIN}."), headers=as_user("jane"))
    assert provider.saw[1] == f"Again {placeholder}."
    # A detector takes the placeholder for a name: it is left alone, and means what it meant.
    answer = await rig.call(body=chat(f"Who is {placeholder}?"), headers=as_user("jane"))
    assert provider.saw[2] == f"Who is {placeholder}?"
    assert said(answer) == f"You wrote: Who is {PLAIN}?"
    await rig.runtime.stop()


@pytest.mark.parametrize(("name", "conversation"), [("joe", "c-1"), ("jane", "c-2"), ("jane", None), (None, "c-1")])
async def test_another_principals_placeholder_stays_a_placeholder(
    tmp_path: Path, name: str | None, conversation: str | None
) -> None:
    """Joe writes what Jane's conversation gave out, even under its name: for him it means nothing."""
    provider = Provider()
    rig = rig_of(tmp_path, provider.app, **CONVERSATION)
    await rig.call(body=chat(f"I am {PLAIN}."), headers=as_user("jane"))
    (placeholder,) = PLACEHOLDER.findall(provider.saw[0])
    answer = await rig.call(body=chat(f"Who is {placeholder}?"), headers=as_user(name, conversation))
    assert PLAIN not in said(answer)
    assert said(answer) == f"You wrote: Who is {placeholder}?"
    assert placeholder not in provider.saw[1]
    await rig.runtime.stop()


async def test_two_names_of_a_conversation_are_none(tmp_path: Path) -> None:
    """A repeated header means different conversations to different readers: values are kept for the exchange only."""
    provider = Provider()
    rig = rig_of(tmp_path, provider.app, **CONVERSATION)
    for _ in range(2):
        await rig.call(body=chat(f"I am {PLAIN}."), headers=[*as_user("jane"), ("x-conversation", "c-2")])
    assert provider.saw[0] != provider.saw[1]
    await rig.runtime.stop()


@pytest.mark.parametrize(
    "named", [{"conversation": "c-9"}, {"conversation": {"id": "c-9"}}, {"metadata": {"conversation_id": "c-9"}}]
)
async def test_a_body_may_name_its_conversation(tmp_path: Path, named: dict[str, Any]) -> None:
    """As the Responses API and metadata fields do; the configured pointers say where."""
    provider = Provider()
    rig = rig_of(tmp_path, provider.app, **CONVERSATION)
    for _ in range(2):
        await rig.call(body=chat(f"I am {PLAIN}.", **named), headers=as_user("jane", None))
    assert provider.saw[0] == provider.saw[1]
    await rig.runtime.stop()


async def test_a_vault_that_cannot_be_used_denies(tmp_path: Path) -> None:
    """No request goes on whose values could not be kept: it is denied, and the record says why."""
    provider = Provider()
    rig = rig_of(tmp_path, provider.app, **CONVERSATION)
    await rig.call(body=chat(f"I am {PLAIN}."), headers=as_user("jane"))
    services = rig.runtime.services
    assert services is not None
    assert services.conversations is not None
    services.conversations.close()
    answer = await rig.call(body=chat("hello"), headers=as_user("jane"))
    assert answer.status == 403
    assert len(provider.saw) == 1
    assert answer.json["error"]["code"] == "obligation_failed"
    assert rig.log.records[-1]["decision"]["effect"] == "deny"
    await rig.runtime.stop()


async def test_a_stream_of_a_conversation_is_restored(tmp_path: Path) -> None:
    """A placeholder of an earlier request, cut over the events of a later answer, comes back whole."""
    provider = Provider()
    rig = rig_of(tmp_path, provider.app, **CONVERSATION)
    await rig.call(body=chat(f"I am {PLAIN}."), headers=as_user("jane"))
    (placeholder,) = PLACEHOLDER.findall(provider.saw[0])
    await rig.runtime.stop()
    cut = rig_of(tmp_path, streaming(*[delta(letter) for letter in f"So {placeholder}!"]), **CONVERSATION)
    answer = await cut.call(body=chat("who?", stream=True), headers=as_user("jane"))
    events = [json.loads(line[6:]) for line in answer.body.decode().splitlines() if line.startswith("data: {")]
    assert "".join(event["choices"][0]["delta"]["content"] for event in events) == f"So {PLAIN}!"
    await cut.runtime.stop()


async def test_the_scope_of_the_vault_needs_a_restart(tmp_path: Path) -> None:
    """What is kept where does not change under the requests that run."""
    rig = rig_of(tmp_path, Provider().app)
    await rig.call(body=chat("hello"))
    named: dict[str, Any] = {"enabled": (), "behaviour": None}
    changed = load_config(environ={}, state_directory=tmp_path, detectors=named, vault={"scope": "conversation"})
    with pytest.raises(ConfigError, match="cannot change") as raised:
        rig.runtime.prepare(changed)
    assert raised.value.where == "vault"
    await rig.runtime.stop()


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ('{{"who": "{0}", "say": ["so {0}", 1]}}', '{{"who": "{1}", "say": ["so {1}", 1]}}'),
        ("Dear <{2}>, hello {3} and {0}!", "Dear {4}, hello {4} and {4}!"),
    ],
)
async def test_a_stream_restores_what_the_whole_would(tmp_path: Path, form: str, expected: str, size: int) -> None:
    """Structured output stays valid JSON, and mangled placeholders come back, however the provider cuts its answer."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        match = PLACEHOLDER.search(json.loads((await receive())["body"])["messages"][0]["content"])
        assert match is not None
        core = match[0][1:-1]
        text = form.format(match[0], "", core.replace("_", " "), core.lower())
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        await streaming(*map(delta, pieces))(scope, receive, send)

    answer = await rig_of(tmp_path, app).call(body=chat(f"I am {HARD}.", stream=True))
    events = [json.loads(line[6:]) for line in answer.body.decode().splitlines() if line.startswith("data: {")]
    text = "".join(event["choices"][0]["delta"]["content"] for event in events)
    assert text == expected.format("", json.dumps(HARD)[1:-1], "", "", HARD)
