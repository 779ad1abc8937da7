"""Assertions about answers, about what reached a provider, and about logs. Each says what it saw instead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from guard.errors import GuardError
from guard.record.report import Report
from guard.record.verify import verify
from guard.testing.records import log_directory

DECISION_ID: Final = "x-guard-decision-id"
_DENIED: Final = 403
# Shorter runs of digits (a year, an amount) occur by chance.
_DIGITS: Final = 7
_NUMBER: Final = re.compile(r"\d(?:[^\w\"\\]{0,2}\d)*")


def assert_denied(response: Any, rule: str | None = None, *, status: int = _DENIED) -> list[dict[str, Any]]:
    """The guard denied this request, and ``rule`` was among the reasons. Returns the reasons.

    ``response`` is an httpx answer, or an exception of the OpenAI or Anthropic SDK that carries one. ``status`` is 403
    for a denial, 401 for a credential, 4xx for a body, 503 for an outage.
    """
    answer = getattr(response, "response", response)
    if answer.status_code != status:
        raise AssertionError(f"expected a denial with status {status}, got {answer.status_code}: {answer.text[:500]}")
    if DECISION_ID not in answer.headers:
        raise AssertionError(f"status {status} without {DECISION_ID}: the app answered, not the guard")
    reasons = _reasons(answer.json())
    rules = sorted({str(reason["rule"]) for reason in reasons if reason.get("rule")})
    if rule is not None and rule not in rules:
        raise AssertionError(f"rule {rule} is not among the reasons: {', '.join(rules) or 'no rule spoke'}")
    return reasons


def _reasons(body: Any) -> list[dict[str, Any]]:
    """The reasons of a denial, in problem details or in Anthropic's shape."""
    reasons = None
    if isinstance(body, Mapping):
        reasons = body.get("reasons")
        error = body.get("error")
        if reasons is None and isinstance(error, Mapping) and isinstance(error.get("details"), Mapping):
            reasons = error["details"].get("reasons")
    if not isinstance(reasons, list) or not reasons:
        raise AssertionError(f"the denial gives no reasons: {json.dumps(body)[:500]}")
    return reasons


def assert_redacted(received: Any, raw_value: str) -> None:
    """``raw_value`` did not reach the receiver in this body, however it is spelled.

    ``received`` is a body (bytes, text or parsed JSON) or a ``Received`` of the mock model. Looked for in every string
    and key, in JSON inside strings too, whatever the case; a value with seven digits or more also as its digits alone.
    Raises ``ValueError`` for an empty ``raw_value``.
    """
    if not raw_value:
        raise ValueError("an empty value is in every text")
    texts = list(_texts(getattr(received, "body", received)))
    if not any(texts):
        raise AssertionError("the body is empty: nothing was sent that could have been redacted")
    digits = _digits(raw_value)
    for text in texts:
        if raw_value.casefold() in text.casefold():
            raise AssertionError(f"the value stands in clear: {_around(text, raw_value)}")
        numbers = (_digits(number.group()) for number in _NUMBER.finditer(text))
        if len(digits) >= _DIGITS and any(digits in number for number in numbers):
            raise AssertionError(f"the digits of the value stand in clear in: {text[:200]!r}")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        yield value
        if value.lstrip()[:1] in {"{", "[", '"'}:
            try:
                inner = json.loads(value)
            except (ValueError, RecursionError):
                return
            yield from _texts(inner)
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield from _texts(key)
            yield from _texts(member)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdecimal())


def _around(text: str, value: str) -> str:
    start = text.casefold().find(value.casefold())
    return repr(text[max(0, start - 40) : start + len(value) + 40])


def assert_verified(directory: Path | Any) -> Report:
    """The log of a state directory, a log directory or a ``GuardedApp`` is whole. Returns the report.

    Proves integrity under the log's own key, as ``guard log verify`` without ``--trust``.
    """
    place = log_directory(Path(getattr(directory, "directory", directory)))
    try:
        report = verify(place)
    except GuardError as error:
        raise AssertionError(str(error)) from None
    if report.status != "whole":
        raise AssertionError("\n".join(report.lines()))
    return report
