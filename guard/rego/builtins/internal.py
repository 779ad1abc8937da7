"""Functions that the compiler calls, tracing, the runtime and random values."""

from __future__ import annotations

import secrets
from typing import Any

from guard.rego.errors import ConflictError
from guard.rego.runtime import Context

from .arithmetic import integer
from .registry import builtin
from .strings import combinations


@builtin("internal.template_string", "array -> string", context=True)
def _template_string(_: Context, operands: list[Any]) -> str:
    lines = list(combinations(operands))
    if len(lines) > 1:
        raise ConflictError("template-strings must not produce multiple outputs")
    return "".join(lines[0])


@builtin("print", "any -> boolean")
def _print(_: Any) -> bool:
    return True


@builtin("trace", "string -> boolean")
def _trace(_: str) -> bool:
    return True


@builtin("opa.runtime", "-> object")
def _runtime() -> dict[str, Any]:
    return {}


@builtin("rand.intn", "string, number -> number", context=True)
def _intn(ctx: Context, seed: str, limit: Any) -> int:
    bound = abs(integer(limit, 2))
    if bound == 0:
        return 0
    held = ctx.session.memory.setdefault(("rand", seed, bound), secrets.randbelow(bound))
    return int(held)
