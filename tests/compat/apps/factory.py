"""What a server loads: the app that the environment names, under its guard."""

from __future__ import annotations

import importlib
import os
from typing import Any

from tests.compat.apps import contract

MODULES = {
    "Starlette": "starlette_app",
    "Starlette, mounted sub-app": "starlette_app",
    "Starlette, guard in a sub-app": "starlette_app",
    "Starlette, GZip outside, CORS inside": "starlette_app",
    "FastAPI": "fastapi_app",
    "Litestar": "litestar_app",
    "Quart": "quart_app",
    "Django": "django_app",
    "bare ASGI": "bare_app",
    "none": "wire_app",
}


def create() -> Any:
    """The app of ``COMPAT_FRAMEWORK``, its state under ``COMPAT_DIRECTORY``."""
    framework = os.environ["COMPAT_FRAMEWORK"]
    module = importlib.import_module(f"tests.compat.apps.{MODULES[framework]}")
    return module.build(framework, contract.config())
