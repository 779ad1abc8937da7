"""Words before which a name stands, in RE2 over projected text: a letter outside ASCII is an underscore there.

Each expression ends where the name begins.
"""

from __future__ import annotations

from typing import Final

from detectors.pii.finding import BEFORE

_SPACE: Final = r"[ \f]"
_LINE: Final = r"(?:^|\n)[ \t>*\-]*"

TITLES: Final = (
    r"(?:Mr|Mrs|Ms|Mx|Dr|Prof|Rev|Hon|Mme|Mlle|Dott|Sig|Sig\.ra|Sra|Srta|Dhr|Mevr|Ing|Dipl\.-Ing)\.[ \f]?|"
    r"(?:Mr|Mrs|Ms|Mx|Dr|Professor|Prof|Madame|Monsieur|Mme|Mlle|Herrn?|Frau|Se_ora?|Do_a|Signora?|Meneer|Mevrouw|"
    r"Senhora?|Pani?|Frk|Bay|Shri|Smt)[ \f](?:Dr\.?[ \f]|Prof\.?[ \f])?"
)

INTRODUCTION: Final = (
    r"(?i:my (?:full |first |last )?name(?:'s| is)|(?:his|her|their|the (?:patient|customer|client|user|"
    r"employee)'?s?)"
    r" (?:full )?name is|i am called|i'm called|mein name ist|ich hei(?:ss|_)e|je m'appelle|je me nomme|me llamo|"
    r"mi nombre es|mi chiamo|il mio nome _|meu nome _|me chamo|chamo-me|ik heet|mijn naam is|nazywam si_|mam na imi_|"
    r"jag heter|mitt namn _r|jeg hedder|jeg heter|nimeni on|ad_m|ben[ \f]|jmenuji se|"
    r"numele meu este)[ \f:,]{1,3}[\"']?"
)
LABEL: Final = (
    r"(?i:full name|first name|last name|given name|family name|surname|maiden name|"
    r"name of (?:patient|insured|applicant|employee|customer|the patient)|(?:patient|customer|client|"
    r"employee|applicant|contact|account holder|cardholder|"
    r"card holder|beneficiary|recipient|tenant|student|insured|passenger|guest|claimant|caller)(?:'s)?(?: name)?|"
    r"attn|attention|signed(?: by)?|vorname|nachname|familienname|pr_nom|nom de famille|nombre completo|apellidos?|"
    r"nome completo|cognome|sobrenome|naam|nazwisko|imi_)[ \t\f]?(?:[:=]|[ \f]-[ \f])[ \t\f]*[\"']?"
)
NAME: Final = r"(?:^|[\n,;|({\"'][ \t\f]*)(?i:name|nom|nombre|nome)[\"']?[ \t\f]?[:=][ \t\f]*[\"']?"
ROLE: Final = (
    r"(?i:patient|defendant|plaintiff|signed by|employee|claimant|resident|tenant|customer|client|citizen|passenger|"
    r"witness|suspect|married to|on behalf of|kind regards to|prescribed to|born to|care of|c/o|"
    r"patientin|kunde|kundin|mitarbeiter|mitarbeiterin|paciente|cliente)[ \f]"
)
DEAR: Final = r"(?:^|[\n\"'(>.!?][ \t\f]*)(?i:dear)[ \f](?:(?:Mr|Mrs|Ms|Dr|Prof)\.?[ \f])?"
DEAR_ELSEWHERE: Final = (
    r"(?:^|[\n\"'(>.!?][ \t\f]*)(?i:estimad[oa]|querid[oa]|ch_re?|liebe[r]?|sehr geehrte[r]?|gentile|cara?o?|"
    r"prezad[oa]|beste|geachte|k_re)[ \f](?:(?:Mr|Mrs|Ms|Dr|Prof|Herr|Frau)\.?[ \f])?"
)
SIGNATURE: Final = (
    r"(?i:regards|sincerely|respectfully|cheers|thanks|thank you|many thanks|best|best wishes|yours|yours truly|love|"
    r"gr_(?:_|ss)e|gr(?:__|ue(?:_|ss))e|freundlichen gr_(?:_|ss)en|mfg|cordialement|saludos|atentamente|"
    r"cordiali saluti|atenciosamente|groeten|h_lsningar|"
    r"pozdrawiam)[,.!]?[ \t\f]*\r?\n[ \t\f\r\n]{0,4}(?:--?[ ]*\r?\n)?[ \t\f]*"
)
HEADER: Final = r"(?:^|\n)[ \t>]*(?i:from|to|cc|bcc|reply-to|author|von|an|de|para):[ \t\f]*[\"']?"
WEAK: Final = (
    rf"{BEFORE}(?i:i am|i'm|im|this is|it's|it is|hi|hello|hey|hallo|bonjour|hola|ciao|ol_|thanks|thank you|ask|tell|"
    r"email|met|with|from|named|called|by|ich bin|je suis|soy|sono|sou|ik ben)[ \f,]{1,2}"
)

CUES: Final = (INTRODUCTION, LABEL, NAME, ROLE, DEAR, DEAR_ELSEWHERE, SIGNATURE, HEADER, WEAK)
ENDS: Final = {
    "greeting": frozenset({WEAK, NAME, HEADER, DEAR_ELSEWHERE}),
    "small": frozenset({INTRODUCTION, LABEL}),
    "pair": frozenset({ROLE}),
}
"""Cues after which only a known first name counts, those after which a name without capitals does, and those after
which a single word of no list does not."""

_ROLE_WORDS: Final = (
    "(?:first|last|given|family|full|middle|maiden|sur|patient|customer|client|employee|contact|cardholder|"
    "card ?holder|account ?holder|holder|recipient|applicant|guest|passenger|student|beneficiary|payee|"
    "signatory|person|legal|"
    "billing|shipping)"
)
KEYS: Final = (
    rf"(?i)(?:[a-z]+ )?{_ROLE_WORDS}[ _\-]?names?|surname|(?:first|last)name|fullname|vorname|nachname|familienname|"
    r"prenom|apellidos?|cognome|sobrenome"
)
"""Keys whose value is the name of a person, as words in lower case apart by spaces."""


def source_of(cue: str) -> str:
    """The expression, beginning where a word begins."""
    return cue if cue.startswith((BEFORE, "(?:^")) else rf"\b(?:{cue})"
