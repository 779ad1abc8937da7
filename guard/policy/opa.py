"""A real OPA server as the engine, through opa-python-client (extra ``[opa]``).

The client library is kept from what it does by itself: no hidden retries, no time limit of its own below the
deadline, and each of its exceptions becomes one of ours. Source of the protocol: OPA's REST API, "Get a Document (with
Input)".
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from guard.config import OpaConfig
from guard.errors import ConfigError, EngineUnavailable, GuardError, PolicyEvaluationError, PolicyTimeout
from guard.policy.bundle import Bundle
from guard.types import UNDEFINED, EngineInfo, RuleInfo, Verdict

# Undefined built-ins become errors, and the answer says which OPA and which bundles gave it.
_PARAMETERS: Final = {"strict-builtin-errors": "true", "provenance": "true"}
_LONGEST_SECONDS: Final = 3600.0
_START_SECONDS: Final = 2.0
_RECHECK_SECONDS: Final = 2.0
_MARK: Final = "guard/bundle"


class OpaEngine:
    """Asks ``POST /v1/data/<entrypoint>`` of one server for every decision.

    ``bundle`` gives the rules' annotations; the server has its policies from wherever its operator put them, for
    example from ``push``. ``info`` tells what the server says of itself.
    """

    def __init__(self, config: OpaConfig, entrypoint: str, bundle: Bundle | None = None) -> None:
        """``entrypoint`` is ``data.…``. Raises ``ConfigError`` if the client library or a named file is missing."""
        self._config = config
        self._path = entrypoint.removeprefix("data.")
        self._bundle = bundle
        self._client: Any = None
        self._new_client = _client_factory(config)
        self._info = EngineInfo("opa", "", "", "")
        self._reachable = False
        self._recheck: asyncio.Task[None] | None = None

    @property
    def healthy(self) -> bool:
        """Whether the server answered the last question. After one that it did not answer it is asked until it does:
        an orchestrator sends no request to what is not ready."""
        return self._reachable

    @property
    def info(self) -> EngineInfo:
        """What answers: OPA's version, and revision and digest of the policies, each ``""`` until the server told."""
        return self._info

    @property
    def rules(self) -> Mapping[str, RuleInfo]:
        """The annotated rules of the local bundle; empty without one."""
        return {} if self._bundle is None else self._bundle.rules

    async def start(self) -> None:
        """Open the connection pool and ask the server what it holds.

        A server that cannot be reached yet is no error: every decision is a denial until it is there.
        """
        if self._client is None:
            client = self._new_client()
            await client._init_session()
            self._client = client
        if not await self._ask_mark():
            self._lost()

    async def stop(self) -> None:
        """Close the connections."""
        if self._recheck is not None:
            self._recheck.cancel()
            self._recheck = None
        client, self._client = self._client, None
        if client is not None:
            await client.close_connection()

    async def evaluate(self, document: Mapping[str, Any], *, deadline: float) -> Verdict:
        """One query; undefined where OPA's answer has no ``result``."""
        started = time.perf_counter_ns()
        left = deadline - time.monotonic()
        if left <= 0:
            raise PolicyTimeout("The deadline had passed before OPA was asked.")
        try:
            async with asyncio.timeout(left):
                answer = await self._ask(document, self._path)
        except TimeoutError as error:
            self._lost()
            raise PolicyTimeout("OPA did not answer within the deadline.") from error
        except EngineUnavailable:
            self._lost()
            raise
        self._learn(answer, None)
        return Verdict(answer.get("result", UNDEFINED), (time.perf_counter_ns() - started) // 1000)

    async def push(self, bundle: Bundle, *, timeout_seconds: float = 10.0) -> None:
        """Put the bundle's modules and data onto the server, and a mark that tells which bundle it is.

        Policies on the server that this bundle does not name are left alone. Raises ``PolicyEvaluationError`` if the
        server refuses, ``EngineUnavailable`` or ``PolicyTimeout`` if it does not answer.
        """
        client = self._ready()
        mark = {"digest": bundle.digest, "revision": bundle.revision}
        data = {**bundle.data, "guard": {**bundle.data["guard"], "bundle": mark}}
        put = [{"op": "add", "path": "/" + _token(name), "value": value} for name, value in data.items()]
        try:
            async with asyncio.timeout(timeout_seconds):
                await client.patch_data("", put)
                for name, text in bundle.modules.items():
                    await client.update_policy_from_string(text, quote(name, safe="/"), rego_compat=False)
        except Exception as error:
            raise self._mapped(error) from error
        self._bundle = bundle
        self._info = EngineInfo("opa", self._info.version, bundle.revision, bundle.digest)

    async def _ask(self, document: Mapping[str, Any], path: str) -> dict[str, Any]:
        try:
            answer = await self._ready().query_rule(document, path, query_params=_PARAMETERS)
        except Exception as error:
            raise self._mapped(error) from error
        self._reachable = True
        if not isinstance(answer, dict):
            raise PolicyEvaluationError("OPA's answer is no JSON object.", where=self._config.url)
        return answer

    async def _ask_mark(self) -> bool:
        """Ask the server what it holds; false if it did not answer."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                answer = await self._ask({}, _MARK.replace("/", "."))
        except (GuardError, TimeoutError):
            return False
        self._learn(answer, answer.get("result"))
        return True

    def _lost(self) -> None:
        self._reachable = False
        if self._client is not None and (self._recheck is None or self._recheck.done()):
            self._recheck = asyncio.create_task(self._ask_until_answered())

    async def _ask_until_answered(self) -> None:
        while not self._reachable:
            await asyncio.sleep(_RECHECK_SECONDS)
            await self._ask_mark()

    def _ready(self) -> Any:
        if self._client is None:
            raise EngineUnavailable("The connection to OPA is not open.", where=self._config.url)
        return self._client

    def _learn(self, answer: Mapping[str, Any], mark: object) -> None:
        provenance = answer.get("provenance")
        version, revision, digest = self._info.version, self._info.revision, self._info.digest
        if isinstance(provenance, dict):
            version = str(provenance.get("version", ""))
            bundles = provenance.get("bundles")
            if isinstance(bundles, dict) and bundles:
                told = {name: b.get("revision", "") if isinstance(b, dict) else "" for name, b in bundles.items()}
                revision, digest = ",".join(f"{name}@{told[name]}" for name in sorted(told)), ""
        if isinstance(mark, dict):
            revision, digest = str(mark.get("revision", "")), str(mark.get("digest", ""))
        if (version, revision, digest) != (self._info.version, self._info.revision, self._info.digest):
            self._info = EngineInfo("opa", version[:64], revision[:256], digest[:64])

    def _mapped(self, error: Exception) -> Exception:
        """One of ours for whatever the client library let through."""
        import aiohttp

        where = self._config.url
        if isinstance(error, GuardError | TimeoutError) and not isinstance(error, aiohttp.ClientError):
            return error
        if isinstance(error, aiohttp.ServerTimeoutError):
            return PolicyTimeout("OPA did not answer within the deadline.", where=where)
        if isinstance(error, aiohttp.ClientConnectionError):
            return EngineUnavailable("OPA cannot be reached.", where=where, mend="start it, or correct policy.opa.url")
        if isinstance(error, aiohttp.ContentTypeError):
            return PolicyEvaluationError("OPA's answer is no JSON.", where=where)
        if isinstance(error, aiohttp.ClientResponseError):
            if error.status in {401, 403}:
                return EngineUnavailable(
                    f"OPA refused the guard with status {error.status}.", where=where, mend="give policy.opa.token_file"
                )
            if error.status in {429, 502, 503, 504}:
                return EngineUnavailable(f"OPA answered with status {error.status}.", where=where)
            return PolicyEvaluationError(
                f"OPA answered with status {error.status}.", where=where, mend="its own log names the rule"
            )
        if isinstance(error, aiohttp.ClientError):
            return EngineUnavailable("OPA's answer broke off.", where=where)
        if isinstance(error, OSError):
            return EngineUnavailable("The connection to OPA failed.", where=where)
        return PolicyEvaluationError(f"OPA's answer cannot be read ({type(error).__name__}).", where=where)


def _token(name: str) -> str:
    """A member's name as a token of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _client_factory(config: OpaConfig) -> Any:
    try:
        import aiohttp
        from opa_client.opa_async import AsyncOpaClient
    except ImportError as error:
        raise ConfigError(
            "policy.engine is 'opa', but its client library is not installed.",
            where="[policy] engine",
            mend='pip install "policy-guard[opa]"',
        ) from error
    url = urlsplit(config.url)
    token = _file(config, "token_file")
    authority = _authority(config) if url.scheme == "https" else None
    host = url.hostname or ""
    host = f"[{host}]" if ":" in host else host

    class Client(AsyncOpaClient):  # type: ignore[misc, unused-ignore]
        """With an authority of the owner's and no proxy from the environment, which the library has no words for."""

        async def _init_session(self) -> None:
            self._connector = aiohttp.TCPConnector(ssl=True if authority is None else authority)
            self._session = aiohttp.ClientSession(
                headers=self.headers,
                connector=self._connector,
                timeout=aiohttp.ClientTimeout(total=self.timeout),
                trust_env=False,
            )

    return lambda: Client(
        host=host,
        port=url.port or (443 if url.scheme == "https" else 80),
        ssl=url.scheme == "https",
        token=token,
        retries=0,
        timeout=_LONGEST_SECONDS,
    )


def _file(config: OpaConfig, name: str) -> str | None:
    path = getattr(config, name)
    if path is None:
        return None
    try:
        return str(path.read_text("ascii")).strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"The file cannot be read: {type(error).__name__}.",
            where=f"[policy.opa] {name} = {path}",
            mend="give a file that the guard may read",
        ) from error


def _authority(config: OpaConfig) -> ssl.SSLContext:
    text = _file(config, "ca_file")
    try:
        return ssl.create_default_context(cadata=text)
    except ssl.SSLError as error:
        raise ConfigError(
            "The file holds no certificate in PEM.",
            where=f"[policy.opa] ca_file = {config.ca_file}",
            mend="give the certificate of the authority that signed OPA's",
        ) from error
