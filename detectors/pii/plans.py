"""Which regions can read a string of digits as a valid phone number: a filter before ``phonenumbers.parse``.

Everything here comes from the library's metadata and errs on the side of "may be valid".
"""

from __future__ import annotations

import re
from typing import Any, Final

import phonenumbers
from phonenumbers import Leniency, PhoneMetadata, phonenumberutil

from detectors.common.automata import full_match_set

_NOT_PLAIN: Final = re.compile(r"[^\W\d_]|[+\uff0b#\uff03~\uff5e;,=*]")
_NOT_DIGIT: Final = re.compile(r"\D")
_TYPES: Final = (
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
    "fixed_line",
    "mobile",
)
"""The types that make a number valid, as ``phonenumberutil._number_type_helper`` asks for them."""


def _metadata(region: str) -> Any:
    return PhoneMetadata.metadata_for_region(region, None)


class _PrefixRule:
    """Whether digits lack a national prefix that their region's way of writing asks for.

    Follows ``phonenumbermatcher._is_national_prefix_present_if_required`` where nothing can be stripped from the
    digits: no international prefix, country code or national prefix stands before them.
    """

    def __init__(self, region: str) -> None:
        own = _metadata(region)
        main = _metadata(phonenumbers.region_code_for_country_code(own.country_code))
        strippable = [str(own.country_code), own.international_prefix, own.national_prefix_for_parsing]
        strippable.append(main.national_prefix_for_parsing)
        self._strippable = re.compile("|".join(f"(?:{prefix})" for prefix in strippable if prefix))
        formats = main.number_format
        self._format = re.compile("|".join(map(self._format_source, range(len(formats)), formats)) or "(?!)")
        self._asking = {f"f{index}" for index, form in enumerate(formats) if self._asks(form)}

    @staticmethod
    def _format_source(index: int, form: Any) -> str:
        leading = f"(?={form.leading_digits_pattern[-1]})" if form.leading_digits_pattern else ""
        return f"(?P<f{index}>{leading}(?:{form.pattern}))"

    @staticmethod
    def _asks(form: Any) -> bool:
        rule = form.national_prefix_formatting_rule
        if not rule or form.national_prefix_optional_when_formatting:
            return False
        return not phonenumberutil._formatting_rule_has_first_group_only(rule)

    def lacks(self, digits: str) -> bool:
        """True only if ``digits`` cannot be valid for want of a national prefix."""
        if self._strippable.match(digits):
            return False
        form = self._format.fullmatch(digits)
        return form is not None and form.lastgroup in self._asking


class NumberingPlans:
    """An over-approximation of ``phonenumbers.parse`` and the check of ``leniency``, for some regions.

    A valid number is the international prefix and anything that can hold a country code, or country code, national
    prefix and a number of one of the regions that share the country code. The library strips the prefix once to see
    whether the country code is one, and once more, by the rules of the country code's main region, behind it.
    """

    def __init__(self, regions: tuple[str, ...], leniency: int) -> None:
        self.all: Final = frozenset(regions)
        self._regions = regions
        self._validated = leniency >= Leniency.VALID
        self._rules = {region: _PrefixRule(region) for region in regions} if self._validated else {}
        plans = [self._plan(region) for region in regions]
        self._set = full_match_set([*(source for source, _ in plans), "[0-9]*"])
        self.fewest_digits = min(shortest for _, shortest in plans)

    def _plan(self, region: str) -> tuple[str, int]:
        metadata = _metadata(region)
        shared = [_metadata(other) for other in phonenumbers.region_codes_for_country_code(metadata.country_code)]
        shortest = min(min(other.general_desc.possible_length) for other in shared)
        main = _metadata(phonenumbers.region_code_for_country_code(metadata.country_code))
        own = metadata.national_prefix_for_parsing or ""
        again = main.national_prefix_for_parsing or ""
        prefixes = f"(?:{metadata.country_code})?(?:{own})?(?:{again}|{own})?"
        # Behind the prefix the library wants more than two digits, of which the first is not zero.
        international = metadata.international_prefix
        abroad = f"(?:{international})[1-9][0-9][0-9]+|" if international else ""
        rule = metadata.national_prefix_transform_rule
        if rule is None:
            return f"{abroad}{prefixes}(?:{self._national(shared)})", shortest
        if not re.fullmatch(r"\\\d", rule):
            # The rule adds digits to a local number.
            local = [length for other in shared for length in other.general_desc.possible_length_local_only]
            return "[0-9]*", min([shortest, *local])
        # The prefix may hold the whole number.
        national = "|".join(other.general_desc.national_number_pattern for other in shared)
        return f"{abroad}{prefixes}(?:{national})?", shortest

    def _national(self, shared: list[Any]) -> str:
        descriptions = [other.general_desc for other in shared]
        if self._validated:
            descriptions = [getattr(other, name) for other in shared for name in _TYPES]
        patterns = (desc.national_number_pattern for desc in descriptions if desc is not None)
        return "|".join(dict.fromkeys(pattern for pattern in patterns if pattern))

    def of(self, candidate: str) -> frozenset[str]:
        """The regions for which ``candidate`` may be a valid number."""
        digits = _NOT_DIGIT.sub("", candidate)
        if len(digits) < self.fewest_digits:
            return frozenset()
        if _NOT_PLAIN.search(candidate):
            return self.all
        hits = self._set.Match(digits)
        if len(self._regions) not in hits:
            return self.all
        regions = (self._regions[hit] for hit in hits if hit < len(self._regions))
        return frozenset(region for region in regions if not (self._validated and self._rules[region].lacks(digits)))
