"""Recognizers as a user writes them: patterns that RE2 can hold, patterns that it cannot, words, a checksum, code."""

from __future__ import annotations

import threading
from typing import Any

from presidio_analyzer import EntityRecognizer, Pattern, PatternRecognizer, RecognizerResult


class Badge(PatternRecognizer):
    """A badge number whose last digit is the sum of the others, modulo ten."""

    def __init__(self) -> None:
        patterns = [Pattern("badge", r"\bB-\d{5}\b", 0.4), Pattern("long badge", r"(?<![\w-])BADGE\s?\d{5}(?!\d)", 0.6)]
        super().__init__("BADGE_NUMBER", patterns=patterns, context=["badge"])

    def validate_result(self, pattern_text: str) -> bool:
        """Whether the checksum fits."""
        *digits, last = [int(character) for character in pattern_text if character.isdigit()]
        return sum(digits) % 10 == last


CONDITIONAL = PatternRecognizer("CONDITIONAL_CODE", patterns=[Pattern("conditional", r"(<)?cc\d{3}(?(1)>|;)", 0.7)])
"""A conditional group: RE2 has none."""
REPEATED = PatternRecognizer("REPEATED_CODE", patterns=[Pattern("repeated", r"\b(\w)x\1x\1\b", 0.6)])
"""A back-reference."""
PROJECTS = PatternRecognizer("PROJECT_NAME", deny_list=["blue falcon", "naïve", "blue falcon two", "+new"])


class Shouting(EntityRecognizer):
    """Code of the user's: words in capitals, and the word after each, as two types."""

    def __init__(self) -> None:
        super().__init__(["SHOUTED_WORD", "WORD_AFTER"], context=["loud"])

    def load(self) -> None:
        """Nothing to load."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """A result for each word that is all capitals, and for the one behind it."""
        found = []
        at = 0
        shouted = False
        for word in text.split(" "):
            entity = "SHOUTED_WORD" if word.isalpha() and word.isupper() else "WORD_AFTER" if shouted else ""
            shouted = entity == "SHOUTED_WORD"
            if entity and word:
                found.append(RecognizerResult(entity, at, at + len(word), 0.55))
            at += len(word) + 1
        return found


ALL = [CONDITIONAL, REPEATED, PROJECTS]


class Hanging(Shouting):
    """Waits for ``released``, except for the empty text on which it is tried."""

    begun = threading.Event()
    released = threading.Event()

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Nothing, late."""
        if text:
            self.begun.set()
            self.released.wait(30)
        return []


class Failing(Shouting):
    """Fails, except for the empty text."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Nothing at all."""
        if text:
            raise ValueError(text)
        return []


class Wrong(Shouting):
    """Points outside of the text."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """A span that is none."""
        return [RecognizerResult("SHOUTED_WORD", 0, len(text) + 5, 0.9)] if text else []


class NeedsArtifacts(Shouting):
    """Wants the tokens of an NLP engine."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Reads the tokens."""
        return list(nlp_artifacts.tokens)


class BadValidator(PatternRecognizer):
    """A checksum that raises."""

    def __init__(self) -> None:
        super().__init__("ODD_CODE", patterns=[Pattern("odd", r"\bodd\d+\b", 0.6)])

    def validate_result(self, pattern_text: str) -> bool:
        """Never answers."""
        raise RuntimeError(pattern_text)


def spoken() -> PatternRecognizer:
    """A recognizer whose type has no name that a policy could use."""
    return PatternRecognizer("employee id", patterns=[Pattern("p", r"\d", 0.5)])
