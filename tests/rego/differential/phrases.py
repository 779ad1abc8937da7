"""Expressions of the rarer kinds: patterns in ``some`` and ``every``, several ``with``, templates, nested closures."""

from __future__ import annotations

from .calls import Calls
from .terms import ANY, BOOL, LOOSE, NUM, NUMS, OBJ, SET, STR, STRS, literal

_MIXED = (
    '[3, "a", null, true, {}, [], set(), 1.5, -1, {"a": 1}, [1], {1}]', "{{1}, {2, 1}, set(), {{1}}}",
    '{{"a": 1}, {"a"}, ["a"], "a", null, false}', "[1, 1.5, 9007199254740993, 9007199254740992]",
    '{"é", "e\\u0301", "😀", "\\uffff", "Z", "a"}', "[[2, 1], [1, 2, 3], [1, 2], []]",
    '[{"b": 1}, {"a": 2}, {"a": 1, "b": 0}]',
    "[18446744073709551616, 1e+30, -1e+30, 1e-30, 0.1]", '{1: "a", "1": "b", [1]: "c", {1}: "d", null: "e", true: "f"}',
)  # fmt: skip


class Phrases(Calls):
    """Writes rarer expressions; what they bind is in scope afterwards."""

    def phrase(self) -> str:
        """One of them."""
        return self.dice.pick(
            (
                self.some_pattern, self.every_pair, self.several_withs, self.mocked_function, self.nested,
                    self.template,
                self.mixed, self.declared, self.member_pair, self.not_call, self.destructured, self.printed,
                    self.walked,
                self.index_of_call, self.composite_key, self.unified, self.shadowed,
            )
        )()  # fmt: skip

    def bind(self, kind: str) -> str:
        """A new variable of a type."""
        name = self.fresh()
        self.scope.setdefault(kind, []).append(name)
        return name

    def assign(self, kind: str, text: str) -> str:
        """``name := text``; the name is in scope only then."""
        return f"{self.bind(kind)} := {text}"

    def inner(self, kind: str) -> str:
        """A comprehension with a comprehension inside, over what surrounds both."""
        outer = {each: list(names) for each, names in self.scope.items()}
        body = self.iteration(1)
        found = f"[{{{self.term(kind, 1)} | {self.iteration(1)}; {self.comparison(1)}}} | {body}]"
        self.scope = outer
        return found

    def some_pattern(self) -> str:
        one, two = self.fresh(), self.fresh()
        text = self.dice.pick(
            (
                f'some {{"k": {one}, "v": {two}}} in input.os',
                f'some {one}, {{"k": {two}}} in input.os',
                f"some [{one}, {two}] in [[1, {self.term(ANY, 1)}], [{self.term(NUM, 1)}, 2]]",
                f"some {one}, {two} in {self.dice.pick(_MIXED)}",
                f"some {literal(self.dice.pick(('a', 'b')))}, {one} in input.o; {two} := {one}",
                f"some {one} in input; {two} := {one}",
            )
        )
        self.scope.setdefault(LOOSE, []).extend((one, two))
        return text

    def every_pair(self) -> str:
        one, two = self.fresh(), self.fresh()
        domain = self.dice.pick(("input.o", "input.xs", "input.os", "input.any", "{}", "[1, 2]", '{"a", "b"}', "set()"))
        condition = self.dice.pick(
            (f"[{one}, {two}] != null", f"is_string({one}); {two} != 7", f"{one} != {two}",
            f"some {self.fresh()} in [{one}, {two}]",
             f"not {two} == {self.term(NUM, 0)}; {one} == {one}", f"every x in [{two}] {{ [x, {one}] >= {one} }}")
        )  # fmt: skip
        return f"every {one}, {two} in {domain} {{ {condition} }}"

    def several_withs(self) -> str:
        targets = self.dice.pick(
            (
                f"with input.n as {self.term(NUM, 1)} with input.xs as {self.term(NUMS, 1)}",
                f"with input.o.a.b as {self.term(ANY, 1)} with input.o.c as 1",
                f"with input as {self.term(OBJ, 1)} with input.n as {self.term(NUM, 1)}",
                f"with data.mock as {self.term(OBJ, 1)} with data.mock2.x as 1",
                f'with data.{self.dice.pick(("g", "h", "h.i"))} as {{"r0": {self.term(ANY, 1)}}}',
                "with input.s as input.t with input.t as input.s",
            )
        )
        return self.assign(ANY, f"[{self.term(ANY, 2)}, {self.term(LOOSE, 1)}, data.mock] {targets}")

    def mocked_function(self) -> str:
        own = [name for name, kinds, _ in self.functions if len(kinds) == 1]
        call, target, value = self.dice.pick(
            (
                ("count(input.xs)", "count", "sum"), ("upper(input.s)", "upper", "lower"), ("abs(input.n)", "abs",
                "-7"),
                ("concat(input.s, input.ss)", "concat", '"mock"'), ("sum(input.xs)", "sum", "max"),
                ("time.now_ns()", "time.now_ns", "1700000000000000000"), ("opa.runtime()", "opa.runtime", '{"a": 1}'),
                ("rand.intn(input.s, 10)", "rand.intn", "4"), ("json.unmarshal(input.s)", "json.unmarshal", "input.o"),
                ("is_string(input.s)", "is_string", "false"), ("object.get(input.o, input.s, 1)", "object.get", "[1]"),
            )
        )  # fmt: skip
        if own and self.dice.chance(50):
            name = self.dice.pick(own)
            call, target, value = self.dice.pick(
                ((f"{name}({self.term(NUM, 1)})", name, self.dice.pick(("5", "abs", "input.any"))),
                 ("abs(input.n)", "abs", name), (f"{name}(1)", f"data.g.{name}", '"x"'))
            )  # fmt: skip
        return self.assign(ANY, f"{call} with {target} as {value}")

    def nested(self) -> str:
        return self.assign(LOOSE, self.inner(self.dice.pick((NUM, STR, ANY))))

    def template(self) -> str:
        kind = self.dice.pick((ANY, LOOSE, NUM, SET, OBJ, STR))
        quote = self.dice.pick(('"', "`"))
        middle = self.term(kind, 1)
        text = self.dice.pick(("a", "\\{", " ", "é", "x: ", "}"))
        return self.assign(STR, f"${quote}{text}{{{middle}}}-{{input.s}}{text}{quote}")

    def mixed(self) -> str:
        value, other = self.dice.pick(_MIXED), self.dice.pick(_MIXED)
        return self.assign(ANY, self.dice.pick(
            (f"sort({value})", f"[x | some x in {value}]", f"{{x | some x in {value}}}", f"max({value})",
            f"{value} < {other}",
             f"[{value} == {other}, {value} <= input.any]", f"json.marshal({value})",
             f"{{x: k | some k, x in {value}}}",
             f"sprintf(\"%v\", [{value}])", f"input.any in {value}", f"object.keys({{x: 1 | some x in {value}}})",
             f"min({value})", f"[[x > y] | some x in {value}; some y in {other}]")
        ))  # fmt: skip

    def declared(self) -> str:
        one, two, three = self.fresh(), self.bind(LOOSE), self.bind(LOOSE)
        return self.dice.pick(
            (
                f"some {one}, {two}, {three}; {three} = input.os[{one}][{two}]",
                f"some {one}, {two}; input.xs[{one}] = {two}; {three} = {one}",
                f"some {two}; {three} = input[{two}]",
            )
        )

    def member_pair(self) -> str:
        key, value = self.term(self.dice.pick((NUM, STR)), 1), self.term(ANY, 1)
        text = f"({key}, {value} in {self.dice.pick((*_MIXED, 'input.o', 'input.xs', 'input.any'))})"
        return f"not {text}" if self.dice.chance(30) else self.assign(BOOL, text)

    def not_call(self) -> str:
        return "not " + self.dice.pick(
            (f"startswith({self.term(LOOSE, 1)}, {self.term(STR, 1)})", f"input.nope == {self.term(ANY, 1)}",
             f"count({self.term(LOOSE, 1)}) > 1", f"input.xs[_] == {self.term(NUM, 0)}",
             f"{self.term(SET, 1)}[{self.term(NUM, 0)}]",
             f"input.o[{self.term(STR, 1)}]")
        )  # fmt: skip

    def destructured(self) -> str:
        one, two = self.fresh(), self.fresh()
        text = self.dice.pick(
            (
                f'{{"k": {one}, "v": [{two}, 2]}} = {{"k": {self.term(ANY, 1)}, "v": [{self.term(NUM, 1)}, 2]}}',
                f"[{one}, _, [{two}]] = [1, {self.term(ANY, 1)}, [{self.term(LOOSE, 1)}]]",
                f'{{"z": {one}, input.s: {two}}} = {{"z": 1, input.s: {self.term(ANY, 1)}}}',
                f"[{one}, {one}] = [{self.term(NUM, 1)}, {self.term(NUM, 1)}]; {two} := {one}",
                f"[[{one}], {two}] = [[{two}], {self.term(NUM, 1)}]",
            )
        )
        self.scope.setdefault(LOOSE, []).extend((one, two))
        return text

    def printed(self) -> str:
        return f"print({', '.join(self.term(ANY, 1) for _ in self.dice.some(3))})"

    def walked(self) -> str:
        path, value = self.fresh(), self.bind(LOOSE)
        target = self.dice.pick(("input", "input.any", *_MIXED))
        return self.dice.pick(
            (f"walk({target}, [{path}, {value}]); count({path}) == 1", f'walk({target}, [["a"], {value}])',
             f"[_, {value}] = walk({target})", f"walk({target}, [[_, {path}], {value}])")
        )  # fmt: skip

    def index_of_call(self) -> str:
        index = self.dice.pick(("0", "1", "_", "-1", '"a"', "0.5", "1.0", "input.n"))
        return self.assign(LOOSE, self.dice.pick(
            (f"split({self.term(STR, 1)}, \"a\")[{index}]", f"sort({self.term(SET, 1)})[{index}]",
             f"object.union({self.term(OBJ, 1)}, {self.term(OBJ, 1)})[{index}]", f"[1, [2]][{index}][0]",
             f"{{\"a\": [1, 2]}}.a[{index}]")
        ))  # fmt: skip

    def composite_key(self) -> str:
        return self.assign(LOOSE, self.dice.pick(
            ("{[1, 2]: 3}[[1, 2]]", "{{1}, {2}}[{1}]", '{{"a": 1}: input.any}[{"a": input.n}]',
            "{[1, input.n]}[[1, _]]",
             f"{{[{self.term(ANY, 0)}]: 1, input.any: 2}}[input.any]", "{[x, x] | some x in input.xs}[[_, 1]]")
        ))  # fmt: skip

    def unified(self) -> str:
        name, value, other = self.fresh(), self.term(ANY, 1), self.term(LOOSE, 1)
        self.scope.setdefault(LOOSE, []).append(name)
        return self.dice.pick(
            (f"{name} = {value}", f"{other} = {name}", f"input.os[_] = {{\"k\": {name}, \"v\": _}}",
             f"{{\"k\": \"a\", \"v\": {name}}} = input.os[_]", f"{name} = input.xs[_]; {name} = input.n")
        )  # fmt: skip

    def shadowed(self) -> str:
        name = self.fresh()
        domain, more = self.dice.pick((self.term(NUMS, 1), "input.xs")), self.term(STRS, 1)
        self.scope.setdefault(NUM, []).append(name)
        return f"{name} := count([{name} | some {name} in {domain}; {name} > 0]) + count({more})"
