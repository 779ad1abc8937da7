"""The texts that the model learns from: the grammar's, and the ways in which such texts are dressed up."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final, NamedTuple

from detectors.injection.training.grammar import Grammar, Label

_DOCUMENTS: Final = (
    "{before}\n\n{text}\n\n{after}",
    "{before} {text} {after}",
    "<p>{before}</p>\n<!-- {text} -->\n<p>{after}</p>",
    "Subject: {short}\n\n{before}\n\n{text}\n\n{after}",
    '{{"title": "{short}", "body": "{before} {text}"}}',
    "{before}\n---\n{text}\n---\n{after}",
)
_KEYS: Final = "qwertyuiopasdfghjklzxcvbnm"
_MISSPELLED: Final = (0.03, 0.06, 0.06, 0.1)
_FENCES: Final = ("", '"', "***", "```\n", "\n```", "###", " --- ", "(", ")", ">> ", '"""', "\n\n", "~~", "[", "]")


class Example(NamedTuple):
    """One text. ``family`` is the grammar's, ``dress`` what was done to it."""

    text: str
    label: Label
    family: str
    dress: str


def examples(grammar: Grammar, count: int, seed: int) -> Iterator[Example]:
    """``count`` attacks and ``count`` others, by the weights of their families. The same for the same arguments."""
    source = random.Random(seed)  # noqa: S311 - reproducible on purpose
    for label in ("attack", "benign"):
        families = [family for family in grammar.families.values() if family.label == label]
        weights = [family.weight for family in families]
        benign = [family.name for family in grammar.families.values() if family.label == "benign"]
        for family in source.choices(families, weights, k=count):
            text = grammar.text(family.name, source)
            dress, text = _dressed(text, label, grammar, benign, source)
            yield Example(text, label, family.name, dress)


def _dressed(text: str, label: str, grammar: Grammar, benign: list[str], source: random.Random) -> tuple[str, str]:
    """Some of the texts stand behind or before others, in a document, or are written badly."""
    chance = source.random()
    if chance < 0.14:
        other = grammar.text(source.choice(benign), source)
        return "joined", source.choice((f"{other}\n{text}", f"{other} {text}", f"{text}\n\n{other}"))
    if chance < 0.22:
        before, after, short = (grammar.text(source.choice(benign), source) for _ in range(3))
        document = source.choice(_DOCUMENTS)
        return "document", document.format(before=before, text=text, after=after, short=short[:60].replace("\n", " "))
    if chance < 0.42:
        return "typos", _misspelled(text, source, source.choice(_MISSPELLED))
    if chance < 0.48:
        return "case", source.choice((text.upper(), text.lower(), text.title(), text.swapcase()))
    if chance < 0.54:
        return "signs", _resigned(text, source)
    if chance < 0.58 and label == "attack":
        return "cut", _part(text, source)
    return "plain", text


def _misspelled(text: str, source: random.Random, share: float) -> str:
    """Letters swapped, doubled, left out or replaced, in ``share`` of the places; now and then a lost space."""
    letters = list(text)
    for at in range(len(letters) - 1):
        if source.random() >= share:
            continue
        if letters[at] == " ":
            letters[at] = source.choice(("", " ", "  "))
        if not letters[at].isalpha():
            continue
        match source.randrange(6):
            case 0:
                letters[at] *= 2
            case 1:
                letters[at] = ""
            case 2:
                letters[at] = source.choice(_KEYS)
            case _:
                letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def _resigned(text: str, source: random.Random) -> str:
    """The text with other signs: none, many, strange ones, or other space between the words."""
    match source.randrange(6):
        case 0:
            return "".join(c for c in text if c.isalnum() or c.isspace())
        case 1:
            return "".join(c * source.choice((1, 1, 3)) if c in ".,!?:" else c for c in text)
        case 2:
            return " ".join(word + source.choice(("", "", "", "...", "!!", " -", ",", ";")) for word in text.split())
        case 3:
            return source.choice(("\n", "  ", "\t", " / ")).join(text.split())
        case 4:
            return f"{source.choice(_FENCES)}{text}{source.choice(_FENCES)}"
        case _:
            return text.replace(". ", ".").replace(", ", ",").replace("! ", "!")


def _part(text: str, source: random.Random) -> str:
    """The text without its first or last sentences; at least half of it."""
    words = text.split(" ")
    drop = source.randrange(len(words) // 3 + 1)
    return " ".join(words[drop:] if source.random() < 0.5 else words[: len(words) - drop])
