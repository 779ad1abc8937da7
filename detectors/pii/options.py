"""Options of ``PiiDetector`` and their safe defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

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
    phone_tries: Annotated[int, msgspec.Meta(ge=1)] = 50_000
    """Candidate phone numbers examined in one call; past it the detection is incomplete."""
