"""What tests of guarded apps need: a mock model, a real server, fixtures and assertions.

Installing the package gives pytest the fixtures ``guard_app`` and ``decisions`` (``guard.testing.plugin``). Everything
here is loaded at its first use, so that a plain start of pytest stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guard.testing.adversary import assert_noticed
    from guard.testing.app import GuardedApp, guarded
    from guard.testing.assertions import assert_denied, assert_redacted, assert_verified
    from guard.testing.detectors import check_detector
    from guard.testing.records import read_records
    from guard.testing.script import Call, Reply, ToolUse
    from guard.testing.server import serve

__all__ = [
    "Call",
    "GuardedApp",
    "Reply",
    "ToolUse",
    "assert_denied",
    "assert_noticed",
    "assert_redacted",
    "assert_verified",
    "check_detector",
    "guarded",
    "read_records",
    "serve",
]

_HOMES = {
    "Call": "guard.testing.script",
    "GuardedApp": "guard.testing.app",
    "Reply": "guard.testing.script",
    "ToolUse": "guard.testing.script",
    "assert_denied": "guard.testing.assertions",
    "assert_noticed": "guard.testing.adversary",
    "assert_redacted": "guard.testing.assertions",
    "assert_verified": "guard.testing.assertions",
    "check_detector": "guard.testing.detectors",
    "guarded": "guard.testing.app",
    "read_records": "guard.testing.records",
    "serve": "guard.testing.server",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
