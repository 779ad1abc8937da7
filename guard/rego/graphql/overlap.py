"""Fields that give the same name in the answer must be the same field (section 5.3.2)."""

from __future__ import annotations

from collections.abc import Iterable

from guard.rego.runtime import Budget

from .nodes import GraphqlError, Node, type_root, type_text
from .schema import LEAVES, Schema

Selected = tuple[Node | None, Node]
Fields = dict[str, list[Selected]]


class Overlap:
    """Finds the first conflict. A pair of fragments is compared once, a pair of selections for its fields' parents."""

    def __init__(self, schema: Schema, fragments: dict[str, Node], budget: Budget) -> None:
        self.schema = schema
        self.fragments = fragments
        self.budget = budget
        self.compared: set[tuple[str, str, bool]] = set()

    def check(self, parent: Node | None, node: Node) -> None:
        """The selections of one node, those of the fragments that it spreads included. Raises GraphqlError."""
        fields, spreads = self.collect(parent, node)
        for name, same in fields.items():
            for at, one in enumerate(same):
                for other in same[at + 1 :]:
                    self.report(name, self.conflict(one, other, exclusive=False), other)
        seen: set[str] = set()
        for at, spread in enumerate(spreads):
            self.with_fragment(fields, spread, seen, exclusive=False)
            for second in spreads[at + 1 :]:
                self.fragments_of(spread, second, exclusive=False)

    def report(self, name: str, reason: str, other: Selected) -> None:
        """Raise for a conflict."""
        if reason:
            message = (
                f'Fields "{name}" conflict because {reason}. '
                "Use different aliases on the fields to fetch both if this was intentional."
            )
            raise GraphqlError(message, other[1].pos)

    def collect(self, parent: Node | None, node: Node) -> tuple[Fields, list[str]]:
        """The fields below a node by their name in the answer, and the fragments that it spreads."""
        fields: Fields = {}
        spreads: list[str] = []
        self.add(parent, node.items_of("SelectionSet"), fields, spreads)
        return fields, spreads

    def add(self, parent: Node | None, selections: Iterable[Node], fields: Fields, spreads: list[str]) -> None:
        """Collect from some selections."""
        for each in selections:
            self.budget.charge(1)
            if each.kind == "Field":
                fields.setdefault(each.get("Alias") or each.get("Name", ""), []).append((parent, each))
            elif each.kind == "Spread":
                spreads.append(each.get("Name", ""))
            else:
                condition = each.get("TypeCondition", "")
                below = self.schema.types.get(condition) if condition else parent
                self.add(below, each.items_of("SelectionSet"), fields, spreads)

    def of_fragment(self, name: str) -> tuple[Fields, list[str]]:
        """What a fragment selects; nothing where there is no such fragment."""
        node = self.fragments.get(name)
        if node is None:
            return {}, []
        return self.collect(self.schema.types.get(node.get("TypeCondition", "")), node)

    def between(self, left: Fields, right: Fields, *, exclusive: bool) -> None:
        """Compare the fields of two selections."""
        for name, ones in left.items():
            for one in ones:
                for other in right.get(name, ()):
                    self.report(name, self.conflict(one, other, exclusive=exclusive), other)

    def with_fragment(self, fields: Fields, name: str, seen: set[str], *, exclusive: bool) -> None:
        """Compare fields with those of a fragment and of the fragments inside it."""
        if name in seen:
            return
        seen.add(name)
        others, spreads = self.of_fragment(name)
        self.between(fields, others, exclusive=exclusive)
        for each in spreads:
            self.with_fragment(fields, each, seen, exclusive=exclusive)

    def fragments_of(self, left: str, right: str, *, exclusive: bool) -> None:
        """Compare two fragments and those inside them."""
        pair = (min(left, right), max(left, right), exclusive)
        if left == right or pair in self.compared or (*pair[:2], False) in self.compared:
            return
        self.compared.add(pair)
        ones, ones_spread = self.of_fragment(left)
        others, others_spread = self.of_fragment(right)
        self.between(ones, others, exclusive=exclusive)
        for each in others_spread:
            self.fragments_of(left, each, exclusive=exclusive)
        for each in ones_spread:
            self.fragments_of(each, right, exclusive=exclusive)

    # -- two fields ---------------------------------------------------------------------------------------------------

    def conflict(self, one: Selected, other: Selected, *, exclusive: bool) -> str:
        """Why two fields of one name cannot both be answered; empty where they can."""
        self.budget.charge(1)
        (parent, left), (owner, right) = one, other
        if parent is None or owner is None or left is right:
            return ""
        name, second = left.get("Name", ""), right.get("Name", "")
        definitions = self.schema.field_of(parent, name), self.schema.field_of(owner, second)
        apart = parent.get("Name") != owner.get("Name") and parent.get("Kind") == owner.get("Kind") == "OBJECT"
        exclusive = exclusive or (apart and None not in definitions)
        if not exclusive:
            if name != second:
                return f'"{name}" and "{second}" are different fields'
            if not _same_arguments(left, right):
                return "they have differing arguments"
        if definitions[0] is None or definitions[1] is None:
            return ""
        types = definitions[0]["Type"], definitions[1]["Type"]
        if self.types_conflict(*types):
            return f'they return conflicting types "{type_text(types[0])}" and "{type_text(types[1])}"'
        below = self.schema.types.get(type_root(types[0])), self.schema.types.get(type_root(types[1]))
        return self.below((below[0], left), (below[1], right), exclusive=exclusive)

    def below(self, one: Selected, other: Selected, *, exclusive: bool) -> str:
        """The conflict between the subfields of two fields."""
        if not one[1].items_of("SelectionSet") or not other[1].items_of("SelectionSet"):
            return ""
        lefts, left_spreads = self.collect(*one)
        rights, right_spreads = self.collect(*other)
        for name, same in lefts.items():
            for left in same:
                for right in rights.get(name, ()):
                    reason = self.conflict(left, right, exclusive=exclusive)
                    if reason:
                        return f'subfields "{name}" conflict because {reason}'
        for each in right_spreads:
            self.with_fragment(lefts, each, set(), exclusive=exclusive)
        for each in left_spreads:
            self.with_fragment(rights, each, set(), exclusive=exclusive)
        for each in left_spreads:
            for second in right_spreads:
                self.fragments_of(each, second, exclusive=exclusive)
        return ""

    def types_conflict(self, left: Node, right: Node) -> bool:
        """Whether values of two types look different in the answer."""
        one, other = left.get("Elem"), right.get("Elem")
        if one is not None and other is not None:
            return self.types_conflict(one, other)
        if (one is None) != (other is None) or bool(left.get("NonNull")) != bool(right.get("NonNull")):
            return True
        names = left.get("NamedType", ""), right.get("NamedType", "")
        leaves = [self.schema.types.get(name, Node("Definition")).get("Kind") in LEAVES for name in names]
        return all(leaves) and names[0] != names[1]


def _same_arguments(left: Node, right: Node) -> bool:
    ones, others = left.items_of("Arguments"), right.items_of("Arguments")
    have = {(each.get("Name", ""), each["Value"].get("Kind", 0), each["Value"].get("Raw", "")) for each in others}
    return len(ones) == len(others) and all(
        (each.get("Name", ""), each["Value"].get("Kind", 0), each["Value"].get("Raw", "")) in have for each in ones
    )
