"""Functions that the compiler calls, tracing, the runtime and random values."""

from __future__ import annotations

import secrets
from typing import Any

from guard.rego.errors import CompileError, ConflictError
from guard.rego.runtime import BuiltinFailure, Context

from .arithmetic import integer
from .registry import builtin
from .strings import combinations


@builtin("internal.template_string", "array -> string", context=True, deep=True)
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


@builtin("rego.parse_module", "string, string -> object", context=True)
def _parse_module(ctx: Context, file: str, source: str) -> dict[str, Any]:
    from guard.rego.ast_json import module_json
    from guard.rego.parser import parse_module

    ctx.budget.charge(len(source))
    try:
        return module_json(parse_module(file, source, frozenset({"not"})))
    except CompileError as error:
        raise BuiltinFailure(str(error)) from None


def _outside_rules(name: str) -> None:
    """Inside a rule the compiler puts the answer in place of the call."""

    @builtin(name, "-> any", context=True)
    def call(_: Context) -> Any:
        raise BuiltinFailure(f"the {name} function must only be called within the scope of a rule")


for _name in ("rego.metadata.chain", "rego.metadata.rule"):
    _outside_rules(_name)
