"""Apt operands of built-ins by kind, as Rego text: what a kind is asked for in earnest, its edges, and near misses."""

from __future__ import annotations

import json
from functools import lru_cache

from .keys import SECRET, material


def texts(*values: object) -> tuple[str, ...]:
    """JSON values as Rego literals."""
    return tuple(json.dumps(value, ensure_ascii=False) for value in values)


_GRAPHQL_SCHEMAS = texts(
    "type Query { a: Int b(x: String!): [Query!]! c: U }\nunion U = Query | T\ntype T implements I { id: ID! }\n"
    "interface I { id: ID! }\nenum E { X Y }\ninput In { e: E = X n: [Int] }",
    "type Query { a: Missing }",
    "schema { query: Q }\ntype Q { f(i: In): Float }\ninput In { a: Int! b: Boolean = true }\ndirective @d on FIELD",
    "type Query {",
    "",
)
_SCHEMAS = (
    '{"type": "object", "properties": {"a": {"type": "number", "minimum": 1}}}',
    '{"type": "object", "required": ["a"], "additionalProperties": false}',
    '{"type": "array", "items": {"type": "string", "maxLength": 2}, "uniqueItems": true}',
    '{"enum": [1, "a", null, [1]]}',
    '{"anyOf": [{"type": "string"}, {"minimum": 5, "multipleOf": 5}]}',
    '{"not": {"type": "null"}, "pattern": "^a+$"}',
    '{"$ref": "#/definitions/x", "definitions": {"x": {"type": "integer"}}}',
    '{"oneOf": [{"type": "integer"}, {"type": "number"}]}',
    '{"type": "strnig"}',
    '{"properties": 1}',
    '{"format": "email"}',
    '{"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"const": 1}}',
    '{"patternProperties": {"^a$": {"type": "boolean"}}, "minProperties": 9}',
    '{"dependencies": {"a": ["b"]}, "propertyNames": {"maxLength": 1}}',
    r'"{\"type\": \"object\"}"',
    '"{"',
)
_PATCHES = (
    '[{"op": "add", "path": "/a/b", "value": {"c"}}]',
    '[{"op": "remove", "path": "/a"}]',
    '[{"op": "replace", "path": "a", "value": 1}, {"op": "test", "path": "/a", "value": 1.0}]',
    '[{"op": "move", "from": "/a", "path": "/b"}]',
    '[{"op": "copy", "from": "/a", "path": ["b", "c"]}]',
    '[{"op": "add", "path": "/0", "value": null}, {"op": "add", "path": "/-", "value": "end"}]',
    '[{"op": "add", "path": "", "value": [1]}]',
    '[{"op": "test", "path": "/a~1b/~0", "value": 2}]',
    '[{"op": "jump", "path": "/a"}]',
    '[{"op": "add", "path": "/a"}]',
    '[{"path": "/a"}]',
    '[{"op": "remove", "path": ["x", 1]}]',
    "[]",
)
_DATES = ("time.parse_rfc3339_ns(\"2024-02-29T23:59:59.5+05:30\")", "951782400000000000", "0", "-1",
    "1700000000123456789",
          "-62135596800000000000", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1.5",
          "1e18", "1582934400000000000", "253402300800000000000", "1711846800000000000",
          "1729994400000000000")  # fmt: skip
