"""Street addresses by form: house number and street word, as some languages write them, with town and postcode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from detectors.common.automata import each, matcher
from detectors.common.budget import Budget
from detectors.common.resolve import Candidate
from detectors.pii.finding import BEFORE
from detectors.pii.projection import View

ENTITY: Final = "STREET_ADDRESS"
WHOLE: Final = 0.85
STREET: Final = 0.6
TOWN: Final = 0.5
"""Street and town with postcode; a street and a house number; a town and its postcode."""

# On projected text a letter outside ASCII is an underscore.
_W: Final = r"[A-Z_][A-Za-z_'\-]+"
_WORDS: Final = rf"{_W}(?:[ \f]{_W}){{0,2}}"
_GAP: Final = r"(?:,|[ \f]|,[ \f]|[ \f]?,?\r?\n)[ \f]?"
_STREET_WORDS: Final = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way|Place|Pl|Square|Sq|Terrace|Ter|Parkway|"
    "Pkwy|Circle|Cir|Highway|Hwy|Close|Crescent|Cres|Grove|Gardens|Mews|Trail|Alley|Quay|Walk|Row|Broadway|Turnpike"
)
_UNIT: Final = (
    rf"(?:{_GAP}(?:(?i:apt|apartment|suite|ste|unit|flat|floor|room|bldg)\.?[ \f]?|#[ \f]?)[0-9A-Za-z\-]{{1,6}})?"
)
_STATES: Final = (
    "A[LKZR]|C[AOT]|D[CE]|FL|GA|HI|I[DLNA]|K[SY]|LA|M[EDAINSOT]|N[EVHJMYCD]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[TA]|W[AVIY]"
)
_ZIP: Final = "[0-9]{5}(?:-[0-9]{4})?"
_UK: Final = r"[A-Z]{1,2}[0-9][0-9A-Z]?[ \f]?[0-9][A-Z]{2}"
_CANADA: Final = r"[A-Z][0-9][A-Z][ \f]?[0-9][A-Z][0-9]"
_TOWN: Final = (
    rf"(?:{_GAP}{_WORDS})?{_GAP}(?:(?:{_STATES})[ \f]{{1,2}}{_ZIP}|{_UK}|[A-Z]{{2,3}}[ \f](?:{_CANADA}|[0-9]{{4}}))"
)
_TOWN_ONLY: Final = rf"{_GAP}{_WORDS},[ \f](?:{_STATES})"
_POSTCODE_FIRST: Final = rf"(?:{_GAP}(?:[A-Z]{{1,2}}-)?[0-9]{{4,5}}(?:[ \f]?[A-Z]{{2}})?[ \f]{_WORDS})"
_HOUSE: Final = r"[0-9]{1,4}(?:[ \f]?[a-zA-Z])?(?:[-/][0-9]{1,4}[a-z]?)?"
_PARTICLES: Final = r"(?:(?:de|du|des|la|le|les|del|de la|dos|das|da|do|di|della|dei|delle)[ \f]|[dl]')"


class _Form(msgspec.Struct, frozen=True):
    """How a language writes an address: the street, and the town that may follow it."""

    name: str
    street: str
    town: str


_FORMS: Final = (
    _Form(
        "number + street word",
        rf"[0-9]{{1,5}}[A-Za-z]?(?:-[0-9]{{1,4}})?,?[ \f](?:[NSEW]\.?[ \f]|(?:North|South|East|West)[ \f])?"
        rf"(?:(?:{_W}|[0-9]{{1,3}}(?:st|nd|rd|th))[ \f]){{1,3}}(?:{_STREET_WORDS})\b\.?"
        rf"(?:[ \f][NSEW]{{1,2}}\b)?{_UNIT}",
        rf"{_TOWN}|{_TOWN_ONLY}",
    ),
    _Form(
        "street + number",
        rf"(?:[A-Z_][a-z_\-]{{1,24}}(?:stra(?:ss|_)e|str\.|weg|allee|platz|gasse|damm|ufer|straat|laan|plein|gracht|kade)|"
        rf"{_W}[ \f-](?:Stra(?:ss|_)e|Str\.|Allee|Platz|Weg|Ring|Damm|Ufer|gatan|v_gen))[ \f]{_HOUSE}",
        _POSTCODE_FIRST,
    ),
    _Form(
        "number + voie",
        rf"[0-9]{{1,4}}(?:[ \f]?(?:bis|ter))?,?[ \f]"
        rf"(?i:rue|avenue|boulevard|place|chemin|all_e|impasse|quai|cours|route)[ \f]{_PARTICLES}{{0,2}}{_WORDS}",
        _POSTCODE_FIRST,
    ),
    _Form(
        "calle + number",
        rf"(?:Calle|C/|Avenida|Avda\.?|Av\.|Plaza|Paseo|Carrera|Via|Viale|Piazza|Corso|Rua|Travessa|Pra_a|Ulica|ul\.)"
        rf"[ \f]{_PARTICLES}{{0,2}}{_WORDS},?[ \f](?:n[._]?_?[ \f]?)?[0-9]{{1,4}}[a-zA-Z]?",
        _POSTCODE_FIRST,
    ),
)
_BOX: Final = r"(?i:p\.?[ \f]?o\.?[ \f]box|postfach|apartado de correos)[ \f][0-9]{1,6}"
_CITY_ZIP: Final = rf"{_WORDS},[ \f](?:{_STATES})[ \f]{{1,2}}{_ZIP}"


class Addresses:
    """Street addresses. Thread-safe."""

    entities = frozenset({ENTITY})
    key_gate_source = ""

    def __init__(self) -> None:
        self._forms = [(matcher(rf"{BEFORE}({form.street})((?:{form.town})?)\b"), form.name) for form in _FORMS]
        self._plain = [
            (matcher(rf"{BEFORE}({_BOX})\b"), STREET, "post-office box"),
            (matcher(rf"{BEFORE}({_CITY_ZIP})\b"), TOWN, "town + postcode"),
        ]
        sources = [*(form.street for form in _FORMS), _BOX, _CITY_ZIP]
        self.gate_source = "|".join(f"(?:{source})" for source in sources)

    def find(self, view: View, key: Sequence[str], budget: Budget) -> Iterator[Candidate]:  # noqa: ARG002 - Rule's
        """Addresses, form by form. Linear for each form."""
        for form, name in self._forms:
            for match in each(form, view.projected, budget):
                budget.check()
                town = match.end(2) > match.start(2)
                evidence = f"{name} + town" if town else name
                yield Candidate(ENTITY, match.start(1), match.end(2), WHOLE if town else STREET, evidence)
        for place, score, evidence in self._plain:
            for match in each(place, view.projected, budget):
                budget.check()
                start, end = match.span(1)
                yield Candidate(ENTITY, start, end, score, evidence)
