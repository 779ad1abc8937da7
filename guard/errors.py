"""Errors. Each class has a stable ``code``; each message says what happened, where, and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import ClassVar, Final

import msgspec


class GuardError(Exception):
    """Base of all our errors.

    ``code`` is stable and documented in ``docs/errors.md``; ``what``, ``where`` and ``mend`` are sentences for
    people, free of personal data.
    """

    code: ClassVar[str] = "guard_error"

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        self.what = what
        self.where = where
        self.mend = mend
        super().__init__(what, where, mend)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}" + (f" ({self.mend})" if self.mend else "")


def place_of(error: BaseException) -> str:
    """``file.py:line`` where an exception was raised: what may be logged of one whose message may quote a request."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


class ConfigError(GuardError):
    """The configuration is invalid."""

    code = "config_invalid"


class DetectorMissing(ConfigError):
    """The configuration names a detector that is not installed."""

    code = "detector_missing"


class DetectionIncomplete(GuardError):
    """A detector did not finish. ``reason`` is ``deadline``, ``limit`` or ``error``; findings so far are in
    ``findings``, and the policy sees both."""

    code = "detection_incomplete"

    def __init__(self, what: str, *, reason: str, findings: Sequence[object] = ()) -> None:
        super().__init__(what)
        self.reason = reason
        self.findings = tuple(findings)


REFUSALS: Final[dict[str, tuple[int, str]]] = {
    "path_ambiguous": (400, "The path means different routes to different readers."),
    "body_too_large": (413, "The body is larger than the limit."),
    "body_too_slow": (400, "The body did not arrive in time."),
    "client_disconnected": (400, "The client left before its body was whole."),
    "body_length_mismatch": (400, "The body's length differs from Content-Length."),
    "content_length_invalid": (400, "Content-Length is repeated, malformed or contradicted by Transfer-Encoding."),
    "content_type_invalid": (400, "Content-Type is repeated or malformed."),
    "content_encoding_unsupported": (415, "The content encoding is not supported."),
    "content_encoding_invalid": (400, "The body does not decode under its content encoding."),
    "decompression_limit": (413, "The body decompresses past the limit."),
    "charset_unsupported": (415, "The charset is not supported."),
    "media_type_unsupported": (415, "Multipart bodies inside multipart bodies are not read."),
    "text_invalid": (400, "The body is not valid in its charset."),
    "json_invalid": (400, "The body is not valid JSON."),
    "json_duplicate_key": (400, "A JSON object holds a key twice."),
    "json_number_invalid": (400, "A JSON number is outside what every parser reads alike."),
    "json_text_invalid": (400, "A JSON string holds a lone surrogate."),
    "json_too_deep": (400, "The JSON nests deeper than the limit."),
    "json_too_many_values": (413, "The JSON holds more values than the limit."),
    "form_invalid": (400, "The form or query string is malformed."),
    "form_limit": (413, "The form holds more fields, or a larger field, than the limit."),
    "multipart_invalid": (400, "The multipart body is malformed or ambiguous."),
    "part_encoding_unsupported": (415, "A part is encoded for transfer."),
}
"""Code -> (HTTP status, title) of every way in which a request is refused before any policy sees it."""


class ContentRefused(GuardError):
    """A body that different readers would read differently, or that passes a limit: refused, never passed through."""

    code = "content_refused"

    def __init__(self, refusal: str, what: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(what, where=where, mend=mend)
        self.refusal = refusal
        self.status, self.title = REFUSALS[refusal]


class ClientGone(ContentRefused):
    """The client disconnected before its body was whole: recorded as a refusal, and nobody is answered."""

    code = "client_gone"


class CredentialRefused(GuardError):
    """A credential was presented and is not valid. Answered 401; absence of a credential is no error."""

    code = "credential_refused"


class Diagnostic(msgspec.Struct, frozen=True):
    """One error of a policy: OPA's code where it has one, a place (row and column count from 1) and a sentence."""

    code: str
    message: str
    file: str = ""
    row: int = 0
    col: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.row}:{self.col}: " if self.file else ""
        return f"{place}{self.code}: {self.message}"


class PolicyInvalid(GuardError):
    """The policies do not load. ``diagnostics`` has an entry for each error."""

    code = "policy_invalid"

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(map(str, self.diagnostics)))


class BundleRefused(GuardError):
    """A policy bundle was not taken: the policies before it go on deciding."""

    code = "bundle_refused"


class BundleInvalid(BundleRefused):
    """It is no bundle that can be read: damaged, over a limit, of a kind that is not supported, or misdescribed by its
    manifest."""

    code = "bundle_invalid"


class BundleUntrusted(BundleRefused):
    """A key is configured, and the bundle is not signed with it, or its files are not those that were signed."""

    code = "bundle_untrusted"


class BundleOutsideRoots(BundleRefused):
    """A policy or datum of the bundle lies outside of its own roots, or where others' policies and data live."""

    code = "bundle_outside_roots"


class BundleUnavailable(BundleRefused):
    """The bundle could not be read or downloaded."""

    code = "bundle_unavailable"


class PolicyEvaluationError(GuardError):
    """The engine answered with an error or with something that is no decision."""

    code = "policy_error"


class PolicyTimeout(GuardError):
    """The engine did not answer within the deadline."""

    code = "policy_timeout"


class EngineUnavailable(GuardError):
    """The engine could not be reached."""

    code = "engine_unavailable"


class UnexpectedPolicies(GuardError):
    """The engine answered, by policies that the configuration does not accept."""

    code = "policies_unexpected"


class ObligationFailed(GuardError):
    """An obligation is unknown here or could not be performed: the decision becomes a denial."""

    code = "obligation_failed"


class Overloaded(GuardError):
    """Too much is under way at once: a bound of ``[limits]``, or the queue of the worker threads. Try again."""

    code = "overloaded"


class WorkTimeout(GuardError):
    """Reading or writing a body in a worker thread was not done within its deadline."""

    code = "work_timeout"


class GuardStopped(GuardError):
    """The guard was stopped, or could not be started: there is nobody to decide."""

    code = "guard_stopped"


class LogUnavailable(GuardError):
    """A record could not be made durable."""

    code = "log_unavailable"


class LogTampered(GuardError):
    """The log contradicts itself, its signatures or its anchors."""

    code = "log_tampered"


class LogLocked(GuardError):
    """Another process writes this log."""

    code = "log_locked"


class KeyInvalid(GuardError):
    """A key file is missing, unreadable, malformed or open to other users."""

    code = "key_invalid"
