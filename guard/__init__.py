"""policy-guard: every request to an AI gateway is read, decided by the owner's Rego, and provable afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guard.config import GuardConfig
    from guard.errors import GuardError
    from guard.health import HealthApp
    from guard.middleware import GuardMiddleware
    from guard.types import GuardContext

__all__ = ["GuardConfig", "GuardContext", "GuardError", "GuardMiddleware", "HealthApp"]

_HOMES = {
    "GuardConfig": "guard.config",
    "GuardContext": "guard.types",
    "GuardError": "guard.errors",
    "GuardMiddleware": "guard.middleware",
    "HealthApp": "guard.health",
}


def __getattr__(name: str) -> Any:
    # Lazy (PEP 562): an auditor who imports guard.record.verify loads no web framework.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
