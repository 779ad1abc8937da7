"""Terms of generated modules, by type. A term mentions only variables in scope and rules that stand before it."""

from __future__ import annotations

import json
from collections.abc import Callable

from .dice import Dice
from .inputs import KEYS, NUMBERS, STRINGS

NUM, STR, BOOL, NUMS, STRS, SET, OBJ = ["number", "string", "boolean", "numbers", "strings", "set", "object"]
ANY = "any"  # a term of any type
LOOSE = "loose"  # a term of which no compiler can know the type
TYPES = (NUM, STR, BOOL, NUMS, STRS, SET, OBJ, ANY)
FIELDS = {
    NUM: ("n", "m"),
    STR: ("s", "t", "kind"),
    BOOL: ("b",),
    NUMS: ("xs",),
    STRS: ("ss",),
    OBJ: ("o",),
    ANY: ("any", "n", "s", "o", "os", "xs", "nope"),
    LOOSE: ("any", "n", "s", "o", "os", "xs", "nope"),
}
PATTERNS = (
    "a", "^a+$", "[a-z]+", ".", "a|b", "(a)(b)?", r"\d+", "(?i)A", r"\s", "[^a]", "x*", "(?P<n>b)", "^$", r"\bb\b",
    r"\p{L}+", "a{1,2}", "(", "[", "a**", r"\w*?", "(?s)a.b",
)  # fmt: skip
GLOBS = ("*", "a*", "a.*", "**", "{a,b}*", "a?", "[a-c]", "[!a]b", "/p/*", "*.b")
FORMATS = (
    "%d",
    "%v",
    "%s",
    "%x",
    "%05d",
    "%.2f",
    "%q",
    "%5s|",
    "%-4v|",
    "%t",
    "%e",
    "%g",
    "%o",
    "%c",
    "%X",
    "%%",
    "%+d",
    "%b",
    "%d %d",
)
JSON_TEXTS = ('{"a": 1}', "[1, 2.5, 4]", "nope", '"x"', "1 2", "null", '{"a": {"b": [1]}}', "-1", "01", "[", "")


def literal(value: object) -> str:
    """A scalar as Rego text."""
    return json.dumps(value, ensure_ascii=False)


