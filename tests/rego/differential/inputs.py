"""Input documents: the fields that generated modules read, now and then of another type, or absent."""

from __future__ import annotations

from typing import Any

from .dice import Dice

NUMBERS: tuple[Any, ...] = (
    0, 1, 2, 3, -1, 7, 10, 0.5, 1.5, -2.5, 0.1, 100, 255, 1000, 2**53, 2**53 + 1, 2**63, 2**64 + 1, -(2**61),
    10**25, 1e-7, 3.14159, 20, 1e-320, 0.30000000000000004, 123456789.123456789,
)  # fmt: skip
STRINGS: tuple[str, ...] = (
    "", "a", "b", "ab", "abc", "a.b", "A", "1", "7.5e3", "1.5", "x y", " pad ", "ä", "é", "日本", "a\nb", 'q"uote',
    "back\\slash", "/p/a", "a,b,c", "%d", "true", "😀", "e\u0301", "\u0000", "<&>", "ß", "İ", "10.0.0.1", "aaa", "\t",
)  # fmt: skip
KEYS: tuple[str, ...] = ("a", "b", "c", "x", "", "a b", "ä")


def scalar(dice: Dice) -> Any:
    """Null, a boolean, a number or a string."""
    return dice.pick((None, True, False, dice.pick(NUMBERS), dice.pick(STRINGS)))


def anything(dice: Dice, depth: int = 2) -> Any:
    """Any JSON value."""
    kind = dice.below(3) if depth else 0
    if kind == 1:
        return [anything(dice, depth - 1) for _ in dice.some(3)]
    if kind == 2:
        return {dice.pick(KEYS): anything(dice, depth - 1) for _ in dice.some(3)}
    return scalar(dice)


def document(dice: Dice) -> dict[str, Any]:
    """One input."""
    found: dict[str, Any] = {
        "n": dice.pick(NUMBERS),
        "m": dice.pick(NUMBERS),
        "s": dice.pick(STRINGS),
        "t": dice.pick(STRINGS),
        "b": dice.chance(50),
        "kind": dice.pick(("a", "b", "c", "d")),
        "xs": [dice.pick(NUMBERS) for _ in dice.some(4)],
        "ss": [dice.pick(STRINGS) for _ in dice.some(4)],
        "o": {dice.pick(KEYS): anything(dice, 1) for _ in dice.some(4)},
        "os": [{"k": dice.pick(STRINGS[:5]), "v": dice.pick(NUMBERS[:6])} for _ in dice.some(3)],
        "any": anything(dice),
    }
    for _ in dice.some(2):
        found[dice.pick(tuple(found))] = anything(dice)
    for _ in dice.some(2):
        found.pop(dice.pick(tuple(found)))
    return found
