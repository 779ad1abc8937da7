"""Built-in functions, by family: ordinary answers, edge cases, and the error for a wrong operand."""

from __future__ import annotations

from typing import Any

import pytest

from guard import rego

U = rego.UNDEFINED

CASES: dict[str, Any] = {
    # aggregates, numbers
    'count("héllo")': 5,
    "sum([0.1, 0.2, 0.3])": 0.6,
    "product([2, 0.5])": 1,
    "max([])": U,
    "min({3, 1})": 1,
    'sort([3, "a", null, false, [1], 2.5])': [None, False, 2.5, 3, "a", [1]],
    "1 / 3 == 0.33333333333333333334": True,
    "10 / 5": 2,
    "1 / 0": U,
    "ceil(1.2) + floor(-1.2)": 0,
    "numbers.range(3, 1)": [3, 2, 1],
    "numbers.range_step(1, 10, 4)": [1, 5, 9],
    "bits.lsh(1, 10)": 1024,
    "bits.negate(1)": -2,
    'to_number("1.50")': 1.5,
    'to_number("0x10")': U,
    "format_int(255, 16)": "ff",
    # strings
    'split("a,b,,c", ",")': ["a", "b", "", "c"],
    'substring("héllo", 1, 3)': "éll",
    'substring("abc", -1, 1)': U,
    'indexof("héllo", "l")': 2,
    'indexof_n("aaa", "a")': [0, 1, 2],
    'concat(",", {"b", "a"})': "a,b",
    'trim("  xx ", " ")': "xx",
    'trim_space(" \\u00a0x\\t")': "x",
    'upper("straße")': "STRAßE",
    'strings.replace_n({"a": "b", "b": "a"}, "abc")': "bac",
    'strings.replace_n({"": "-", "é": "E"}, "aéb")': "-a-E-b-",
    'replace("aéb", "", "-")': "-a-\ufffd-\ufffd-b-",
    'replace("日", "", "")': "日",
    'strings.any_prefix_match(["abc", "x"], {"ab"})': True,
    'strings.reverse("héx")': "xéh",
    'strings.split_n("a.b.c", ".", 2)': ["a", "b"],
    'strings.split_n("a.b.c", ".", -2)': ["b", "c"],
    'strings.split_n("a.b.c", ".", 0)': [],
    "base64.is_valid(json.unmarshal(`[1]`))": False,
    'base64url.decode("YQ=")': U,
    "bits.and(1e17, 99999999999999999999.5)": 90991357157441536,
    "bits.rsh(1e17, 9223372036854775807)": 0,
    "round(-9223372036854775809)": -9223372036854775810,
    "10000000000000000000000000 * 3.14159": 31415899999999999998000000,
    'crypto.x509.parse_and_verify_certificates_with_options("bm90aGluZw==", {"Bogus": 1})': [False, []],
    "format_int(3.5, 10.0)": U,
    'io.jwt.encode_sign({"alg": "HS256"}, json.unmarshal("true"), {"kty": "oct", "k": "YSBzZWNyZXQ"})': (
        "eyJhbGciOiJIUzI1NiJ9.dHJ1ZQ.O0ekWMwYpNtIQY_-v-UB0T8jVwtdYxEvBAzbmuOS_4Y"
    ),
    r'json.unmarshal("\"\\ud800\"")': "\ufffd",
    'net.cidr_contains_matches(json.unmarshal("null"), "10.0.0.1")': [],
    'net.cidr_merge(["::ffff:1.2.3.4/120"])': ["1.2.3.0/24"],
    "object.subset([1], set())": True,
    "object.subset([], set())": False,
    'regex.template_match("a<b", "a<b", "<", "}")': U,
    'regex.template_match("a", "a", "é", "}")': U,
    'semver.is_valid("v1.2.3")': True,
    'semver.is_valid("99999999999999999999.0.0")': False,
    'sprintf("%#v %#x %# x", ["é", "é", "é"])': '"é" 0xc3a9 0xc3 0xa9',
    'strings.render_template("{{index .l 1}} {{eq .x .y}} {{html .h}}", {"l": "str", "x": false})': (
        "116 false &lt;no value&gt;"
    ),
    'strings.render_template("{{printf `%s %v` .x .y}}", {"x": false})': "%!s(bool=false) <nil>",
    'urlquery.decode("%E2%82")': "\ufffd\ufffd",
    'yaml.unmarshal("- 7.5e3\\n- 1:30\\n- 1_000\\n- 1e400\\n- y\\n- a\\tb\\t")': [
        7500,
        "1:30",
        1000,
        "1e400",
        True,
        "a\tb",
    ],
    'yaml.unmarshal("1: a\\ntrue: b")': {"1": "a", "true": "b"},
    'yaml.unmarshal("!!binary YQ==")': "a",
    'uuid.parse("(00000000-0000-4000-8000-000000000000)").version': 4,
    'uri.is_valid("http://exa%6dple.com/")': False,
    'uri.parse("http://[fe80::1%25en0]/").hostname': "fe80::1%en0",
    'yaml.unmarshal("a: 1\\n---\\nb: 2\\n")': {"a": 1},
    'lower("ΑΣ")': "ασ",
    # sprintf as Go writes it
    'sprintf("%d %s %v %5d|%-5s|%05d %x %q", [1, "a", [1, "b"], 42, "x", 7, 255, "q\\""])': (
        '1 a [1, "b"]    42|x    |00007 ff "q\\""'
    ),
    'sprintf("%d", ["x"])': "%!d(string=x)",
    'sprintf("%s %s", ["a"])': "a %!s(MISSING)",
    'sprintf("%s", ["a", "b"])': "a%!(EXTRA string=b)",
    'sprintf("%v %v %v", [1e21, 0.000001, 100000.5])': "1e+21 1e-06 100000.5",
    'sprintf("%.2f %e %t", [3.14159, 12345.678, true])': "3.14 1.234568e+04 %!t(string=true)",
    'sprintf("%[2]s %[1]s %%", ["a", "b"])': "b a %",
    'sprintf("%*d", [5, 42])': "   42",
    # regex on RE2, globs
    'regex.find_n("a*", "baaac", -1)': ["", "aaa", ""],
    'regex.split("", "abc")': ["a", "b", "c"],
    'regex.replace("abab", "b*", "x")': "xaxax",
    'regex.replace("abc", "(?P<n>b)", "<${n}$$>")': "a<b$>c",
    'regex.find_all_string_submatch_n("(a)(b)?", "ab a", -1)': [["ab", "a", "b"], ["a", "a", ""]],
    'regex.match("(?i)^HÉ", "héllo")': True,
    'regex.match("\\\\p{L}+$", "é")': True,
    'regex.match("(", "a")': U,
    'regex.is_valid("(")': False,
    'regex.template_match("urn:{.*}:x", "urn:abc:x", "{", "}")': True,
    'glob.match("*.github.com", [], "api.github.com")': True,
    'glob.match("*.github.com", [], "a.b.github.com")': False,
    'glob.match("**.github.com", [], "a.b.github.com")': True,
    'glob.match("{cat,[fr]at}", null, "rat")': True,
    'glob.match("[!a-c]at", [], "bat")': False,
    'glob.match("[", [], "b")': U,
    'glob.quote_meta("*.x")': "\\*.x",
    # arrays, sets, objects
    "array.slice([1, 2, 3], 1, 9)": [2, 3],
    "array.concat([1], [2])": [1, 2],
    "{1, 2} | {3} - {1}": [1, 2, 3],
    "union({{1}, {2}})": [1, 2],
    "intersection({{1, 2}, {2}})": [2],
    'object.get({"a": [{"b": 1}]}, ["a", 0, "b"], 9)': 1,
    'object.get({"a": 1}, "z", 9)': 9,
    'object.union({"a": {"b": 1}}, {"a": {"c": 2}})': {"a": {"b": 1, "c": 2}},
    'object.union_n([{"a": 1}, {"a": {"b": 1}}])': {"a": {"b": 1}},
    'object.subset({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}})': True,
    'object.remove({"a": 1, "b": 2}, ["a"])': {"b": 2},
    'object.keys({"b": 1, "a": 2})': ["a", "b"],
    'json.filter({"a": {"b": 1, "c": 2}}, ["a/b"])': {"a": {"b": 1}},
    'json.remove({"a": [1, 2, 3]}, ["a/1"])': {"a": [1, 3]},
    'json.patch({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}])': {"a": [1, 2]},
    'json.patch({"a": 1}, [{"op": "remove", "path": "/b"}])': U,
    # encoding
    'base64.decode("aMOpbGxv")': "héllo",
    'base64.decode("a")': U,
    'base64url.decode("c2ln")': "sig",
    'hex.decode("c3a9")': "é",
    'json.marshal({"b": [1, 1.5, null, "<x>"], "a": {1, 2}})': '{"a":[1,2],"b":[1,1.5,null,"\\u003cx\\u003e"]}',
    'json.unmarshal("{\\"a\\": 1e2}")': {"a": 100.0},
    'json.unmarshal("NaN")': U,
    'json.is_valid("{")': False,
    'yaml.unmarshal("a: [1, 2020-01-01]")': {"a": [1, "2020-01-01"]},
    'urlquery.encode("a b&c=d/é")': "a+b%26c%3Dd%2F%C3%A9",
    'urlquery.decode("%zz")': U,
    'urlquery.decode_object("a=1&a=2")': {"a": ["1", "2"]},
    # time, net, units, versions
    'time.parse_rfc3339_ns("2024-02-29T12:00:00.123Z")': 1709208000123000000,
    'time.parse_rfc3339_ns("2024-02-30T12:00:00Z")': U,
    'time.format([1700000000000000000, "UTC", "Mon Jan _2 15:04:05.000 MST 2006"])': "Tue Nov 14 22:13:20.000 UTC 2023",
    "time.format(0)": "1970-01-01T00:00:00Z",
    "time.add_date(1700000000000000000, 0, 1, 30)": 1705184000000000000,
    "time.weekday(0)": "Thursday",
    "time.date(1e30)": U,
    'time.parse_duration_ns("1h30m")': 5400000000000,
    'net.cidr_contains("10.0.0.0/8", "10.1.2.3")': True,
    'net.cidr_contains("10.0.0.0/8", "::1")': False,
    'net.cidr_contains("10.0.0.0", "10.1.2.3")': U,
    'net.cidr_merge(["192.0.128.0/24", "192.0.129.0/24"])': ["192.0.128.0/23"],
    'net.cidr_expand("10.0.0.0/30")': ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"],
    'units.parse("1.5Gi")': 1610612736,
    'units.parse("100m")': 0.1,
    'units.parse_bytes("10KiB")': 10240,
    'semver.compare("1.2.3-rc.1", "1.2.3")': -1,
    'semver.is_valid("1.2")': False,
    # graphs, crypto, tokens
    'graph.reachable({"a": ["b"], "b": ["a"], "c": []}, ["a"])': ["a", "b"],
    'graph.reachable_paths({"a": ["b"], "b": []}, ["a"])': [["a", "b"]],
    'crypto.sha256("a\\nb")': "7e18f737311b2dc3b2f269dd78396b0351f14fb66efa879f768cb23181883c78",
    'crypto.hmac.equal("a", "a")': True,
    'io.jwt.decode("eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln")': [{"alg": "HS256"}, {"a": 1}, "736967"],
    'io.jwt.decode("x")': U,
    'uuid.parse("00000000-0000-4000-8000-000000000000")': {"version": 4, "variant": "RFC4122"},
    "type_name({1})": "set",
    "is_string(1)": False,
}


