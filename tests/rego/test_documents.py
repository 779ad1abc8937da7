"""GraphQL, JSON Schema, templates, METADATA and parsed modules as policies see them. Values compared with OPA 1.18."""

from __future__ import annotations

from typing import Any

import pytest

from guard import rego

U = rego.UNDEFINED
SCHEMA = "type Query { user(id: ID!): User } type User { name: String friends: [User] } enum E { A B }"


def answer(call: str, value: Any = None, *, strict: bool = False) -> Any:
    """What a built-in answers."""
    program = rego.compile({"t.rego": f"package t\np := {call}\n"})
    return program.eval("data.t.p", value, strict_builtin_errors=strict)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{ user(id: "1") { name } }', ""),
        ("query($x: ID!) { user(id: $x) { ...F } } fragment F on User { name friends { name } }", ""),
        ("{ user { name } }", 'argument "id" of type "ID!" is required, but it was not provided'),
        ('{ user(id: "1") }', 'must have a selection of subfields. Did you mean "user { ... }"?'),
        ('{ user(id: "1") { nam } }', 'Cannot query field "nam" on type "User". Did you mean "name"?'),
        ('{ user(id: "1", x: 1) { name } }', 'Unknown argument "x" on field "Query.user"'),
        ("{ user(id: 1.5) { name } }", "ID cannot represent a non-string and non-integer value: 1.5"),
        (
            "query($x: Int) { user(id: $x) { name } }",
            'Variable "$x" of type "Int" used in position expecting type "ID!"',
        ),
        ('query($x: ID!) { user(id: "1") { name } }', 'Variable "$x" is never used'),
        ('{ user(id: "1") { ...F } }', 'Unknown fragment "F"'),
        ('{ user(id: "1") { ...F } } fragment F on User { ...F }', 'Cannot spread fragment "F" within itself'),
        ('{ user(id: "1") { a: name a: friends { name } } }', 'Fields "a" conflict because'),
        ('{ user(id: "1") { name @nope } }', 'Unknown directive "@nope"'),
        ("mutation { x }", 'Schema does not support operation type "mutation"'),
        ("{ user(", "Expected Name, found <EOF> in GraphQL string at location 1:8"),
    ],
)
def test_a_query_is_held_against_its_schema(query: str, message: str) -> None:
    """The first rule that is broken is the error; ``is_valid`` says the same without one."""
    value = {"q": query, "s": SCHEMA}
    assert answer("graphql.is_valid(input.q, input.s)", value) is (message == "")
    if message:
        with pytest.raises(rego.BuiltinError) as caught:
            answer("graphql.parse(input.q, input.s)", value, strict=True)
        assert message in str(caught.value)


def test_parsed_documents_may_be_handed_back() -> None:
    """A tree stands for its text, with OPA's field names."""
    assert answer("graphql.parse_query(`{ a: b(c: [1]) }`).Operations[0].SelectionSet[0].Arguments[0].Value.Kind") == 8
    call = "graphql.is_valid(graphql.parse_query(input.q), graphql.parse_schema(input.s))"
    assert answer(call, {"q": '{ user(id: "1") { name } }', "s": SCHEMA}) is True
    assert answer(call, {"q": "{ user { name } }", "s": SCHEMA}) is False
    assert answer('graphql.is_valid({"Operations": 4}, input)', SCHEMA) is False


@pytest.mark.parametrize(
    "schema",
    ["type Query {}", "type A { b: C }", "union U = Nope", "type T implements I { a: Int }", "enum E { true }",
     "input I { q: Query } type Query { a: Int }", "scalar Int", "extend type T", "directive @d on NOWHERE"],
)  # fmt: skip
def test_schemas_that_are_not_valid(schema: str) -> None:
    """Empty types, unknown names, missing fields, reserved values."""
    assert answer("graphql.schema_is_valid(input)", schema) is False


