"""Source for rules: one Python function per body, one per document or function, and one per query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .gen_bodies import BodyWriter
from .gen_terms import constant_value
from .nodes import Body, Const, Rule, Term, Var, dotted, given
from .rule_index import plan_rules
from .tree import COMPLETE, FUNCTION, OBJECT, SET, Node
from .uses import count_uses
from .values import equal, value_of

_Snapshot = tuple[int, int, int, dict[str, str], dict[tuple[str, str], str]]


@dataclass(slots=True)
class Captured:
    """What a query answers: for each expression its variable (None: always true), and the bindings to show."""

    values: list[str | None]
    bindings: list[tuple[str, str]]


class RuleWriter(BodyWriter):
    """Writes a whole program."""

    def node(self, node: Node) -> None:
        """The functions of one path."""
        if node.kind == FUNCTION:
            self.function_node(node)
            return
        self.document(node)

    # -- documents ------------------------------------------------------------------------------------------------

    def document(self, node: Node) -> None:
        """``v<id>(ctx)``: the value of a path, kept for the evaluation."""
        writers = {COMPLETE: self.complete, SET: self.partial_set, OBJECT: self.partial_object}
        bodies = writers[node.kind](node)
        self.line(f"def v{node.id}(ctx):")
        self.indent += 1
        self.line("cache = ctx.cache")
        self.line(f"found = cache.get({node.id}, MISSING)")
        self.line("if found is not MISSING: return found")
        for line in bodies:
            self.line(line)
        self.line(f"cache[{node.id}] = found")
        self.line("return found")
        self.indent -= 1

    def complete(self, node: Node) -> list[str]:
        """Every rule must agree; where all give one constant, the first that holds is enough."""
        return self.single(node, "ctx")

    def single(self, node: Node, arguments: str) -> list[str]:
        """Lines that leave the one value of complete rules, or of a function, in ``found``."""
        rules = [rule for rule in node.rules if not rule.default]
        constants = [constant_value(rule.head.value) for rule in _branches(rules) if rule.head.value is not None]
        first = constants[0] if constants else None
        same = first is not None and all(value is not None and equal(value[0], first[0]) for value in constants)
        lines, rules = self.indexed_single(node, rules, arguments, same=same)
        for number, rule in enumerate(rules, len(lines)):
            target = "found" if number == 0 else "other"
            chain = self.chain(rule, arguments, target)
            if number == 0:
                lines += chain
            elif same:
                lines.append("if found is U:")
                lines += [f" {line}" for line in self.renamed(chain)]
            else:
                where, what = self.location(rule.loc), self.constant(label(rule))
                lines += chain
                lines.append("if other is not U:")
                lines.append(f" found = other if found is U else one(found, other, {where}, {what})")
        lines += self.default(node)
        return lines

    def indexed_single(
        self, node: Node, rules: list[Rule], arguments: str, *, same: bool
    ) -> tuple[list[str], list[Rule]]:
        """Lines for the rules that an index finds, and the other rules."""
        simple = [rule for rule in rules if rule.orelse is None]
        calls = self.index(node, simple, lambda rule: self.single_body(rule, arguments))
        if not calls:
            return [] if rules else ["found = U"], rules
        what = self.constant(label(simple[0]))
        lines = ["found = U", calls, f" other = rule({arguments})", " if other is U: continue"]
        if same:
            lines += [" found = other", " break"]
        else:
            lines.append(f" found = other if found is U else one(found, other, X{node.id}.places[rule], {what})")
        return lines, [rule for rule in rules if rule.orelse is not None]

    def index(self, node: Node, rules: list[Rule], write: Callable[[Rule], str]) -> str:
        """Write the rules of a document into an index. Returns the head of a loop over those that may hold; empty
        where an index does not pay. Traces show every rule that was tried, so they have none."""
        plan = None if self.traced else plan_rules(rules)
        if plan is None:
            return ""
        names = [write(rule).partition("(")[0] for rule in rules]
        places = self.constant(tuple(rule.loc for rule in rules))
        self.line(f"X{node.id} = {self.constant(plan)}.bind(({', '.join(names)},), {places})")
        return f"for rule in X{node.id}.rules(ctx.input):"

    @staticmethod
    def renamed(lines: list[str]) -> list[str]:
        """The same lines, answering into ``found``."""
        return [line.replace("other", "found") for line in lines]

    def chain(self, rule: Rule, arguments: str, target: str) -> list[str]:
        """A rule and its ``else`` branches."""
        lines: list[str] = []
        branch: Rule | None = rule
        while branch is not None:
            call = f"{target} = {self.single_body(branch, arguments)}"
            lines.append(call if branch is rule else f"if {target} is U: {call}")
            branch = branch.orelse
        return lines

    def default(self, node: Node) -> list[str]:
        """Lines for the default value, where there is one."""
        rule = next((rule for rule in node.rules if rule.default), None)
        if rule is None or rule.head.value is None:
            return []
        value = constant_value(rule.head.value)
        if value is not None:
            used = f"ctx.trace.cover({self.location(rule.loc)}); " if self.traced else ""
            return [f"if found is U: {used}found = {self.constant(value[0])}"]
        name = self.name("d")
        self.start(rule)
        with self.function(f"{name}(ctx)"):
            self.body(rule.body, lambda: self.answer(rule))
        return [f"if found is U: found = {name}(ctx)"]

    def start(self, rule: Rule) -> None:
        """Forget the variables of the rule before."""
        head = rule.head
        heads = [*head.ref.terms[1:], *(head.args or ()), head.key, head.value]
        self.bound, self.known = {}, {}
        self.shared = None
        self.context = "ctx"
        self.uses = count_uses(rule.body, tuple(term for term in heads if term is not None))

    def single_body(self, rule: Rule, arguments: str) -> str:
        """A function that answers the value of one body. Returns the call."""
        name = self.name("b")
        self.start(rule)
        with self.function(f"{name}({arguments})") as frame:
            for position, pattern in enumerate(rule.head.args or ()):
                self.match(pattern, f"a{position}")
            value = given(rule.head.value)
            if constant_value(value) is None and self.may_repeat(rule.body):
                frame.miss, frame.carries = "return res", "res"
                frame.searching = False
                self.line("res = U")
                self.body(rule.body, lambda: self.collect_single(rule))
                self.close(frame)
                self.indent = 1
                self.line("return res")
            else:
                self.body(rule.body, lambda: self.answer(rule))
        return f"{name}({arguments})"

    def may_repeat(self, body: Body) -> bool:
        """Whether a body may have several solutions; a trial run of the writer tells."""
        saved = self.snapshot()
        self.body(body, lambda: None)
        repeated = self.frame.loops > 0 or bool(self.frame.pending)
        self.restore(saved)
        return repeated

    def snapshot(self) -> _Snapshot:
        """Where the writer stands. Names are not given back: constants that a trial run made keep theirs."""
        return len(self.lines), self.indent, self.frame.loops, dict(self.bound), dict(self.known)

    def restore(self, saved: _Snapshot) -> None:
        """Go back to a snapshot."""
        length, self.indent, self.frame.loops, self.bound, self.known = saved
        del self.lines[length:]
        self.frame.pending.clear()
        self.shared = None

    def fired(self, rule: Rule) -> None:
        """Record that a body held. One store, on success only: cheap enough for every evaluation."""
        self.line(f"ctx.fired[{rule.number}] = True")
        if self.traced:
            self.line(f"ctx.trace.fire({self.constant(rule)})")

    def answer(self, rule: Rule) -> None:
        """A solution ends the search with the value of the head."""
        self.fired(rule)
        self.line(f"return {self.value(given(rule.head.value))}")

    def collect_single(self, rule: Rule) -> None:
        """A solution must agree with those before it."""
        self.fired(rule)
        value, where, what = self.value(given(rule.head.value)), self.location(rule.loc), self.constant(label(rule))
        self.line(f"res = {value} if res is U else one(res, {value}, {where}, {what})")

    # -- partial rules --------------------------------------------------------------------------------------------

    def partial_set(self, node: Node) -> list[str]:
        """Lines that collect the members of a set in ``found``."""
        return ["out = set()", *self.collected(node, self.add_member), "found = Set(out)"]

    def collected(self, node: Node, add: Callable[[Rule], None]) -> list[str]:
        """Lines that add the solutions of all rules to ``out``."""
        calls = self.index(node, node.rules, lambda rule: self.collecting(rule, add))
        if calls:
            return [calls, " rule(ctx, out)"]
        return [self.collecting(rule, add) for rule in node.rules]

    def collecting(self, rule: Rule, add: Callable[[Rule], None]) -> str:
        """A function that adds each solution of a body to ``out``. Returns the call."""
        name = self.name("b")
        self.start(rule)
        with self.function(f"{name}(ctx, out)", "return", searching=False):
            self.body(rule.body, lambda: add(rule))
        return f"{name}(ctx, out)"

    def add_member(self, rule: Rule) -> None:
        """A solution adds the key of the head."""
        self.fired(rule)
        self.line(f"out.add({self.key(given(rule.head.key))})")

    def partial_object(self, node: Node) -> list[str]:
        """Lines that collect an object in ``found``, the parts of its extent included."""
        simple = not node.parts and all(
            len(self.suffix(rule, node)) == 1 and rule.head.key is None for rule in node.rules
        )
        start, end = ("out = {}", "found = out") if simple else ("out = Branch()", "found = out.finish()")

        def add(rule: Rule) -> None:
            self.fired(rule)
            where = self.location(rule.loc)
            path = self.suffix(rule, node)
            if simple:
                self.line(f"put(out, {self.value(path[0])}, {self.value(given(rule.head.value))}, {where})")
                return
            leaf = given(rule.head.key or rule.head.value)
            keys = ", ".join(map(self.value, path))
            member = rule.head.key is not None
            self.line(f"out.put(({keys},), {self.value(leaf)}, {where}, member={member})")

        lines = [start, *self.collected(node, add)]
        for part in node.parts:
            where = self.location(part.rules[0].loc)
            path = self.constant(tuple(value_of(key) for key in part.path[len(node.path) :]))
            lines += [f"other = v{part.id}(ctx)", f"if other is not U: out.put({path}, other, {where}, member=False)"]
        return [*lines, end]

    @staticmethod
    def suffix(rule: Rule, node: Node) -> tuple[Term, ...]:
        """The operands of a head past the node's path."""
        return rule.head.ref.terms[len(node.path) - len(rule.package) :]

    # -- functions ------------------------------------------------------------------------------------------------

    def function_node(self, node: Node) -> None:
        """``f<id>(ctx, loc, a0, ...)``."""
        arity = len(node.rules[0].head.args or ())
        names = ", ".join(["ctx", *[f"a{position}" for position in range(arity)]])
        bodies = self.single(node, names)
        parameters = names.replace("ctx", "ctx, loc", 1)
        self.line(f"def f{node.id}({parameters}):")
        self.indent += 1
        self.line("budget = ctx.budget")
        self.line("if budget.deadline is None and budget.left > 0: budget.left -= 1")
        self.line("else: budget.charge(1)")
        for line in bodies:
            self.line(line)
        self.line("return found")
        self.indent -= 1

    # -- queries --------------------------------------------------------------------------------------------------

    def query(self, name: str, body: Body, captured: Captured) -> None:
        """``name(ctx, out)``: appends (expression values, bindings) for each solution."""
        self.bound, self.known, self.shared, self.context = {}, {}, None, "ctx"
        heads = tuple(Var(made) for _, made in captured.bindings)
        self.uses = count_uses(body, (*heads, *[Var(value) for value in captured.values if value]))

        def success() -> None:
            values = [self.value(Var(value)) if value else self.value(Const(True)) for value in captured.values]
            pairs = [f"{shown!r}: {self.bound[made]}" for shown, made in captured.bindings if made in self.bound]
            self.line(f"out.append(([{', '.join(values)}], {{{', '.join(pairs)}}}))")

        with self.function(f"{name}(ctx, out)", "return", searching=False):
            self.body(body, success)


def label(rule: Rule) -> tuple[str, str]:
    """What a rule defines, for the message of a conflict: its kind and its path."""
    path = ".".join(("data", *rule.package, dotted(rule.head.ref)))
    return FUNCTION if rule.head.args is not None else COMPLETE, path


def _branches(rules: list[Rule]) -> list[Rule]:
    found: list[Rule] = []
    for rule in rules:
        branch: Rule | None = rule
        while branch is not None:
            found.append(branch)
            branch = branch.orelse
    return found
