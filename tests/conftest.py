"""Fixtures that every test may use."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# No example has a deadline: a slow machine is no failure. CI tries the same examples each time, so that a change is
# judged by itself; elsewhere they are new each time.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, the loop that the servers use."""
    return "asyncio"
