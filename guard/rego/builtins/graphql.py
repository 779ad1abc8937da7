"""graphql.*: documents and schemas parsed, and queries checked against schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guard.rego.runtime import BuiltinFailure, Context

from .registry import builtin

if TYPE_CHECKING:
    from guard.rego.graphql.nodes import GraphqlError, Node

_CHARACTERS_PER_STEP = 4


@builtin("graphql.parse_query", "string -> object", context=True)
def _parse_query(ctx: Context, text: str) -> dict[str, Any]:
    from guard.rego.graphql.nodes import plain

    return plain(_query(ctx, text))


@builtin("graphql.parse_schema", "string -> object", context=True)
def _parse_schema(ctx: Context, text: str) -> dict[str, Any]:
    from guard.rego.graphql.nodes import plain

    return plain(_schema(ctx, text))


@builtin("graphql.parse", "string | object, string | object -> array", context=True)
def _parse(ctx: Context, query: Any, schema: Any) -> list[Any]:
    return _verified(ctx, query, schema)


@builtin("graphql.parse_and_verify", "string | object, string | object -> array", context=True, lenient=True)
def _parse_and_verify(ctx: Context, query: Any, schema: Any) -> list[Any]:
    try:
        return [True, *_verified(ctx, query, schema)]
    except BuiltinFailure:
        return [False, {}, {}]


@builtin("graphql.is_valid", "string | object, string | object -> boolean", context=True, lenient=True)
def _is_valid(ctx: Context, query: Any, schema: Any) -> bool:
    try:
        _verified(ctx, query, schema)
    except BuiltinFailure:
        return False
    return True


@builtin("graphql.schema_is_valid", "string | object -> boolean", context=True, lenient=True)
def _schema_is_valid(ctx: Context, schema: Any) -> bool:
    from guard.rego.graphql.nodes import GraphqlError
    from guard.rego.graphql.schema import build

    try:
        build(_schema(ctx, schema), ctx.budget)
    except (BuiltinFailure, GraphqlError):
        return False
    return True


def _query(ctx: Context, source: Any) -> Node:
    """The tree of a query, given as text or as a tree. Raises BuiltinFailure."""
    from guard.rego.graphql.nodes import GraphqlError, read
    from guard.rego.graphql.parser import Parser

    if type(source) is not str:
        return read(source, "QueryDocument")
    ctx.budget.charge(len(source) // _CHARACTERS_PER_STEP)
    try:
        return Parser(source).query_document()
    except GraphqlError as error:
        raise _failure(error) from None


def _schema(ctx: Context, source: Any) -> Node:
    """The tree of a schema, given as text or as a tree. Raises BuiltinFailure."""
    from guard.rego.graphql.nodes import GraphqlError, read
    from guard.rego.graphql.schema_parser import SchemaParser

    if type(source) is not str:
        return read(source, "SchemaDocument")
    ctx.budget.charge(len(source) // _CHARACTERS_PER_STEP)
    try:
        return SchemaParser(source).schema_document()
    except GraphqlError as error:
        raise _failure(error) from None


def _verified(ctx: Context, query: Any, schema: Any) -> list[Any]:
    """The trees of a query and of the schema that it is valid for. Raises BuiltinFailure."""
    from guard.rego.graphql.nodes import GraphqlError, plain
    from guard.rego.graphql.schema import build
    from guard.rego.graphql.walker import Walker

    document, definitions = _query(ctx, query), _schema(ctx, schema)
    try:
        known = build(definitions, ctx.budget)
    except GraphqlError as error:
        place = f"{error.pos[0]}:{error.pos[1]}"
        message = f"Error in gqlparser SchemaDocument to Schema conversion: input:{place}: {error.message}"
        raise BuiltinFailure(message) from None
    try:
        Walker(known, document, ctx.budget).run()
    except GraphqlError as error:
        raise _failure(GraphqlError(error.message.removesuffix("."), error.pos)) from None
    return [plain(document), plain(definitions)]


def _failure(error: GraphqlError) -> BuiltinFailure:
    place = f"{error.pos[0]}:{error.pos[1]}"
    return BuiltinFailure(f"{error.message} in GraphQL string at location {place}")
