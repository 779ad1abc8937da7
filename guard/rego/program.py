"""A compiled policy: immutable, shared between threads, evaluated as often as wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from types import CodeType
from typing import Any

from . import documents, errors, runtime
from .annotations import Annotation, RuleBody, RuleHead, TestRule, attach, rule_bodies, rule_heads, tests_of
from .compiler import Checked
from .errors import BuiltinError, CompileError, DepthError, RegoDiagnostic
from .gen_rules import RuleWriter
from .nodes import Const, Ref, TermExpr, Var
from .parser import parse_query
from .query import QueryPlan
from .reads import Reads, ReadsFinder
from .runtime import Budget, Context, Image, Session
from .show import to_json
from .stops import Stops
from .trace import Recorder, Trace
from .tree import all_nodes
from .values import UNDEFINED, Set, Undefined, equal, key_of
from .watch import Watcher, WatchWriter
from .witness import Testimony, Witness, Witnessed, WitnessWriter

DEFAULT_MAX_STEPS = 1_000_000
_KEPT_IMAGES = 16
_KEPT_PATHS = 1024
PrintHook = Callable[[str], None]

_NAMES: dict[str, Any] = {
    "U": UNDEFINED,
    "MISSING": runtime.MISSING,
    "Set": Set,
    "Virtual": documents.Virtual,
    "Branch": runtime.Branch,
    "FunctionValue": runtime.FunctionValue,
    "key_of": key_of,
    "equal": equal,
    "index": documents.index,
    "base_index": documents.base_index,
    "COUNTED": frozenset({str, list, dict, Set}),
    "whole": documents.whole,
    "each_value": documents.each_value,
    "each_item": documents.each_item,
    "each_below": documents.each_below,
    "every": runtime.every,
    "one": runtime.one,
    "put": runtime.put,
    "less": runtime.less,
    "less_equal": runtime.less_equal,
}


class Program:
    """Compiled modules over base data. Made by `guard.rego.compile`."""

    def __init__(self, checked: Checked, data: Any) -> None:
        self._checked = checked
        self._data = {} if data is None else data
        self._lock = threading.Lock()
        self._images: dict[tuple[frozenset[str], bool], Image] = {}
        self._watched: Image | None = None
        self._image = self._image_for(checked.replaceable, traced=False)
        self.annotations: tuple[Annotation, ...] = attach(checked.modules)
        self.tests: tuple[TestRule, ...] = tests_of(checked.modules)
        self.files: tuple[str, ...] = tuple(module.file for module in checked.modules)

    def __del__(self) -> None:
        # Functions refer to their namespace, and it to them: without this only a full collection would free them, and
        # whoever reloads policies would keep the old ones for long.
        for image in (*self._images.values(), *filter(None, [self._watched])):
            image.names.clear()

    @property
    def bodies(self) -> tuple[RuleBody, ...]:
        """Every body by number, as ``fired`` of `prepare` names them."""
        return rule_bodies(self._checked.modules)

    def reads(self, numbers: Iterable[int]) -> dict[int, Reads]:
        """What each of these bodies may read, and which bodies it may ask; found in the text, nothing is evaluated."""
        finder = ReadsFinder(self._checked.tree)
        return {number: finder.of(number) for number in numbers}

    def rule_heads(self) -> tuple[RuleHead, ...]:
        """Every rule's path, place, annotation and, where its head is an object literal, that literal's constants."""
        return rule_heads(self._checked.modules, self.annotations)

    # -- evaluation -----------------------------------------------------------------------------------------------

    def eval(
        self,
        ref: str,
        input: Any = UNDEFINED,  # noqa: A002
        *,
        max_steps: int = DEFAULT_MAX_STEPS,
        deadline: float | None = None,
        strict_builtin_errors: bool = False,
        print_hook: PrintHook | None = None,
        swallowed: list[BuiltinError] | None = None,
    ) -> Any | Undefined:
        """The value of ``data.path.to.rule``, or `UNDEFINED`.

        ``input`` is JSON-like and is not copied; values that come from it are not copied either, so do not change
        what this returns. ``max_steps`` bounds the work, ``deadline`` (``time.monotonic()``) the time. Built-in errors
        are undefined unless ``strict_builtin_errors``; ``swallowed`` receives those that became undefined.
        ``print_hook`` receives the lines of ``print``. Raises
        EvalError (ConflictError, BuiltinError, StepLimitError, DeadlineError, DepthError), InputError; CompileError
        where ``ref`` is not a plain reference below ``data``.
        """
        session = Session(strict=strict_builtin_errors, print_hook=print_hook, trace=None, swallowed=swallowed)
        return self._run(plain_path(ref), input, Budget(max_steps, deadline), session, self._image)

    def prepare(self, ref: str) -> Callable[..., Any]:
        """``eval`` for one reference, resolved once: call it with ``(input, *, max_steps, deadline, ...)``. ``fired``
        receives the numbers of the bodies that held, in order; ``bodies`` says which they are."""
        path = plain_path(ref)

        def run(
            input: Any = UNDEFINED,  # noqa: A002
            *,
            max_steps: int = DEFAULT_MAX_STEPS,
            deadline: float | None = None,
            strict_builtin_errors: bool = False,
            print_hook: PrintHook | None = None,
            fired: dict[int, bool] | None = None,
        ) -> Any:
            session = Session(strict=strict_builtin_errors, print_hook=print_hook, trace=None, fired=fired)
            return self._run(path, input, Budget(max_steps, deadline), session, self._image)

        return run

    def trace(
        self,
        ref: str,
        input: Any = UNDEFINED,  # noqa: A002
        *,
        max_steps: int = DEFAULT_MAX_STEPS,
        deadline: float | None = None,
        strict_builtin_errors: bool = False,
        print_hook: PrintHook | None = None,
    ) -> Trace:
        """``eval`` with the rules that fired and the lines that were reached."""
        recorder = Recorder()
        session = Session(strict=strict_builtin_errors, print_hook=print_hook, trace=recorder)
        image = self._image_for(self._checked.replaceable, traced=True)
        return recorder.finish(self._run(plain_path(ref), input, Budget(max_steps, deadline), session, image))

    def watch(
        self,
        ref: str,
        input: Any = UNDEFINED,  # noqa: A002
        *,
        max_steps: int = DEFAULT_MAX_STEPS,
        deadline: float | None = None,
    ) -> Stops:
        """``eval``, watched expression by expression: where did bodies stop, and why? Slow. An error ends the
        evaluation; what came before it is kept."""
        with self._lock:
            if self._watched is None:
                checked = self._checked
                writer = WatchWriter(checked.tree, checked.replaceable, checked.names)
                self._watched = self._write(writer)
        watcher = Watcher()
        session = Session(strict=False, print_hook=None, trace=watcher)
        with suppress(errors.EvalError):
            self._run(plain_path(ref), input, Budget(max_steps, deadline), session, self._watched)
        return Stops(self._checked.tree, self._checked.names, tuple(watcher.events))

    def witness(
        self,
        ref: str,
        input: Any = UNDEFINED,  # noqa: A002
        *,
        max_steps: int = DEFAULT_MAX_STEPS,
        deadline: float | None = None,
        strict_builtin_errors: bool = False,
    ) -> Witnessed:
        """``eval`` with the variables of every body that held. Slow. What fails is told, not raised, with what held
        before it. Raises CompileError where ``ref`` is not a plain reference below ``data``."""
        checked, budget = self._checked, Budget(max_steps, deadline)
        image = self._write(WitnessWriter(checked.tree, checked.replaceable, checked.names))
        witness = Witness()
        session = Session(strict=strict_builtin_errors, print_hook=None, trace=witness)
        value, failure, path = UNDEFINED, "", plain_path(ref)
        try:
            value = self._run(path, input, budget, session, image)
        except (errors.EvalError, errors.InputError) as error:
            failure = str(error)
        found = {
            number: Testimony(tuple(to_json(values) for values in kept), witness.totals[number])
            for number, kept in witness.solutions.items()
        }
        image.names.clear()
        return Witnessed(value, found, failure)

    def _run(self, path: tuple[Any, ...], input_: Any, budget: Budget, session: Session, image: Image) -> Any:
        context = Context(image, self._data, input_, budget, session)
        try:
            value = documents.lookup(context, path)
            return UNDEFINED if value is UNDEFINED else to_json(value, budget=budget)
        except RecursionError:
            raise DepthError("values or rules nest too deeply") from None

    # -- queries --------------------------------------------------------------------------------------------------

    def query(
        self,
        query: str,
        input: Any = UNDEFINED,  # noqa: A002
        *,
        max_steps: int = DEFAULT_MAX_STEPS,
        deadline: float | None = None,
        strict_builtin_errors: bool = False,
        print_hook: PrintHook | None = None,
        exact: bool = False,
    ) -> list[dict[str, Any]]:
        """OPA's result set: what ``opa eval --format json`` has under ``result``, [] where it has none.

        Each solution is ``{"expressions": [{"value", "text", "location": {"row", "col"}}], "bindings": {...}}``,
        without ``bindings`` where there are none. With ``exact``, numbers that no float holds stay Decimal
        (`guard.rego.render` prints them). Raises as `eval` does, and CompileError for the query.
        """
        try:
            plan = QueryPlan(self._checked, query)
        except RecursionError:
            message = "the query nests too deeply"
            raise CompileError([RegoDiagnostic(errors.COMPILE, message, "", 1, 1)]) from None
        image = self._image_for(plan.replaceable, traced=False)
        writer = RuleWriter(self._checked.tree, plan.replaceable, traced=False)
        plan.write(writer)
        names = {**image.names, **writer.constants}
        exec(compile_source(writer.source()), names)  # noqa: S102 - generated from the checked tree only
        session = Session(strict=strict_builtin_errors, print_hook=print_hook, trace=None)
        context = Context(image, self._data, input, Budget(max_steps, deadline), session)
        found: list[tuple[list[Any], dict[str, Any]]] = []
        try:
            names["q"](context, found)
            budget = context.budget
            return [plan.result(values, bindings, budget, exact=exact) for values, bindings in found]
        except RecursionError:
            raise DepthError("values or rules nest too deeply") from None

    # -- code -----------------------------------------------------------------------------------------------------

    def _image_for(self, replaceable: frozenset[str], *, traced: bool) -> Image:
        """The program's code, written so that these functions can be replaced."""
        with self._lock:
            image = self._images.get((replaceable, traced))
            if image is None:
                if len(self._images) >= _KEPT_IMAGES:
                    self._images.pop(next(reversed(self._images)))
                image = self._images[(replaceable, traced)] = self._load(replaceable, traced=traced)
            return image

    def _load(self, replaceable: frozenset[str], *, traced: bool) -> Image:
        return self._write(RuleWriter(self._checked.tree, replaceable, traced=traced))

    def _write(self, writer: RuleWriter) -> Image:
        tree = self._checked.tree
        nodes = list(all_nodes(tree.root))
        names = dict(_NAMES)
        # Node by node: compiling holds the interpreter lock, and other threads serve requests meanwhile.
        for node in nodes:
            writer.node(node)
            code = compile_source(writer.take())
            names.update(writer.constants)
            writer.constants.clear()
            exec(code, names)  # noqa: S102 - generated from the checked tree only
        evaluators = {node.id: names[f"v{node.id}"] for node in nodes if node.is_document}
        return Image(names, tree.root, evaluators)


@lru_cache(maxsize=_KEPT_PATHS)
def plain_path(ref: str) -> tuple[Any, ...]:
    """The path of a plain reference below ``data``, in key form. Raises CompileError for anything else."""
    body = parse_query(ref)
    node = body[0].node
    term = node.term if isinstance(node, TermExpr) else None
    parts = term.terms if isinstance(term, Ref) and len(body) == 1 and not body[0].withs else ()
    head = parts[0] if parts else None
    constants = [part for part in parts[1:] if isinstance(part, Const)]
    if not isinstance(head, Var) or head.name != "data" or len(constants) != len(parts) - 1:
        raise CompileError([RegoDiagnostic(errors.COMPILE, f"not a plain reference below data: {ref}", "", 1, 1)])
    return tuple(key_of(part.value) for part in constants)


def compile_source(source: str) -> CodeType:
    """Byte code of generated source."""
    try:
        return compile(source, "<rego>", "exec", dont_inherit=True)
    except (SyntaxError, MemoryError, RecursionError) as error:
        message = f"a rule nests too deeply to be compiled ({error})"
        raise CompileError([RegoDiagnostic(errors.COMPILE, message, "", 1, 1)]) from None
