"""The words that can stand in a policy document under one configuration, and so in a rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guard.config import GuardConfig
from guard.obligations import SUPPORTED
from guard.obligations.limit import complaints
from guard.obligations.redact import OPERATORS
from guard.policy.fit import Setting
from guard.policy.provided import DEMANDED
from guard.policy.references import Vocabulary
from guard.types import Detector

_OWNERS_TERMS: Final = "TERM:"
_EVERY_PATH: Final = "/**"
# Whom coverage.incomplete names beside the detectors: a list of the document that did not fit.
_DOCUMENT: Final = "document"


def plain_setting(entrypoint: str = "data.guard.decision") -> Setting:
    """What policies are held against without a configuration."""
    return Setting(SUPPORTED, OPERATORS, complaints, entrypoint)


def setting_of(config: GuardConfig, detectors: Sequence[Detector] | None) -> Setting:
    """What policies are held against under a configuration; ``detectors`` is ``None`` if not all of them load."""
    routes = frozenset(route.path for route in config.routes if route.inspect) | {_EVERY_PATH}
    providers = frozenset(config.providers) | {route.provider for route in config.routes if route.provider}
    vocabularies = {
        "input.context.networks[]": Vocabulary(
            frozenset(config.networks), "no entry of [networks] is called", "add it to [networks]"
        ),
        "input.resource.provider": Vocabulary(
            frozenset(providers), "no route leads to a provider", "name it in a route, and describe it in [providers]"
        ),
        "input.resource.route": Vocabulary(
            routes, "no inspected route has the pattern", "resource.route is the pattern of guard.toml, never a path"
        ),
    }
    if detectors is not None:
        types = frozenset[str]().union(*(detector.entities for detector in detectors))
        vocabularies["input.findings[].type"] = Vocabulary(
            types,
            "no enabled detector finds",
            "enable the detector, or name the type in its options",
            (_OWNERS_TERMS,),
            DEMANDED,
        )
        names = frozenset(detector.info.name for detector in detectors)
        mend = f"enabled: {', '.join(sorted(names)) or 'none'}"
        vocabularies["input.findings[].detector"] = Vocabulary(names, "no enabled detector is called", mend)
        vocabularies["input.coverage.incomplete[].detector"] = Vocabulary(
            names | {_DOCUMENT}, "no enabled detector is called", mend
        )
    return Setting(SUPPORTED, OPERATORS, complaints, config.policy.entrypoint, vocabularies)
