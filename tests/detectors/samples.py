"""Strings that a regular expression matches, drawn at random from its syntax tree."""

from __future__ import annotations

import importlib
import random
import re
import warnings
from typing import Any

_parser: Any = importlib.import_module("re._parser")
_REPEATS = 6
_ANY = "aZ0 -.@:/_é"
_CATEGORIES = {
    "CATEGORY_DIGIT": "0123456789",
    "CATEGORY_NOT_DIGIT": "aZ -.é",
    "CATEGORY_WORD": "abcXYZ0189_é",
    "CATEGORY_NOT_WORD": " -.:@/",
    "CATEGORY_SPACE": " \t\n\u00a0",
    "CATEGORY_NOT_SPACE": "aZ0-.@é",
}
_COMMON = [chr(code) for code in range(32, 127)]


def sample(rng: random.Random, pattern: str) -> str:
    """A string that ``pattern`` is likely to match: look-around and anchors are left to chance."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = _parser.parse(pattern.replace("(?i)", ""), re.IGNORECASE)
    return _sequence(rng, tree, {})


def _sequence(rng: random.Random, tree: Any, groups: dict[int, str]) -> str:
    return "".join(_node(rng, str(op), value, groups) for op, value in tree)


def _node(rng: random.Random, op: str, value: Any, groups: dict[int, str]) -> str:
    if op == "LITERAL":
        character = chr(value)
        return rng.choice([character, character, character.swapcase()])
    if op == "NOT_LITERAL":
        return rng.choice([character for character in _ANY if ord(character) != value])
    if op == "ANY":
        return rng.choice(_ANY)
    if op == "IN":
        return _member(rng, value)
    if op == "BRANCH":
        return _sequence(rng, rng.choice(value[1]), groups)
    if op == "SUBPATTERN":
        text = _sequence(rng, value[3], groups)
        if value[0] is not None:
            groups[value[0]] = text
        return text
    if op in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        low, high = value[0], min(int(value[1]), value[0] + _REPEATS)
        return "".join(_sequence(rng, value[2], groups) for _ in range(rng.randint(low, high)))
    if op == "GROUPREF_EXISTS":
        group, then, otherwise = value
        return _sequence(rng, then if group in groups else otherwise or [], groups)
    if op == "GROUPREF":
        return groups.get(value, "")
    return _sequence(rng, value, groups) if op == "ATOMIC_GROUP" else ""


def _member(rng: random.Random, items: Any) -> str:
    allowed: list[str] = []
    negated = str(items[0][0]) == "NEGATE"
    for op, value in items:
        if str(op) == "LITERAL":
            allowed.append(chr(value))
        elif str(op) == "RANGE":
            allowed += [chr(code) for code in range(value[0], min(value[1], value[0] + 600) + 1)]
        elif str(op) == "CATEGORY":
            allowed += _CATEGORIES[str(value)]
    if negated:
        allowed = [character for character in _COMMON if character not in allowed] or ["é"]
    return rng.choice(allowed)
