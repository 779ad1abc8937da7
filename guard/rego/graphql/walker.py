"""A query against a schema (section 5 of the specification): one walk that meets every node after its children and
lets the rules look at it. The first rule that is broken raises GraphqlError."""

from __future__ import annotations

from guard.rego.runtime import Budget

from . import rules, values
from .nodes import LIST, NULL, OBJECT, VARIABLE, GraphqlError, Node, type_root
from .overlap import Overlap
from .schema import Schema

_LOCATIONS = {"query": "QUERY", "mutation": "MUTATION", "subscription": "SUBSCRIPTION"}


class Walker:
    """The state of one validation."""

    def __init__(self, schema: Schema, document: Node, budget: Budget) -> None:
        self.schema = schema
        self.budget = budget
        self.document = document
        self.fragments: dict[str, Node] = {}
        for each in document.items_of("Fragments"):
            self.fragments.setdefault(each.get("Name", ""), each)
        self.operation: Node | None = None
        self.variables: dict[str, Node] = {}
        self.used: set[str] = set()
        self.entered: set[str] = set()
        self.spread_names: set[str] = set()
        self.overlap = Overlap(schema, self.fragments, budget)

    def run(self) -> None:
        """All operations, then all fragments."""
        names: set[str] = set()
        for each in self.document.items_of("Operations"):
            self.walk_operation(each)
            rules.check_operation(self, each, names)
        fragments: set[str] = set()
        visited: set[str] = set()
        self.operation, self.variables = None, {}
        for each in self.document.items_of("Fragments"):
            self.entered = set()
            definition = self.schema.types.get(each.get("TypeCondition", ""))
            self.directives(each, "FRAGMENT_DEFINITION")
            self.selection_set(definition, each)
            rules.check_fragment(self, each, fragments, visited)

    def walk_operation(self, node: Node) -> None:
        """One operation: variables, directives, selection."""
        self.operation, self.entered, self.used = node, set(), set()
        self.variables = {}
        for each in node.items_of("VariableDefinitions"):
            self.variables.setdefault(each.get("Variable", ""), each)
            rules.check_variable_type(self.schema, each)
        for each in node.items_of("VariableDefinitions"):
            default = each.get("DefaultValue")
            if default is not None:
                self.value(default, each.get("Type"), has_default=False)
            self.directives(each, "VARIABLE_DEFINITION")
        operation = node.get("Operation", "") or "query"
        if operation not in _LOCATIONS:
            raise GraphqlError(f'got unknown operation type "{operation}"', node.pos)
        self.directives(node, _LOCATIONS[operation])
        self.selection_set(self.schema.roots.get(operation), node)

    # -- selections ---------------------------------------------------------------------------------------------------

    def selection_set(self, parent: Node | None, node: Node) -> None:
        """Each selection below a node, against the type that it selects from."""
        for each in node.items_of("SelectionSet"):
            self.budget.charge(1)
            if each.kind == "Field":
                self.field(parent, each)
            elif each.kind == "Inline":
                self.inline(parent, each)
            else:
                self.spread(parent, each)

    def field(self, parent: Node | None, node: Node) -> None:
        """A field: arguments, directives, subfields, then the field."""
        definition = self.schema.field_of(parent, node.get("Name", ""))
        self.arguments(definition, node)
        self.directives(node, "FIELD")
        below = self.schema.types.get(type_root(definition["Type"])) if definition is not None else None
        self.selection_set(below, node)
        rules.check_field(self, parent, definition, node)

    def inline(self, parent: Node | None, node: Node) -> None:
        """``... on T { ... }``."""
        condition = node.get("TypeCondition", "")
        self.directives(node, "INLINE_FRAGMENT")
        self.selection_set(self.schema.types.get(condition) if condition else parent, node)
        rules.check_inline(self, parent, node)

    def spread(self, parent: Node | None, node: Node) -> None:
        """``...name``; the fragment is walked where an operation first spreads it."""
        name = node.get("Name", "")
        definition = self.fragments.get(name)
        self.directives(node, "FRAGMENT_SPREAD")
        if definition is not None and name not in self.entered:
            self.entered.add(name)
            self.directives(definition, "FRAGMENT_DEFINITION")
            self.selection_set(self.schema.types.get(definition.get("TypeCondition", "")), definition)
        if self.operation is not None:
            self.spread_names.add(name)
        rules.check_spread(self, parent, definition, node)

    # -- arguments ----------------------------------------------------------------------------------------------------

    def arguments(self, definition: Node | None, node: Node) -> None:
        """The values of arguments, against the definition of what has them."""
        for each in node.items_of("Arguments"):
            wanted = definition.named("Arguments", each.get("Name", "")) if definition is not None else None
            self.value(each["Value"], *_expected(wanted))

    def directives(self, node: Node, location: str) -> None:
        """The directives of a node."""
        given = node.items_of("Directives")
        for each in given:
            definition = self.schema.directives.get(each.get("Name", ""))
            self.arguments(definition, each)
            rules.check_directive(each, definition, location)
        rules.check_directive_list(given, self.schema)

    def value(self, node: Node, expected: Node | None, has_default: bool) -> None:
        """A value and those inside it, where a type is expected (or none is known)."""
        self.budget.charge(1)
        kind = node.get("Kind", 0)
        definition = self.schema.types.get(type_root(expected)) if expected is not None else None
        if kind == VARIABLE and self.operation is not None and node.get("Raw", "") in self.variables:
            self.used.add(node.get("Raw", ""))
        if kind == OBJECT:
            for child in node.items_of("Children"):
                wanted = definition.named("Fields", child.get("Name", "")) if definition is not None else None
                self.value(child["Value"], *_expected(wanted))
        if kind == LIST:
            inner = expected.get("Elem") if expected is not None else None
            for child in node.items_of("Children"):
                self.value(child["Value"], inner, has_default=False)
        self.check_value(node, definition, expected, has_default=has_default)

    def check_value(self, node: Node, definition: Node | None, expected: Node | None, *, has_default: bool) -> None:
        """The rules for one value."""
        variable = self.variables.get(node.get("Raw", "")) if node.get("Kind", 0) == VARIABLE else None
        if self.operation is not None and node.get("Kind", 0) == VARIABLE and variable is None:
            values.undefined_variable(node, self.operation)
        values.check_unique_fields(node)
        values.check_type(node, definition, expected)
        if variable is not None and expected is not None:
            values.check_position(node, variable, expected, has_default=has_default)
        values.check_one_of(node, definition, self.variables)


def _expected(definition: Node | None) -> tuple[Node | None, bool]:
    """The type that a definition expects, and whether it has a default."""
    if definition is None:
        return None, False
    default = definition.get("DefaultValue")
    return definition["Type"], default is not None and default.get("Kind", 0) != NULL
