"""Components that a plain machine may lack. A test that needs one calls ``require``: absent, the test is skipped with
a line that says how to get it, or fails where ``GUARD_REQUIRE_ALL=1`` (as in CI)."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import PackageNotFoundError, version

import pytest

HOW = {
    "opa": "needs the OPA binary on PATH: go install github.com/open-policy-agent/opa@v1.18.1",
    "openssl": "needs the openssl program: apt-get install openssl",
}


def require(program: str) -> str:
    """The path of a program, or a skip (a failure under ``GUARD_REQUIRE_ALL=1``) that says how to get it."""
    found = shutil.which(program)
    if found:
        return found
    if os.environ.get("GUARD_REQUIRE_ALL") == "1":
        pytest.fail(HOW[program])
    pytest.skip(HOW[program])


def require_package(distribution: str) -> None:
    """Skip (fail under ``GUARD_REQUIRE_ALL=1``) where an optional distribution is not installed."""
    try:
        version(distribution)
    except PackageNotFoundError:
        how = f"needs {distribution}: pip install --group compat"
        if os.environ.get("GUARD_REQUIRE_ALL") == "1":
            pytest.fail(how)
        pytest.skip(how)
