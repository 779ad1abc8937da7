"""Which configurations and policies a log has named so far, held against what its decisions name.

Two generations overlap: requests that are under way when a reload is applied end under the configuration with which
they began. So a decision may name any configuration that an ``open`` or an applied ``config`` record of its process
named before it, and never another.
"""

from __future__ import annotations

from guard.record.schema import AnyRecord, ConfigRecord, DecisionEntry, OpenRecord, Policy

# Another engine learns from its server what it serves, which may change at any time.
_OWN_ENGINE = "embedded"


class Standings:
    """Takes verified records in order."""

    def __init__(self) -> None:
        self._configurations: set[str] = set()
        self._bundles: set[str] = set()
        self._told = self._told_policy = False

    def take(self, record: AnyRecord) -> str:
        """What in this record contradicts those before it; ``""`` for nothing."""
        if isinstance(record, DecisionEntry):
            return self._contradiction(record.config_digest, record.policy)
        if isinstance(record, ConfigRecord):
            said = self._contradiction(record.before.config_digest, record.before.policy)
            if record.status == "applied" and record.after is not None:
                self._learn(record.after.config_digest, record.after.policy)
            return said
        if isinstance(record, OpenRecord):
            # A log that was reopened after a failed write still serves requests that began before.
            if not record.reopened:
                self._configurations, self._bundles = set(), set()
                # Whoever opened the log may not have told; then there is nothing to hold decisions against.
                self._told, self._told_policy = record.config_digest != "", record.policy is not None
            self._learn(record.config_digest, record.policy)
        return ""

    def _learn(self, configuration: str, policy: Policy | None) -> None:
        self._configurations.add(configuration)
        if policy is not None:
            self._bundles.add(policy.digest)

    def _contradiction(self, configuration: str, policy: Policy | None) -> str:
        if self._told and configuration not in self._configurations:
            return "the record names a configuration that no open or config record of its process names"
        own = policy is not None and policy.engine == _OWN_ENGINE and policy.digest not in self._bundles
        if own and self._told_policy:
            return "the record names policies that no open or config record of its process names"
        return ""
