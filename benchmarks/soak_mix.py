"""The mix of ``benchmarks.soak``: every kind of request that the guard is there for, and how often each comes.

A scenario sends one request (a WebSocket conversation counts as one) and checks what came back. It raises
``Unexpected`` if that is not what the guard promises for it.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode

from benchmarks.request import CLEAN, DENSE
from benchmarks.soak_client import Answer, Wire, request

CHAT: Final = "/v1/chat/completions"
API_KEYS: Final = tuple(f"soak-key-{number:04}-not-a-secret" for number in range(200))
USERS: Final = 5_000
ADDRESSES: Final = 2_000
_SECRET: Final = "aws_access_key_id = " + "AKIA" + "Q7ZL5TN4WX2RKD3V"
_CARD: Final = "Charge 4111 1111 1111 1111 for the order."
_MAIL: Final = b"jane.roe@northwind-traders.com"
_BINARY: Final = 2
_BOUNDARY: Final = "soak-boundary"
_PNG: Final = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
_MALFORMED: Final = (
    b'{"model":"m","messages":[',
    b'{"model":"m","messages":[],"messages":[{"role":"user","content":"hidden"}]}',
    b'{"model":"m","messages":[{"role":"user","content":"\xff\xfe"}]}',
    b'{"a":' * 80 + b"1" + b"}" * 80,
    b'{"model":"m"} {"model":"m"}',
    b'{"model":"m","temperature":NaN}',
    '{"model":"m"}'.encode("utf-16"),
    b'{"messages":[{"role":"user","content":"\\ud800"}]}',
)

Scenario = Callable[["Visitor"], Awaitable[None]]


class Unexpected(Exception):
    """An answer that the guard does not promise."""


class Visitor:
    """Who sends a request: a connection, and the choices of this request. ``chance`` decides all of them."""

    def __init__(self, wire: Wire, chance: random.Random) -> None:
        self.wire = wire
        self.chance = chance

    async def arrive(self) -> None:
        """Now and then from another address."""
        if self.chance.random() < 0.05:
            await self.wire.close()
            place = self.chance.randrange(ADDRESSES)
            self.wire.address = f"127.1.{place >> 8}.{place & 255}"

    def who(self) -> str:
        """The header lines of a caller: a user that a proxy names, a service with an API key, or nobody."""
        dice = self.chance.random()
        if dice < 0.5:
            return f"x-forwarded-user: user-{self.chance.randrange(USERS)}\r\n"
        if dice < 0.8:
            return f"x-api-key: {self.chance.choice(API_KEYS)}\r\n"
        return ""

    def word(self) -> str:
        """A word of letters that hardly ever comes twice: with digits it would at times pass as a card number."""
        return "".join(self.chance.choices("abcdefghijklmnop", k=15))

    def number(self) -> int:
        """A number that hardly ever comes twice."""
        return self.chance.getrandbits(60)

    async def post(self, path: str, body: bytes, *, media_type: str = "application/json", headers: str = "") -> Answer:
        """POST a body as one of the callers."""
        return await self.wire.exchange(
            request("POST", path, body, media_type=media_type, headers=self.who() + headers)
        )


def chat(text: str, **more: object) -> bytes:
    """The body of a chat request."""
    document = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], "max_tokens": 256, **more}
    return json.dumps(document).encode()


def note(text: str) -> bytes:
    """The body of a request that calls no model."""
    return json.dumps({"text": text}).encode()


def expect(answer: Answer, *statuses: int, holds: bytes = b"") -> None:
    """Raises ``Unexpected`` unless the answer is whole, has one of the statuses and holds these bytes."""
    if answer.status not in statuses or not answer.whole or holds not in answer.body:
        raise Unexpected(f"expected {statuses} with {holds!r}, got {answer.status}: {answer.body[:200]!r}")


# What is let in -----------------------------------------------------------------------------------------------------


async def clean(visitor: Visitor) -> None:
    """A chat request of 500 characters without a finding."""
    expect(await visitor.post(CHAT, chat(f"{CLEAN} {visitor.word()}")), 200, holds=b"You wrote: Please explain")


async def dense(visitor: Visitor) -> None:
    """One full of personal data: pseudonyms go in, and come back as what they stand for."""
    expect(await visitor.post(CHAT, chat(DENSE)), 200, holds=_MAIL)


async def anthropic(visitor: Visitor) -> None:
    """A chat request in Anthropic's shape."""
    expect(await visitor.post("/v1/messages", chat(CLEAN)), 200, holds=b"You wrote: ")