@pytest.mark.parametrize(
    ("schema", "document", "errors"),
    [
        ({"type": "integer"}, 1, None),
        ({"properties": {"a": {"type": "integer"}}}, {"a": 1.0}, []),
        ({"properties": {"a": {"type": "integer"}}}, {"a": "x"}, ["a: Invalid type. Expected: integer, given: string"]),
        ({"required": ["a"]}, {}, ["(Root): a is required"]),
        ({"additionalProperties": False}, {"z": 1}, ["(Root): Additional property z is not allowed"]),
        ({"properties": {"a": {"pattern": "^x"}}}, {"a": "y"}, ["a: Does not match pattern '^x'"]),
        ({"properties": {"a": {"enum": [1, "b"]}}}, {"a": 2}, ['a: a must be one of the following: 1, "b"']),
        ({"properties": {"a": {"multipleOf": 0.1}}}, {"a": 0.3}, []),
        ({"properties": {"a": {"maximum": 1e30}}}, {"a": 2e30}, ["a: Must be less than or equal to 1e+30"]),
        ({"items": {"$ref": "#/definitions/x"}, "definitions": {"x": {"minLength": 2}}}, [], []),
        ({"properties": {"a": {"$ref": "#/definitions/x"}}, "definitions": {"x": {"minLength": 2}}}, {"a": "é"},
         ["a: String length must be greater than or equal to 2"]),
        ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"a": 1},
         ['(Root): Must validate "then" as "if" was valid', "(Root): b is required"]),
        ({"properties": {"a": {"format": "email"}}}, {"a": "x"}, ["a: Does not match format 'email'"]),
    ],
)  # fmt: skip
def test_a_document_is_held_against_a_json_schema(schema: Any, document: Any, errors: list[str] | None) -> None:
    """None: a document that is neither an object nor a text fails."""
    found = answer("json.match_schema(input.d, input.s)", {"d": document, "s": schema})
    if errors is None:
        assert found is U
    else:
        assert [found[0], [each["error"] for each in found[1]]] == [not errors, errors]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": ["null", "null"]}, "null type is duplicated"),
        ({"$ref": "#/nope"}, "Object has no key 'nope'"),
        ({"$ref": "http://example.com/x"}, "remote reference loading is disabled: http://example.com/x"),
        ({"pattern": "(?=a)"}, "pattern must be a valid regex"),
        ({"minLength": -1}, "minLength must be greater than or equal to 0"),
        ("{", "invalid JSON string"),
    ],
)  # fmt: skip
def test_what_makes_a_schema_invalid_is_said(schema: Any, message: str) -> None:
    """Nothing is fetched, and patterns are RE2's."""
    assert answer("json.verify_schema(input)", schema) == [False, f"jsonschema: {message}"]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.a}} {{.missing}} {{.o.k}}", "x <undefined> 1"),
        ("{{range $i, $e := .l}}{{if $i}},{{end}}{{$e}}{{end}}", "1,2"),
        ("{{range .none}}{{else}}empty{{end}}", "empty"),
        ("a {{- /* c */ -}} b", "ab"),
        ('{{with .a}}{{.}}{{end}}{{if and .a (eq .a "x")}}!{{end}}', "x!"),
        ('{{.a | printf "%q"}} {{len .l}} {{index .l 1}} {{html "<"}}', '"x" 2 2 &lt;'),
        ('{{define "T"}}[{{.}}]{{end}}{{template "T" .a}}', "[x]"),
        ("{{.o}} {{.l}}", "map[k:1] [1 2]"),
        ("{{nope}}", U),
        ("{{.a", U),
        ("{{end}}", U),
    ],
)
def test_a_template_renders_as_go_renders_it(template: str, text: Any) -> None:
    """``U``: the template cannot be read or run."""
    value = {"t": template, "v": {"a": "x", "o": {"k": 1}, "l": [1, 2], "none": []}}
    assert answer("strings.render_template(input.t, input.v)", value) == text


def test_metadata_is_a_constant_of_the_rule_that_asks() -> None:
    """The chain goes from the rule to the package; authors and resources are objects."""
    source = """# METADATA
# title: Package
package a

# METADATA
# scope: document
# authors: ["A B <a@b.c>"]
# METADATA
# title: Rule
# custom: {id: X-1}
p contains x if x := rego.metadata.chain()

q := rego.metadata.rule()
"""
    program = rego.compile({"a.rego": source})
    assert program.eval("data.a.p") == [
        [
            {"path": ["a", "p"], "annotations": {"scope": "rule", "title": "Rule", "custom": {"id": "X-1"}}},
            {"path": ["a", "p"], "annotations": {"scope": "document", "authors": [{"name": "A B", "email": "a@b.c"}]}},
            {"path": ["a"], "annotations": {"scope": "package", "title": "Package"}},
        ]
    ]
    assert program.eval("data.a.q") == {}


def test_a_module_is_parsed_into_opas_tree() -> None:
    """Terms as type and value; an unreadable module is an error that names the place."""
    found = answer("rego.parse_module(`x.rego`, `package a.b\np := 1 if not input.x`)")
    assert [part["value"] for part in found["package"]["path"]] == ["data", "a", "b"]
    (rule,) = found["rules"]
    assert (rule["head"]["name"], rule["head"]["assign"]) == ("p", True)
    assert rule["body"][0]["negated"] is True
    with pytest.raises(rego.BuiltinError, match="unexpected eof token: expected ident"):
        answer("rego.parse_module(`x.rego`, `package a.`)", strict=True)


def test_a_request_is_signed_for_aws() -> None:
    """Signature Version 4 of OPA's own example."""
    config = {"aws_access_key": "MYAWSACCESSKEYGOESHERE", "aws_secret_access_key": "MYAWSSECRETACCESSKEYGOESHERE"}
    value = {"aws_service": "s3", "aws_region": "us-east-1", **config}
    call = 'providers.aws.sign_req({"method": "get", "url": "http://example.com"}, input, 1451311705000000000)'
    signature = answer(f"{call}.headers.Authorization", value).rpartition("=")[2]
    assert signature == "0047a7016c81e5c7f29cd522f97e911e04fc472fced0aee7916cbc287ad6c8e3"
    assert answer(call, {**value, "aws_region": 1}) is U
