"""Options of ``PiiDetector`` and their safe defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec

Score = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
EntityName = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9_]{1,63}$")]

OFF_BY_DEFAULT: Final = frozenset(
    {
        "URL",  # every dotted name in code is one
        "US_DRIVER_LICENSE",  # any letter with digits
        "DATE_TIME",  # a date alone tells of nobody
        "UUID",  # request and object ids
        "US_HEALTH_INSURANCE_MEMBER_ID",  # any word with a digit in it
        "US_CLAIM_NUMBER",
        "US_PRESCRIPTION_NUMBER",
        "US_PRIOR_AUTHORIZATION_NUMBER",
        "US_PROVIDER_TAX_ID",
        "US_REFERRAL_NUMBER",
    }
)
"""Found only when ``entities`` names them: noisy on ordinary traffic, or matched by unbounded look-behinds."""


STRICT_THRESHOLDS: Final = {"PERSON": 0.3}
"""Under ``names = "strict"``: the two weakest tiers of names pass."""


class NerOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``ner = {engine = "spacy", model = "en_core_web_lg"}``: a model for names, through presidio."""

    engine: Literal["spacy", "stanza", "transformers", "gliner"]
    model: Annotated[str, msgspec.Meta(min_length=1)]
    """An installed spaCy package or a directory (spacy); a language code (stanza); a directory (the others)."""
    language: Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2,3}$")] = "en"
    """The language of the model, ISO 639."""
    entities: tuple[EntityName, ...] = ("PERSON", "LOCATION", "NRP")
    """What it is asked for, by presidio's names."""
    score: Score = 0.85
    """The score of what engines without scores of their own find."""
    characters: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    """Characters that it reads in one call; past them the detection is incomplete."""


class OwnEntity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[detectors.options.pii.own.EMPLOYEE_ID]``: a type of your own, by expressions or by words."""

    patterns: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...] = ()
    """Python expressions over folded text, without regard to case."""
    words: tuple[str, ...] = ()
    """Words or phrases that stand alone: project names, titles."""
    context: tuple[str, ...] = ()
    """Words beside a match that raise its score by 0.35, to 0.5 at least."""
    score: Score = 0.6
    """The score of a match."""
    case_sensitive: bool = False
    """Match capital letters as written."""


class PiiOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``[detectors.options.pii]``. Everything has a default."""

    entities: tuple[EntityName, ...] | None = None
    """Exactly these types; ``None`` means all of ``countries`` and the language-neutral ones except the noisy."""
    countries: tuple[str, ...] = ("us", "uk")
    """Whose national ids are looked for: lower-case country codes as presidio tags its recognizers."""
    threshold: Score = 0.5
    """Below this score nothing is reported."""
    thresholds: Mapping[EntityName, Score] = msgspec.field(default_factory=lambda: {"PHONE_NUMBER": 0.4})
    """Thresholds of single types, instead of ``threshold``. Setting it replaces the whole table."""
    allow: tuple[str, ...] = ()
    """Values that are never reported, compared without regard to case."""
    documentation_values: bool = False
    """Report also values reserved for documentation (example.com, RFC 5737, 555-01xx) and unassigned addresses."""
    phone_regions: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = (
        "US",
        "GB",
        "DE",
        "FR",
        "IL",
        "IN",
        "CA",
        "BR",
    )
    """Regions whose national phone numbers are understood; international ones (+…) always are."""
    names: Literal["off", "basic", "strict"] = "basic"
    """Names of persons by rules: cue words and lists of names. ``strict`` reports single first names as well."""
    gazetteer: str | None = None
    """A file of names and ordinary words instead of the one that comes with the package."""
    ner: NerOptions | None = None
    """A model for names instead of the rules. It must be installed: nothing is ever downloaded."""
    phone_tries: Annotated[int, msgspec.Meta(ge=1)] = 50_000
    """Candidate phone numbers examined in one call; past it the detection is incomplete."""
    recognizers: tuple[str, ...] = ()
    """Presidio recognizers of your own: ``package.module:Name``, or files in presidio's YAML. They always run."""
    own: Mapping[EntityName, OwnEntity] = msgspec.field(default_factory=dict)
    """Types of your own, by name. They are always looked for."""
    max_characters: Annotated[int, msgspec.Meta(ge=1)] = 20_000_000
    """Characters of all texts of one call; past it nothing is looked at and the detection is incomplete."""
    max_line: Annotated[int, msgspec.Meta(ge=1)] = 10_000_000
    """Characters of one line; past it as past ``max_characters``."""
    max_findings: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    """Matches in one call, before overlaps are resolved; past it the detection is incomplete."""
