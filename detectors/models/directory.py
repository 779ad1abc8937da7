"""A directory of versions of one model, of which one is current.

``versions/<id>/model.npz`` and its card and signature, where ``<id>`` is the beginning of the card's SHA-256; and
``current.json``, which names the current version and tells how it became that. It is the only file that ever changes,
and it is replaced whole, so whoever looks sees the version before or the one after. Imports no numpy.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from guard.errors import ConfigError

POINTER: Final = "current.json"
MODEL: Final = "model.npz"
FORMAT: Final = 1
_SUFFIXES: Final = (".npz", ".json", ".sig")
VERSION: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")
"""What a model may call itself: it stands in every record."""
_ID: Final = re.compile("[0-9a-f]{16}")


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of the pointer once. ``id`` is the version that was current afterwards, ``at`` is UTC in RFC 3339;
    ``forced``: it was promoted although its metrics were worse or could not be compared."""

    action: Literal["promote", "rollback"]
    id: str
    sha256: str
    version: str
    at: str
    forced: bool = False


class _Pointer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    current: str
    history: list[Step]


class Placed(NamedTuple):
    """The files of a model that is to be placed, as they were read. ``signature`` may be empty."""

    arrays: bytes
    card: bytes
    signature: bytes


class ModelDirectory:
    """Versions of one model. Nothing is made until the first is placed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def history(self) -> list[Step]:
        """What became of the pointer, oldest first. Raises ``ConfigError`` if it does not read."""
        file = self.path / POINTER
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigError(f"the models cannot be read: {error.strerror}", where=str(file)) from error
        try:
            found = msgspec.json.decode(data, type=_Pointer)
            if found.format > FORMAT:
                raise ValueError(f"it is of format {found.format}, and this version reads {FORMAT}")
            if not found.history or found.history[-1].id != found.current:
                raise ValueError("its history does not end with what is current")
            for step in found.history:
                if not _ID.fullmatch(step.id):
                    raise ValueError(f"{step.id!r} is no version")
            if not self._stack(found.history):
                raise ValueError("more was taken back than was promoted")
        except (ValueError, msgspec.ValidationError) as error:
            raise ConfigError(
                f"the pointer to the current model is damaged: {error}",
                where=str(file),
                mend=f"restore it from a backup; the versions themselves are in {self.path / 'versions'}",
            ) from error
        return found.history

    @property
    def current(self) -> Path:
        """The file of the current version. Raises ``ConfigError`` if there is none."""
        history = self.history
        if not history:
            raise ConfigError(
                "no model was promoted here", where=str(self.path), mend=f"guard model promote FILE --to {self.path}"
            )
        return self.file(history[-1].id)

    @property
    def before(self) -> Step | None:
        """The step whose version a rollback would make current again; ``None`` if there is none."""
        stack = self._stack(self.history)
        return stack[-2] if len(stack) > 1 else None

    def file(self, version: str) -> Path:
        """Where the arrays of a version are."""
        return self.path / "versions" / version / MODEL

    def promote(self, model: Placed, step: Step) -> None:
        """Place a version and make it the current one. Raises ``OSError``, ``ConfigError``."""
        with self._locked():
            self._place(model, step.id)
            self._point([*self.history, step])

    def rollback(self, at: str) -> Step:
        """Make the version current that was so before the current one was promoted. Raises ``ConfigError``,
        ``OSError``."""
        with self._locked():
            history = self.history
            stack = self._stack(history)
            if len(stack) < 2:
                raise ConfigError(
                    "there is no version before the current one" if stack else "no model was promoted here",
                    where=str(self.path),
                    mend="promote another: guard model promote FILE --to DIR",
                )
            before = stack[-2]
            if not self.file(before.id).is_file():
                raise ConfigError("the version before is gone", where=str(self.file(before.id)), mend="promote another")
            step = Step("rollback", before.id, before.sha256, before.version, at)
            self._point([*history, step])
            return step

    @staticmethod
    def _stack(history: list[Step]) -> list[Step]:
        """The versions that were promoted and not taken back since, the current one last."""
        stack: list[Step] = []
        for step in history:
            if step.action == "promote":
                stack.append(step)
            else:
                del stack[-1:]
        return stack

    def _place(self, model: Placed, version: str) -> None:
        target = self.file(version)
        target.parent.mkdir(parents=True, exist_ok=True)
        for suffix, content in zip(_SUFFIXES, model, strict=True):
            if content:
                _write(target.with_suffix(suffix), content)
        _sync(target.parent)
        _sync(target.parent.parent)

    def _point(self, history: list[Step]) -> None:
        pointer = _Pointer(FORMAT, history[-1].id, history)
        _write(self.path / POINTER, msgspec.json.format(msgspec.json.encode(pointer), indent=2) + b"\n")
        _sync(self.path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One changer at a time: two that read the same history would each lose the other's step."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def resolved(path: Path) -> Path:
    """The file of a model: ``path`` itself, or of a directory its current version. Raises ``ConfigError``."""
    return ModelDirectory(path).current if path.is_dir() else path


def taken(file: Path) -> Placed:
    """The files of a model as they are; empty where there is none. Raises ``OSError``."""
    beside = file.with_suffix(".sig")
    parts = [path.read_bytes() if path.is_file() else b"" for path in (file, file.with_suffix(".json"), beside)]
    return Placed(*parts)


def _write(target: Path, content: bytes) -> None:
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(target)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