async def buffered_stream(visitor: Visitor) -> None:
    """Server-sent events in which something is restored."""
    expect(await visitor.post(CHAT, chat(DENSE, stream=True)), 200, holds=b"[DONE]")


async def flowing_stream(visitor: Visitor) -> None:
    """Server-sent events that are inspected as they pass."""
    expect(await visitor.post("/local/stream", note(CLEAN)), 200, holds=b"[DONE]")


async def form(visitor: Visitor) -> None:
    """A form with a mail address."""
    body = urlencode({"name": "Jane", "mail": _MAIL.decode(), "text": CLEAN}).encode()
    expect(await visitor.post("/size", body, media_type="application/x-www-form-urlencoded"), 200)


async def upload(visitor: Visitor) -> None:
    """A multipart form with a field, a text file and an image."""
    parts = [
        b'Content-Disposition: form-data; name="title"\r\n\r\nA report',
        b'Content-Disposition: form-data; name="notes"; filename="notes.txt"\r\nContent-Type: text/plain\r\n\r\n'
        + CLEAN.encode(),
        b'Content-Disposition: form-data; name="picture"; filename="p.png"\r\nContent-Type: image/png\r\n\r\n' + _PNG,
    ]
    mark = f"--{_BOUNDARY}".encode()
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
    expect(await visitor.post("/size", body, media_type=f"multipart/form-data; boundary={_BOUNDARY}"), 200)


async def distinct_path(visitor: Visitor) -> None:
    """A path and a query that nobody asked for before."""
    number = visitor.number()
    line = request("GET", f"/items/{number}?q={number}&mail=jane.roe%40example.org", headers=visitor.who())
    expect(await visitor.wire.exchange(line), 200)


async def numbers(visitor: Visitor) -> None:
    """Numbers that nobody sent before, in every spelling: they fill what the detectors remember of texts.

    Short enough to be inspected on the event loop: each thread has memory of its own with the C library's allocator.
    """
    chance = visitor.chance
    groups = [str(chance.randrange(10 ** chance.randint(1, 16))) + chance.choice("   -.,:/@") for _ in range(120)]
    expect(await visitor.post("/size", note("".join(groups))), 200, 403)


async def without_body(visitor: Visitor) -> None:
    """HEAD, whose answer has no body."""
    line = request("HEAD", f"/items/{visitor.number()}", headers=visitor.who())
    expect(await visitor.wire.exchange(line, bodiless=True), 200)


async def compressed(visitor: Visitor) -> None:
    """A body in gzip, inflated in a worker thread."""
    body = gzip.compress(chat(CLEAN), 1)
    expect(await visitor.post(CHAT, body, headers="content-encoding: gzip\r\n"), 200, holds=b"You wrote: ")


async def big(visitor: Visitor) -> None:
    """A body that is parsed and inspected in worker threads."""
    text = CLEAN * visitor.chance.randint(70, 200)
    expect(await visitor.post(CHAT, chat(text)), 200, holds=b"You wrote: ")


async def excluded(visitor: Visitor) -> None:
    """A route that is not inspected."""
    expect(await visitor.wire.exchange(request("GET", "/health")), 200, holds=b"ok")


async def conversation(visitor: Visitor) -> None:
    """A WebSocket: texts, one with a mail address, one of bytes, and at times a secret, which closes it."""
    wire = visitor.wire
    if (status := await wire.upgrade("/talk", visitor.who())) != 101:
        raise Unexpected(f"the handshake was answered {status}")
    for text in (CLEAN.encode(), b"write to " + _MAIL, b'{"content": "hello"}'):
        await wire.say(text)
        await wire.hear()
    await wire.say(_PNG[:64], _BINARY)
    await wire.hear()
    if visitor.chance.random() < 0.3:
        await wire.close()
    else:
        await wire.hang_up()


