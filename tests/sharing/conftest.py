"""A server, and replicas around it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.components import require_package
from tests.sharing.replicas import Replicas


@pytest.fixture
def server() -> Iterator[object]:
    """A real server, empty."""
    require_package("redis")
    from tests.sharing.server import running

    with running() as server:
        yield server


@pytest.fixture
def replicas(server: object) -> Iterator[Replicas]:
    """Replicas of one deployment around that server; those that a test starts are stopped."""
    replicas = Replicas(server)  # type: ignore[arg-type]
    yield replicas
    replicas.close()
