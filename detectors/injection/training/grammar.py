r"""Texts made from templates: attacks, and what looks like attacks and is none. Seeded.

A grammar file is read line by line:

``# …``            a comment
``:attack NAME N`` begins a family of attacks, ``:benign NAME N`` one of ordinary texts; ``N`` is its weight (1)
``:slot NAME``     begins the choices of ``{NAME}``, which every file may use and add to
anything else      one template, or one choice

In a template ``{name}`` stands for a choice of that slot, ``{one|two|}`` for one of these, which may hold braces
themselves; ``\n`` is a new line, ``\{`` ``\}`` ``\|`` are the signs themselves.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, NamedTuple

Label = Literal["attack", "benign"]

_SIGN: Final = re.compile(r"\\[n{}|\\]|[{}|]|[^{}|\\]+|\\")
_DEEPEST: Final = 24
_SPELLED: Final = {"\\n": "\n", "\\{": "{", "\\}": "}", "\\|": "|", "\\\\": "\\"}

Node = str | list[list["Node"]]
"""A text, or a choice of texts."""


class GrammarError(ValueError):
    """A grammar file does not read; the message says where."""


class Family(NamedTuple):
    """Templates of one kind."""

    name: str
    label: Label
    weight: float
    templates: list[list[Node]]


class Grammar:
    """Families and slots of all files together."""

    def __init__(self, sources: Iterable[tuple[str, str]]) -> None:
        """``sources``: name and text of each file. Raises ``GrammarError``."""
        self.families: dict[str, Family] = {}
        self._slots: dict[str, list[list[Node]]] = {}
        self._used: dict[str, str] = {}
        for name, text in sources:
            self._read(name, text)
        for slot, where in self._used.items():
            if not self._slots.get(slot):
                raise GrammarError(f"{where}: there is no slot {slot!r}")

    @classmethod
    def shipped(cls) -> Grammar:
        """The grammar beside this module."""
        paths = sorted((Path(__file__).parent / "grammar").glob("*.txt"))
        return cls((path.name, path.read_text("utf-8")) for path in paths)

    def text(self, family: str, source: random.Random) -> str:
        """One text of a family. Raises ``GrammarError`` for slots that hold themselves."""
        return self._expand(source.choice(self.families[family].templates), source, 0)

    def _expand(self, nodes: list[Node], source: random.Random, depth: int) -> str:
        if depth > _DEEPEST:
            raise GrammarError("slots hold each other without end")
        return "".join(
            node if isinstance(node, str) else self._expand(self._chosen(node, source), source, depth + 1)
            for node in nodes
        )

    def _chosen(self, choices: list[list[Node]], source: random.Random) -> list[Node]:
        if len(choices) == 1:
            (slot,) = choices[0]
            choices = self._slots[str(slot)]
        return source.choice(choices)

    def _read(self, name: str, text: str) -> None:
        current: list[list[Node]] | None = None
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            where = f"{name}:{number}"
            if line.startswith(":"):
                current = self._section(line[1:].split(), where)
            elif current is None:
                raise GrammarError(f"{where}: no section has begun")
            else:
                current.append(self._parsed(line, where))

    def _section(self, words: list[str], where: str) -> list[list[Node]]:
        match words:
            case ["slot", name]:
                return self._slots.setdefault(name, [])
            case ["attack" | "benign" as label, name, *weight] if len(weight) <= 1 and name not in self.families:
                family = Family(name, label, float(*weight) if weight else 1.0, [])
                self.families[name] = family
                return family.templates
        raise GrammarError(f"{where}: write :attack NAME [WEIGHT], :benign NAME [WEIGHT] or :slot NAME, each name once")

    def _parsed(self, line: str, where: str) -> list[Node]:
        outer: list[list[list[Node]]] = [[[]]]
        for match in _SIGN.finditer(line):
            sign = match[0]
            if sign == "{":
                outer.append([[]])
            elif sign == "|" and len(outer) > 1:
                outer[-1].append([])
            elif sign == "}" and len(outer) > 1:
                choices = outer.pop()
                if len(choices) == 1:
                    if len(choices[0]) != 1 or not str(choices[0][0]).isidentifier():
                        raise GrammarError(f"{where}: write {{slot}} or {{one|two}}")
                    self._used.setdefault(str(choices[0][0]), where)
                outer[-1][-1].append(choices)
            elif sign == "}":
                raise GrammarError(f"{where}: a brace closes that was not opened")
            else:
                outer[-1][-1].append(_SPELLED.get(sign, sign))
        if len(outer) > 1:
            raise GrammarError(f"{where}: a brace is not closed")
        return outer[0][0]
