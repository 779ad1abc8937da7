"""Modules: rules of every kind over generated bodies, now and then with a fault that a compiler has to find."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .dice import Dice
from .inputs import NUMBERS
from .shapes import Shapes
from .terms import ANY, BOOL, LOOSE, NUM, NUMS, OBJ, SET, STR, STRS, TYPES, literal

PACKAGE = "g"
FAULTS = (
    "{name} := missing_var",
    "{name} if {{ x == 1 }}",
    "{name} := nothing.of_this(1)",
    "{name} := count(1, 2, 3)",
    '{name} := count(["a"]) + "b"',
    "{name} := {name}",
    "{name} contains 1\n{name} := 2",
    "{name} := 1 if {{ y := 1; y := 2 }}",
    "{name}(x) := x\n{name}(x, y) := y",
    "{name} if not z",
    "default {name} := 1\ndefault {name} := 2",
    "{name} := [x | some y in input.xs]",
    "{name} := input.a with bogus as 1",
    "{name} if {{ some x, x in input.xs }}",
    "{name} := 1 +",
    "{name} = {{ 1 }",
    "{name} := upper(1)",
    "{name}[x] := 1",
    "{name} if {{ every x in input.xs {{ x > q }} }}",
    "default {name} := input.a",
    "{name} if {{ some x in input.xs; some x in input.ss }}",
    "{name} if {{ input := 1 }}",
    "{name} := x if {{ x := 1; x = 2 }}",
    "{name} if {{ {{x: 1}} == input.o }}",
    "data := 1",
    "{name}.a := 1\n{name} := 2",
    '{name} := "a\nb"',
    "{name} := 'a'",
    "import data.x\nimport data.y.x\n{name} := x",
    "{name} := f(x) if x := 1",
)


@dataclass(frozen=True)
class Generated:
    """A module and the references below ``data`` that are to be asked."""

    source: str
    refs: tuple[str, ...]


class Rules(Shapes):
    """Writes rules."""

    # -- bodies ---------------------------------------------------------------------------------------------------

    def body(self, least: int = 1) -> list[str]:
        """Lines of a body; what they bind is in scope afterwards."""
        return [self.statement() for _ in self.dice.some(3, least)]

    def statement(self) -> str:
        """One expression."""
        shape = self.dice.below(20)
        if shape > 15:
            return self.phrase()
        if shape < 3:
            return self.comparison(2)
        if shape < 5:
            return self.assignment()
        if shape < 7:
            return self.iteration(1)
        if shape == 7:
            return "not " + self.comparison(2)
        if shape == 8:
            return self.every()
        if shape == 9:
            return self.modified()
        if shape == 10:
            return self.pattern()
        if shape == 11:
            return self.reference()
        if shape == 12:
            return self.term(self.dice.pick((ANY, BOOL)), 1)
        if shape == 13:
            # A body that is ``not true`` and nothing else is a fault of OPA's (docs/rego-differences.md).
            return "not " + self.term(self.dice.pick((ANY, BOOL)), 1).replace("true", "false")
        if shape == 14:
            return f'input.kind in {{"{self.dice.pick("abc")}", "{self.dice.pick("bcd")}"}}'
        return f'"{self.dice.pick("abcd")}" == input.kind'

    def assignment(self) -> str:
        """``x := term``."""
        kind = self.dice.pick(TYPES)
        text = self.term(kind, 2)
        name = self.fresh()
        self.scope.setdefault(kind, []).append(name)
        return f"{name} := {text}"

    def every(self) -> str:
        """``every x in domain { condition }``."""
        kind, many = self.dice.pick(((NUM, NUMS), (STR, STRS), (LOOSE, SET), (LOOSE, LOOSE)))
        domain = self.domain(many, 1)
        outer = {each: list(names) for each, names in self.scope.items()}
        name = self.fresh()
        self.scope.setdefault(kind, []).append(name)
        found = f"every {name} in {domain} {{ {self.comparison(1)}; {name} != null }}"
        self.scope = outer
        return found

    def modified(self) -> str:
        """An expression under ``with``."""
        targets = [("input", ANY), ("input.n", NUM), ("input.s", STR), ("input.xs", NUMS), ("input.o.a", ANY)]
        targets += [(ref, kind) for kind, refs in self.rules.items() for ref in refs if ref.startswith("data.")]
        target, kind = self.dice.pick(targets)
        value = self.term(kind, 1)
        if self.dice.chance(15):
            target, value = self.dice.pick((("count", "7"), ("upper", "lower"), ("startswith", "endswith")))
        found = f"{self.comparison(2)} with {target} as {value}"
        if self.dice.chance(50):
            kind, name = self.dice.pick((NUM, ANY)), self.fresh()
            found = f"{name} := {self.term(kind, 2)} with {target} as {value}"
            self.scope.setdefault(kind, []).append(name)
        return found

    def pattern(self) -> str:
        """A pattern against a term."""
        one, two = self.fresh(), self.fresh()
        text = self.dice.pick(
            (
                f"[{one}, {two}] = {self.term(LOOSE, 1)}",
                f"[{one}, {two}] := [{self.term(ANY, 1)}, {self.term(ANY, 1)}]",
                f'{{"k": {one}, "v": {two}}} = input.os[_]',
                f'{{"a": {one}}} = {self.term(LOOSE, 1)}; {two} = {one}',
                f"[{one}, [{two}, _]] = [1, {self.term(ANY, 1)}]",
            )
        )
        self.scope.setdefault(LOOSE, []).extend((one, two))
        return text

    def reference(self) -> str:
        """A reference that iterates."""
        one, two = self.fresh(), self.fresh()
        known = self.scope.get(STR) or ["input.s"]
        text = self.dice.pick(
            (
                f"{one} := input.xs[{two}]",
                f"input.os[{two}].k == {self.dice.pick(known)}; {one} := {two}",
                f"input.o[{two}] = {one}",
                f"{one} = input.any[{two}]",
                f"some {two}; {one} := input.ss[{two}]",
                f"{one} := input[{two}]",
                f"{one} := input.o[{self.dice.pick(known)}]; {two} := {one}",
            )
        )
        self.scope.setdefault(LOOSE, []).extend((one, two))
        return text

    # -- rules ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """A new rule sees no variable."""
        self.scope = {}

    def complete(self, name: str) -> str:
        """Complete rules of one type, perhaps with ``else`` and a default."""
        kind = self.dice.pick(TYPES)
        found = []
        if self.dice.chance(30):
            found.append(f"default {name} := {self.dice.pick(('0', 'false', '[]', 'null', '{x | x := 1}'))}")
        constant = self.dice.chance(50)
        for _ in self.dice.some(4, 1):
            self.start()
            lines = self.body()
            value = self.dice.pick(("true", "1", "1", '"x"')) if constant else self.term(kind, 2)
            text = f"{name} := {value}{self.block(lines)}"
            if self.dice.chance(25):
                self.start()
                lines = self.body(0)
                text += f" else := {self.term(kind, 1)}{self.block(lines)}"
            found.append(text)
        self.rules.setdefault(ANY if constant else kind, []).extend((name, f"data.{PACKAGE}.{name}"))
        return "\n\n".join(found)

    def partial_set(self, name: str) -> str:
        """Rules that add members."""
        found = []
        for _ in self.dice.some(6, 1):
            self.start()
            lines = self.body()
            found.append(f"{name} contains {self.term(self.dice.pick((NUM, STR, ANY, OBJ)), 1)}{self.block(lines)}")
        self.rules.setdefault(SET, []).extend((name, f"data.{PACKAGE}.{name}"))
        return "\n\n".join(found)

    def partial_object(self, name: str) -> str:
        """Rules that add pairs."""
        found = []
        for _ in self.dice.some(6, 1):
            self.start()
            lines = self.body()
            key = self.term(self.dice.pick((STR, STR, ANY)), 1)
            var = self.fresh()
            lines.append(f"{var} := {key}")
            found.append(f"{name}[{var}] := {self.term(self.dice.pick((NUM, STR, ANY)), 1)}{self.block(lines)}")
        self.rules.setdefault(OBJ, []).extend((name, f"data.{PACKAGE}.{name}"))
        return "\n\n".join(found)

    def function(self, name: str) -> str:
        """A function, of several clauses where the first argument tells them apart: no conflict, which could not be
        asked for by itself."""
        kinds = tuple(self.dice.pick((NUM, STR, NUMS, ANY)) for _ in self.dice.some(2, 1))
        result = self.dice.pick((NUM, STR, ANY))
        firsts = ("1", '"a"', "true", "[]", "2.5")[self.dice.below(5) :] if self.dice.chance(40) else (self.fresh(),)
        found = []
        for first in firsts:
            self.start()
            args = [first, *[self.fresh() for _ in kinds[1:]]]
            for kind, arg in zip(kinds, args, strict=True):
                if arg.startswith("v"):
                    self.scope.setdefault(kind, []).append(arg)
            value = self.term(result, 1)
            found.append(f"{name}({', '.join(args)}) := {value}{self.block(self.body(0))}")
        self.functions.append((name, kinds, result))
        return "\n\n".join(found)

    def dotted(self, name: str) -> str:
        """Rules whose heads are references."""
        found = []
        for number in self.dice.some(3, 1):
            self.start()
            lines = self.body()
            shape = self.dice.below(3)
            if shape == 0:
                found.append(f"{name}.p{number} := {self.term(ANY, 1)}{self.block(lines)}")
            elif shape == 1:
                found.append(f"{name}.q{number} contains {self.term(ANY, 1)}{self.block(lines)}")
            else:
                var = self.fresh()
                lines.append(f"{var} := {self.term(STR, 1)}")
                found.append(f"{name}.r{number}[{var}] := {self.term(NUM, 1)}{self.block(lines)}")
        self.rules.setdefault(OBJ, []).append(name)
        return "\n\n".join(found)

    def wide(self, name: str) -> str:
        """Many rules that compare the same fields with constants, as an index likes them."""
        whole = self.dice.chance(50)
        found = []
        for number in self.dice.some(14, 8):
            self.start()
            lines = [self.selection(), *self.body(0)]
            if self.dice.chance(30):
                lines.append(self.selection())
            value = self.dice.pick(("1", "1", f'"{number}"', self.term(ANY, 1)))
            found.append(f"{name} {':=' if whole else 'contains'} {value}{self.block(lines)}")
        self.rules.setdefault(LOOSE if whole else SET, []).append(name)
        return "\n\n".join(found)

    def selection(self) -> str:
        """A comparison of an input field with constants."""
        name, other = self.fresh(), f"input.kind in [{', '.join(literal(self.dice.pick('abcd')) for _ in range(2))}]"
        value = literal(self.dice.pick((0, 1, 7, True, None, 0.5, "a", "1")))
        return self.dice.pick(
            (
                f'input.kind == "{self.dice.pick("abcd")}"',
                f"input.n == {literal(self.dice.pick(NUMBERS[:8]))}",
                f"input.b == {self.dice.pick(('true', 'false'))}",
                f'{name} := input.kind; {name} == "{self.dice.pick("abcd")}"',
                f"input.o.a == {value}",
                f"input.any = {value}",
                other,
                f"input.n in {{0, 1, {literal(self.dice.pick(NUMBERS[:8]))}}}",
                f"input.kind.a == {value}",
            )
        )


def documents(text: str) -> list[str]:
    """The names of the documents that rules define, functions left out."""
    heads = re.findall(r"^(?:default )?(r\d+(?:_[a-z]+)?)(\()?", text, re.MULTILINE)
    return list(dict.fromkeys(name for name, function in heads if not function))


def module(dice: Dice) -> Generated:
    """A module of one to six documents."""
    rules = Rules(dice)
    parts = [f"package {PACKAGE}"]
    refs = []
    for number in dice.some(6, 1):
        name = f"r{number}"
        shapes = (rules.complete, rules.partial_set, rules.partial_object, rules.function, rules.complete, rules.dotted)
        rarer = (rules.phrases, rules.chain, rules.patterned, rules.general, rules.membership, rules.annotated)
        pool = (rules.calls,) if dice.chance(20) else rarer if dice.chance(30) else shapes
        write = rules.wide if dice.chance(10) else dice.pick(pool)
        parts.append(write(name))
        refs += [f"{PACKAGE}/{each}" for each in documents(parts[-1])]
    if dice.chance(8):
        fault = dice.pick(FAULTS)
        parts.append(fault.replace("{{", "{").replace("}}", "}").replace("{name}", "faulty"))
    return Generated("\n\n".join(parts) + "\n", tuple(refs))
