"""Line coverage of policies, counted and written as ``opa test --coverage`` does.

A rule's head is covered when the rule held, an expression when it was reached. A line with something covered and
something not counts as both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from guard import rego
from guard.rego.nodes import Body, Every, Logical, NotBody, Rule
from guard.rego.parser import parse_module
from guard.rego.variables import operand_bodies


class Span(NamedTuple):
    """A head or an expression; rows and columns count from 1, ``end_col`` is the column after the last character."""

    row: int
    col: int
    end_row: int
    end_col: int

    def as_opa(self) -> dict[str, Any]:
        """OPA's range."""
        return {"start": {"row": self.row, "col": self.col}, "end": {"row": self.end_row, "col": self.end_col}}


class FileCoverage(msgspec.Struct, frozen=True):
    """What the tests reached of one file, and what not."""

    covered: tuple[Span, ...]
    missed: tuple[Span, ...]

    @property
    def covered_lines(self) -> int:
        """Lines with something reached."""
        return len(_rows(self.covered))

    @property
    def missed_rows(self) -> list[int]:
        """Lines with something not reached."""
        return sorted(_rows(self.missed))

    @property
    def percent(self) -> float:
        """The share of covered lines; 100 where there are none."""
        return _percent(self.covered_lines, len(self.missed_rows))

    def as_opa(self) -> dict[str, Any]:
        """The file's part of the report."""
        found: dict[str, Any] = {}
        for name, spans, lines in (
            ("covered", self.covered, self.covered_lines),
            ("not_covered", self.missed, len(self.missed_rows)),
        ):
            if spans:
                found |= {name: [span.as_opa() for span in spans], f"{name}_lines": lines}
        return found | {"coverage": self.percent}


class Coverage(msgspec.Struct, frozen=True):
    """The policies of the author by file; tests and the policies that come with the guard are not counted."""

    files: Mapping[str, FileCoverage]

    @property
    def covered_lines(self) -> int:
        """Lines with something reached, in all files."""
        return sum(file.covered_lines for file in self.files.values())

    @property
    def missed_lines(self) -> int:
        """Lines with something not reached, in all files."""
        return sum(len(file.missed_rows) for file in self.files.values())

    @property
    def percent(self) -> float:
        """The share of covered lines; 100 where there are none."""
        return _percent(self.covered_lines, self.missed_lines)

    def as_opa(self) -> dict[str, Any]:
        """What ``opa test --coverage --format json`` prints."""
        return {
            "files": {file: found.as_opa() for file, found in sorted(self.files.items())},
            "covered_lines": self.covered_lines,
            "not_covered_lines": self.missed_lines,
            "coverage": self.percent,
        }


def coverage_of(modules: Mapping[str, str], reached: Collection[rego.Location]) -> Coverage:
    """What the places that were reached make of these modules (file name to source)."""
    files = {}
    for file, source in modules.items():
        spans = sorted(set(_spans(file, source)))
        hit = [(span, rego.Location(file, span.row, span.col) in reached) for span in spans]
        files[file] = FileCoverage(
            covered=tuple(span for span, covered in hit if covered),
            missed=tuple(span for span, covered in hit if not covered),
        )
    return Coverage(files)


def _spans(file: str, source: str) -> Iterator[Span]:
    """Heads and expressions that can be reached."""
    lines = source.split("\n")
    rules = list(parse_module(file, source, rego.Capabilities().future_keywords).rules)
    while rules:
        rule = rules.pop()
        if rule.orelse is not None:
            rules.append(rule.orelse)
        yield _extent(rule.loc, _head(rule, lines))
        yield from _expressions(rule.body)


def _expressions(body: Body) -> Iterator[Span]:
    for expression in body:
        if expression.text and not expression.generated:
            yield _extent(expression.loc, expression.text)
        node = expression.node
        if isinstance(node, Every):
            yield from _expressions(node.body)
        elif isinstance(node, NotBody | Logical):
            for operand, _ in operand_bodies(node):
                yield from _expressions(operand)


def _head(rule: Rule, lines: list[str]) -> str:
    """The text of a head: up to ``if``, or to the end of a rule without a body."""
    bodies = [each.loc for each in rule.body if each.text and not each.generated]
    row, col = (bodies[0].row, bodies[0].col) if bodies else (rule.end_row, len(lines[rule.end_row - 1]) + 1)
    text = "\n".join(lines[rule.loc.row - 1 : row])
    text = text[rule.loc.col - 1 : len(text) - len(lines[row - 1]) + col - 1].rstrip()
    return text.removesuffix("{").rstrip().removesuffix("if").rstrip() if bodies else text


def _extent(loc: rego.Location, text: str) -> Span:
    rows = text.split("\n")
    last = len(rows[-1]) + (loc.col if len(rows) == 1 else 1)
    return Span(loc.row, loc.col, loc.row + len(rows) - 1, last)


def _rows(spans: tuple[Span, ...]) -> set[int]:
    return {row for span in spans for row in range(span.row, span.end_row + 1)}


def _percent(covered: int, missed: int) -> float:
    return 100 * covered / (covered + missed) if covered + missed else 100.0
