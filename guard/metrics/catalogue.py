"""Every metric that there is: its kind, labels and meaning. ``docs/metrics.md`` names the same; a test holds them so.

Names follow the conventions of Prometheus (base units, ``_total``, ``_info``). Every sample has the label ``origin``,
the name of the log that this process writes, so that the workers of one machine are told apart.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

PREFIX: Final = "policy_guard"
ORIGIN: Final = "origin"

Kind = Literal["counter", "gauge", "histogram", "info"]


class Family(NamedTuple):
    """One metric. ``name`` is without prefix and suffix."""

    kind: Kind
    name: str
    help: str
    labels: tuple[str, ...] = ()

    @property
    def whole(self) -> str:
        """The name under which its samples stand: with ``_total`` for a counter, ``_info`` for an info."""
        suffix = {"counter": "_total", "info": "_info"}.get(self.kind, "")
        return f"{PREFIX}_{self.name}{suffix}"


_STAGE: Final = ("stage",)
_WHY: Final = ("stage", "reason")
_MODEL: Final = ("detector", "version")

FAMILIES: Final = (
    # the guard as a whole
    Family("info", "build", "The running software.", ("version",)),
    Family("gauge", "ready", "1 while requests can be decided and recorded."),
    Family("gauge", "degraded", "1 while requests are decided and recorded, and somebody should look."),
    Family("gauge", "start_error", "1 for the code that keeps the guard from being started.", ("code",)),
    Family("info", "config", "The configuration that decides: the beginning of its SHA-256.", ("digest",)),
    # what was decided
    Family("counter", "decisions", "Verdicts, as they were recorded.", ("stage", "verdict")),
    Family("counter", "denials", "Verdicts other than allow, by each reason that they had.", _WHY),
    Family("counter", "shadow_denials", "What rules in shadow mode would have denied, by reason.", _WHY),
    Family("counter", "findings", "Findings of detectors, by type.", ("stage", "type")),
    Family("counter", "redactions", "Values that were rewritten, by type.", ("stage", "type")),
    Family("histogram", "decision_duration_seconds", "From the whole body to the durable decision of a request."),
    Family("histogram", "policy_duration_seconds", "Of one evaluation of the policies.", _STAGE),
    Family("histogram", "detector_duration_seconds", "Of one run of a detector or model.", ("detector",)),
    Family("counter", "detector_incomplete", "Runs of detectors that did not finish.", ("detector", "reason")),
    # what did not go as it should
    Family("counter", "fail_open", "Uses of unsafe_fail_open: passed although the guard failed."),
    Family("counter", "unrecorded", "Records that such an exchange went on without."),
    Family("counter", "unwritten", "Records that the log did not take; without fail-open the request was refused."),
    Family("counter", "overloaded", "Requests that were refused because too much was under way."),
    Family("counter", "excluded_requests", "Requests on routes that are not inspected."),
    Family("counter", "health_requests", "Requests for health and metrics on the app's port."),
    # load
    Family("gauge", "exchanges", "Exchanges that are being inspected."),
    Family("gauge", "exchanges_limit", "limits.max_exchanges."),
    Family("gauge", "buffered_bytes", "Bytes of bodies and answers that are held."),
    Family("gauge", "buffered_bytes_limit", "limits.max_buffered_bytes."),
    # the policy engine
    Family("info", "engine", "The policy engine, and the revision that decides.", ("name", "version", "revision")),
    Family("gauge", "engine_healthy", "1 while the policy engine answers."),
    Family("counter", "reloads", "Reloads that were taken over."),
    Family("counter", "reload_failures", "Reloads that were refused; the last good configuration decides."),
    Family("gauge", "reload_watching", "1 while files are watched."),
    Family("gauge", "reload_refused", "1 while the files as they stand are refused.", ("code",)),
    Family("gauge", "bundle_failures", "Polls that failed since the bundle's server last answered.", ("bundle",)),
    Family("gauge", "bundle_answer_age_seconds", "Since its server last answered.", ("bundle",)),
    Family("gauge", "bundle_last_good", "1 while the bundle in use is the one read from disk at start.", ("bundle",)),
    Family("info", "candidate", "The policies in shadow.", ("revision",)),
    Family("counter", "candidate_evaluations", "Evaluations of the policies in shadow."),
    Family("counter", "candidate_failures", "Those of them without a verdict."),
    Family("counter", "candidate_changes", "Verdicts that the policies in shadow would have changed."),
    Family("gauge", "candidate_paused", "1 while the policies in shadow are paused: they kept running into bounds."),
    # the log
    Family("gauge", "log_writable", "1 while records can be written."),
    Family("gauge", "log_queued_records", "Records that wait to be written."),
    Family("gauge", "log_size_records", "Records under the last checkpoint."),
    Family("gauge", "log_checkpoint_age_seconds", "Since the last checkpoint: at most a heartbeat while all is well."),
    Family("gauge", "anchor_size_records", "The size of the checkpoint that last arrived there.", ("anchor",)),
    Family("gauge", "anchor_failures", "Deliveries that failed since one arrived.", ("anchor",)),
    # what replicas learn from each other
    Family("gauge", "sharing_failures", "Attempts that failed since the server last did what was asked."),
    Family("gauge", "sharing_queued_lessons", "Lessons that wait to be sent."),
    Family("counter", "sharing_attempts_failed", "Attempts that failed."),
    Family("counter", "sharing_lessons_sent", "Lessons that others were sent."),
    Family("counter", "sharing_lessons_received", "Lessons of others that were learned."),
    Family("counter", "sharing_lessons_dropped", "Lessons that were not sent: the server was away for too long."),
    Family("counter", "sharing_lessons_missed", "Lessons of others that never came."),
    Family("counter", "sharing_lessons_ahead", "Lessons of others whose time was cut: it lay in the future."),
    Family("counter", "sharing_messages_refused", "Messages that did not open."),
    Family("counter", "sharing_snapshots", "Snapshots that this process left for others."),
    # models
    Family("info", "detector", "A detector or model that runs.", _MODEL),
    Family("histogram", "model_score", "Scores that a model gave, 0 to 1.", _MODEL),
    Family("gauge", "model_psi", "Population stability index against the reference.", (*_MODEL, "feature")),
    Family("counter", "model_judged", "What a model judged.", _MODEL),
    Family("counter", "model_mean_moves", "How often the mean of the scores moved (ADWIN).", _MODEL),
    Family("gauge", "model_window_scores", "Scores since the mean last moved.", _MODEL),
    Family("gauge", "model_flagged_ratio", "Share of the scores from the threshold on.", _MODEL),
    Family("gauge", "model_shadow_disagreement_ratio", "Share in which the candidate model differs.", _MODEL),
    Family("gauge", "model_principals", "Principals that a behaviour model remembers.", _MODEL),
    Family("gauge", "model_measure", "What else a detector of your own measures.", (*_MODEL, "measure")),
)

BY_NAME: Final = {family.name: family for family in FAMILIES}
