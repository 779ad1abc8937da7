"""Which policies a server decides by, as each of its answers tells, and whether those are the expected ones.

Source: OPA's provenance, ``provenance=true`` of the Data API: read in the transaction in which the answer was computed,
so that no restart and no push can come between. Bundles that OPA loads are named there by themselves; what ``push``
puts there is named by a manifest that it writes, as a bundle called ``policy-guard``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from guard.errors import UnexpectedPolicies
from guard.policy.bundle import Bundle
from guard.types import EngineInfo

PUSHED: Final = "policy-guard"
"""The bundle that ``push`` writes."""
_DIGEST: Final = " sha256:"
_UNFINISHED: Final = " (push not finished)"
_BUNDLES: Final = 16


class Served(msgspec.Struct, frozen=True):
    """OPA's version, and each bundle's revision by its name; ``""`` and empty until it told. ``pushed_digest`` is the
    SHA-256 of the bundle that was pushed, in hex, ``""`` for none or one whose push did not finish."""

    version: str = ""
    bundles: Mapping[str, str] = {}
    pushed_digest: str = ""

    @property
    def revision(self) -> str:
        """In one line: the revision of the only bundle, if that was pushed, else ``NAME@REVISION`` of each."""
        if list(self.bundles) == [PUSHED]:
            return self.bundles[PUSHED]
        return ",".join(f"{name}@{revision}" for name, revision in sorted(self.bundles.items()))

    @property
    def info(self) -> EngineInfo:
        """As records name the engine."""
        return EngineInfo("opa", self.version[:64], self.revision[:256], self.pushed_digest[:64])

    def holds(self, bundle: Bundle) -> bool:
        """Whether these are the policies of ``bundle``: pushed whole, or as a bundle of the same revision."""
        names = {bundle.revision, bundle.digest} - {""}
        loaded = {revision for name, revision in self.bundles.items() if name != PUSHED}
        return self.pushed_digest == bundle.digest or not names.isdisjoint(loaded)


def served_by(provenance: object) -> Served:
    """What an answer's ``provenance`` tells."""
    if not isinstance(provenance, dict):
        return Served()
    told = provenance.get("bundles")
    bundles: dict[str, str] = {}
    digest = ""
    for name, bundle in list(told.items())[:_BUNDLES] if isinstance(told, dict) else ():
        revision = str(bundle.get("revision", "")) if isinstance(bundle, dict) else ""
        if name == PUSHED:
            revision, _, digest = revision.partition(_DIGEST)
        bundles[str(name)] = revision
    return Served(str(provenance.get("version", "")), bundles, digest)


def manifest_of(bundle: Bundle, *, finished: bool, modules: list[str], data: list[str]) -> dict[str, Any]:
    """The manifest that names a pushed bundle. ``modules`` and ``data`` are what the next push may remove: policy ids
    and top-level members of ``data``. Its root owns nothing, so that OPA lets others write beside it."""
    revision = f"{bundle.revision}{_DIGEST}{bundle.digest}" if finished else f"{bundle.revision}{_UNFINISHED}"
    metadata = {"modules": modules, "data": data}
    return {"manifest": {"revision": revision, "roots": ["policy_guard_push"], "metadata": metadata}}


class Expected:
    """Whose answers count: ``policy.opa.revisions`` and ``policy.opa.require_local_bundle``."""

    def __init__(self, revisions: Mapping[str, tuple[str, ...]], local: Bundle | None) -> None:
        """``local`` is the bundle that the server must hold, ``None`` if it need not."""
        self._revisions = revisions
        self._local = local

    def require(self, served: Served, where: str) -> None:
        """Raises ``UnexpectedPolicies`` for an answer that must not count."""
        for name, accepted in self._revisions.items():
            revision = served.bundles.get(name)
            if revision is None:
                holds = ", ".join(sorted(served.bundles)) or "none that it names"
                raise _unexpected(f"OPA has no bundle {name!r}; it has {holds}.", where)
            if revision not in accepted and not (name == PUSHED and served.pushed_digest in accepted):
                wanted = " or ".join(accepted)
                raise _unexpected(f"OPA's bundle {name!r} has revision {revision!r}, not {wanted}.", where)
        if self._local is not None and not served.holds(self._local):
            has = served.revision or "policies that it does not name"
            raise _unexpected(f"OPA has {has}, not the local bundle {self._local.revision}.", where)


def _unexpected(what: str, where: str) -> UnexpectedPolicies:
    mend = "give OPA the expected policies, or correct policy.opa.revisions"
    return UnexpectedPolicies(what, where=where, mend=mend)