@pytest.mark.parametrize("call", CASES, ids=lambda call: call[:60])
def test_a_builtin_answers_as_opa_does(call: str) -> None:
    """``U`` means undefined: the call failed, and strict errors are off."""
    program = rego.compile({"t.rego": f"package t\np := {call}\n"}, capabilities=rego.Capabilities.newest())
    found = program.eval("data.t.p")
    assert found is U if CASES[call] is U else found == CASES[call]
    assert isinstance(found, bool) == isinstance(CASES[call], bool)


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        (
            "count(input)",
            "eval_type_error",
            "count: operand 1 must be one of {array, object, set, string} but got number",
        ),
        ('startswith("a", input)', "eval_type_error", "startswith: operand 2 must be string but got number"),
        ("1 / (input - 5)", "eval_builtin_error", "div: divide by zero"),
        ('regex.match("(", "a")', "eval_builtin_error", "regex.match: error parsing regexp"),
        ("bits.and(1.5, input)", "eval_type_error", "operand 1 must be integer number but got floating-point number"),
    ],
)
def test_strict_errors_name_the_function_the_operand_and_the_place(call: str, code: str, message: str) -> None:
    """With ``strict_builtin_errors`` a failing built-in ends the evaluation instead of being undefined."""
    program = rego.compile({"t.rego": f"package t\np := {call}\n"})
    assert program.eval("data.t.p", 5) is U
    with pytest.raises(rego.BuiltinError) as caught:
        program.eval("data.t.p", 5, strict_builtin_errors=True)
    assert caught.value.code == code
    assert message in str(caught.value)
    assert caught.value.location.row == 2