class Terms:
    """Writes terms. ``scope`` has the variables in reach, ``rules`` the references to rules, both by type."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.scope: dict[str, list[str]] = {}
        self.rules: dict[str, list[str]] = {}
        self.functions: list[tuple[str, tuple[str, ...], str]] = []
        self.count = 0
        self.writers: dict[str, Callable[[int], str]] = {
            NUM: self.number,
            STR: self.string,
            BOOL: self.boolean,
            NUMS: self.numbers,
            STRS: self.strings,
            SET: self.set,
            OBJ: self.object,
            ANY: self.any,
            LOOSE: self.loose,
        }

    def fresh(self) -> str:
        """A variable name of its own."""
        self.count += 1
        return f"v{self.count}"

    def term(self, kind: str, depth: int = 2) -> str:
        """A term of a type: a variable, an input field, a rule, a call of a function, or something made of others."""
        choice = self.dice.below(10)
        known = self.scope.get(kind) or []
        if choice < 3 and known:
            return self.dice.pick(known)
        if choice == 4 and self.rules.get(kind):
            return self.dice.pick(self.rules[kind])
        if choice == 5 and depth:
            made = [each for each in self.functions if each[2] == kind]
            if made:
                name, kinds, _ = self.dice.pick(made)
                return f"{name}({', '.join(self.term(each, depth - 1) for each in kinds)})"
        if 6 <= choice < 8 and kind in FIELDS:
            return "input." + self.dice.pick(FIELDS[kind])
        return self.writers[kind](depth)

    def call(self, depth: int, *calls: tuple[str, ...]) -> str:
        """A call of one of these: a name, or a text with ``{}`` for each operand, then the types of operands."""
        name, *kinds = self.dice.pick(calls)
        operands = [self.term(kind, depth - 1) for kind in kinds]
        return name.format(*operands) if "{}" in name or not kinds else f"{name}({', '.join(operands)})"

    # -- scalars --------------------------------------------------------------------------------------------------

    def number(self, depth: int) -> str:
        """A number."""
        if not depth or self.dice.chance(25):
            return literal(self.dice.pick(NUMBERS))
        return self.call(
            depth,
            ("count", SET), ("count", NUMS), ("count", STR), ("count", OBJ), ("({} + {})", NUM, NUM),
            ("({} - {})", NUM, NUM), ("({} * {})", NUM, NUM), ("({} / {})", NUM, NUM), ("({} % 7)", NUM),
            ("({} % -3)", NUM), ("(input.n % 0)",),
            ("sum", NUMS), ("product", NUMS), ("max", NUMS), ("min", NUMS), ("abs", NUM), ("ceil", NUM),
            ("floor", NUM), ("round", NUM), ("to_number", STR), ("to_number", LOOSE), ("indexof", STR, STR),
            ("bits.and", NUM, NUM), ("bits.or", NUM, NUM), ("bits.xor", NUM, NUM), ("bits.negate", NUM),
            ("bits.lsh({}, 3)", NUM), ("bits.rsh({}, 2)", NUM), ("strings.count", STR, STR), ("input.xs[0]",),
            ("units.parse_bytes", STR), ("semver.compare", STR, STR), ("to_number(format_int({}, 10))", NUM),
            ("sum({{x | some x in {}}})", NUMS), ("input.xs[1]",), ("count", STRS), ("round({} * 100)", NUM),
        )  # fmt: skip

    def string(self, depth: int) -> str:
        """A string."""
        if not depth or self.dice.chance(25):
            return literal(self.dice.pick(STRINGS))
        if self.dice.chance(15):
            return f"sprintf({literal(self.dice.pick(FORMATS))}, [{self.term(self.dice.pick(TYPES), depth - 1)}])"
        return self.call(
            depth,
            ("upper", STR), ("lower", STR), ("concat", STR, STRS), ("trim", STR, STR), ("trim_left", STR, STR),
            ("trim_right", STR, STR), ("trim_prefix", STR, STR), ("trim_suffix", STR, STR), ("trim_space", STR),
            ("replace({}, \"a\", {})", STR, STR), ("substring({}, 0, 2)", STR), ("substring({}, 1, -1)", STR),
            ("format_int({}, 16)", NUM), ("format_int({}, 2)", NUM), ("strings.reverse", STR), ("json.marshal", ANY),
            ("type_name", ANY), ("base64.encode", STR), ("base64url.encode", STR), ("hex.encode", STR),
            ("urlquery.encode", STR), ("sprintf(\"%v|%v\", [{}, {}])", ANY, NUM), ("crypto.sha256", STR),
            ("input.ss[0]",), ("concat(\",\", {{x | some x in {}}})", STRS), ("sprintf(\"%v\", [{}])", SET),
            ("regex.replace({}, \"[ab]\", \"<$0>\")", STR),
            ("strings.replace_n({{\"a\": \"1\", \"b\": \"2\"}}, {})", STR),
            ("$\"a{{{}}}b\"", NUM), ("$\"<{{{}}}>\"", ANY), ("yaml.marshal", ANY),
            ("base64.decode(base64.encode({}))", STR), ("base64.decode(\"*\")",),
            ("json.marshal", SET), ("max", STRS), ("crypto.md5", STR), ("glob.quote_meta", STR),
            ("substring({}, {}, {})", STR, NUM, NUM), ("urlquery.decode(urlquery.encode({}))", STR),
            ("urlquery.decode(\"%a\")",), ("hex.decode(hex.encode({}))", STR), ("hex.decode(\"x\")",),
        )  # fmt: skip

    def boolean(self, depth: int) -> str:
        """A boolean that may stand as an operand."""
        if not depth or self.dice.chance(25):
            return self.dice.pick(("true", "false"))
        return self.call(
            depth,
            ("{} == {}", LOOSE, ANY), ("startswith", STR, STR), ("endswith", STR, STR), ("contains", STR, STR),
            ("is_number", ANY), ("is_string", ANY), ("is_array", ANY), ("is_set", ANY), ("is_object", ANY),
            ("is_null", ANY), ("regex.is_valid", STR), ("json.is_valid", STR), ("semver.is_valid", STR),
            ("strings.any_prefix_match", STR, STRS), ("object.subset", OBJ, OBJ),
            ("net.cidr_contains(\"10.0.0.0/8\", {})", STR),
        ) if self.dice.chance(60) else self.comparison(depth)  # fmt: skip

    def comparison(self, depth: int) -> str:
        """A comparison, a membership test or a match."""
        shape = self.dice.below(8)
        if shape < 4:
            kind = self.dice.pick((NUM, STR, LOOSE, NUM, SET, NUMS))
            op = self.dice.pick(("==", "!=", "<", "<=", ">", ">="))
            return f"{self.term(kind, depth - 1)} {op} {self.term(kind, depth - 1)}"
        if shape == 4:
            kind, many = self.dice.pick(((NUM, NUMS), (STR, STRS), (LOOSE, SET), (LOOSE, OBJ)))
            return f"{self.term(kind, depth - 1)} in {self.term(many, depth - 1)}"
        if shape == 5:
            return f"regex.match({literal(self.dice.pick(PATTERNS))}, {self.term(STR, depth - 1)})"
        if shape == 6:
            return f'glob.match({literal(self.dice.pick(GLOBS))}, ["."], {self.term(STR, depth - 1)})'
        return f'input.kind == "{self.dice.pick("abcd")}"'

    # -- collections ----------------------------------------------------------------------------------------------

    def comprehension(self, depth: int, kind: str) -> str:
        """The inside of a comprehension whose head is of a type: ``head | body``."""
        outer = {each: list(names) for each, names in self.scope.items()}
        body = self.iteration(depth - 1)
        if self.dice.chance(40):
            body += "; " + self.comparison(depth)
        head = self.term(kind, depth - 1)
        self.scope = outer
        return f"{head} | {body}"

    def domain(self, kind: str, depth: int) -> str:
        """A collection to iterate over: no literal, of which OPA iterates equal members (docs/rego-differences.md)."""
        text = self.term(kind, depth)
        if not text.startswith("{"):
            return text
        return f"({text} | set())" if kind == SET else f"object.union({text}, {{}})" if kind == OBJ else text

    def iteration(self, depth: int) -> str:
        """``some ... in ...`` over a collection, its variables in scope afterwards."""
        kind, many = self.dice.pick(((NUM, NUMS), (STR, STRS), (LOOSE, SET), (LOOSE, OBJ), (LOOSE, LOOSE)))
        name = self.fresh()
        domain = self.domain(many, depth)
        if self.dice.chance(30):
            key = self.fresh()
            self.scope.setdefault(STR if many == OBJ else NUM if many in {NUMS, STRS} else LOOSE, []).append(key)
            self.scope.setdefault(kind, []).append(name)
            return f"some {key}, {name} in {domain}"
        self.scope.setdefault(kind, []).append(name)
        return f"some {name} in {domain}"

    def numbers(self, depth: int) -> str:
        """An array of numbers."""
        if not depth or self.dice.chance(25):
            return "[" + ", ".join(literal(self.dice.pick(NUMBERS)) for _ in self.dice.some(3)) + "]"
        if self.dice.chance(30):
            return f"[{self.comprehension(depth, NUM)}]"
        return self.call(
            depth,
            ("sort", NUMS), ("array.concat", NUMS, NUMS), ("array.reverse", NUMS), ("array.slice({}, 0, 2)", NUMS),
            ("numbers.range(0, count({}))", STR), ("array.slice({}, 1, 9)", NUMS), ("numbers.range(3, 1)",),
            ("[{}, {}]", NUM, NUM), ("indexof_n", STR, STR), ("numbers.range_step(0, 9, 4)",),
            ("sort({{{}, {}}})", NUM, NUM),
        )  # fmt: skip

    def strings(self, depth: int) -> str:
        """An array of strings."""
        if not depth or self.dice.chance(25):
            return "[" + ", ".join(literal(self.dice.pick(STRINGS)) for _ in self.dice.some(3)) + "]"
        if self.dice.chance(30):
            return f"[{self.comprehension(depth, STR)}]"
        pattern = literal(self.dice.pick(PATTERNS))
        return self.call(
            depth,
            ("split", STR, STR), ("sort", STRS), ("array.concat", STRS, STRS), ("array.reverse", STRS),
            (f"regex.find_n({pattern.replace('{', '{{').replace('}', '}}')}, {{}}, -1)", STR),
            (f"regex.split({pattern.replace('{', '{{').replace('}', '}}')}, {{}})", STR), ("[{}, {}]", STR, STR),
            ("[k | some k, v in {}; v != null]", OBJ), ("split({}, \"\")", STR), ("sort({{{}, {}}})", STR, STR),
            ("sort(object.keys({}))", OBJ),
        )  # fmt: skip

    def set(self, depth: int) -> str:
        """A set of anything."""
        if not depth or self.dice.chance(20):
            items = [self.term(ANY, 0) for _ in self.dice.some(3)]
            return "{" + ", ".join(items) + "}" if items else "set()"
        if self.dice.chance(40):
            return f"{{{self.comprehension(depth, self.dice.pick((NUM, STR, ANY)))}}}"
        return self.call(
            depth,
            ("({} | {})", SET, SET), ("({} & {})", SET, SET), ("({} - {})", SET, SET),
            ("union({{{}, {}}})", SET, SET),
            ("intersection({{{}, {}}})", SET, SET), ("object.keys", OBJ), ("{{x | some x in {}}}", NUMS),
            ("{{{}, {}}}", ANY, SET), ("{{p | walk({}, [p, q]); q != 1}}", LOOSE),
            ("{{v | walk(input.any, [p, v]); count(p) < 3}}",),
        )  # fmt: skip

    def object(self, depth: int) -> str:
        """An object."""
        if not depth or self.dice.chance(25):
            pairs = {self.dice.pick(KEYS): self.term(ANY, 0) for _ in self.dice.some(3)}
            return "{" + ", ".join(f"{literal(key)}: {value}" for key, value in pairs.items()) + "}"
        if self.dice.chance(30):
            key = self.dice.pick((STR, STR, NUM, ANY))
            outer = {each: list(names) for each, names in self.scope.items()}
            body = self.iteration(depth - 1)
            found = f"{{{self.term(key, depth - 1)}: {self.term(ANY, depth - 1)} | {body}}}"
            self.scope = outer
            return found
        return self.call(
            depth,
            ("object.union", OBJ, OBJ), ("object.filter", OBJ, STRS), ("object.remove", OBJ, STRS),
            ("json.filter({}, [\"a\", \"b/c\"])", OBJ), ("json.remove({}, [\"a\"])", OBJ),
            ("object.union_n([{}, {}])", OBJ, OBJ),
            ("{{\"a\": {}, \"b\": {}}}", ANY, ANY), ("{{{}: {}}}", STR, ANY), ("{{x: 1 | some x in {}}}", STRS),
            ("json.patch({}, [{{\"op\": \"add\", \"path\": \"/z\", \"value\": {}}}])", OBJ, ANY), ("{{{}: 1}}", SET),
            ("json.remove({}, {})", OBJ, STRS), ("urlquery.decode_object", STR),
        )  # fmt: skip

    def loose(self, depth: int) -> str:
        """Something of which only a run tells the type."""
        if not depth:
            return "input." + self.dice.pick(FIELDS[LOOSE])
        if self.dice.chance(15):
            return f"json.unmarshal({literal(self.dice.pick(JSON_TEXTS))})"
        return self.call(
            depth,
            (f"input.o[{literal(self.dice.pick(KEYS))}]",), (f"input.xs[{self.dice.below(3)}]",),
            ("object.get(input.o, {}, {})", STR, ANY), ("json.unmarshal", STR),
            ("object.get({}, [\"a\", \"b\"], {})", LOOSE, ANY), ("[{}, {}][count(input.o)]", ANY, ANY),
            ("input.o.a",),
            ("yaml.unmarshal", STR), ("input.any[input.s]",), ("input.any[input.n]",), ("input.os[0].v",),
            ("input.any.a.b",),
        )  # fmt: skip

    def any(self, depth: int) -> str:
        """Anything."""
        if not depth:
            return self.term(self.dice.pick((NUM, STR, BOOL)), 0) if self.dice.chance(85) else "null"
        if self.dice.chance(10):
            return self.call(depth, ("sort", SET), ("max", SET), ("min", SET), ("sort", NUMS), ("sort", STRS))
        return self.term(self.dice.pick((LOOSE, NUM, STR, BOOL, NUMS, STRS, SET, OBJ)), depth - 1)
