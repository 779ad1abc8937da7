"""Phone numbers that their cue betrays: "call me at 111 415 555 2671", {"phone": "030 90-1820"}, "+0049 30 901820".

presidio reads the numbering plans of some regions. A number of elsewhere, or one written with a prefix that no plan
has, passes it. Here a cue word right before the digits, or in the key above, is what tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from detectors.common.automata import each, matcher
from detectors.common.budget import Budget
from detectors.common.resolve import Candidate
from detectors.pii.projection import View

ENTITY: Final = "PHONE_NUMBER"
CUED: Final = 0.6
PREFIXED: Final = 0.5

# As projected text has them: a letter outside ASCII is an underscore.
_NOUNS: Final = (
    "tel(?:\\.|efon|efono|_fono|efone|ephone|_phone|efoon|efoonnummer|efonnummer|efonnr)?|t_l_phone|phones?|mobile|cell|"
    "cellular|cellphone|landline|whatsapp|signal|telegram|viber|sms|fax|hotline|handy|m_vil|movil|mobil|handynummer|"
    "rufnummer|mobilnummer|festnetz|celular|cellulare|telem_vel|portable|num_ro|gsm|komorka|puhelin"
)
_VERBS: Final = (
    "call|ring|dial|phone|text|reach|contact|ruf|rufen|erreichen|appel[a-z]*|ll_m[a-z]*|llam[a-z]*|chiam[a-z]*|"
    "lig[aou]e?|bel|zadzwo_"
)
_WHOM: Final = "me|us|him|her|them|you|mich|uns|sie|moi|nous|le|mi|mij|do mnie"
_CUES: Final = (
    rf"(?:{_NOUNS})(?: ?(?:phone|number|no\.?|nr\.?|#)){{0,2}}|"
    rf"(?:{_VERBS})(?: (?:{_WHOM}))?(?: (?:now|back|directly|anytime|today))? (?:at|on|under|unter|auf|au|al|op|pod)"
)
_FILL: Final = r"(?:[ \t\f]*[:=#\-(\"']{1,2})?[ \t\f]*(?:(?:is|ist|est|es|_|at|on|number|no|nr)\b\.?[ \t\f:]*)?"
_NUMBER: Final = r"(?:\+|\(\+?)?[0-9](?:[ \f.\-/()]{0,2}[0-9]){6,16}"
_KEYS: Final = re.compile(
    "phones?|telephone|tel|mobile|cell|cellphone|msisdn|whatsapp|fax|landline|telefon|telefono|telefone|"
    "telephonenumber|phonenumber|mobilnummer|handy|rufnummer|celular"
)
_DATE: Final = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
_ADDRESS: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_WHOLE: Final = re.compile(r"\s*((?:\+|\(\+?)?\d(?:[ .\-/()]{0,2}\d){6,16})\s*")


class Calls:
    """Phone numbers with a cue, or after ``00`` or ``+00`` and a country code. Thread-safe."""

    entities = frozenset({ENTITY})
    key_gate_source = rf"(?i){_KEYS.pattern}"

    def __init__(self) -> None:
        cued = rf"(?i:\b(?:{_CUES})){_FILL}({_NUMBER})\b"
        prefixed = r"(?:^|[^0-9A-Za-z_.\-/])(\+ ?00 ?[1-9](?:[ \f.\-/()]{0,2}[0-9]){7,13})\b"
        self.gate_source = rf"{cued}|{prefixed}".replace("(" + _NUMBER + ")", _NUMBER)
        self._cued = matcher(cued)
        self._prefixed = matcher(prefixed)

    def find(self, view: View, key: Sequence[str], budget: Budget) -> Iterator[Candidate]:
        """Phone numbers by cue, prefix and key. Linear."""
        if any(map(_KEYS.fullmatch, key)):
            whole = _WHOLE.fullmatch(view.canonical)
            if whole is not None and self._stands(whole.group(1)):
                yield Candidate(ENTITY, *whole.span(1), CUED, "phone number; key")
        for place, score, evidence in (
            (self._cued, CUED, "phone number; cue before it"),
            (self._prefixed, PREFIXED, "international prefix"),
        ):
            for match in each(place, view.projected, budget):
                budget.check()
                start, end = match.span(1)
                if self._stands(view.canonical[start:end]):
                    yield Candidate(ENTITY, start, end, score, evidence)

    @staticmethod
    def _stands(written: str) -> bool:
        """Whether the digits may be dialled: 7 to 17 of them, not all alike, no date and no address of a host."""
        digits = "".join(character for character in written if character.isdigit())
        if not 7 <= len(digits) <= 17 or len(set(digits)) < 2:
            return False
        return not (_DATE.fullmatch(written) or _ADDRESS.fullmatch(written))