# What is refused ----------------------------------------------------------------------------------------------------


async def secret(visitor: Visitor) -> None:
    """A secret, or a card number, on its way to a model."""
    expect(await visitor.post(CHAT, chat(visitor.chance.choice((_SECRET, _CARD)))), 403)


async def malformed(visitor: Visitor) -> None:
    """A body that can be read in two ways, or in none."""
    expect(await visitor.post(CHAT, visitor.chance.choice(_MALFORMED)), 400, 415)


async def bomb(visitor: Visitor) -> None:
    """A megabyte of zeros in a kilobyte of gzip."""
    body = gzip.compress(bytes(1 << 20), 9)
    expect(await visitor.post(CHAT, body, headers="content-encoding: gzip\r\n"), 400, 413)


async def too_large(visitor: Visitor) -> None:
    """A body that says it is larger than the limit."""
    head = f"POST {CHAT} HTTP/1.1\r\nhost: soak\r\n{visitor.who()}content-type: application/json\r\n"
    await visitor.wire.close()
    await visitor.wire.send(f"{head}content-length: 99999999\r\n\r\n".encode() + bytes(4096))
    expect(await visitor.wire.answer(), 413)
    await visitor.wire.close()


async def stranger(visitor: Visitor) -> None:
    """An API key that nobody issued."""
    line = request("POST", CHAT, chat("Hello!"), headers=f"x-api-key: stolen-{visitor.number()}\r\n")
    expect(await visitor.wire.exchange(line), 401)


async def ambiguous(visitor: Visitor) -> None:
    """A path that another reader would resolve to another route."""
    expect(await visitor.wire.exchange(request("GET", "/v1/../health")), 400)


# What breaks --------------------------------------------------------------------------------------------------------


async def gone_early(visitor: Visitor) -> None:
    """A client that leaves in the middle of its body."""
    await visitor.wire.close()
    whole = request("POST", CHAT, chat(CLEAN), headers=visitor.who())
    await visitor.wire.send(whole[: len(whole) // 2])
    await visitor.wire.close()


async def gone_midway(visitor: Visitor) -> None:
    """A client that leaves in the middle of its answer: of a stream, or of a download."""
    stream = visitor.chance.random() < 0.5
    who = visitor.who()
    line = request("POST", "/local/endless", note("Go on"), headers=who) if stream else request("GET", "/download")
    await visitor.wire.close()
    await visitor.wire.send(line)
    reader, _ = await visitor.wire.open()
    await reader.readexactly(200)
    await visitor.wire.close()


async def app_fails(visitor: Visitor) -> None:
    """An app that raises before it answers."""
    expect(await visitor.post("/fails", b"{}"), 500)
    await visitor.wire.close()


async def app_fails_late(visitor: Visitor) -> None:
    """An app that raises in the middle of its answer: the client must be able to tell that it is not whole."""
    answer = await visitor.post("/local/fails-late", note("Go on"))
    await visitor.wire.close()
    if answer.status != 200 or answer.whole:
        raise Unexpected(f"a broken answer looks whole: {answer.status} {answer.body[:200]!r}")


MIX: Final[dict[Scenario, float]] = {
    clean: 30,
    dense: 8,
    anthropic: 4,
    buffered_stream: 3,
    flowing_stream: 4,
    form: 5,
    upload: 4,
    distinct_path: 6,
    numbers: 2,
    without_body: 2,
    compressed: 2,
    big: 1,
    excluded: 6,
    conversation: 2,
    secret: 5,
    malformed: 6,
    bomb: 0.3,
    too_large: 0.7,
    stranger: 2,
    ambiguous: 1,
    gone_early: 2,
    gone_midway: 1,
    app_fails: 2,
    app_fails_late: 1,
}
"""Scenario -> its share, in per cent."""
