"""A Rego v1 engine in pure Python. ``docs/rego.md`` explains how it is built and what it refuses.

``compile(modules, data)`` gives a `Program`; ``Program.eval("data.a.allow", input)`` its answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .annotations import Annotation, RuleBody, RuleHead, TestRule
from .capabilities import Capabilities
from .compiler import Compiler
from .errors import (
    BuiltinError,
    CompileError,
    ConflictError,
    DeadlineError,
    DepthError,
    EvalError,
    InputError,
    LimitError,
    Location,
    RegoDiagnostic,
    RegoError,
    StepLimitError,
)
from .program import DEFAULT_MAX_STEPS, Program
from .reads import MAX_PATHS as MAX_READS
from .reads import Reads
from .show import compact
from .show import pretty as render
from .trace import Fired, Trace
from .values import UNDEFINED, Undefined
from .witness import Testimony, Witnessed
from .yaml_values import read_yaml

__all__ = [
    "DEFAULT_MAX_STEPS",
    "MAX_READS",
    "UNDEFINED",
    "Annotation",
    "BuiltinError",
    "Capabilities",
    "CompileError",
    "ConflictError",
    "DeadlineError",
    "DepthError",
    "EvalError",
    "Fired",
    "InputError",
    "LimitError",
    "Location",
    "Program",
    "Reads",
    "RegoDiagnostic",
    "RegoError",
    "RuleBody",
    "RuleHead",
    "StepLimitError",
    "TestRule",
    "Testimony",
    "Trace",
    "Undefined",
    "Witnessed",
    "compact",
    "compile",
    "read_yaml",
    "render",
]


def compile(  # noqa: A001
    modules: Mapping[str, str], data: Any = None, *, capabilities: Capabilities | None = None, strict: bool = False
) -> Program:
    """Check and compile modules (file name to source text) over base data (JSON-like; not copied, do not change it).
    ``strict`` refuses unused imports, variables assigned by ``:=`` and arguments too, as ``opa check --strict`` does.

    Raises CompileError; its ``errors`` are `RegoDiagnostic` with OPA's codes, rows and columns from 1.
    """
    try:
        checked = Compiler(capabilities or Capabilities(), strict=strict).program(modules, data)
        return Program(checked, data)
    except RecursionError:
        message = "an expression nests too deeply"
        raise CompileError([RegoDiagnostic("rego_compile_error", message, min(modules), 1, 1)]) from None