_ZONES = texts(
    "UTC", "", "America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Nowhere/Here", "EST", "Pacific/Apia", "utc"
)
_LAYOUTS = texts(
    "2006-01-02", "RFC3339", "RFC3339Nano", "RFC1123Z", "Mon Jan _2 15:04:05 2006", "15:04:05.000", "Kitchen",
    "Jan 2, 2006 at 3:04pm (MST)", "06 002 __2", "Z07:00", "ANSIC", "%Y", ".999999999", "PM pm 03 3", "-0700 -07 Z0700",
    "Monday, 02-January-06 15:04:05.999 MST", "", "2006-1-2T15:4:5Z07:00:00", "StampMicro", "DateTime", "20060102",
)  # fmt: skip
_TIMES = texts(
    "2024-02-29", "2024-02-30", "2024-02-29T12:34:56Z", "2024-02-29T12:34:56.123456789+05:30", "24 060  29", "3:04PM",
    "Thu Feb 29 12:00:00 2024", "12:34:56.789", "Thu, 29 Feb 2024 12:34:56 -0700", "Feb  9 01:02:03.000004", "nope", "",
    "1677-09-21T00:12:43Z", "2262-04-11T23:47:16Z", "2262-04-11T23:47:17Z", "2024-02-29T24:00:00Z", "20240229",
    "2024-2-9T3:4:5+01:02:03", "2024-02-29 12:34:56", "2024-02-29t12:34:56z", "2024-02-29T12:34:56,5Z",
)  # fmt: skip
_CIDRS = texts(
    "10.0.0.0/8", "10.1.2.3/24", "::/0", "2001:db8::/126", "10.0.0.1", "10.0.0.0/33", "1.2.3.4/30", "1.2.3.4/32",
    "::ffff:1.2.3.4/120", "fe80::1%eth0/64", "10.0.0/8", "010.0.0.0/8", "0.0.0.0/31", "2001:db8::1", "2001:DB8::2/128",
    "1.2.3.5/30", "10.0.0.0/-1", "10.0.0.0/08", "", "10.1.0.0/16", "255.255.255.255/32", "1.2.3.4/30 ", "::1",
)  # fmt: skip
_FOURS = tuple(each for each in _CIDRS if ":" not in each)
_PAIRS = texts(["10.0.0.0/8", "a"], "10.1.2.3/24", ["::/0", 1], [], [1], "nope", "10.1.2.3")
_MODULES = texts(
    "package a\np := 1", "package a.b\nimport data.x as y\np contains x if { x := y.z[_]; not x == 1 }", "p := 1",
    "package a\nf(x) := x + 1 if x > 0\ndefault p := false\np if { some k, v in input; v == k } else := 2 if true",
    "package a\np { true }", "package a\np := [x | x := 1] if every y in [1] { y > 0 with input.a as 1 }", "",
)  # fmt: skip
_ROUTES = texts(
    "GET /a/{id}", "urn:foo:{.*}", "urn:{[a-z]+}:x", "{", "}", "<.*>", "a{1,2}b", "{(a|b)}c", "{[}", "", "x{.*}y{.*}"
)
_TEMPLATES = texts(
    "{{.x}}", "{{range .l}}<{{.}}>{{else}}none{{end}}", "{{if .x}}y{{else if .y}}z{{end}}",
    "{{.x | printf \"%v-%s\" .y}}",
    "{{with .o}}{{.a}}{{end}}{{- \" t \" -}} x", "{{len .l}} {{index .l 1}}", "{{eq .x .y}}{{and .x .l}}{{not .x}}",
    "{{",
    "{{range $k, $v := .o}}{{$k}}={{$v}};{{end}}", "{{.missing}}",
    "{{define \"t\"}}[{{.}}]{{end}}{{template \"t\" .x}}",
    "{{html .h}} {{js .h}} {{urlquery .h}}", "{{slice .h 1 2}}", "{{print 1 .x \"a\" nil}}", "{{lt 1 2}}{{/* c */}}",
)  # fmt: skip

