"""The directory that ``flwr run`` takes: settings and two references, since the code is installed on every machine.

``python -m detectors.federation.flower.bundle DIRECTORY`` writes it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

_PROJECT: Final = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "policy-guard-federation"
version = "1.0.0"
description = "Sums of counts for policy-guard's anomaly forest"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "policy-guard"

[tool.flwr.app.components]
serverapp = "federation_app:server"
clientapp = "federation_app:client"

[tool.flwr.app.config]
gateways = 10
trees = 100
samples = 1024
seed = 0
space = ""
output = "."
timeout_seconds = 120.0
"""
_APP: Final = '''\
"""What Flower loads: the apps of policy-guard, which is installed with its extra ``federated``."""

from detectors.federation.flower.client import app as client
from detectors.federation.flower.server import app as server

__all__ = ["client", "server"]
'''


def write(directory: Path) -> None:
    """Raises ``OSError``."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "pyproject.toml").write_text(_PROJECT, "utf-8")
    (directory / "federation_app.py").write_text(_APP, "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m detectors.federation.flower.bundle DIRECTORY")
    write(Path(sys.argv[1]))
