"""The rules for operations, fields, fragments and directives (sections 5.2 to 5.4, 5.6 and 5.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import suggest
from .nodes import GraphqlError, Node, type_root, type_text
from .schema import COMPOSITES, INPUTS, LEAVES, Schema

if TYPE_CHECKING:
    from .walker import Walker

_INTROSPECTED_LISTS = frozenset({"fields", "interfaces", "possibleTypes", "inputFields"})
_MAX_INTROSPECTION = 3


# -- operations --------------------------------------------------------------------------------------------------------


def check_operation(walker: Walker, node: Node, seen: set[str]) -> None:
    """An operation, after all that is inside it."""
    name, operation = node.get("Name", ""), node.get("Operation", "") or "query"
    if walker.schema.roots.get(operation) is None:
        raise GraphqlError(f'Schema does not support operation type "{operation}"\n', node.pos)
    if not name and len(walker.document.items_of("Operations")) > 1:
        raise GraphqlError("This anonymous operation must be the only defined operation.", node.pos)
    for each in node.items_of("VariableDefinitions"):
        if each.get("Variable", "") not in walker.used:
            where = f' in operation "{name}"' if name else ""
            raise GraphqlError(f'Variable "${each.get("Variable", "")}" is never used{where}.', each.pos)
    walker.overlap.check(walker.schema.roots.get(operation), node)
    _check_subscription(walker, node)
    if name in seen:
        raise GraphqlError(f'There can be only one operation named "{name}".', node.pos)
    seen.add(name)
    variables: set[str] = set()
    for each in node.items_of("VariableDefinitions"):
        variable = each.get("Variable", "")
        if variable in variables:
            raise GraphqlError(f'There can be only one variable named "${variable}".', each.pos)
        variables.add(variable)
        found = walker.schema.types.get(type_root(each["Type"]))
        if found is not None and found.get("Kind") not in INPUTS:
            message = f'Variable "${variable}" cannot be non-input type "{type_text(each["Type"])}".'
            raise GraphqlError(message, each.pos)


def check_variable_type(schema: Schema, node: Node) -> None:
    """The type of a variable is known."""
    name = type_root(node["Type"]) if "Type" in node else ""
    if name not in schema.types:
        raise GraphqlError(f'Unknown type "{name}".', node.pos)


def _check_subscription(walker: Walker, node: Node) -> None:
    """A subscription selects one field, and not introspection."""
    if node.get("Operation") != "subscription":
        return
    name = f'Subscription "{node["Name"]}"' if node.get("Name") else "Anonymous Subscription"
    fields: dict[str, Node] = {}
    _top_fields(walker, node, fields, set())
    found = list(fields.values())
    if len(found) > 1:
        raise GraphqlError(f"{name} must select only one top level field.", found[1].pos)
    for each in found:
        if each.get("Name", "").startswith("__"):
            raise GraphqlError(f"{name} must not select an introspection top level field.", each.pos)


def _top_fields(walker: Walker, node: Node, fields: dict[str, Node], entered: set[str]) -> None:
    for each in node.items_of("SelectionSet"):
        walker.budget.charge(1)
        if each.kind == "Field":
            fields.setdefault(each.get("Name", ""), each)
        elif each.kind == "Inline":
            _top_fields(walker, each, fields, entered)
        else:
            name = each.get("Name", "")
            if name in walker.fragments and name not in entered:
                entered.add(name)
                _top_fields(walker, walker.fragments[name], fields, entered)


# -- fields ------------------------------------------------------------------------------------------------------------


def check_field(walker: Walker, parent: Node | None, definition: Node | None, node: Node) -> None:
    """A field, after all that is inside it."""
    name = node.get("Name", "")
    if definition is None:
        if parent is not None:
            raise GraphqlError(_unknown_field(walker.schema, parent, name), node.pos)
        return
    if parent is not None:
        _check_known_arguments(node, definition, f'field "{parent.get("Name", "")}.{name}"')
    if name in {"__schema", "__type"} and _too_deep(walker, node, set(), 0):
        raise GraphqlError("Maximum introspection depth exceeded\n", node.pos)
    if walker.operation is not None:
        walker.overlap.check(walker.schema.types.get(type_root(definition["Type"])), node)
    _check_required(node, definition, f'Field "{name}"')
    _check_leaf(walker.schema, definition, node)
    _check_unique_arguments(node)


def _unknown_field(schema: Schema, parent: Node, name: str) -> str:
    message = f'Cannot query field "{name}" on type "{parent.get("Name", "")}".'
    if parent.get("Kind") in {"INTERFACE", "UNION"}:
        names = _types_with(schema, parent, name)
        if names:
            return f"{message} Did you mean to use an inline fragment on {suggest.any_of(names)}?\n"
    if parent.get("Kind") in {"OBJECT", "INTERFACE"}:
        found = suggest.hint("Did you mean", name, [each.get("Name", "") for each in parent["Fields"]])
        return f"{message}{found}\n" if found else message
    return message


def _types_with(schema: Schema, parent: Node, name: str) -> list[str]:
    """The types that a value of an abstract type can be and that have the field; interfaces first."""
    uses: dict[str, int] = {}
    objects: list[str] = []
    for each in schema.possible.get(parent.get("Name", ""), ()):
        if each.named("Fields", name) is None:
            continue
        objects.append(each.get("Name", ""))
        for interface in each["Interfaces"]:
            found = schema.types.get(interface)
            if found is not None and found.named("Fields", name) is not None:
                uses[interface] = uses.get(interface, 0) + 1
    return sorted([*uses, *objects], key=lambda each: (-uses.get(each, 0), each))


def _check_known_arguments(node: Node, definition: Node, where: str) -> None:
    for each in node.items_of("Arguments"):
        name = each.get("Name", "")
        if definition.named("Arguments", name) is None:
            known = [argument.get("Name", "") for argument in definition.items_of("Arguments")]
            found = suggest.hint("Did you mean", name, known)
            message = f'Unknown argument "{name}" on {where}.'
            raise GraphqlError(f"{message}{found}\n" if found else message, node.pos)


def _check_required(node: Node, definition: Node, what: str) -> None:
    for wanted in definition.items_of("Arguments"):
        required = wanted["Type"].get("NonNull") and wanted.get("DefaultValue") is None
        if required and node.named("Arguments", wanted.get("Name", "")) is None:
            name, shown = wanted.get("Name", ""), type_text(wanted["Type"])
            message = f'{what} argument "{name}" of type "{shown}" is required, but it was not provided.'
            raise GraphqlError(message, node.pos)


def _check_unique_arguments(node: Node) -> None:
    seen: set[str] = set()
    for each in node.items_of("Arguments"):
        name = each.get("Name", "")
        if name in seen:
            raise GraphqlError(f'There can be only one argument named "{name}".', each.pos)
        seen.add(name)


def _check_leaf(schema: Schema, definition: Node, node: Node) -> None:
    """Scalars have no subfields, everything else has some."""
    found = schema.types.get(type_root(definition["Type"]))
    if found is None:
        return
    name, leaf, selected = node.get("Name", ""), found.get("Kind") in LEAVES, bool(node.items_of("SelectionSet"))
    if leaf and selected:
        message = f'Field "{name}" must not have a selection since type "{found.get("Name", "")}" has no subfields.'
        raise GraphqlError(message, node.pos)
    if not leaf and not selected:
        shown = type_text(definition["Type"])
        message = f'Field "{name}" of type "{shown}" must have a selection of subfields.'
        raise GraphqlError(f'{message} Did you mean "{name} {{ ... }}"?\n', node.pos)


def _too_deep(walker: Walker, node: Node, inside: set[str], depth: int) -> bool:
    """Whether introspection nests its own lists too deeply."""
    if node.kind == "Field" and node.get("Name", "") in _INTROSPECTED_LISTS:
        depth += 1
        if depth >= _MAX_INTROSPECTION:
            return True
    for each in node.items_of("SelectionSet"):
        walker.budget.charge(1)
        if each.kind != "Spread":
            if _too_deep(walker, each, inside, depth):
                return True
            continue
        name = each.get("Name", "")
        known = name in walker.fragments and name not in inside
        if known and _too_deep(walker, walker.fragments[name], inside | {name}, depth):
            return True
    return False


# -- fragments ---------------------------------------------------------------------------------------------------------


def check_fragment(walker: Walker, node: Node, seen: set[str], visited: set[str]) -> None:
    """A fragment's definition, after all that is inside it."""
    name, condition = node.get("Name", ""), node.get("TypeCondition", "")
    found = walker.schema.types.get(condition)
    if found is not None and found.get("Kind") not in COMPOSITES:
        message = f'Fragment "{name}" cannot condition on non composite type "{condition}".'
        raise GraphqlError(message, node.pos)
    if found is None:
        near = suggest.hint("Did you mean", condition, sorted(walker.schema.types))
        message = f'Unknown type "{condition}".'
        raise GraphqlError(f"{message}{near}\n" if near else message, node.pos)
    _check_cycles(walker, node, visited, [], {})
    if name not in walker.spread_names:
        raise GraphqlError(f'Fragment "{name}" is never used.', node.pos)
    walker.overlap.check(found, node)
    if name in seen:
        raise GraphqlError(f'There can be only one fragment named "{name}".', node.pos)
    seen.add(name)


