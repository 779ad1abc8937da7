"""Components that a plain machine may lack. A test that needs one calls ``require``: absent, the test is skipped with
a line that says how to get it, or fails where ``GUARD_REQUIRE_ALL=1`` (as in CI)."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

GO_MOD = "/usr/share/gocode/src/golang.org/x/mod/sumdb"

HOW = {
    "opa": "needs the OPA binary on PATH: go install github.com/open-policy-agent/opa@v1.18.1",
    "openssl": "needs the openssl program: apt-get install openssl",
    "softhsm2-util": "needs a PKCS#11 token in software: apt-get install softhsm2",
    "signify-openbsd": "needs the signify-openbsd program: apt-get install signify-openbsd",
    "redis-server": "needs a Redis server: apt-get install redis-server",
    "ssh-keygen": "needs the ssh-keygen program: apt-get install openssh-client",
    "go": "needs Go 1.19 or newer on PATH: apt-get install golang-go",
    GO_MOD: "needs Go's sumdb packages: apt-get install golang-golang-x-mod-dev",
}


def require(program: str) -> str:
    """The path of a program, or a skip (a failure under ``GUARD_REQUIRE_ALL=1``) that says how to get it.

    A component that is no program is named by its absolute path, and is there if that is.
    """
    found = shutil.which(program) or (program if program.startswith("/") and Path(program).is_dir() else None)
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
