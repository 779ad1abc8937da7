"""strings.render_template: Go's ``text/template`` over an object. Numbers of the object are texts, as OPA hands them
to Go; methods do not exist, and ``call`` has nothing to call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from guard.rego.gotemplate import Block, Operand, Pipeline, TemplateError, parse
from guard.rego.runtime import BuiltinFailure, Context
from guard.rego.template_functions import FUNCTIONS, given, go_type, shown, truth
from guard.rego.values import UNDEFINED, Set, sorted_keys

from .registry import builtin
from .strings import check_length

_CHARACTERS_PER_STEP = 16


@builtin("strings.render_template", "string, object -> string", context=True, deep=True)
def _render_template(ctx: Context, text: str, variables: dict[Any, Any]) -> str:
    ctx.budget.charge(len(text) // _CHARACTERS_PER_STEP)
    if _has_set(variables):
        raise BuiltinFailure("a set is not a value that templates know")
    try:
        renderer = _Renderer(ctx, parse(text), variables)
        renderer.template("", variables)
    except TemplateError as error:
        raise BuiltinFailure(str(error)) from None
    except _Leave:
        raise BuiltinFailure("template: {{break}} or {{continue}} outside {{range}}") from None
    return "".join(renderer.out)


class _Leave(Exception):
    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


def _has_set(value: Any) -> bool:
    if type(value) is dict:
        return any(map(_has_set, value.values()))
    return any(map(_has_set, value)) if type(value) is list else type(value) is Set


class _Renderer:
    def __init__(self, ctx: Context, named: dict[str, list[Block]], root: Any) -> None:
        self.budget = ctx.budget
        self.named = named
        self.root = root
        self.out: list[str] = []
        self.length = 0
        self.scope: list[tuple[str, Any]] = []

    def emit(self, text: str) -> None:
        self.length += len(text)
        check_length(self.length)
        self.budget.charge(len(text) // _CHARACTERS_PER_STEP)
        self.out.append(text)

    def template(self, name: str, dot: Any) -> None:
        """Render a named template; it sees no variables but ``$``."""
        body = self.named.get(name)
        if body is None:
            raise TemplateError(f'template: template "{name}" not defined')
        outer, self.scope = self.scope, [("$", dot)]
        self.blocks(body, dot)
        self.scope = outer

    def blocks(self, nodes: list[Block], dot: Any) -> None:
        """Render nodes; variables that they declare end with them."""
        depth = len(self.scope)
        for node in nodes:
            self.budget.charge(1)
            self.block(node, dot)
        del self.scope[depth:]

    def block(self, node: Block, dot: Any) -> None:
        if node.kind == "text":
            self.emit(node.text)
        elif node.kind in {"break", "continue"}:
            raise _Leave(node.kind)
        elif node.kind == "template":
            self.template(node.text, self.pipeline(node.pipeline, dot) if node.pipeline else None)
        elif node.pipeline is not None:
            depth = len(self.scope)
            value = self.pipeline(node.pipeline, dot, loop=node.kind == "range")
            if node.kind == "range":
                self.range(node, node.pipeline, value, dot)
            elif node.kind == "out":
                if not node.pipeline.names:
                    self.emit(shown(value))
                return
            elif truth(value):
                self.blocks(node.body, value if node.kind == "with" else dot)
            else:
                self.blocks(node.orelse, dot)
            del self.scope[depth:]

    def range(self, node: Block, pipeline: Pipeline, value: Any, dot: Any) -> None:
        """Render a body for each item."""
        items = list(_items(value))
        self.budget.charge(len(items))
        if not items:
            self.blocks(node.orelse, dot)
        for key, item in items:
            depth = len(self.scope)
            names = pipeline.names
            for name, each in zip(names, (key, item) if len(names) == 2 else (item,), strict=False):
                self.assign(name, each, declares=pipeline.declares)
            try:
                self.blocks(node.body, item)
            except _Leave as leave:
                del self.scope[depth:]
                if leave.word == "break":
                    return
            del self.scope[depth:]

    # -- values -------------------------------------------------------------------------------------------------------

    def assign(self, name: str, value: Any, *, declares: bool) -> None:
        if declares:
            self.scope.append((name, value))
            return
        for at in range(len(self.scope) - 1, -1, -1):
            if self.scope[at][0] == name:
                self.scope[at] = (name, value)
                return
        raise TemplateError(f'template: undefined variable "{name}"')

    def pipeline(self, pipeline: Pipeline, dot: Any, *, loop: bool = False) -> Any:
        """The answer of the last command."""
        value: Any = None
        for position, command in enumerate(pipeline.commands):
            value = self.command(command, dot, [value] if position else [])
        if pipeline.names and not loop:
            self.assign(pipeline.names[0], value, declares=pipeline.declares)
        return value

    def command(self, operands: tuple[Operand, ...], dot: Any, given: list[Any]) -> Any:
        """A function with its arguments, or a single operand."""
        first = operands[0]
        if first.kind == "word" and first.value not in {"true", "false", "nil"}:
            return self.call(str(first.value), operands[1:], dot, given)
        if first.value == "nil":
            raise TemplateError("template: nil is not a command")
        if len(operands) > 1 or given:
            raise TemplateError("template: can't give argument to non-function")
        return self.operand(first, dot)

    def operand(self, operand: Operand, dot: Any) -> Any:
        kind, value = operand.kind, operand.value
        if kind == "dot":
            found = given(dot)
        elif kind == "variable":
            found = next((held for name, held in reversed(self.scope) if name == value), UNDEFINED)
            if found is UNDEFINED and all(name != value for name, _ in self.scope):
                raise TemplateError(f'template: undefined variable "{value}"')
        elif kind == "pipeline":
            found = self.pipeline(value, dot)
        elif kind == "word":
            constants = {"true": True, "false": False, "nil": None}
            found = constants[value] if value in constants else self.call(value, (), dot, [])
        else:
            found = value
        for name in operand.fields:
            found = self.field(found, name)
        return found

    def field(self, value: Any, name: str) -> Any:
        if value is None or value is UNDEFINED:
            return UNDEFINED
        if type(value) is not dict:
            raise TemplateError(f"template: can't evaluate field {name} in type {go_type(value)}")
        return given(value.get(name, UNDEFINED))

    def call(self, name: str, operands: tuple[Operand, ...], dot: Any, given: list[Any]) -> Any:
        """A function; ``and`` and ``or`` look at their arguments one by one."""
        if name in {"and", "or"}:
            value: Any = UNDEFINED
            for operand in operands:
                value = self.operand(operand, dot)
                if truth(value) == (name == "or"):
                    return value
            return given[0] if given else value
        function = FUNCTIONS.get(name)
        if function is None:
            raise TemplateError(f'template: function "{name}" not defined')
        arguments = [*[self.operand(operand, dot) for operand in operands], *given]
        self.budget.charge(1)
        try:
            return function(*arguments)
        except (TypeError, ValueError, IndexError) as error:
            raise TemplateError(f"template: error calling {name}: {error}") from None


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    """(index or key, item) of what a range goes over."""
    if type(value) is list:
        yield from ((at, given(item)) for at, item in enumerate(value))
    elif type(value) is dict:
        yield from ((key, given(value[key])) for key in sorted_keys(value))
    elif type(value) is int:
        yield from ((at, at) for at in range(min(value, 1_000_000)))
    elif value is not None and value is not UNDEFINED:
        raise TemplateError(f"template: range can't iterate over {shown(value)}")
