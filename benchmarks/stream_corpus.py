"""What ``benchmarks.stream`` streams: synthetic prose with a value in every third sentence, and its pieces."""

from __future__ import annotations

import random
from typing import Final

SENTENCES: Final = 120
_PLAIN: Final = (
    "The committee met again in the afternoon to go through what was left of the plan.",
    "Nobody objected, although some of the older members would have liked more time.",
    "It is best to begin with the largest part and to leave the details for later.",
)
_WITH: Final = (
    "Please write to {} before the end of the week.",
    "The number on the card is {} and it is still valid.",
    "You can reach them under {} during office hours.",
    "The transfer goes to {} as agreed in the contract.",
)
VALUES: Final = ("jane.doe@leak.org", "4111 1111 1111 1111", "+49 30 901820123", "DE89 3704 0044 0532 0130 00")


def corpus(seed: int, sentences: int = SENTENCES) -> str:
    """The answer that is streamed."""
    rng = random.Random(seed)
    said = []
    for number in range(sentences):
        kind = rng.randrange(len(_WITH))
        said.append(_WITH[kind].format(VALUES[kind]) if number % 3 == 0 else rng.choice(_PLAIN))
    return " ".join(said)


def words(text: str) -> list[str]:
    """Pieces of a word with the space before it."""
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]


def characters(text: str, seed: int) -> list[str]:
    """Pieces of 1 to 8 characters."""
    rng, pieces = random.Random(seed), []
    while text:
        size = rng.randint(1, 8)
        pieces.append(text[:size])
        text = text[size:]
    return pieces


def occurrences(text: str) -> int:
    """How many values stand in a text in clear."""
    return sum(text.count(value) for value in VALUES)
