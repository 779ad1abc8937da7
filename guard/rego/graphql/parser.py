"""Queries to trees: recursive descent over section 2 of the specification, with the messages that OPA gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import lexer
from .lexer import Token, tokens
from .nodes import BLOCK, BOOLEAN, ENUM, FLOAT, INT, LIST, NULL, OBJECT, STRING, VARIABLE, GraphqlError, Node

_CONSTANTS = {lexer.INT: INT, lexer.FLOAT: FLOAT, lexer.STRING: STRING, lexer.BLOCK: BLOCK}
_WORDS = {"true": BOOLEAN, "false": BOOLEAN, "null": NULL}


class Parser:
    """A position in the tokens. The first error ends the parse."""

    def __init__(self, text: str) -> None:
        self.tokens = tokens(text)
        self.peeked: Token | None = None
        self.prev = Token(lexer.EOF, "", (1, 1), ())
        self.comment: Node | None = None

    # -- tokens -------------------------------------------------------------------------------------------------------

    def peek(self) -> Token:
        """The next token; ``comment`` then holds the comments before it."""
        if self.peeked is None:
            self.peeked = next(self.tokens)
            comments = [Node("Comment", Value=each) for each in self.peeked.comments]
            self.comment = Node("CommentGroup", List=comments) if comments else None
        return self.peeked

    def next(self) -> Token:
        """Consume a token."""
        self.prev = self.peek()
        if self.prev.kind != lexer.EOF:
            self.peeked = None
        self.comment = None
        return self.prev

    def at(self, kind: str) -> bool:
        """Whether the next token is of a kind."""
        return self.peek().kind == kind

    def skip(self, kind: str) -> bool:
        """Consume a token of a kind, if it is next."""
        if not self.at(kind):
            return False
        self.next()
        return True

    def expect(self, kind: str) -> Token:
        """Consume a token that must be next."""
        found = self.peek()
        if found.kind != kind:
            raise GraphqlError(f"Expected {kind}, found {found.kind}", found.pos)
        return self.next()

    def keyword(self, word: str) -> Node | None:
        """Consume a word that must be next; answers the comments before it."""
        found = self.peek()
        comment = self.comment
        if found.kind != lexer.NAME or found.value != word:
            raise GraphqlError(f'Expected "{word}", found {found.shown()}', found.pos)
        self.next()
        return comment

    def unexpected(self, token: Token | None = None) -> GraphqlError:
        """The error for a token that nothing can begin with."""
        found = token or self.peek()
        return GraphqlError(f"Unexpected {found.shown()}", found.pos)

    def name(self) -> str:
        """A name."""
        return self.expect(lexer.NAME).value

    def many(self, start: str, end: str, item: Callable[[], Any]) -> list[Any]:
        """Items between brackets, possibly none."""
        found: list[Any] = []
        if self.skip(start):
            while not self.at(end):
                found.append(item())
            self.next()
        return found

    def some(self, start: str, end: str, item: Callable[[], Any]) -> tuple[list[Any], Node | None]:
        """Items between brackets, at least one if there are brackets, and the comments before the closing one."""
        if not self.skip(start):
            return [], None
        found: list[Any] = []
        while not self.at(end):
            found.append(item())
        if not found:
            closing = self.peek()
            raise GraphqlError(f"expected at least one definition, found {closing.kind}", closing.pos)
        comment = self.comment
        self.next()
        return found, comment

    # -- documents ----------------------------------------------------------------------------------------------------

    def query_document(self) -> Node:
        """A whole document of operations and fragments."""
        document = Node("QueryDocument", Operations=[], Fragments=[])
        while not self.at(lexer.EOF):
            token = self.peek()
            if token.kind == "{" or (token.kind == lexer.NAME and token.value in {"query", "mutation", "subscription"}):
                document["Operations"].append(self.operation())
            elif token.kind == lexer.NAME and token.value == "fragment":
                document["Fragments"].append(self.fragment_definition())
            else:
                raise self.unexpected()
        return document

    def operation(self) -> Node:
        """``query name($x: T) @d { ... }`` or only the selection."""
        token = self.peek()
        node = Node("Operation", token.pos, Operation="query")
        if token.kind != "{":
            node["Comment"] = self.comment
            node["Operation"] = self.next().value
            if self.at(lexer.NAME):
                node["Name"] = self.next().value
            node["VariableDefinitions"] = self.variable_definitions()
            node["Directives"] = self.directives(const=False)
        node["SelectionSet"] = self.required_selection()
        return node

    def variable_definitions(self) -> list[Node]:
        """``($x: T = 1, ...)``."""
        return self.some("(", ")", self.variable_definition)[0]

    def variable_definition(self) -> Node:
        """One variable."""
        node = Node("Variable", self.peek().pos, Comment=self.comment)
        node["Variable"] = self.variable()
        self.expect(":")
        node["Type"] = self.type_reference()
        if self.skip("="):
            node["DefaultValue"] = self.value(const=True)
        node["Directives"] = self.directives(const=False)
        return node

    def variable(self) -> str:
        """``$name``."""
        self.expect("$")
        return self.name()

    def fragment_definition(self) -> Node:
        """``fragment name on T { ... }``."""
        node = Node("Fragment", self.peek().pos, Comment=self.comment)
        self.keyword("fragment")
        node["Name"] = self.fragment_name()
        node["VariableDefinition"] = self.variable_definitions()
        self.keyword("on")
        node["TypeCondition"] = self.name()
        node["Directives"] = self.directives(const=False)
        node["SelectionSet"] = self.required_selection()
        return node

    def fragment_name(self) -> str:
        """Any name but ``on``."""
        if self.peek().value == "on":
            raise self.unexpected()
        return self.name()

    # -- selections ---------------------------------------------------------------------------------------------------

    def required_selection(self) -> list[Node]:
        """``{ ... }``, which must stand here."""
        found = self.peek()
        if found.kind != "{":
            raise GraphqlError(f"Expected {{, found {found.kind}", found.pos)
        return self.some("{", "}", self.selection)[0]

    def selection(self) -> Node:
        """A field or a fragment."""
        return self.fragment() if self.at("...") else self.field()

    def field(self) -> Node:
        """``alias: name(arguments) @d { ... }``."""
        node = Node("Field", self.peek().pos, Comment=self.comment)
        node["Alias"] = node["Name"] = self.name()
        if self.skip(":"):
            node["Name"] = self.name()
        node["Arguments"] = self.arguments(const=False)
        node["Directives"] = self.directives(const=False)
        node["SelectionSet"] = self.some("{", "}", self.selection)[0]
        return node

    def fragment(self) -> Node:
        """``...name`` or ``... on T { ... }``."""
        self.peek()
        comment = self.comment
        self.expect("...")
        token = self.peek()
        if token.kind == lexer.NAME and token.value != "on":
            node = Node("Spread", token.pos, Comment=comment, Name=self.name())
            node["Directives"] = self.directives(const=False)
            return node
        node = Node("Inline", token.pos, Comment=comment)
        if token.value == "on":
            self.next()
            node["TypeCondition"] = self.name()
        node["Directives"] = self.directives(const=False)
        node["SelectionSet"] = self.required_selection()
        return node

    def arguments(self, *, const: bool) -> list[Node]:
        """``(name: value, ...)``."""
        return self.some("(", ")", lambda: self.argument("Argument", const=const))[0]

    def argument(self, kind: str, *, const: bool) -> Node:
        """``name: value``, as an argument or as a field of an object."""
        node = Node(kind, self.peek().pos, Comment=self.comment)
        node["Name"] = self.name()
        self.expect(":")
        node["Value"] = self.value(const=const)
        return node

    def directives(self, *, const: bool) -> list[Node]:
        """``@name(arguments)`` as often as it stands here."""
        found: list[Node] = []
        while self.skip("@"):
            node = Node("Directive", self.peek().pos, Name=self.name())
            node["Arguments"] = self.arguments(const=const)
            found.append(node)
        return found

    # -- values and types ---------------------------------------------------------------------------------------------

    def value(self, *, const: bool) -> Node:
        """A literal; variables only where it need not be constant."""
        token = self.peek()
        comment = self.comment
        if token.kind == "[":
            children = self.many("[", "]", lambda: Node("Child", Value=self.value(const=const)))
            return Node("Value", token.pos, Children=children, Kind=LIST, Comment=comment)
        if token.kind == "{":
            children = self.many("{", "}", lambda: self.argument("Child", const=const))
            return Node("Value", token.pos, Children=children, Kind=OBJECT, Comment=comment)
        if token.kind == "$" and not const:
            return Node("Value", token.pos, Raw=self.variable(), Kind=VARIABLE)
        kind = _WORDS.get(token.value, ENUM) if token.kind == lexer.NAME else _CONSTANTS.get(token.kind)
        if kind is None:
            raise self.unexpected()
        self.next()
        return Node("Value", token.pos, Raw=token.value, Kind=kind)

    def type_reference(self) -> Node:
        """``T``, ``[T]``, each possibly with ``!``."""
        if self.skip("["):
            node = Node("Type", self.peek().pos, Elem=self.type_reference())
            self.expect("]")
        else:
            node = Node("Type", self.peek().pos, NamedType=self.name())
        if self.skip("!"):
            node["NonNull"] = True
        return node
