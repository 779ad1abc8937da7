"""The pytest plugin ``policy_guard``: fixtures for tests of guarded apps.

Imports stay inside the fixtures, so that every start of pytest on a machine with policy-guard stays light.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from guard.testing.app import GuardedApp
    from guard.types import DecisionRecord


@pytest.fixture
def guard_app(tmp_path: Path) -> Iterator[Callable[..., GuardedApp]]:
    """A factory of guarded apps on real sockets, each with a state directory of its own; stopped after the test.

    ``guard_app(app=None, *, config=None, **keywords)``: see ``guard.testing.guarded``.
    """
    from guard.testing.app import guarded

    with ExitStack() as running:
        made = 0

        def make(app: Any = None, **options: Any) -> GuardedApp:
            nonlocal made
            made += 1
            directory = options.pop("directory", tmp_path / f"guard-{made}")
            return running.enter_context(guarded(app, directory=directory, **options))

        yield make


@pytest.fixture
def decisions() -> Callable[[Path | GuardedApp], list[DecisionRecord]]:
    """Reads the ``decision`` records of a state directory, a log directory or a guarded app, oldest first."""
    from guard.testing.records import read_records

    def read(where: Path | GuardedApp) -> list[DecisionRecord]:
        return read_records(where if isinstance(where, Path) else where.directory, "decision")

    return read
