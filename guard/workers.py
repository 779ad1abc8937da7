"""Worker threads of the guard's own, few and with a bounded queue, so that heavy bodies hold up neither the event loop
nor the threads of the app."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from guard.errors import GuardStopped, Overloaded

T = TypeVar("T")

THREADS: Final = 4
QUEUE: Final = 256


class Workers:
    """A bounded pool. What it cannot take is refused at once; what is given up still occupies its thread to its end."""

    def __init__(self, name: str, *, threads: int = THREADS, queue: int = QUEUE) -> None:
        """``queue`` calls may wait beside the ``threads`` that run. Threads begin with the first call."""
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)
        self._room = threads + queue
        self._busy = 0
        self._gate = threading.Lock()

    @property
    def busy(self) -> int:
        """Calls that run or wait."""
        return self._busy

    async def run(self, function: Callable[..., T], *args: Any, seconds: float, **kwargs: Any) -> T:
        """Call ``function`` in a thread, in the caller's context variables.

        Raises ``TimeoutError`` after ``seconds``, queueing included, ``Overloaded`` if the queue is full,
        ``GuardStopped`` after ``close``, and whatever ``function`` raises.
        """
        context = contextvars.copy_context()
        future = self._submit(functools.partial(context.run, functools.partial(function, *args, **kwargs)))
        async with asyncio.timeout(seconds):
            try:
                return await asyncio.wrap_future(future)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if future.cancelled() and not (task and task.cancelling()):
                    raise _put_away() from None  # it waited in the queue at ``close``; nobody has cancelled the caller
                raise

    def close(self) -> None:
        """Take no more; what waits is cancelled, what runs is left to its end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, call: Callable[[], T]) -> Future[T]:
        with self._gate:
            if self._busy >= self._room:
                raise Overloaded("the worker threads are busy and their queue is full", mend="try again")
            try:
                future = self._pool.submit(call)
            except RuntimeError:
                raise _put_away() from None
            self._busy += 1
        future.add_done_callback(self._done)
        return future

    def _done(self, _: Future[Any]) -> None:
        with self._gate:
            self._busy -= 1


def _put_away() -> GuardStopped:
    return GuardStopped("the worker threads are put away", mend="start the guard again")
