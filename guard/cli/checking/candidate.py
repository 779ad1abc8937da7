"""The policies in shadow, held to what the policies that decide are held to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from guard.cli.checking.keys import CODE
from guard.cli.checking.policies import setting_of
from guard.config import GuardConfig
from guard.policy.bundle import Bundle
from guard.policy.candidate import Candidate, candidate_config
from guard.policy.fit import check_fit
from guard.policy.remarks import Remark
from guard.runtime import build_candidate, bundle_of
from guard.types import Detector

_WHERE = "policy.candidate"


def check_candidate(
    config: GuardConfig, live: Bundle | None, detectors: Sequence[Detector] | None
) -> tuple[Candidate | None, list[Remark]]:
    """The candidate, and what there is to say of it that is not to be said of ``live``, too. Raises ``GuardError``."""
    as_live = candidate_config(config)
    if as_live is None:
        return None, []
    candidate = build_candidate(config)
    remarks = check_fit(bundle_of(as_live), setting_of(as_live, detectors))
    known = [] if live is None else check_fit(live, setting_of(config, detectors))
    found = [_of_candidate(remark) for remark in remarks if remark not in known]
    return candidate, [*found, *_same(config, candidate, live)]


def _of_candidate(remark: Remark) -> Remark:
    return msgspec.structs.replace(remark, message=f"candidate: {remark.message}")


def _same(config: GuardConfig, candidate: Candidate | None, live: Bundle | None) -> Iterator[Remark]:
    if candidate is None or live is None:
        return
    if (candidate.info.digest, candidate.entrypoint) == (live.digest, config.policy.entrypoint):
        what = "the candidate is what decides already: nothing would change"
        yield Remark("info", CODE, what, _WHERE, "remove [policy.candidate], or change what it names")
