"""What the behaviour model learned, kept across restarts: one file for each process, written off the event loop.

The file is ``<state_directory>/behaviour/<record.name>-<n>/learned``, under a lock as a log's origin is. One that
cannot be read is set aside and told; the model starts as a new one does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

from guard.errors import GuardError, place_of
from guard.record.segment import replace_file
from guard.record.slot import Slot
from guard.telemetry import get_logger
from guard.types import BehaviourModel, Remembering

_FILE: Final = "learned"
_ASIDE: Final = "learned.unreadable"
_MOST_BYTES: Final = 1 << 30

_log = get_logger("guard.exchange.remembering")


class Keeper:
    """Reads what was learned at the start, writes it every ``seconds`` and at the stop. Never raises for the disk: a
    guard that cannot remember says so and goes on."""

    def __init__(self, directory: Path, name: str, seconds: int, model: Callable[[], BehaviourModel | None]) -> None:
        """``model`` gives the one that decides now; one without a memory is left alone."""
        self._directory = directory / "behaviour"
        self._name = name
        self._seconds = seconds
        self._model = model
        self._slot: Slot | None = None
        self._task: asyncio.Task[None] | None = None
        self._writing = Lock()  # a stop does not end the thread that writes
        self.since_s: float | None = None
        """When that was written which was read at the start, in seconds since 1970; ``None`` where nothing was."""

    async def start(self) -> None:
        """Take a place, read what stands there, and begin to write."""
        if not self._seconds or not isinstance(self._model(), Remembering):
            return
        try:
            self._slot = await asyncio.to_thread(Slot, self._directory, self._name)
            await asyncio.to_thread(self._read, self._slot.path / _FILE)
        except (OSError, GuardError) as error:
            _log.error("what behaviour was learned cannot be kept: it starts anew", error=str(error))
            return
        self._task = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """Write once more, and let the place go."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await asyncio.to_thread(self._write)
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.release()

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await asyncio.to_thread(self._write)

    def _read(self, path: Path) -> None:
        model = self._model()
        if not isinstance(model, Remembering) or not path.exists():
            return
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise ValueError("it is too large")
            written_s = path.stat().st_mtime
            model.restore(path.read_bytes())
            self.since_s = written_s
        except ValueError as error:
            aside = path.with_name(_ASIDE)
            path.replace(aside)
            _log.error("what behaviour was learned cannot be read: it starts anew", file=str(aside), error=str(error))

    def _write(self) -> None:
        model = self._model()
        if self._slot is None or not isinstance(model, Remembering):
            return
        path = self._slot.path / _FILE
        try:
            with self._writing:
                replace_file(path, model.dump())
        except OSError as error:
            _log.error("what behaviour was learned cannot be written", file=str(path), error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever a model raises, the next snapshot is taken
            name, where = type(error).__name__, place_of(error)
            _log.error("what behaviour was learned cannot be written", file=str(path), exception=name, where=where)
