"""Which parts of a guard are still in use, across the generations that reloads make."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress

from guard.exchange import Services
from guard.telemetry import get_logger

_log = get_logger("guard.shelf")


class Shelf:
    """The parts of all generations of services that are in use, each put away when nobody uses it any more.

    A generation is in use while anything refers to its ``Services``: the runtime, or an exchange that is under way,
    however long it streams. Parts that generations share live as long as the last of these.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._uses: dict[int, tuple[int, Callable[[], Awaitable[None]]]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def hold(self, services: Services) -> None:
        """Keep the parts of a generation for as long as it is in use."""
        parts = {
            id(services.engine): services.engine.stop,
            id(services.authenticator): services.authenticator.stop,
            id(services.pipeline): _closing(services),
        }
        for key, close in parts.items():
            self._uses[key] = (self._uses.get(key, (0, close))[0] + 1, close)
        weakref.finalize(services, self._let_go, tuple(parts)).atexit = False

    async def clear(self) -> None:
        """Put everything away, in use or not."""
        uses, self._uses = self._uses, {}
        for _, close in uses.values():
            await _quietly(close)
        await asyncio.gather(*self._closing)

    def _let_go(self, keys: tuple[int, ...]) -> None:
        """Called wherever the last reference is dropped, in any thread."""
        with suppress(RuntimeError):  # the loop is closed, and with it all that they held
            self._loop.call_soon_threadsafe(self._release, keys)

    def _release(self, keys: tuple[int, ...]) -> None:
        for key in keys:
            count, close = self._uses.get(key, (0, None))
            if close is None:
                continue
            if count > 1:
                self._uses[key] = (count - 1, close)
                continue
            del self._uses[key]
            task = self._loop.create_task(_quietly(close))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _closing(services: Services) -> Callable[[], Awaitable[None]]:
    pipeline = services.pipeline

    async def close() -> None:
        pipeline.close()

    return close


async def _quietly(close: Callable[[], Awaitable[None]]) -> None:
    try:
        await close()
    except Exception as error:  # noqa: BLE001 - it is no longer in use; what remains is to be told
        _log.warning("a part could not be put away", exception=type(error).__name__)