def _check_cycles(walker: Walker, node: Node, visited: set[str], path: list[Node], places: dict[str, int]) -> None:
    """No fragment spreads itself, through whatever others."""
    name = node.get("Name", "")
    if name in visited:
        return
    visited.add(name)
    places[name] = len(path)
    for spread in _spreads(walker, node):
        wanted = spread.get("Name", "")
        path.append(spread)
        if wanted in places:
            names = [f'"{each.get("Name", "")}"' for each in path[places[wanted] : -1]]
            via = f" via {', '.join(names)}" if names else ""
            raise GraphqlError(f'Cannot spread fragment "{wanted}" within itself{via}.', spread.pos)
        if wanted in walker.fragments:
            _check_cycles(walker, walker.fragments[wanted], visited, path, places)
        path.pop()
    del places[name]


def _spreads(walker: Walker, node: Node) -> list[Node]:
    found: list[Node] = []
    waiting = [node]
    while waiting:
        for each in waiting.pop().items_of("SelectionSet"):
            walker.budget.charge(1)
            (found if each.kind == "Spread" else waiting).append(each)
    return found


def check_inline(walker: Walker, parent: Node | None, node: Node) -> None:
    """An inline fragment, after all that is inside it."""
    condition = node.get("TypeCondition", "")
    found = walker.schema.types.get(condition)
    if found is not None and found.get("Kind") not in COMPOSITES:
        raise GraphqlError(f'Fragment cannot condition on non composite type "{condition}".', node.pos)
    if condition and found is None:
        raise GraphqlError(f'Unknown type "{condition}".', node.pos)
    walker.overlap.check(found if condition else parent, node)
    if not _can_be(walker.schema, parent, condition):
        owner = parent.get("Name", "") if parent is not None else ""
        message = f'Fragment cannot be spread here as objects of type "{owner}" can never be of type "{condition}".'
        raise GraphqlError(message, node.pos)


