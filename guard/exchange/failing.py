"""What becomes of an exchange when the guard itself cannot do its work.

Closed, as everywhere: it is refused with 503. On a route with ``unsafe_fail_open`` it goes on instead, and every use is
counted, logged and, where there is a log, recorded. That covers an outage (engine, log, a bug of ours, too much at
once), a policy without an answer or with an obligation that nobody knows, and detectors that did not finish. It never
covers a denial, a refused body or credential, nor a redaction that this body or answer makes impossible: who wrote the
body must not choose how it is treated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from guard.errors import GuardError, LogUnavailable, ObligationFailed, Overloaded, WorkTimeout, place_of
from guard.exchange.meter import Meter
from guard.record.ids import new_id
from guard.telemetry import get_logger
from guard.types import ANONYMOUS, Anomaly, Decision, GuardContext, Reason, Stage

UNDEFINED: Final = "policy_undefined"
INCOMPLETE: Final = "detection_incomplete"
BUG: Final = "guard_error"
FAIL_OPEN: Final = "fail_open"
"""The reason in the coverage of what passed uninspected because its route fails open."""
_TITLE: Final = "The guard is unavailable"
_LOG_EVERY_SECONDS: Final = 1.0

_log = get_logger("guard.exchange.failing")


class Tally:
    """Failures of this process, for the heartbeats of its log: what could not be recorded one by one stands there.
    ``meter`` counts what was decided, for metrics."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.fail_open = 0
        self.unrecorded = 0
        self.overloaded = 0
        self.candidate_failed = 0
        self.meter = Meter()
        self._clock = clock
        self._said_at = -_LOG_EVERY_SECONDS
        self._unsaid = 0

    def opened(self, route: str, code: str, stage: Stage) -> None:
        """Something passed because its route fails open."""
        self.fail_open += 1
        _log.warning("failed open: passed although the guard failed", route=route, code=code, stage=stage)

    def shed(self, error: GuardError) -> None:
        """An exchange was refused because too much is under way. Said once a second: a flood must not fill a log."""
        self.overloaded += 1
        self._unsaid += 1
        now = self._clock()
        if now - self._said_at >= _LOG_EVERY_SECONDS:
            _log.warning("overloaded: requests are refused", count=self._unsaid, error=error.what)
            self._said_at, self._unsaid = now, 0

    def counters(self) -> dict[str, int]:
        """Those that are not zero."""
        counts = {
            "fail_open": self.fail_open,
            "unrecorded": self.unrecorded,
            "overloaded": self.overloaded,
            "candidate_failed": self.candidate_failed,
        }
        return {name: count for name, count in counts.items() if count}


def outage(stage: Stage, code: str, what: str, mend: str = "") -> Decision:
    """The decision when the guard itself cannot do its work: fail closed, answered 503."""
    reason = Reason(code=code, title=_TITLE, message=what, severity="critical", remediation=mend)
    return Decision(stage=stage, effect="deny", reasons=(reason,), outage=True)


def broken(stage: Stage, error: Exception) -> Decision:
    """The outage that an exception of the guard's own is.

    The client is told of bounds and deadlines in words; of anything else only the code. The operator is told more, but
    of a foreign exception class and place alone: its message may quote the request.
    """
    if isinstance(error, Overloaded | WorkTimeout):
        if isinstance(error, WorkTimeout):  # the other is told by ``Tally``, once a second
            _log.error("a body was not read in time", error=error.what)
        return outage(stage, error.code, f"{error.what[:1].upper()}{error.what[1:]}.", error.mend)
    if isinstance(error, GuardError):
        _log.error("the guard cannot do its work", code=error.code, error=error.what)
        told = "be recorded" if isinstance(error, LogUnavailable) else "be taken"
        return outage(stage, error.code, f"The decision could not {told}.")
    _log.error("the guard failed", exception=type(error).__name__, where=place_of(error))
    return outage(stage, BUG, f"The guard failed at the {stage} stage.")


def let_through(decision: Decision, code: str) -> Decision:
    """The decision of a route that fails open: it passes, nothing is done to it, and the reasons stay."""
    return msgspec.structs.replace(decision, effect="allow", obligations=(), fail_open=code)


def undecided(error: GuardError) -> GuardContext:
    """``scope["guard"]`` of a request that passes while there is no guard."""
    return GuardContext(
        decision_id=new_id(),
        effect="allow",
        reasons=outage("request", error.code, f"{error.what[:1].upper()}{error.what[1:]}.", error.mend).reasons,
        obligations=(),
        findings=(),
        anomaly=Anomaly(0.0),
        route=None,
        principal=ANONYMOUS,
    )


def failure_in(decision: Decision, *, before: Decision) -> str:
    """The code of the failure of the guard or its policy that made this a denial; ``""`` for one that was decided.

    ``before`` is the engine's decision, of which ``decision`` was made by validating its obligations.
    """
    if decision.outage or decision.reasons[0].code == UNDEFINED:
        return decision.reasons[0].code
    return ObligationFailed.code if before.effect == "allow" else ""


def as_if_complete(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document that would have been, had every detector finished and seen nothing else.

    What was left out for want of room stays missing: how much there is to say is the client's choice.
    """
    left_out = [entry for entry in document["coverage"]["incomplete"] if entry["reason"] == "limit"]
    return {**document, "coverage": {**document["coverage"], "incomplete": left_out}}
