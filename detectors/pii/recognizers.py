"""Which of presidio's recognizers run. Importing this module imports presidio (and spaCy with it): seconds."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Collection
from typing import Any, Final

import phonenumbers
import tldextract
from presidio_analyzer import PatternRecognizer, predefined_recognizers
from presidio_analyzer.predefined_recognizers import EmailRecognizer, PhoneRecognizer

from detectors.pii.options import OFF_BY_DEFAULT, PiiOptions
from detectors.pii.rules import ENTITIES
from guard.errors import ConfigError

_WHERE: Final = "detectors.options.pii"


class OfflineEmailRecognizer(EmailRecognizer):
    """presidio's e-mail recognizer on the public suffix list inside the package: no download, no cache on disk."""

    def __init__(self) -> None:
        self._extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
        self._extract("example.com")
        super().__init__(name=EmailRecognizer.__name__)

    def validate_result(self, pattern_text: str) -> bool:
        """Whether the address ends in a registrable domain."""
        return bool(self._extract(pattern_text).fqdn)


def _available() -> list[Any]:
    """Every pattern recognizer that presidio ships, once, by name."""
    kinds: dict[str, Any] = {
        name: kind
        for name, kind in sorted(vars(predefined_recognizers).items())
        if inspect.isclass(kind) and issubclass(kind, PatternRecognizer)
    }
    kinds[EmailRecognizer.__name__] = OfflineEmailRecognizer
    return [kind() for kind in kinds.values()]


def _unknown(kind: str, value: str, known: set[str]) -> ConfigError:
    close = difflib.get_close_matches(value, known, 1)
    mend = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
    return ConfigError(f"unknown {kind} {value!r}", where=_WHERE, mend=mend)


def select(options: PiiOptions, own: Collection[str] = ()) -> tuple[list[Any], Any | None]:
    """The pattern recognizers that ``options`` ask for, and the phone recognizer or ``None``.

    ``own``: the types that the user's own recognizers find; options may name them too. Raises ``ConfigError`` for an
    entity, country or phone region that does not exist.
    """
    available = _available()
    phone = PhoneRecognizer(supported_regions=options.phone_regions)
    phone_entity = phone.supported_entities[0]
    entities = {recognizer.supported_entities[0] for recognizer in available} | {phone_entity}
    countries = {recognizer.country_code() for recognizer in available} - {None}
    more = ENTITIES | set(options.ner.entities if options.ner is not None else ()) | set(own)
    for name in (*(options.entities or ()), *options.thresholds):
        if name not in entities | more:
            raise _unknown("entity", name, entities | more)
    for region in options.phone_regions:
        if region not in phonenumbers.SUPPORTED_REGIONS:
            raise _unknown("phone region", region, set(phonenumbers.SUPPORTED_REGIONS))
    for country in options.countries:
        if country not in countries:
            raise _unknown("country", country, countries)
    if options.entities is not None:
        wanted = set(options.entities)
        chosen = [recognizer for recognizer in available if recognizer.supported_entities[0] in wanted]
        return chosen, phone if phone_entity in wanted else None
    places = {None, *options.countries}
    chosen = [
        recognizer
        for recognizer in available
        if recognizer.country_code() in places and recognizer.supported_entities[0] not in OFF_BY_DEFAULT
    ]
    return chosen, phone
