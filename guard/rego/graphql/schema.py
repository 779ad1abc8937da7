"""A schema: types and directives by name, from a document that was checked (section 3 of the specification)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache

from guard.rego.runtime import Budget

from .nodes import NULL, GraphqlError, Node, type_root, type_text
from .prelude import PRELUDE
from .schema_parser import SchemaParser

LEAVES = frozenset({"SCALAR", "ENUM"})
COMPOSITES = frozenset({"OBJECT", "INTERFACE", "UNION"})
INPUTS = frozenset({"SCALAR", "ENUM", "INPUT_OBJECT"})
_REDECLARABLE = frozenset({"include", "skip", "deprecated", "specifiedBy", "defer", "oneOf"})
_MERGED = ("Directives", "Interfaces", "Fields", "Types", "EnumValues")


@dataclass(slots=True)
class Schema:
    """Types and directives by name, root types by operation, and the object types that a type can be."""

    types: dict[str, Node] = field(default_factory=dict)
    directives: dict[str, Node] = field(default_factory=dict)
    roots: dict[str, Node] = field(default_factory=dict)
    possible: dict[str, list[Node]] = field(default_factory=lambda: defaultdict(list))

    def field_of(self, parent: Node | None, name: str) -> Node | None:
        """The definition of a field, the fields of introspection included."""
        if name == "__typename":
            return _TYPENAME
        if parent is None:
            return None
        found = parent.named("Fields", name)
        if found is None and parent is self.roots.get("query"):
            found = _INTROSPECTION.get(name)
        return found


def _named(name: str, *, required: bool) -> Node:
    return Node("Type", NamedType=name, NonNull=required)


_TYPENAME = Node("FieldDefinition", Name="__typename", Type=_named("String", required=False))
_NAME_ARGUMENT = Node("ArgumentDefinition", Name="name", Type=_named("String", required=True))
_INTROSPECTION = {
    "__schema": Node("FieldDefinition", Name="__schema", Type=_named("__Schema", required=True)),
    "__type": Node("FieldDefinition", Name="__type", Type=_named("__Type", required=False), Arguments=[_NAME_ARGUMENT]),
}


@cache
def _prelude() -> Node:
    """The definitions that every schema has."""
    document = SchemaParser(PRELUDE).schema_document()
    for each in document["Definitions"]:
        each["BuiltIn"] = True
    return document


def build(document: Node, budget: Budget) -> Schema:
    """The schema of a document over the definitions that every schema has. Raises GraphqlError."""
    schema = Schema()
    definitions = [*_prelude()["Definitions"], *document.items_of("Definitions")]
    for each in definitions:
        name = each.get("Name", "")
        if name in schema.types:
            raise GraphqlError(f"Cannot redeclare type {name}.", each.pos)
        schema.types[name] = _copy(each)
    for each in document.items_of("Extensions"):
        _extend(schema, each)
    for each in schema.types.values():
        _add_possible(schema, each)
    for each in [*_prelude()["Directives"], *document.items_of("Directives")]:
        name = each.get("Name", "")
        if name in schema.directives and name not in _REDECLARABLE:
            raise GraphqlError(f"Cannot redeclare directive {name}.", each.pos)
        schema.directives[name] = each
    _set_roots(schema, document)
    _Checker(schema, budget).check()
    if not document.items_of("Schema"):
        for operation in ("query", "mutation", "subscription"):
            found = schema.types.get(operation.capitalize())
            if found is not None:
                schema.roots.setdefault(operation, found)
    return schema


def _copy(definition: Node) -> Node:
    """A definition that extensions may be merged into."""
    found = Node(definition.kind, definition.pos, **definition)
    for name in _MERGED:
        found[name] = list(definition.items_of(name))
    return found


def _extend(schema: Schema, extension: Node) -> None:
    name, kind = extension.get("Name", ""), extension.get("Kind", "")
    base = schema.types.get(name)
    if base is None:
        base = schema.types[name] = _copy(Node("Definition", extension.pos, Name=name, Kind=kind))
    if base.get("Kind", "") != kind:
        message = f"Cannot extend type {name} because the base type is a {base.get('Kind', '')}, not {kind}."
        raise GraphqlError(message, extension.pos)
    for merged in _MERGED:
        base[merged] += extension.items_of(merged)


def _add_possible(schema: Schema, definition: Node) -> None:
    name, kind = definition.get("Name", ""), definition.get("Kind", "")
    if kind == "UNION":
        members = [schema.types[each] for each in definition["Types"] if each in schema.types]
        schema.possible[name] += members
    elif kind in {"OBJECT", "INPUT_OBJECT", "INTERFACE"}:
        for interface in definition["Interfaces"]:
            schema.possible[interface].append(definition)
        if kind != "INTERFACE":
            schema.possible[name].append(definition)


def _set_roots(schema: Schema, document: Node) -> None:
    entries = document.items_of("Schema")
    if len(entries) > 1:
        message = "Cannot have multiple schema entry points, consider schema extensions instead."
        raise GraphqlError(message, entries[1].pos)
    checker = _Checker(schema, Budget(0, None))
    for entry in [*entries, *document.items_of("SchemaExtension")]:
        for root in entry.items_of("OperationTypes"):
            found = schema.types.get(root.get("Type", ""))
            if found is None:
                operation, name = root.get("Operation", ""), root.get("Type", "")
                message = f"Schema root {operation} refers to a type {name} that does not exist."
                raise GraphqlError(message, root.pos)
            schema.roots[root.get("Operation", "")] = found
        checker.directives(entry, "SCHEMA")


class _Checker:
    """The rules for definitions. The first that is broken raises GraphqlError."""

    def __init__(self, schema: Schema, budget: Budget) -> None:
        self.schema = schema
        self.budget = budget

    def check(self) -> None:
        """Every type, then every directive, each by name."""
        for name in sorted(self.schema.types):
            self.definition(self.schema.types[name])
        for name in sorted(self.schema.directives):
            each = self.schema.directives[name]
            _check_name(each)
            self.arguments(each, name)

    def definition(self, node: Node) -> None:
        """One type: fields, members, interfaces, then what its kind asks for."""
        kind = node.get("Kind", "")
        where = "INPUT_FIELD_DEFINITION" if kind == "INPUT_OBJECT" else "FIELD_DEFINITION"
        for each in node["Fields"]:
            self.budget.charge(1)
            _check_name(each)
            self.known(each)
            self.arguments(each, "")
            self.directives(each, where)
        for member in node["Types"]:
            found = self.schema.types.get(member)
            if found is None:
                raise GraphqlError(f'Undefined type "{member}".', node.pos)
            if found.get("Kind") != "OBJECT":
                raise GraphqlError(f'{kind} type "{member}" must be OBJECT.', node.pos)
        for interface in node["Interfaces"]:
            self.implements(node, interface)
        if kind in {"OBJECT", "INTERFACE"}:
            self.fields(node, "fields", ("SCALAR", "OBJECT", "INTERFACE", "UNION", "ENUM"))
        elif kind == "INPUT_OBJECT":
            self.fields(node, "input fields", ("SCALAR", "ENUM", "INPUT_OBJECT"))
        elif kind == "ENUM":
            self.enum(node)
        _unique(node, "Fields", "Field")
        _unique(node, "EnumValues", "Enum value")
        if not node.get("BuiltIn"):
            _check_name(node)
        self.directives(node, kind, merged=True)

    def fields(self, node: Node, what: str, kinds: tuple[str, ...]) -> None:
        """At least one field, each of a kind that may stand there."""
        name, kind = node.get("Name", ""), node["Kind"]
        if not node["Fields"]:
            raise GraphqlError(f"{kind} {name}: must define one or more {what}.", node.pos)
        for each in node["Fields"]:
            found = self.schema.types.get(type_root(each.get("Type", Node("Type"))))
            if found is not None and found.get("Kind") not in kinds:
                owner = (found.get("Kind"), each.get("Name", "")) if kind == "INPUT_OBJECT" else (kind, name)
                raise GraphqlError(f"{owner[0]} {owner[1]}: field must be one of {', '.join(kinds)}.", each.pos)

    def enum(self, node: Node) -> None:
        """At least one value, none of them a literal of another kind."""
        name = node.get("Name", "")
        if not node["EnumValues"]:
            raise GraphqlError(f"ENUM {name}: must define one or more unique enum values.", node.pos)
        for each in node["EnumValues"]:
            if each.get("Name") in {"true", "false", "null"}:
                raise GraphqlError(f"ENUM {name}: non-enum value {each['Name']}.", node.pos)
            self.directives(each, "ENUM_VALUE")

    def known(self, node: Node) -> Node:
        """The type that a field or an argument names."""
        reference = node.get("Type", Node("Type"))
        name = type_root(reference)
        found = self.schema.types.get(name)
        if found is None:
            raise GraphqlError(f"Undefined type {name}.", reference.pos)
        return found

    def arguments(self, node: Node, directive: str) -> None:
        """The arguments of a field, or of the directive of this name."""
        for each in node.items_of("Arguments"):
            self.budget.charge(1)
            _check_name(each)
            found = self.known(each)
            if found.get("Kind") not in INPUTS:
                shown, kind = type_text(each["Type"]), found.get("Kind", "")
                message = (
                    f"cannot use {shown} as argument {each.get('Name', '')} because {kind} is not a valid input type"
                )
                raise GraphqlError(message, each.pos)
            self.directives(each, "ARGUMENT_DEFINITION", directive)

    def directives(self, node: Node, location: str, inside: str = "", *, merged: bool = False) -> None:
        """The directives of a definition: known, allowed here, once, with known and required arguments. A definition
        that extensions were ``merged`` into may have one more than once."""
        seen: set[str] = set()
        for each in node.items_of("Directives"):
            _check_name(each)
            name = each.get("Name", "")
            if inside and name == inside:
                raise GraphqlError(f"Directive {name} cannot refer to itself.", each.pos)
            found = self.schema.directives.get(name)
            if found is None:
                raise GraphqlError(f"Undefined directive {name}.", each.pos)
            if name in seen and not merged and not found.get("IsRepeatable"):
                raise GraphqlError(f"The directive {name} can only be used once at this location.", each.pos)
            seen.add(name)
            if location not in found.items_of("Locations"):
                raise GraphqlError(f"Directive {name} is not applicable on {location}.", each.pos)
            _check_directive_arguments(each, found)

    def implements(self, node: Node, interface: str) -> None:
        """A type has what its interface asks for (section 3.6)."""
        found = self.schema.types.get(interface)
        if found is None:
            raise GraphqlError(f'Undefined type "{interface}".', node.pos)
        if found.get("Kind") != "INTERFACE":
            raise GraphqlError(f'"{interface}" is a non interface type {found.get("Kind", "")}.', node.pos)
        start = f"For {node.get('Name', '')} to implement {interface}"
        for wanted in found["Fields"]:
            self.budget.charge(1)
            name = wanted.get("Name", "")
            have = node.named("Fields", name)
            if have is None:
                raise GraphqlError(f"{start} it must have a field called {name}.", node.pos)
            if not self.covariant(wanted["Type"], have["Type"]):
                shown = type_text(wanted["Type"])
                raise GraphqlError(f"{start} the field {name} must have type {shown}.", have.pos)
            _check_arguments(start, wanted, have)
        for above in found["Interfaces"]:
            if above not in node["Interfaces"]:
                own = node.get("Name", "")
                if above == own:
                    message = f"Type {own} cannot implement {interface} because it would create a circular reference."
                else:
                    message = f"Type {own} must implement {above} because it is implemented by {interface}."
                raise GraphqlError(message, node.pos)

    def covariant(self, wanted: Node, have: Node) -> bool:
        """Whether a field of one type may stand where an interface asks for another."""
        if wanted.get("NonNull") and not have.get("NonNull"):
            return False
        if wanted.get("Elem") is None:
            name = have.get("NamedType", "")
            options = self.schema.possible.get(wanted.get("NamedType", ""), [])
            return bool(wanted.get("NamedType", "") == name or any(each.get("Name") == name for each in options))
        return have.get("Elem") is not None and self.covariant(wanted["Elem"], have["Elem"])


def _check_name(node: Node) -> None:
    name = node.get("Name", "")
    if name.startswith("__"):
        message = f'Name "{name}" must not begin with "__", which is reserved by GraphQL introspection.'
        raise GraphqlError(message, node.pos)


def _check_directive_arguments(given: Node, definition: Node) -> None:
    """The arguments of a directive: all known, the required ones there."""
    name = given.get("Name", "")
    for each in given.items_of("Arguments"):
        if definition.named("Arguments", each.get("Name", "")) is None:
            raise GraphqlError(f"Undefined argument {each.get('Name', '')} for directive {name}.", each.pos)
    for wanted in definition.items_of("Arguments"):
        if wanted["Type"].get("NonNull") and wanted.get("DefaultValue") is None:
            found = given.named("Arguments", wanted.get("Name", ""))
            if found is None or found["Value"].get("Kind", 0) == NULL:
                message = f"Argument {wanted.get('Name', '')} for directive {name} cannot be null."
                raise GraphqlError(message, given.pos)


def _check_arguments(start: str, wanted: Node, have: Node) -> None:
    """The arguments of a field against those of the interface's."""
    name = have.get("Name", "")
    for each in wanted.items_of("Arguments"):
        found = have.named("Arguments", each.get("Name", ""))
        same = f"{start} the field {name} must have the same arguments but"
        if found is None:
            raise GraphqlError(f"{same} it is missing {each.get('Name', '')}.", have.pos)
        if not compatible(each["Type"], found["Type"]):
            raise GraphqlError(f"{same} {each.get('Name', '')} has the wrong type.", found.pos)
    for each in have.items_of("Arguments"):
        extra = wanted.named("Arguments", each.get("Name", "")) is None
        if extra and each["Type"].get("NonNull") and each.get("DefaultValue") is None:
            message = (
                f"{start} any additional arguments on {name} must be optional or have a default value "
                f"but {each.get('Name', '')} is required."
            )
            raise GraphqlError(message, each.pos)


def compatible(have: Node, wanted: Node) -> bool:
    """Whether a value of one type can stand where the other is wanted."""
    if have.get("NamedType", "") != wanted.get("NamedType", ""):
        return False
    if have.get("Elem") is not None and (wanted.get("Elem") is None or not compatible(have["Elem"], wanted["Elem"])):
        return False
    return bool(have.get("NonNull")) or not wanted.get("NonNull")


def _unique(node: Node, members: str, what: str) -> None:
    seen: set[str] = set()
    for each in node[members]:
        name = each.get("Name", "")
        if name in seen:
            raise GraphqlError(f"{what} {node.get('Name', '')}.{name} can only be defined once.", each.pos)
        seen.add(name)
