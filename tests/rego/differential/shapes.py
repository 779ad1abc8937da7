"""Rules of the rarer shapes: chains of ``else``, functions over patterns, general references, annotations, imports."""

from __future__ import annotations

from .phrases import Phrases
from .terms import ANY, LOOSE, NUM, OBJ, SET, STR, TYPES

_STRINGS = ("input.ss", "[input.s]", '["a", "b"]')


class Shapes(Phrases):
    """Writes rarer rules. ``body`` and ``block`` are those of `rules.Rules`."""

    def body(self, least: int = 1) -> list[str]:
        """Lines of a body."""
        return [self.phrase() for _ in self.dice.some(2, least)]

    def block(self, lines: list[str]) -> str:
        """A body in braces."""
        return " if {\n\t" + "\n\t".join(lines) + "\n}" if lines else ""

    def known(self, kind: str, name: str) -> None:
        """The rules after this one may mention it."""
        self.rules.setdefault(kind, []).extend((name, f"data.g.{name}"))

    def chain(self, name: str) -> str:
        """A rule or a function with several ``else``."""
        self.scope = {}
        args = f"({self.bind(NUM)})" if (function := self.dice.chance(30)) else ""
        kept = {each: list(names) for each, names in self.scope.items()}
        text = f"{name}{args} := {self.term(ANY, 1)}{self.block(self.body())}"
        for _ in self.dice.some(3, 1):
            self.scope = {each: list(names) for each, names in kept.items()}
            lines = self.body()
            text += f" else{self.dice.pick((f' := {self.term(ANY, 1)}', ''))}{self.block(lines)}"
        if function:
            self.functions.append((name, (NUM,), ANY))
            asked = f"\n\n{name}_asked := [{name}({self.term(NUM, 1)}), {name}(input.any)]"
            self.scope = {}
            return text + f'\n\n{name}_all := [x | some y in [1, input.n, "a"]; x := {name}(y)]' + asked
        self.known(ANY, name)
        return text

    def patterned(self, name: str) -> str:
        """A function whose arguments are patterns, and a default."""
        found = [f"default {name}(_, _) := {self.dice.pick(('0', 'null', '[]'))}"] if self.dice.chance(40) else []
        for at, pattern in enumerate(
            ("[{0}, {1}], _", '{{"k": {0}, "v": {1}}}, 1', "{0}, {1}", "[1, {0}], {1}", '"a", [{0}, [{1}]]')
        ):
            if self.dice.chance(40) or at == 2:
                self.scope = {}
                args = pattern.format(self.bind(LOOSE), self.bind(LOOSE))
                value = "true" if self.dice.chance(30) else self.dice.pick(('"same"', "1", self.term(LOOSE, 0)))
                found.append(f"{name}({args}) := {value}{self.block(self.body(0))}")
        self.scope = {}
        pairs = (("[1, 2]", "1"), ("input.os[0]", "1"), ("input.any", "input.n"), ("input.xs", "[1, [2]]"))
        asks = ", ".join(f"{name}({', '.join(self.dice.pick(pairs))})" for _ in range(2))
        self.known(LOOSE, f"{name}_asked")
        return "\n\n".join([*found, f"{name}_asked := {{y | some y in [{asks}]}}"])

    def general(self, name: str) -> str:
        """Rules whose heads are references with variables, and a reader of a part of them."""
        found = []
        for number in self.dice.some(4, 1):
            self.scope = {}
            lines = self.body()
            value = self.term(ANY, 1)
            one, two = self.bind(STR), self.bind(LOOSE)
            lines += [f"some {one} in {self.dice.pick(_STRINGS)}", f"{two} := {value}"]
            head = self.dice.pick(
                (f"{name}[{one}].x := {self.term(ANY, 0)}", f"{name}[{one}].m contains {two}",
                f"{name}[{one}].o[{two}] := {number}",
                 f"{name}[{one}][{two}].z := {number}", f"{name}.k{number}[{one}] := {two}",
                 f"{name}[{one}].y.w contains {two}")
            )  # fmt: skip
            found.append(head + self.block(lines))
        found.append(f"{name}_part := [k | some k, _ in {name}[input.s]]\n\n{name}_deep contains x if {name}[_][_] = x")
        self.rules.setdefault(OBJ, []).append(name)
        return "\n\n".join(found)

    def membership(self, name: str) -> str:
        """A partial set and a partial object of composite members, looked up by value."""
        self.scope = {}
        lines = self.body()
        found = [f"{name} contains [{self.term(ANY, 1)}, {self.term(NUM, 1)}]{self.block(lines)}"]
        self.scope = {}
        found.append(f'{name} contains [x, count(y)] if some x, y in {{"a": input.s, "b": input.ss}}')
        found.append(
            f'{name}_found := [y | {name}[[x, y]]; x != null]\n\n{name}_is if {name}[["a", {self.term(NUM, 0)}]]'
        )
        self.known(SET, name)
        return "\n\n".join(found)

    def annotated(self, name: str) -> str:
        """A rule that reads its own METADATA."""
        self.scope = {}
        read = self.dice.pick(("rego.metadata.rule()", "rego.metadata.chain()", "rego.metadata.rule().custom.level",
                               "[x.path | some x in rego.metadata.chain()]", "rego.metadata.rule().title"))  # fmt: skip
        title, level = self.dice.pick(("T", "'é: x'", '"q"')), self.dice.below(3)
        block = f"# METADATA\n# title: {title}\n# custom:\n#   level: {level}\n#   tags: [a, b]\n"
        text = f"{block}{name} := {read}{self.block(self.body(0))}"
        self.known(LOOSE, name)
        return text

    def phrases(self, name: str) -> str:
        """A set of what rarer expressions bind."""
        found = []
        for _ in self.dice.some(5, 1):
            self.scope = {}
            lines = [self.phrase() for _ in self.dice.some(3, 1)]
            kind = self.dice.pick(TYPES)
            seen = [each for names in self.scope.values() for each in names]
            value = f"[{', '.join(self.dice.pick(seen) for _ in range(2))}]" if seen else self.term(kind, 1)
            found.append(f"{name} contains {value}{self.block(lines)}")
        self.known(SET, name)
        return "\n\n".join(found)