def test_not_of_a_failing_builtin_is_not_an_error_but_its_operand_decides() -> None:
    """``not net.cidr_contains(bad, x)`` is true as in OPA: the failure is undefined. Strict errors make it an error."""
    program = rego.compile({"t.rego": 'package t\np if not net.cidr_contains(input, "10.0.0.1")'})
    assert program.eval("data.t.p", "nonsense") is True
    with pytest.raises(rego.BuiltinError, match="invalid CIDR"):
        program.eval("data.t.p", "nonsense", strict_builtin_errors=True)


def test_print_shows_undefined_arguments_and_never_changes_the_answer() -> None:
    """Lines go to the hook that the caller gives, and nowhere without one."""
    program = rego.compile({"t.rego": 'package t\np if {\n\tprint("x", input.missing, {"a": 1})\n\ttrue\n}'})
    lines: list[str] = []
    assert program.eval("data.t.p", {}, print_hook=lines.append) is True
    assert lines == ['x <undefined> {"a": 1}']
    assert program.eval("data.t.p", {}) is True


def test_time_is_one_instant_within_an_evaluation() -> None:
    """``time.now_ns`` does not move while a policy runs."""
    program = rego.compile({"t.rego": "package t\np := {time.now_ns() | some _ in numbers.range(1, 50)}"})
    assert len(program.query("data.t.p[_]")) == 1
