"""opa-python-client's asynchronous client, kept from what it does by itself.

No retries, no redirects, no time limit of its own, no proxy from the environment, no cookies, no answer without a bound
and none that was compressed. What the library has no words for is added here: a Unix domain socket, an authority and a
certificate of one's own, a token that is renewed, W3C Trace Context, and OPA's error object, which it throws away.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from guard.config import OpaConfig
from guard.errors import ConfigError, PolicyEvaluationError
from guard.policy.opa.credentials import Credentials
from guard.policy.opa.errors import Garbled, Refused
from guard.telemetry import child_traceparent

_PIECE_BYTES: Final = 64 * 1024
_SCHEME: Final = "unix://"


class Answer:
    """A whole answer, with what the library's methods ask of a response. ``body`` is at most ``max_answer_bytes``."""

    __slots__ = ("body", "media_type", "status")

    def __init__(self, status: int, media_type: str, body: bytes) -> None:
        self.status = status
        self.media_type = media_type
        self.body = body

    async def json(self) -> dict[str, Any]:
        """The JSON object. Raises ``Garbled`` for anything else."""
        if self.media_type != "application/json":
            raise Garbled("OPA's answer is no JSON.")
        try:
            value = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Garbled("OPA's answer is no JSON.") from error
        if not isinstance(value, dict):
            raise Garbled("OPA's answer is no JSON object.")
        return value

    async def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def raise_for_status(self) -> None:
        """Raises ``Refused`` for 300 and above."""
        if self.status >= 300:
            raise self.refusal()

    def refusal(self) -> Refused:
        """The answer as an error, with OPA's own words."""
        try:
            body = msgspec.json.decode(self.body) if self.media_type == "application/json" else {}
        except (msgspec.DecodeError, RecursionError):
            body = {}
        return Refused(self.status, body if isinstance(body, dict) else {})


def client_factory(config: OpaConfig) -> Callable[[], Any]:
    """Makes clients for one server; each must be opened with ``_init_session`` and closed with ``close_connection``.

    Raises ``ConfigError`` if the library (extra ``[opa]``) is missing or a file that the configuration names is of no
    use.
    """
    try:
        import aiohttp
        from opa_client.opa_async import AsyncOpaClient
    except ImportError as error:
        raise ConfigError(
            "policy.engine is 'opa', but its client library is not installed.",
            where="[policy] engine",
            mend='pip install "policy-guard[opa]"',
        ) from error
    credentials = Credentials(config)

    class Client(AsyncOpaClient):  # type: ignore[misc, unused-ignore]
        """The library's client with a session and a way of asking that are ours."""

        async def _init_session(self) -> None:
            self._connector = (
                aiohttp.UnixConnector(path=config.url.removeprefix(_SCHEME))
                if config.url.startswith(_SCHEME)
                else aiohttp.TCPConnector(ssl=credentials.context or True)
            )
            self._session = aiohttp.ClientSession(
                connector=self._connector,
                headers={"Accept-Encoding": "identity", "User-Agent": "policy-guard"},
                timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None),
                json_serialize=_as_json,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )

        @asynccontextmanager
        async def _request(self, method: str, url: str, **options: Any) -> AsyncIterator[Answer]:
            """One attempt. An exception of the library's over an answer that refuses becomes ``Refused``."""
            headers = {**(options.pop("headers", None) or {}), **credentials.headers()}
            if trace := child_traceparent():
                headers["traceparent"] = trace
            url = url.rstrip("/")  # the library's address of all data or policies is one that OPA redirects
            request = self._session.request(method, url, headers=headers, allow_redirects=False, **options)
            async with request as response:
                body = await _whole(response, config.max_answer_bytes)
                answer = Answer(response.status, response.content_type, body)
            if 300 <= answer.status < 400:
                raise answer.refusal()
            try:
                yield answer
            except Exception as error:
                if answer.status >= 400 and not isinstance(error, Refused):
                    raise answer.refusal() from error
                raise

    url = urlsplit(config.url)
    secure = url.scheme == "https"
    host = url.hostname or "localhost"
    return lambda: Client(
        host=f"[{host}]" if ":" in host else host,
        port=url.port or (443 if secure else 80),
        ssl=secure,
        retries=0,
    )


def _as_json(value: Any) -> str:
    """The fast encoder, which refuses what is no JSON; text that is no Unicode goes the library's own way."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(value)


async def _whole(response: Any, limit: int) -> bytes:
    """The body. Raises ``PolicyEvaluationError`` past ``limit`` bytes, having read no more than a piece further."""
    pieces: list[bytes] = []
    left = limit
    async for piece in response.content.iter_chunked(_PIECE_BYTES):
        left -= len(piece)
        if left < 0:
            response.close()
            raise PolicyEvaluationError(
                f"OPA's answer is larger than {limit} bytes.",
                mend="let the policy answer less, or raise policy.opa.max_answer_bytes",
            )
        pieces.append(piece)
    return b"".join(pieces)