def check_spread(walker: Walker, parent: Node | None, definition: Node | None, node: Node) -> None:
    """A spread, after the fragment that it spreads."""
    name = node.get("Name", "")
    if definition is None:
        raise GraphqlError(f'Unknown fragment "{name}".', node.pos)
    condition = definition.get("TypeCondition", "")
    if not _can_be(walker.schema, parent, condition):
        owner = parent.get("Name", "") if parent is not None else ""
        message = (
            f'Fragment "{name}" cannot be spread here as objects of type "{owner}" can never be of type "{condition}".'
        )
        raise GraphqlError(message, node.pos)


def _can_be(schema: Schema, parent: Node | None, condition: str) -> bool:
    """Whether an object of one type can be of another."""
    found = schema.types.get(condition)
    if parent is None or parent.get("Kind") not in COMPOSITES or found is None or found.get("Kind") not in COMPOSITES:
        return True
    name = parent.get("Name", "")
    own = {name} if parent["Kind"] == "OBJECT" else {each.get("Name") for each in schema.possible.get(name, ())}
    return any(each.get("Name") in own for each in schema.possible.get(condition, ()))


# -- directives --------------------------------------------------------------------------------------------------------


def check_directive(node: Node, definition: Node | None, location: str) -> None:
    """A directive where it stands."""
    name = node.get("Name", "")
    if definition is None:
        raise GraphqlError(f'Unknown directive "@{name}".', node.pos)
    _check_known_arguments(node, definition, f'directive "@{name}"')
    if location not in definition.items_of("Locations"):
        raise GraphqlError(f'Directive "@{name}" may not be used on {location}.', node.pos)
    _check_required(node, definition, f'Directive "@{name}"')
    _check_unique_arguments(node)


def check_directive_list(directives: list[Node], schema: Schema) -> None:
    """A directive stands once at a place, unless it is repeatable."""
    seen: set[str] = set()
    for each in directives:
        name = each.get("Name", "")
        definition = schema.directives.get(name)
        if name in seen and not (definition is not None and definition.get("IsRepeatable")):
            raise GraphqlError(f'The directive "@{name}" can only be used once at this location.', each.pos)
        seen.add(name)
