"""The embedded engine: our own Rego, in the process, on the event loop.

A decision costs tens of microseconds, less than handing it to another thread would. It is bounded in steps and in time.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from guard import rego
from guard.errors import Diagnostic, PolicyEvaluationError, PolicyInvalid, PolicyTimeout
from guard.policy.bundle import Bundle
from guard.policy.explain import trails_of
from guard.policy.metadata import CODE, diagnostics
from guard.types import UNDEFINED, EngineInfo, RuleInfo, Verdict

MAX_STEPS: Final = 200_000


def compile_bundle(modules: Mapping[str, str], data: Mapping[str, Any], *, strict: bool = False) -> rego.Program:
    """A program of these modules; ``strict`` as ``opa check --strict``. Raises ``PolicyInvalid`` with every error that
    the compiler found."""
    try:
        return rego.compile(modules, data, strict=strict)
    except rego.CompileError as error:
        raise PolicyInvalid(diagnostics(error)) from error


class EmbeddedEngine:
    """Evaluates one entrypoint of a bundle. Holds no state between decisions; several tasks may share it."""

    waits: Final = False
    """Whether an evaluation may give the event loop away (``guard.policy.engine``)."""

    def __init__(self, bundle: Bundle, entrypoint: str, *, max_steps: int = MAX_STEPS) -> None:
        """Compiles. ``entrypoint`` is ``data.…``; an evaluation takes ``max_steps`` at most. Raises ``PolicyInvalid``,
        also if no rule has that name."""
        program = compile_bundle(bundle.modules, bundle.data)
        _require_rule(program, entrypoint)
        self._evaluate = program.prepare(entrypoint)
        self._trails = trails_of(program)
        self._max_steps = max_steps
        self._rules = bundle.rules
        self._info = EngineInfo("embedded", _version(), bundle.revision, bundle.digest)

    @property
    def info(self) -> EngineInfo:
        """Our own version, and revision and digest of the bundle."""
        return self._info

    @property
    def rules(self) -> Mapping[str, RuleInfo]:
        """The bundle's annotated rules by id."""
        return self._rules

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def evaluate(self, document: Mapping[str, Any], *, deadline: float) -> Verdict:
        """The entrypoint's value, and the bodies that held. Built-ins are strict: one that fails is an error, never a
        silence."""
        started = time.perf_counter_ns()
        fired: dict[int, bool] = {}
        try:
            value = self._evaluate(
                document, max_steps=self._max_steps, deadline=deadline, strict_builtin_errors=True, fired=fired
            )
        except rego.DeadlineError as error:
            raise PolicyTimeout("The policy did not finish within the deadline.") from error
        except rego.RegoError as error:
            raise PolicyEvaluationError(f"The policy failed: {error}") from error
        answer = UNDEFINED if value is rego.UNDEFINED else value
        return Verdict(answer, (time.perf_counter_ns() - started) // 1000, fired, self._trails)


def _require_rule(program: rego.Program, entrypoint: str) -> None:
    """A mistyped entrypoint is an error at load, not a denial of every request."""
    paths = {head.path for head in program.rule_heads()}
    if not any(path == entrypoint or path.startswith(entrypoint + ".") for path in paths):
        near = difflib.get_close_matches(entrypoint, paths, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; with policy.shipped off, the policies must define it"
        raise PolicyInvalid([Diagnostic(CODE, f"policy.entrypoint {entrypoint} names no rule{hint}")])


def _version() -> str:
    try:
        return version("policy-guard")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0"
