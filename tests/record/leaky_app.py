"""An app that says what it was told and more, in every way in which an app can answer; and requests that ask it to."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from tests.record.planted import Person, in_header

CHAT = "/v1/chat/completions"
_BOUNDARY = "seven-times-seven"
Message = dict[str, Any]


class Asked(msgspec.Struct):
    """One request as an ASGI server would give it. ``say`` and ``way`` are what the app is to answer, and how."""

    path: str
    body: bytes = b""
    headers: list[tuple[str, str]] = []
    query: str = ""
    method: str = "POST"
    media_type: str = "application/json"
    say: str = ""
    way: str = "json"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with ``say`` of the scope in the ``way`` of the scope."""
    if scope["type"] != "http":
        raise AssertionError(scope["type"])
    while (await receive()).get("more_body", False):
        continue
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    text, way = scope["say"], scope["way"]
    if way == "raise":
        raise RuntimeError(f"cannot serve {text}")
    if way == "stream":
        await _stream(send, text)
        return
    status = 500 if way == "fail" else 200
    body = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}).encode()
    more = [(b"set-cookie", headers.get("cookie", "").encode()), (b"x-person", text[:40].encode("ascii", "replace"))]
    start = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body[:30], "more_body": True})
    if way == "breaks":
        raise RuntimeError(f"broke off at {text}")
    await send({"type": "http.response.body", "body": body[30:], "more_body": False})


async def _stream(send: Any, text: str) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for start in range(0, len(text), 5):
        event = json.dumps({"choices": [{"index": 0, "delta": {"content": text[start : start + 5]}}]})
        await send({"type": "http.response.body", "body": f"data: {event}\n\n".encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})


def request_of(who: Person, chance: random.Random) -> Asked:
    """A request of a person; which kind is drawn."""
    asked = chance.choice(_KINDS)(who)
    asked.say = f"{who.answer} {who.email} {who.card} {who.name} {who.secret if chance.random() < 0.1 else ''}"
    asked.way = chance.choice(("json", "json", "json", "stream", "stream", "fail", "raise", "breaks"))
    asked.headers += [
        ("x-badge", in_header(who.header)),
        ("cookie", who.cookie),
        ("x-request-id", who.request_id),
        ("x-conversation-id", who.conversation),
    ]
    if chance.random() < 0.6:
        asked.headers += [
            ("x-forwarded-user", in_header(who.user)),
            # The name of a tenant is the owner's, and stands in records; a value that is none is refused.
            ("x-tenant", in_header(who.tenant) if chance.random() < 0.05 else f"customer-{chance.randrange(9)}"),
            ("x-roles", in_header(who.role)),
        ]
    asked.query = asked.query or f"q={quote(who.query)}&mail={quote(who.email)}"
    return asked


def _chat(who: Person, *, text: str = "", **more: Any) -> bytes:
    said = text or f"{who.prompt} {who.name}, {who.phone}, {who.ssn}."
    return json.dumps({"model": "small-1", "messages": [{"role": "user", "content": said}], **more}).encode()


def _plain(who: Person) -> Asked:
    return Asked(CHAT, _chat(who))


def _personal(who: Person) -> Asked:
    return Asked(CHAT, _chat(who, text=f"Write to {who.email}, or to {who.name} at {who.ipv4}, {who.phone}."))


def _denied(who: Person) -> Asked:
    return Asked(CHAT, _chat(who, text=f"Use aws_access_key_id = {who.secret} and charge {who.card} to {who.name}."))


def _tools(who: Person) -> Asked:
    tool = {"type": "function", "function": {"name": who.tool, "description": who.prompt, "parameters": {}}}
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": who.tool, "arguments": json.dumps({who.member: who.ssn})},
    }
    messages = [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "user", "content": who.prompt}]
    return Asked(CHAT, json.dumps({"model": who.tool, "tools": [tool], "messages": messages}).encode())


def _named_model(who: Person) -> Asked:
    return Asked(
        CHAT, json.dumps({"model": who.card, "messages": [{"role": who.name, "content": who.prompt}]}).encode()
    )


def _any_json(who: Person) -> Asked:
    body = {who.member: {who.email: [who.prompt, who.ssn]}, "n": who.phone}
    return Asked(f"/items/{quote(who.path)}", json.dumps(body).encode())


def _form(who: Person) -> Asked:
    body = urlencode({who.member: who.prompt, "mail": who.email}).encode()
    return Asked("/form", body, media_type="application/x-www-form-urlencoded")


def _upload(who: Person) -> Asked:
    heads = {
        f'name="{who.path}"': who.prompt,
        f'name="f"; filename="{who.file_name}"\r\nContent-Type: text/plain': who.file_text,
        f'name="p"; filename="{who.path}.png"\r\nContent-Type: image/png': f"\x89PNG {who.file_text}",
    }
    parts = [f"Content-Disposition: form-data; {head}\r\n\r\n{text}" for head, text in heads.items()]
    body = "".join(f"--{_BOUNDARY}\r\n{part}\r\n" for part in parts) + f"--{_BOUNDARY}--\r\n"
    return Asked("/upload", body.encode(), media_type=f"multipart/form-data; boundary={_BOUNDARY}")


def _reading(who: Person) -> Asked:
    return Asked(f"/items/{quote(who.path)}/{quote(who.email)}", method="GET")


def _stranger(who: Person) -> Asked:
    return Asked(CHAT, _chat(who), [("x-api-key", who.api_key), ("authorization", f"Bearer {who.api_key}")])


def _compressed(who: Person) -> Asked:
    return Asked(CHAT, gzip.compress(_chat(who), 1), [("content-encoding", "gzip")])


def _twice(who: Person) -> Asked:
    return Asked(CHAT, f'{{"{who.path}": "{who.email}", "{who.path}": "{who.name}"}}'.encode())


def _broken(who: Person) -> Asked:
    return Asked(CHAT, _chat(who)[:-9])


def _other(who: Person) -> Asked:
    name = who.file_name.encode("ascii", "replace").decode()
    return Asked("/raw", who.file_text.encode() + bytes(9), media_type=f'application/x-raw; name="{name}"')


def _strange_charset(who: Person) -> Asked:
    return Asked("/raw", who.prompt.encode("utf-16"), media_type=f"text/plain; charset={who.path}")


_KINDS: tuple[Callable[[Person], Asked], ...] = (
    _plain, _plain, _personal, _personal, _denied, _tools, _named_model, _any_json, _form, _upload, _reading,
    _stranger, _compressed, _twice, _broken, _other, _strange_charset,
)  # fmt: skip
