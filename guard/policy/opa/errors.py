"""What goes wrong between the guard and OPA, as our own errors.

===================================================  ========================  ======================
what came back                                       error                     counts for the breaker
===================================================  ========================  ======================
no connection, a broken one, a refused certificate   ``EngineUnavailable``     yes
nothing in time                                      ``PolicyTimeout``         yes
401, 403, 429, 502, 503, 504, a redirect             ``EngineUnavailable``     yes
bytes that are no JSON object                        ``Garbled``               yes
5xx without OPA's error object                       ``Garbled``               yes
OPA's error object (a rule or a built-in failed)     ``PolicyEvaluationError`` no
more bytes than ``max_answer_bytes``                 ``PolicyEvaluationError`` no
===================================================  ========================  ======================

What does not count was answered by an OPA that works: an input that makes a rule fail must not stop the decisions on
all others.
"""

from __future__ import annotations

from typing import Any, Final

from guard.errors import EngineUnavailable, GuardError, PolicyEvaluationError, PolicyTimeout

_UNAVAILABLE: Final = frozenset({429, 502, 503, 504})
_NAMED: Final = 3


class Garbled(PolicyEvaluationError):
    """Whatever answers at the address, it does not speak OPA's REST API."""


class Refused(Exception):
    """An answer with a status of 300 and above. ``body`` is its JSON object, ``{}`` where it has none."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status = status
        self.body = body
        super().__init__(status)

    @property
    def of_opa(self) -> bool:
        """Whether OPA itself wrote it, and not something in front of it (REST API, "Errors")."""
        return isinstance(self.body.get("code"), str)

    def places(self) -> str:
        """``code at file:row`` of what failed; never OPA's message, which may quote a value."""
        errors = self.body.get("errors")
        found = [_place(error) for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
        named = [place for place in found if place] or [_word(self.body.get("code"))]
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        return ", ".join(named[:_NAMED]) + more

    def messages(self) -> str:
        """What OPA says of each error, for the author who pushes policies: there, no request is quoted."""
        errors = self.body.get("errors")
        told = [
            f"{_place(error)}: {str(error.get('message', ''))[:300]}"
            for error in (errors if isinstance(errors, list) else [])
            if isinstance(error, dict)
        ]
        return "; ".join(told[:_NAMED]) or str(self.body.get("message", f"status {self.status}"))[:300]


def is_outage(error: GuardError) -> bool:
    """Whether it counts for the breaker, as the table above says."""
    return isinstance(error, EngineUnavailable | PolicyTimeout | Garbled)


def mapped(error: Exception, where: str) -> GuardError:
    """One of ours for whatever the client library let through. ``where`` is the server's address."""
    import aiohttp

    if isinstance(error, GuardError):
        return error
    if isinstance(error, Refused):
        return _refused(error, where)
    if isinstance(error, aiohttp.ClientSSLError):
        mend = "give policy.opa.ca_file, and client_cert_file if the server asks for one"
        return EngineUnavailable(f"The TLS connection to OPA failed: {_cause(error)}.", where=where, mend=mend)
    if isinstance(error, TimeoutError):
        return PolicyTimeout("OPA did not answer within the deadline.", where=where)
    if isinstance(error, aiohttp.ClientConnectorError):
        return EngineUnavailable("OPA cannot be reached.", where=where, mend="start it, or correct policy.opa.url")
    if isinstance(error, aiohttp.ClientResponseError):
        return Garbled("What OPA's address answers is no HTTP.", where=where, mend="correct policy.opa.url")
    if isinstance(error, aiohttp.ClientError):
        return EngineUnavailable("The connection to OPA broke off.", where=where)
    if isinstance(error, OSError):
        return EngineUnavailable("The connection to OPA failed.", where=where)
    return Garbled(f"OPA's answer cannot be read ({type(error).__name__}).", where=where)


def _refused(error: Refused, where: str) -> GuardError:
    status = error.status
    if status < 400:
        what = f"OPA's address answers with a redirect (status {status}), which is not followed."
        return EngineUnavailable(what, where=where, mend="name the server itself in policy.opa.url")
    if status in {401, 403}:
        mend = "give policy.opa.token_file, or let OPA's own policy allow the path"
        return EngineUnavailable(f"OPA refused the guard with status {status}.", where=where, mend=mend)
    if status in _UNAVAILABLE:
        return EngineUnavailable(f"OPA answered with status {status}.", where=where)
    if not error.of_opa:
        kind = Garbled if status >= 500 else PolicyEvaluationError
        return kind(f"OPA's address answered with status {status}.", where=where, mend="correct policy.opa.url")
    what = f"OPA answered with status {status}: {error.places()}."
    return PolicyEvaluationError(what, where=where, mend="its own log has the whole message")


def _place(error: dict[str, Any]) -> str:
    location = error.get("location")
    if not isinstance(location, dict) or not location.get("file"):
        return _word(error.get("code"))
    return f"{_word(error.get('code'))} at {str(location['file'])[:100]}:{_word(location.get('row'))}"


def _word(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 and text.replace("_", "").isalnum() else "error"


def _cause(error: BaseException) -> str:
    """The verdict of OpenSSL in its own few words, which name no secret."""
    cause = getattr(error, "certificate_error", None) or error.__cause__ or error
    return str(getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or type(cause).__name__)[:100]
