"""One download of a bundle over HTTP, as OPA's bundle service API has it: conditional requests and long polling.

aiohttp is the client: it comes with the extra that also asks OPA servers, a wait of minutes can be cancelled, and it
takes no proxy from the environment unless it is told to.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import SplitResult, urljoin, urlsplit

import msgspec

from guard.config import BundleConfig
from guard.errors import BundleUnavailable, ConfigError
from guard.policy.bundles.opened import label_for, too_large

if TYPE_CHECKING:
    import aiohttp

MAX_REDIRECTS: Final = 3
LONG_POLLING: Final = "application/vnd.openpolicyagent.bundles"
"""The media type with which a server says that it holds a request back until there is something new."""

_MAX_ETAG: Final = 1024
_CHUNK_BYTES: Final = 65_536
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_TOKEN: Final = re.compile(r"[!-~]+")


class Answer(msgspec.Struct, frozen=True):
    """What the server said. ``data`` is ``None`` where nothing changed; ``long_poll`` is whether it holds requests
    back, ``None`` where it did not tell."""

    data: bytes | None
    etag: str
    long_poll: bool | None


class Downloader:
    """Fetches one bundle, over connections that are kept. Use as an asynchronous context manager."""

    def __init__(self, config: BundleConfig) -> None:
        """Raises ``ConfigError`` where aiohttp is not installed, or the authorities cannot be read."""
        self._aiohttp = _client()
        self._config = config
        self._label = label_for(config)
        self._tls = _tls(config)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Opens no connection yet."""
        self._session = self._aiohttp.ClientSession(
            connector=self._aiohttp.TCPConnector(ssl=self._tls, limit=1),
            auto_decompress=False,
            cookie_jar=self._aiohttp.DummyCookieJar(),
            timeout=self._aiohttp.ClientTimeout(total=None, sock_connect=self._config.download_deadline_seconds),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def fetch(self, *, etag: str = "", wait_seconds: int | None = None) -> Answer:
        """Ask once. With ``etag``, only for what differs; with ``wait_seconds``, the server may take so long to answer.

        Ends within ``download_deadline_seconds`` and that wait. Raises ``BundleUnavailable``.
        """
        try:
            async with asyncio.timeout(self._config.download_deadline_seconds + (wait_seconds or 0)) as deadline:
                return await self._fetch(etag, wait_seconds, deadline)
        except TimeoutError:
            what = "the bundle server did not answer in time"
        except self._aiohttp.ClientConnectorCertificateError:
            raise self._unavailable("the bundle server's certificate is not trusted", "set ca_file") from None
        except (self._aiohttp.ClientError, OSError, ValueError) as error:
            what = f"the bundle could not be downloaded ({type(error).__name__})"
        raise self._unavailable(what, "check the address and the server; it is tried again by and by") from None

    async def _fetch(self, etag: str, wait_seconds: int | None, deadline: asyncio.Timeout) -> Answer:
        assert self._session is not None  # noqa: S101 - entered
        headers = self._headers(etag, wait_seconds)
        url = self._config.source
        for _ in range(MAX_REDIRECTS + 1):
            async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                deadline.reschedule(asyncio.get_running_loop().time() + self._config.download_deadline_seconds)
                if response.status in _REDIRECTS:
                    url = self._next(url, response.headers.get("Location", ""))
                    continue
                return await self._answer(response, etag)
        raise self._unavailable("the bundle server redirects in circles", "correct policy.bundle.source")

    def _headers(self, etag: str, wait_seconds: int | None) -> dict[str, str]:
        headers = {
            "Accept": f"{LONG_POLLING}, application/gzip, application/octet-stream",
            "Accept-Encoding": "identity",
            "Prefer": "modes=snapshot" + (f";wait={wait_seconds}" if wait_seconds else ""),
            "User-Agent": "policy-guard",
        }
        if etag:
            headers["If-None-Match"] = etag
        if self._config.token_file is not None:
            headers["Authorization"] = f"Bearer {self._token()}"
        return headers

    def _token(self) -> str:
        """Read anew for each request: tokens are exchanged while the guard runs."""
        file = self._config.token_file
        assert file is not None  # noqa: S101 - asked by the caller
        try:
            token = file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unavailable(f"token_file cannot be read ({type(error).__name__})", "check the file") from None
        if not _TOKEN.fullmatch(token):
            raise self._unavailable("token_file holds no token", "write the token, and nothing else, into it")
        return token

    def _next(self, url: str, location: str) -> str:
        """Where a redirect leads. The configuration names one server, and no other is asked."""
        following = urljoin(url, location)
        if not location or _origin(urlsplit(following)) != _origin(urlsplit(url)):
            raise self._unavailable(
                "the bundle server redirects to another server", "name that address in policy.bundle.source"
            )
        return following

    async def _answer(self, response: aiohttp.ClientResponse, etag: str) -> Answer:
        if response.status == 304 and etag:
            return Answer(None, etag, None)
        if response.status != 200:
            mend = "check token_file" if response.status in {401, 403} else "check the address and the server"
            raise self._unavailable(f"the bundle server answered {response.status}", mend)
        limit = self._config.max_archive_bytes
        if (response.content_length or 0) > limit:
            raise too_large(self._label, limit)
        data = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            data += chunk
            if len(data) > limit:
                raise too_large(self._label, limit)
        given = response.headers.get("ETag", "")
        return Answer(
            bytes(data), given if len(given) <= _MAX_ETAG else "", response.headers.get("Content-Type") == LONG_POLLING
        )

    def _unavailable(self, what: str, mend: str) -> BundleUnavailable:
        return BundleUnavailable(what, where=self._label, mend=mend)


async def fetch_once(config: BundleConfig, *, etag: str = "") -> Answer:
    """One download over a connection of its own. Raises ``BundleUnavailable`` and ``ConfigError``."""
    async with Downloader(config) as downloader:
        return await downloader.fetch(etag=etag)


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port


def _client() -> ModuleType:
    try:
        import aiohttp
    except ImportError:
        raise ConfigError(
            "bundles are downloaded with aiohttp, which is not installed",
            where="policy.bundle.source",
            mend="pip install 'policy-guard[opa]'",
        ) from None
    return aiohttp


def _tls(config: BundleConfig) -> Any:
    if config.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ssl.SSLError) as error:
        what = f"the authorities cannot be read ({type(error).__name__})"
        mend = "give certificates in PEM"
        raise ConfigError(what, where="policy.bundle.ca_file", mend=mend) from None
