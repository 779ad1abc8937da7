"""Schemas to trees: section 3 of the specification, with the messages that OPA gives."""

from __future__ import annotations

from . import lexer
from .nodes import Node
from .parser import Parser

KINDS = {
    "scalar": "SCALAR",
    "type": "OBJECT",
    "interface": "INTERFACE",
    "union": "UNION",
    "enum": "ENUM",
    "input": "INPUT_OBJECT",
}
_LOCATIONS = frozenset(
    {"QUERY", "MUTATION", "SUBSCRIPTION", "FIELD", "FRAGMENT_DEFINITION", "FRAGMENT_SPREAD", "INLINE_FRAGMENT"}
    | {"VARIABLE_DEFINITION", "SCHEMA", "SCALAR", "OBJECT", "FIELD_DEFINITION", "ARGUMENT_DEFINITION", "INTERFACE"}
    | {"UNION", "ENUM", "ENUM_VALUE", "INPUT_OBJECT", "INPUT_FIELD_DEFINITION"}
)


class SchemaParser(Parser):
    """Reads type system documents."""

    def schema_document(self) -> Node:
        """A whole document of definitions and extensions."""
        document = Node("SchemaDocument")
        for name in ("Schema", "SchemaExtension", "Directives", "Definitions", "Extensions"):
            document[name] = []
        while not self.at(lexer.EOF):
            text, comment = self.description()
            token = self.peek()
            if token.kind != lexer.NAME:
                raise self.unexpected()
            if token.value in KINDS:
                document["Definitions"].append(self.definition(text, comment))
            elif token.value == "schema":
                document["Schema"].append(self.schema(text, comment))
            elif token.value == "directive":
                document["Directives"].append(self.directive_definition(text, comment))
            elif token.value == "extend":
                if text:
                    raise self.unexpected(self.prev)
                self.extension(document)
            else:
                raise self.unexpected()
        document["Comment"] = self.comment
        return document

    def description(self) -> tuple[str, Node | None]:
        """The text before a definition, and the comments before it."""
        token = self.peek()
        if token.kind not in {lexer.STRING, lexer.BLOCK}:
            return "", None
        comment = self.comment
        self.next()
        return token.value, comment

    def schema(self, text: str, comment: Node | None) -> Node:
        """``schema { query: Q }``."""
        after = self.keyword("schema")
        node = Node("Schema", self.peek().pos, Description=text)
        node["BeforeDescriptionComment"], node["AfterDescriptionComment"] = comment, after
        self.schema_body(node)
        return node

    def schema_body(self, node: Node) -> None:
        """Directives and root operations."""
        node["Directives"] = self.directives(const=True)
        node["OperationTypes"], node["EndOfDefinitionComment"] = self.some("{", "}", self.operation_type)

    def operation_type(self) -> Node:
        """``query: Q``."""
        token = self.peek()
        node = Node("OperationType", token.pos, Comment=self.comment)
        if self.next().value not in {"query", "mutation", "subscription"}:
            raise self.unexpected(token)
        node["Operation"] = token.value
        self.expect(":")
        node["Type"] = self.name()
        return node

    def definition(self, text: str, comment: Node | None) -> Node:
        """A type of any kind."""
        word = self.peek().value
        after = self.keyword(word)
        node = Node("Definition", self.peek().pos, Kind=KINDS[word], Description=text, BuiltIn=False)
        node["BeforeDescriptionComment"], node["AfterDescriptionComment"] = comment, after
        self.body(node, interfaces=True)
        return node

    def body(self, node: Node, *, interfaces: bool) -> None:
        """What follows the keyword of a type: name, interfaces, directives, members."""
        kind = node["Kind"]
        node["Name"] = self.name()
        if kind == "OBJECT" or (kind == "INTERFACE" and interfaces):
            node["Interfaces"] = self.interfaces()
        node["Directives"] = self.directives(const=True)
        if kind in {"OBJECT", "INTERFACE"}:
            node["Fields"], node["EndOfDefinitionComment"] = self.some("{", "}", self.field_definition)
        elif kind == "INPUT_OBJECT":
            node["Fields"], node["EndOfDefinitionComment"] = self.some("{", "}", self.input_field)
        elif kind == "ENUM":
            node["EnumValues"], node["EndOfDefinitionComment"] = self.some("{", "}", self.enum_value)
        elif kind == "UNION" and self.skip("="):
            node["Types"] = self.names_between("|")

    def interfaces(self) -> list[str]:
        """``implements A & B``."""
        if self.peek().value != "implements":
            return []
        self.next()
        return self.names_between("&")

    def names_between(self, separator: str) -> list[str]:
        """Names with a separator between them, which may also stand before the first."""
        self.skip(separator)
        found = [self.name()]
        while self.skip(separator):
            found.append(self.name())
        return found

    def described(self, kind: str) -> Node:
        """A named member with its description and comments."""
        text, comment = self.description()
        token = self.peek()
        node = Node(kind, token.pos, Description=text, AfterDescriptionComment=self.comment)
        if text:
            node["BeforeDescriptionComment"] = comment
        node["Name"] = self.name()
        return node

    def field_definition(self) -> Node:
        """``name(arguments): T @d``."""
        node = self.described("FieldDefinition")
        node["Arguments"] = self.argument_definitions()
        self.expect(":")
        node["Type"] = self.type_reference()
        node["Directives"] = self.directives(const=True)
        return node

    def argument_definitions(self) -> list[Node]:
        """``(name: T = 1, ...)``."""
        return self.some("(", ")", lambda: self.input_value("ArgumentDefinition"))[0]

    def input_field(self) -> Node:
        """A field of an input object."""
        return self.input_value("FieldDefinition")

    def input_value(self, kind: str) -> Node:
        """``name: T = 1 @d``."""
        node = self.described(kind)
        self.expect(":")
        node["Type"] = self.type_reference()
        if self.skip("="):
            node["DefaultValue"] = self.value(const=True)
        node["Directives"] = self.directives(const=True)
        return node

    def enum_value(self) -> Node:
        """``NAME @d``."""
        node = self.described("EnumValue")
        node["Directives"] = self.directives(const=True)
        return node

    def directive_definition(self, text: str, comment: Node | None) -> Node:
        """``directive @name(arguments) repeatable on A | B``."""
        after = self.keyword("directive")
        self.expect("@")
        node = Node("DirectiveDefinition", self.peek().pos, Description=text)
        node["BeforeDescriptionComment"], node["AfterDescriptionComment"] = comment, after
        node["Name"] = self.name()
        node["Arguments"] = self.argument_definitions()
        if self.peek().value == "repeatable":
            node["IsRepeatable"] = True
            self.next()
        self.keyword("on")
        self.skip("|")
        node["Locations"] = [self.location()]
        while self.skip("|"):
            node["Locations"].append(self.location())
        return node

    def location(self) -> str:
        """Where a directive may stand."""
        token = self.expect(lexer.NAME)
        if token.value not in _LOCATIONS:
            raise self.unexpected(token)
        return token.value

    def extension(self, document: Node) -> None:
        """``extend type T ...`` and its like; an extension that adds nothing is an error."""
        comment = self.keyword("extend")
        word = self.peek().value
        if word == "schema":
            self.keyword(word)
            node = Node("Schema", self.peek().pos, AfterDescriptionComment=comment)
            self.schema_body(node)
            document["SchemaExtension"].append(node)
        elif word in KINDS:
            self.keyword(word)
            node = Node("Definition", self.peek().pos, Kind=KINDS[word], AfterDescriptionComment=comment)
            self.body(node, interfaces=False)
            document["Extensions"].append(node)
        else:
            raise self.unexpected()
        if not any(
            node.items_of(name)
            for name in ("Directives", "OperationTypes", "Interfaces", "Fields", "Types", "EnumValues")
        ):
            raise self.unexpected()
