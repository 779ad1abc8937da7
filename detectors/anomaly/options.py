"""The options of the behaviour model."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

NAME: Final = "behaviour"


class BehaviourOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``[detectors.options.behaviour]``."""

    max_principals: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    """Principals that are remembered; past it the one that was silent longest is forgotten."""
    max_anonymous: Annotated[int, msgspec.Meta(ge=1)] = 50_000
    """Callers without a credential that are remembered beside them, likewise."""
    max_groups: Annotated[int, msgspec.Meta(ge=1)] = 1000
    """Groups (tenants) that are remembered, likewise."""
    relearn_hours: Annotated[float, msgspec.Meta(ge=0.5)] = 6.0
    """What is flagged teaches nothing, until most of a principal's requests were flagged for so long."""
    second_opinion: Literal["auto", "on", "off"] = "auto"
    """Whether an isolation forest looks at what is unusual, too. ``auto``: where numpy is installed."""
    forest: str = ""
    """The file of that forest, or a directory of versions: its current one. The shipped one if left out."""
    forest_key: str = ""
    """A public key in PEM: ``forest`` must be signed by it."""
