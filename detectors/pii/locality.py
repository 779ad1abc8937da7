"""Which types of finding a stream can be sure of before its end.

A type is local if each of its values is one token, or groups of digits and short tokens side by side, and if nothing
more than three words or 40 characters behind it, and 120 before it, decides whether it is one. A stream whose answer
hides other types (names, addresses, what a model or a recognizer of the user's finds) is inspected whole.
"""

from __future__ import annotations

import re
from typing import Final

from detectors.pii import addresses, births, calls, cards, names
from detectors.pii.engine import Engine
from detectors.pii.options import OFF_BY_DEFAULT
from detectors.pii.patterns import PatternMatcher
from detectors.pii.phone import PhoneFinder

_UNBOUNDED: Final = re.compile(r"\.[*+]|\.\{|\\s[*+{]|\\S[*+]")
_BY_WORDS: Final = OFF_BY_DEFAULT | {addresses.ENTITY, births.ENTITY, names.ENTITY}
_RULES: Final = frozenset({cards.ENTITY, calls.ENTITY})


def local_types(engine: Engine, entities: frozenset[str], named: frozenset[str]) -> frozenset[str]:
    """Those of ``entities`` that are local; ``named`` are found by a model."""
    by_form = set(_RULES)
    others = set(named | _BY_WORDS)
    for source in engine.sources:
        shipped = type(source.recognizer).__module__.startswith(
            ("presidio_analyzer.predefined_recognizers.", "detectors.")
        )
        matcher = source.matcher
        bounded = isinstance(matcher, PhoneFinder) or (
            isinstance(matcher, PatternMatcher) and not _UNBOUNDED.search(matcher.expression)
        )
        (by_form if shipped and bounded and source.recognizer.supported_entities == [source.entity] else others).add(
            source.entity
        )
    return (entities & by_form) - others
