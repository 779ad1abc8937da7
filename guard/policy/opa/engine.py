"""A real OPA server as the engine: one question a decision, over opa-python-client.

Source of the protocol: OPA's REST API, "Get a Document (with Input)".
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Any, Final

from guard.config import OpaConfig
from guard.errors import EngineUnavailable, GuardError, PolicyTimeout, UnexpectedPolicies
from guard.policy.bundle import Bundle
from guard.policy.explain import trails_of_bundle
from guard.policy.opa import management
from guard.policy.opa.breaker import Breaker
from guard.policy.opa.client import client_factory
from guard.policy.opa.errors import is_outage, mapped
from guard.policy.opa.served import Expected, Served, served_by
from guard.policy.opa.status import ServerStatus, status_of
from guard.telemetry import get_logger
from guard.types import UNDEFINED, EngineInfo, RuleInfo, Verdict

# Undefined built-ins become errors, and the answer says which OPA and which bundles gave it.
_PARAMETERS: Final = {"strict-builtin-errors": "true", "provenance": "true"}
_PROBE_SECONDS: Final = 2.0
_DECISION_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_log = get_logger("guard.policy.opa")


class OpaEngine:
    """Asks ``POST /v1/data/<entrypoint>`` of one server for every decision.

    ``bundle`` is the local one: it gives the rules' annotations, and what ``require_local_bundle`` asks for. The server
    has its policies from wherever its operator put them, for example from ``push``. Used by one event loop.
    """

    def __init__(self, config: OpaConfig, entrypoint: str, bundle: Bundle | None = None) -> None:
        """``entrypoint`` is ``data.…``. Raises ``ConfigError`` if the client library or a named file is missing."""
        self._config = config
        self._path = entrypoint.removeprefix("data.")
        self._bundle = bundle
        self._trails = trails_of_bundle(bundle)
        self._expected = Expected(config.revisions, bundle if config.require_local_bundle else None)
        self._breaker = Breaker(config.breaker_failures, config.breaker_open_seconds)
        self._client: Any = None
        self._new_client = client_factory(config)
        self._provenance: object = None
        self._same = False
        self._served = Served()
        self._info = self._served.info
        self._unexpected = ""
        self._healthy = False
        self._watch: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    @property
    def healthy(self) -> bool:
        """Whether the server answered the last question, by policies that are expected. After one that it did not
        answer it is asked until it does: an orchestrator sends no request to what is not ready."""
        return self._healthy

    @property
    def info(self) -> EngineInfo:
        """What answered last: OPA's version, and revision and digest of its policies, ``""`` where it does not tell."""
        return self._info

    @property
    def rules(self) -> Mapping[str, RuleInfo]:
        """The annotated rules of the local bundle; empty without one."""
        return {} if self._bundle is None else self._bundle.rules

    async def start(self) -> None:
        """Open the connection pool and ask the server once.

        A server that cannot be reached yet is no error: every decision is a denial until it is there.
        """
        await self._open()
        await self._probe()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Connections for ``push`` and ``status`` alone, as long as the block: the server is asked nothing else."""
        await self._open()
        try:
            yield
        finally:
            await self.stop()

    async def _open(self) -> None:
        if self._client is None:
            client = self._new_client()
            await client._init_session()
            self._client = client
            self._wake = asyncio.Event()  # of this event loop: the one before may have been another's

    async def stop(self) -> None:
        """Close the connections."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        client, self._client = self._client, None
        if client is not None:
            await client.close_connection()

    async def evaluate(self, document: Mapping[str, Any], *, deadline: float) -> Verdict:
        """One query, undefined where OPA's answer has no ``result``; none while the circuit breaker is open.

        Raises ``PolicyTimeout``, ``EngineUnavailable``, ``PolicyEvaluationError``, and ``UnexpectedPolicies`` for an
        answer by policies that the configuration does not accept.
        """
        started = time.perf_counter_ns()
        left = deadline - time.monotonic()
        if left <= 0:
            raise PolicyTimeout("The deadline had passed before OPA was asked.")
        if self._breaker.state != "closed":
            self._unhealthy()  # whatever became of the task that asks: without it nothing would close the breaker
            self._breaker.check(self._config.url)
        try:
            answer = await self._ask(document, left)
        except asyncio.CancelledError:
            if time.monotonic() >= deadline:  # the caller's own clock was a moment faster
                self._failed("no answer within the deadline")
            raise
        except GuardError as error:
            if is_outage(error):
                self._failed(error.what)
            else:
                self._answered()
            raise
        self._take(answer)
        name = answer.get("decision_id")
        return Verdict(
            answer.get("result", UNDEFINED),
            (time.perf_counter_ns() - started) // 1000,
            # Of other policies the local text tells nothing.
            trails=self._trails if self._same else {},
            engine=self._info,
            engine_decision_id=name if isinstance(name, str) and _DECISION_ID.fullmatch(name) else "",
        )

    async def push(self, bundle: Bundle, *, timeout_seconds: float = 30.0) -> management.Pushed:
        """Put the bundle's modules and data onto the server, take away what an earlier push left, and name it there.

        Policies on the server that no push put there are left alone. Raises ``PolicyEvaluationError`` if the server
        refuses, ``EngineUnavailable`` or ``PolicyTimeout`` if it does not answer; then the server says that its push is
        not finished, and the next push cleans up.
        """
        client = self._ready()
        try:
            async with asyncio.timeout(timeout_seconds):
                pushed = await management.push(client, bundle, where=self._config.url)
        except TimeoutError as error:
            raise PolicyTimeout("OPA did not take the policies in time.", where=self._config.url) from error
        except Exception as error:
            raise mapped(error, self._config.url) from error
        self._bundle, self._trails, self._provenance = bundle, trails_of_bundle(bundle), None
        await self._probe()
        return pushed

    async def status(self, *, timeout_seconds: float = 5.0) -> ServerStatus:
        """What the server says of itself, beside the local bundle. Never raises for what a server does."""
        return await status_of(self._ready(), self._config, self._path, self._bundle, timeout_seconds=timeout_seconds)

    async def _ask(self, document: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to one question. Raises ``GuardError`` and nothing else, but for cancellation."""
        try:
            async with asyncio.timeout(seconds):
                answer: dict[str, Any] = await self._ready().query_rule(document, self._path, query_params=_PARAMETERS)
                return answer
        except Exception as error:
            raise mapped(error, self._config.url) from error

    async def _probe(self) -> None:
        """A question of the guard's own, at the entrypoint, which is the one path that a strict OPA lets us ask. What
        the policy makes of an empty input does not matter."""
        try:
            answer = await self._ask({}, _PROBE_SECONDS)
        except GuardError as error:
            if is_outage(error):
                self._failed(error.what)
            else:
                self._answered()
            return
        with suppress(UnexpectedPolicies):  # told by ``_take``, to the log and to the next request
            self._take(answer)

    def _take(self, answer: Mapping[str, Any]) -> None:
        """Learn which policies answered. Raises ``UnexpectedPolicies``."""
        provenance = answer.get("provenance")
        if provenance != self._provenance:
            before, served = self._served, served_by(provenance)
            self._provenance, self._served, self._info = provenance, served, served.info
            self._same = self._bundle is not None and served.holds(self._bundle)
            if before.bundles != served.bundles or not before.version:
                tell = _log.info if self._same or self._bundle is None else _log.warning
                known = "the local policies" if self._same else "policies not known to be the local ones"
                tell(f"OPA decides by {known}", revision=served.revision, version=served.version)
        self._answered()
        try:
            self._expected.require(self._served, self._config.url)
        except UnexpectedPolicies as error:
            if self._unexpected != error.what:
                _log.error("OPA decides by policies that are not accepted: requests are denied", error=error.what)
            self._unexpected = error.what
            self._unhealthy()
            raise
        self._unexpected = ""

    def _answered(self) -> None:
        self._healthy = True
        if self._breaker.succeeded():
            _log.warning("OPA answers again: the circuit breaker is closed", address=self._config.url)

    def _failed(self, what: str) -> None:
        if self._breaker.failed():
            _log.error("OPA does not answer: the circuit breaker is open", address=self._config.url, error=what)
            self._wake.set()
        self._unhealthy()

    def _unhealthy(self) -> None:
        self._healthy = False
        if self._client is not None and (self._watch is None or self._watch.done()):
            # In a context of its own: it is no part of the request, nor of its trace.
            self._watch = asyncio.get_running_loop().create_task(self._ask_until_healthy(), context=Context())

    async def _ask_until_healthy(self) -> None:
        while not self._healthy:
            self._wake.clear()
            wait = self._breaker.probe_in()
            if wait <= 0:
                self._breaker.probing()
                await self._probe()
                continue
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _ready(self) -> Any:
        if self._client is None:
            raise EngineUnavailable("The connection to OPA is not open.", where=self._config.url)
        return self._client
