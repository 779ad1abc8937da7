"""Dates of birth: a date right after a word that says so, or under a key that does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from detectors.common.automata import each, matcher
from detectors.common.budget import Budget
from detectors.common.resolve import Candidate
from detectors.pii.projection import View

ENTITY: Final = "DATE_OF_BIRTH"
SCORE: Final = 0.85
_LONGEST_VALUE: Final = 80

# As projected text has them: a letter outside ASCII is an underscore.
_CUES: Final = (
    r"d\.?o\.?b\.?|date[ _]of[ _]birth|birth[ _-]?date|birthday|born|geboren|geb\.|geburtsdatum|geburtstag|n_e?|"
    r"date[ _]de[ _]naissance|anniversaire|fecha[ _]de[ _]nacimiento|nacid[oa]|cumplea_os|data[ _]di[ _]nascita|"
    r"nat[oa]|data[ _]de[ _]nascimento|nascid[oa]|geboortedatum|f_dd|f_delsedato|data[ _]urodzenia|urodzon[ya]"
)
_FILL: Final = (
    r"(?:[ \t\f]*[:=\-(\"'|]{1,3})?[ \t\f]*"
    r"(?:(?:is|was|on|the|am|ist|le|est|el|es|il|em|op|den|dnia|_)\b[ \t\f:]*){0,2}"
)
_MONTHS: Final = (
    "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|m_r|mai|juni|juli|okt|dez|janv|f_v|avr|ao_t|d_c|ene|abr|ago|"
    "dic|gen|mag|giu|lug|set|ott|out|fev|mrt|mei)[a-z_]{0,7}"
)
_YEAR: Final = "(?:1[89][0-9]{2}|20[0-9]{2})"
_DATES: Final = (
    rf"{_YEAR}[-/.][01]?[0-9][-/.][0-3]?[0-9]|{_YEAR}[01][0-9][0-3][0-9]|"
    rf"[0-3]?[0-9][-/. ]{{1,2}}[0-3]?[0-9][-/. ]{{1,2}}(?:{_YEAR}|[0-9]{{2}})|"
    rf"[0-3]?[0-9](?:st|nd|rd|th|\.|_)?[ \f-](?:of |de |d')?(?i:{_MONTHS})\.?,?[ \f-](?:de )?{_YEAR}|"
    rf"(?i:{_MONTHS})\.?[ \f][0-3]?[0-9](?:st|nd|rd|th)?,?[ \f]{_YEAR}"
)
_KEYS: Final = re.compile(
    r"dob|birth|birthdate|birthday|dateofbirth|geburtsdatum|geburtstag|naissance|nacimiento|nascita|nascimento|"
    r"geboortedatum"
)


class Births:
    """Dates of birth. Thread-safe."""

    entities = frozenset({ENTITY})
    key_gate_source = rf"(?i){_KEYS.pattern}"

    def __init__(self) -> None:
        source = rf"\b(?i:{_CUES}){_FILL}({_DATES})\b"
        self.gate_source = source
        self._cued = matcher(source)
        self._whole = matcher(rf"^[ \f]*({_DATES})(?:[T ][0-9:.Z+\-]*)?[ \f]*$")

    def find(self, view: View, key: Sequence[str], budget: Budget) -> Iterator[Candidate]:
        """Dates of birth by cue and by key; the span is the date alone. Linear."""
        if any(map(_KEYS.fullmatch, key)) and len(view.projected) <= _LONGEST_VALUE:
            for whole in each(self._whole, view.projected, budget):
                start, end = whole.span(1)
                yield Candidate(ENTITY, start, end, SCORE, "date; key")
        for match in each(self._cued, view.projected, budget):
            budget.check()
            start, end = match.span(1)
            yield Candidate(ENTITY, start, end, SCORE, "date; cue before it")
