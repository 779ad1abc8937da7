"""What the engine raises. Compile errors carry OPA's codes; run-time errors stop one evaluation, never the process."""

from __future__ import annotations

from typing import NamedTuple

PARSE = "rego_parse_error"
COMPILE = "rego_compile_error"
UNSAFE_VAR = "rego_unsafe_var_error"
TYPE = "rego_type_error"
RECURSION = "rego_recursion_error"


class Location(NamedTuple):
    """A place in a module: rows and columns count from 1 (columns in code points)."""

    file: str
    row: int
    col: int


NOWHERE = Location("", 0, 0)


class RegoDiagnostic(NamedTuple):
    """One error found while loading."""

    code: str
    message: str
    file: str
    row: int
    col: int

    def __str__(self) -> str:
        return f"{self.file}:{self.row}:{self.col}: {self.code}: {self.message}"


class RegoError(Exception):
    """Base of every error of this engine."""


class CompileError(RegoError):
    """The modules or the query cannot be loaded. ``errors`` lists every diagnostic found, in source order."""

    def __init__(self, errors: list[RegoDiagnostic] | tuple[RegoDiagnostic, ...]) -> None:
        self.errors: tuple[RegoDiagnostic, ...] = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors))


class EvalError(RegoError):
    """An evaluation was stopped. ``code`` is OPA's where OPA has one; ``location`` is where the policy stood."""

    code = "eval_internal_error"

    def __init__(self, message: str, location: Location = NOWHERE) -> None:
        self.message = message
        self.location = location
        super().__init__(message)

    def __str__(self) -> str:
        if self.location.row:
            return f"{self.location.file}:{self.location.row}: {self.code}: {self.message}"
        return f"{self.code}: {self.message}"


class ConflictError(EvalError):
    """Rules gave two values where one is allowed."""

    code = "eval_conflict_error"


class BuiltinError(EvalError):
    """A built-in function failed and strict built-in errors are on. ``code`` tells a wrong operand type
    (``eval_type_error``) from any other failure (``eval_builtin_error``)."""

    code = "eval_builtin_error"

    def __init__(self, message: str, location: Location = NOWHERE, code: str = "eval_builtin_error") -> None:
        super().__init__(message, location)
        self.code = code


class LimitError(EvalError):
    """Base of the bounds that an evaluation can reach."""

    code = "eval_cancel_error"


class StepLimitError(LimitError):
    """More steps than ``max_steps``."""


class DeadlineError(LimitError):
    """The deadline passed."""


class DepthError(LimitError):
    """Values or calls nest deeper than the interpreter's stack allows."""


class InputError(RegoError):
    """The input or the data hold something that is not JSON."""
