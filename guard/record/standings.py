"""Which configurations and policies a log has named so far, held against what its decisions name.

Two generations overlap: requests that are under way when a reload is applied end under the configuration with which
they began. So a decision may name any configuration that an ``open`` or an applied ``config`` record of its process
named before it, and never another.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET, UnsetType

from guard.record.groups import Policy
from guard.record.schema import AnyRecord, ConfigRecord, DecisionEntry, OpenRecord, OutcomeEntry
from guard.record.shadow import ShadowPart

# Another engine learns from its server what it serves, which may change at any time.
_OWN_ENGINE = "embedded"


class Standings:
    """Takes verified records in order."""

    def __init__(self) -> None:
        self._configurations: set[str] = set()
        self._bundles: set[str] = set()
        self._candidates: set[str] = set()
        self._told = self._told_policy = False

    def take(self, record: AnyRecord) -> str:
        """What in this record contradicts those before it; ``""`` for nothing."""
        if isinstance(record, DecisionEntry):
            said = self._contradiction(record.config_digest, record.policy)
            return said if record.shadow is UNSET else said or self._strange_shadow([record.shadow])
        if isinstance(record, OutcomeEntry):
            return self._strange_shadow([verdict.shadow for verdict in record.decisions])
        if isinstance(record, ConfigRecord):
            said = self._contradiction(record.before.config_digest, record.before.policy)
            if record.status == "applied" and record.after is not None:
                self._learn(record.after.config_digest, record.after.policy, record.after.candidate)
            return said
        if isinstance(record, OpenRecord):
            # A log that was reopened after a failed write still serves requests that began before.
            if not record.reopened:
                self._configurations, self._bundles, self._candidates = set(), set(), set()
                # Whoever opened the log may not have told; then there is nothing to hold decisions against.
                self._told, self._told_policy = record.config_digest != "", record.policy is not None
            self._learn(record.config_digest, record.policy, record.candidate)
        return ""

    def _learn(self, configuration: str, policy: Policy | None, candidate: Policy | UnsetType) -> None:
        self._configurations.add(configuration)
        if policy is not None:
            self._bundles.add(policy.digest)
        if candidate is not UNSET:
            self._candidates.add(candidate.digest)

    def _strange_shadow(self, shadows: Iterable[ShadowPart | UnsetType]) -> str:
        strange = any(part is not UNSET and part.digest not in self._candidates for part in shadows)
        if strange and self._told:
            return "the record names candidate policies that no open or config record of its process names"
        return ""

    def _contradiction(self, configuration: str, policy: Policy | None) -> str:
        if self._told and configuration not in self._configurations:
            return "the record names a configuration that no open or config record of its process names"
        own = policy is not None and policy.engine == _OWN_ENGINE and policy.digest not in self._bundles
        if own and self._told_policy:
            return "the record names policies that no open or config record of its process names"
        return ""