POOLS: dict[str, tuple[str, ...]] = {
    "duration": texts("1h", "1.5s", "-3m2s", "1µs", "1h-1m", "", "9e3s", ".5m", "1d", "100ns", "0", "+5us", "1.", ".s",
                      "2562047h47m16.854775807s", "2562047h47m16.854775808s", "1h 2m", "0.0000000001s", "-0"),
    "ns": _DATES,
    "date": (*_DATES, *(f"[{ns}, {zone}]" for ns in _DATES[:5] for zone in _ZONES), "[1]", '["1", "UTC"]', "[0, 1]"),
    "dateform": tuple(f"[{ns}, {zone}, {layout}]" for ns, zone in zip(_DATES[:5], _ZONES, strict=False)
                      for layout in _LAYOUTS),
    "zone": _ZONES, "layout": _LAYOUTS, "time": _TIMES, "cidr": _CIDRS,
    "cidrs": (*(f"[{', '.join(some)}]" for some in zip(_FOURS, _FOURS[1:], _FOURS[2:], strict=False)),
        '["::/0", "::1/128"]',
              '["10.0.0.0/9", "10.128.0.0/9"]', "[]", "[1]",
              '{"10.0.0.0/25", "10.0.0.128/25", "10.0.1.0/24"}', '["1.1.1.0/32", "1.1.1.1", "1.1.1.2/31"]'),
    "smallcidr": texts("1.2.3.4/30", "::/126", "10.0.0.255/31", "1.2.3.4/32", "2001:db8::fffe/125", "nope", "1.2.3.4"),
    "cidrset": (*_CIDRS[:6], f"[{', '.join(_PAIRS[:3])}]", f"{{{_PAIRS[0]}, {_PAIRS[6]}}}", f"[{', '.join(_PAIRS)}]",
                f'{{"k": {_PAIRS[0]}, "l": {_CIDRS[1]}}}', "{1}"),
    "uuid": texts("00000000-0000-0000-0000-000000000000", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "nope", "",
                  "6BA7B8109DAD11D180B400C04FD430C8", "{6ba7b810-9dad-21d1-80b4-00c04fd430c8}",
                  "urn:uuid:6ba7b810-9dad-41d1-80b4-00c04fd430c8", "6ba7b810-9dad-51d1-00b4-00c04fd430c8",
                  "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "6ba7b810-9dad-61d1-f0b4-00c04fd430cg"),
    "uri": texts("http://u:p@h.example:8080/a%20b/../c?q=1&r#f", "mailto:a@b", "//h/p", "/p?x#y", "http://[::1]:80/",
        "%",
                 "http://h:port/", "a b", "http://a/%zz", "urn:x:y", "http://é/ü?ä", "", ":", "http://h/?a=%zz",
                 "HTTP://H",
                 "http://[::1%25eth0]/", "file:///a", "http://h#", "http://h?", "x:1", "1x:y", "http://u@h",
                 "http://h/a;b"),
    "units": texts("1K", "1Ki", "1.5M", "10", "1e3", "100m", "KB", "1KB", "1KiB", "-2G", "0.5Ti", " 1K", "1 K", "1k",
        "1kib",
                   "1PB", "1E", "1Ei", "1Mb", "\"5Gi\"", "1.2.3", "", "1mb", "1e3K", ".5K", "1B",
                   "9999999999999999999T"),
    "semver": texts("1.2.3", "1.2.3-alpha.1", "v1.2.3", "1.2", "1.2.3+b.1", "1.2.3-a+b", "1.2.3-x-y",
                    "99999999999999999999.0.0", "1.2.3-alpha", "1.2.3-2", "1.2.3-10", "", "1.2.3.4", "-1.0.0",
                    "1.2.3-é"),
    "base64": texts("YQ==", "YQ", "YWI=", "4pyT", "-_-_", "+/+/", "Y Q==", "YQ=", "YR==", "", "=", "YW\nI=", "YWJj",
        "c3ViamVjdA"),
    "hex": texts("61", "6", "6g", "C3A4", "c3a4", "", " 61", "00", "e29c93"),
    "yaml": texts("a: 1", "- 1\n- 0x1F\n- 0o17\n- 1e3\n- .5\n- 1.", ".inf", "yes: no", "a: &x [1]\nb: *x",
        "a: {b: [1, 'x']}", "--- 1",
                  "a: 1\na: 2", "? [1]\n: 2", "|\n  text\n  more", "2024-01-01", "~", "a:\n\t- 1", "\"\\u00e9\"",
                  "1: a\ntrue: b",
                  "- 1_000\n- 010\n- 1:30\n- +1\n- 1.0\n- \"1\"", "<<: {a: 1}\nb: 2", "!!str 1", "!!binary YQ==",
                  "a: b: c", "#x",
                  "a: on\nb: Off\nc: y\nd: NULL\ne: .NaN", "- !!float 1\n- 12e03\n- 0b11",
                  "key: >-\n  folded\n  text\n\n  end"),
    "json": texts('{"a": [1, {"b": null}]}', "[1e3, 1.50, -0, 1E-2]", '{"a": 1, "a": 2}', '"\\ud83d\\ude00"',
        '"\\ud800"', "1 ",
                  "[1,]", "{'a': 1}", "nul", "NaN", "12345678901234567890123", '"a\tb"', "[1] x", "", "1e400", "-"),
    "query": texts("a=1&b=2&a=3", "a", "a=%20+b", "=", "a=%zz", "", "&&", "a;b=1", "a=b=c", "%C3%A4=%E2%82", "a[]=1"),
    "queryobject": ('{"a": "1 2", "b": ["x", "y&"], "c": {"q", "p"}}', '{"ä": "/?#"}', '{"a": 1}', "{}", '{1: "a"}',
                    '{"a": []}', '{"a": [1]}', '{"b": "~-_.!*()", "a": ""}'),
    "graph": ('{"a": ["b", "c"], "b": {"d"}, "c": [], "d": ["a"]}', '{1: [2], 2: [3, 1], 3: []}', "{}", '{"a": ["a"]}',
              '{"a": "b"}', '{[1]: [[2]], [2]: [null]}', '{"a": null, "b": ["a"]}', '{"a": ["x", "b"], "b": ["y"]}'),
    "nodes": ('["a"]', '{"a", "d"}', "[1]", "[]", '["missing"]', "[[1]]", '["b", "a", "b"]', "set()", "[null]"),
    "schema": _SCHEMAS, "patch": _PATCHES, "module": _MODULES, "route": _ROUTES, "template": _TEMPLATES,
    "templateobject": ('{"x": 1, "y": "s", "l": [1, "a", null], "o": {"b": 2, "a": 1.5}, "h": "<a&\'\\"é>"}',
                       '{"x": false, "l": [], "h": "ab"}', '{"x": {1, 2}, "l": {"a"}, "o": {}}',
                           '{"x": 0, "l": "str"}'),
    "graphqlschema": _GRAPHQL_SCHEMAS,
    "graphqlquery": texts("{ a }", "query Q($x: String!) { b(x: $x) { a ...F } }\nfragment F on Query { a }",
        "{ missing }", "{",
                          "{ c { ... on T { id } __typename } }", "{ b(x: 1) { a } }", "mutation { a }",
                          "{ a @skip(if: true) }",
                          "query($i: In = {a: 1}) { f(i: $i) }", "{ f(i: {a: 1, b: null, z: 2}) }",
                          "{ x: a y: a x: b(x: \"\") { a } }",
                          "subscription S { a }", "{ a }{ a }", "fragment F on Nope { a }", "",
                          "{ f(i: {a: 1.5}) @d }"),
    "jsonoptions": ('{"pretty": true}', '{"indent": "  ", "prefix": ">"}', "{}", '{"pretty": false, "indent": "x"}',
                    '{"pretty": true, "indent": "\\t\\t", "prefix": "#"}', '{"prefix": ""}',
                    '{"pretty": true, "indent": ""}'),
    "paths": ('["a", "b/c"]', '[["a", "b"], "x"]', '{"a/0", "a/1/b"}', '[["a", 1]]', '[""]', "[]", '["~0", "a~1b"]',
        '[["a", "0"]]',
              '["/a"]', "[1]", '[[]]', '["a", "a/b"]'),
    "nested": ('{"a": {"b": [1, {"c": {2, 3}}]}, "x": [[1, [2]]]}', '{"a": [{"b": 1}, {"b": 2}], "a/b": {"~": 2}}',
        '{"a": null}',
               '{"": {"": 1}, "0": "z"}', '{"a": {"0": 1, "1": [9, 8]}}'),
    "collection": ("[[1, [2, [3]]], {4}, {\"a\": 5}]", "[]", "[[], [[]]]", "[1, \"a\", null, [true]]",
        '{{1}, {[2]}, {{}}}',
                   '[3, "a", null, true, {}, [], set(), 1.5, -1]', '{"b": {1}, "a": [1]}',
                   '{[1, 2], [1], {"a": 1}, {"a"}}'),
    "array": ('[[1, [2, [3]]], {4}, {"a": 5}]', "[]", "[[], [[]]]", '[1, "a", null, [true]]', "[3, 2, 1]",
        "[{1}, [1], {}]"),
    "bignumber": ("18446744073709551616", "-9223372036854775809", "1e30", "123456789012345678901234567890", "0.1",
        "-0.0", "1e-20",
                  "2.5", "3.5", "-2.5", "9007199254740993", "1e17", "4294967296", "-1", "0", "64", "0.5",
                  "99999999999999999999.5"),
    "count": ("0", "1", "2", "-1", "3", "10", "100", "1.5", "64", "18446744073709551616", '"1"'),
    "bound": ("0", "1", "2", "-1", "3", "10", "-2", "1.5", "100"),
    "small": ("0", "1", "2", "-1", "3", "10", "-2", "1.5", "100"),
    "base": ("10", "2", "8", "16", "3", "0", "36", "10.0"),
    "needles": ('["a", "b"]', '{"ab", ""}', '"a"', "[]", "[1]", '{"A"}', '["é", "日"]'),
    "mapping": ('{"a": "b", "b": "a"}', '{"ab": "1", "a": "2"}', "{}", '{"a": 1}', '{"é": "e", "日": ""}'),
    "numbers": ("[1, 2.5, -3]", "{1, 10, 100}", "[0.1, 0.2, 0.3]", "[1e30, 1]", "[]", '[1, "a"]',
        "[9007199254740993, 1]"),
    "region": ('{"aws_access_key": "k", "aws_secret_access_key": "s", "aws_service": "s3", "aws_region": "us-east-1"}',
               '{"aws_access_key": "k", "aws_secret_access_key": "s", "aws_service": "x", "aws_session_token": "t"}',
               '{"aws_access_key": "k"}'),
    "request": ('{"method": "get", "url": "https://h.example/a%20b?z=1&a=2", "headers": {"X-B": " v "}}',
        '{"method": "post"}',
                '{"method": "post", "url": "https://h.example", "body": {"a": 1}}',
                    '{"method": "put", "url": "http://h:80/", "raw_body": "x"}'),
    "glob": texts("*", "a*", "**", "{a,b}*", "a?", "[a-c]", "[!a]b", "/p/*", "*.b", "[", "a.{b,c.*}", "\\*", "[a-",
        "?b*"),
    "delimiters": ("null", "[]", '["."]', '["/", "."]', '["ab"]', '[""]'),
    "pattern": texts("a", "^a+$", "[a-z]+", ".", "a|b", "(a)(b)?", r"\d+", "(?i)A", "[^a]", "x*", "(?P<n>b)",
        r"\bb\b", r"\p{L}+",
                     "a{1,2}", "(", "a**", "(?s)a.b", r"\x{1F600}", "(?m)^b", r"\pL", "[[:alpha:]]", r"\Qa.b\E",
                     "(?U)a+", "a{1001}",
                     "(?=a)", r"\1", "", "(a*)*", "é"),
    "substitute": texts("<$0>", "$1", "${1}x", "$n", "${n}", "$$", "$", "${", "$1x", "", "\\1"),
    "opening": texts("{", "{", "{{", "é", ""), "closing": texts("}", "}", "", "ab"),
    "sets": ("{{1, 2}, {2, 3}}", "set()", "{{1}}", '{{"a", 1}, {"a"}, {"a", null}}', "{{{1}}, {{1}, 2}}", "{1}",
        "{set(), {1}}"),
    "keys": ('["a", "b"]', '{"a": 1}', '{"a"}', '"a"', '["a", "b", 1]', "[]", "[1]", '["a", 0, "b"]', "null", '""'),
    "objects": ('[{"a": 1}, {"a": {"b": 1}}, {"a": {"c": 2}}]', "[]", '[{"a": {1}}, {"a": {"x": 1}}]', "[1]",
        '[{1: 2}, {[1]: {}}]'),
    "format": texts("%d", "%v %v", "%s|%s", "%x", "%05d", "%.2f", "%q", "%-6v|", "%t", "%e", "%g", "%o", "%c", "%X",
        "%%", "%+d", "%b", "%U",
                    "%[2]v %[1]v", "%*d", "% d", "%#x", "%T", "%8.3f", "%6.2s|", "%", "%z", "%!", "%[3]v", "%+q",
                    "%G", "%E", "%#v", "%# x"),
    "arguments": ("[1]", '["a"]', "[1, 2]", '["é", "日本"]', "[1.5, true]", "[null]", '[{"a": 1}, [2]]', "[{1, 2}]",
        "[]", "[-7, 255]",
                  "[12345678901234567890, 1e30]", "[0.1, 1e-7]", "[1, 2, 3]", '["a\\nb", "\\u0000"]', "[6, 3.5]",
                  "[65, 128512]"),
}  # fmt: skip


@lru_cache(maxsize=1)
def _secrets() -> dict[str, tuple[str, ...]]:
    made = material()
    keys = (*made.public, *made.certificates[:2], *made.jwks, SECRET, "")
    constraints = [f'"cert": {each}' for each in texts(*keys)] + [f'"secret": {json.dumps(SECRET)}']
    extra = (
        "",
        ', "iss": "me"',
        ', "aud": "you"',
        ', "alg": "HS256"',
        ', "time": 5',
        ', "aud": "x", "iss": "you"',
        ', "b": 1',
    )
    jwk = ('{"kty": "oct", "k": "YSBzZWNyZXQ"}', '{"kty": "oct"}', "{}", '{"kty": "none"}')
    return {
        "token": texts(*made.tokens),
        "key": texts(*keys),
        "private": texts(*made.private),
        "certificate": texts(*made.certificates),
        "request509": texts(*made.requests),
        "constraint": tuple(f"{{{head}{tail}}}" for head in constraints for tail in extra),
        "header": ('{"alg": "HS256"}', '{"alg": "HS384", "typ": "JWT"}', '{"alg": "none"}', "{}", '{"alg": "XX"}',
            '{"typ": "text", "alg": "HS512"}'),
        "claims": ('{"a": 1, "b": [true, null]}', "{}", '{"ä": "<&>"}', '{"n": 1.5, "m": [0.1, -7]}'),
        "jwk": jwk,
        "rawheader": texts('{"alg": "HS256", "typ": "JWT"}', '{"alg":"HS512"}', "{", "[]", ""),
        "rawclaims": texts('{"a" : 1}', "text", "", "[1]"),
        "rawjwk": texts(*jwk, "{"),
        "options509": ('{"DNSName": "leaf.example"}', '{"CurrentTime": 0}',
            '{"CurrentTime": 1700000000000000000, "KeyUsages": ["KeyUsageAny"]}',
                       '{"KeyUsages": ["ExtKeyUsageServerAuth"]}', "{}", '{"Bogus": 1}', '{"DNSName": 1}'),
    }  # fmt: skip


def pool(kind: str) -> tuple[str, ...]:
    """The operands of a kind. Raises KeyError for one that does not exist."""
    return POOLS[kind] if kind in POOLS else _secrets()[kind]
