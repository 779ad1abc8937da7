"""What the rules of our own share: how a rule is asked, and RE2 patterns over projected text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from detectors.common.budget import Budget
from detectors.common.resolve import Candidate
from detectors.pii.projection import View

BEFORE = r"(?:^|[^0-9A-Za-z_])"
"""No word goes on before: RE2's ``\\b`` is true between ``/`` and a letter as well."""


class Rule(Protocol):
    """Finds candidates of some types. ``gate_source`` (RE2) matches every text in which it can find one without keys;
    ``key_gate_source`` every object key above a value in which it can."""

    entities: frozenset[str]
    gate_source: str
    key_gate_source: str

    def find(self, view: View, key: Sequence[str], budget: Budget) -> Iterator[Candidate]:
        """Candidates in a text whose object key has the words ``key`` (lower case). Raises ``Unfinished``."""
        ...
