"""Budgets that a policy sets: so many requests or tokens in a moving window, for each value of a key.

``{"id": "BUD-001", "type": "limit", "key": ["tenant", "model"], "budget": {"requests": 100}, "window": "1m"}``

``docs/limits.md`` says what is counted and when. Here the obligations are validated and made into draws.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

import msgspec

from guard.errors import ObligationFailed
from guard.keyed import KeyedHash
from guard.obligations.counters import NEVER, Draw, Shortage
from guard.types import Obligation, Reason, RuleInfo

Unit = Literal["requests", "tokens"]
UNITS: Final = get_args(Unit)
KEYS: Final[Mapping[str, tuple[str, str]]] = {
    "subject": ("subject", "id"),
    "tenant": ("subject", "tenant"),
    "client": ("context", "client"),
    "model": ("resource", "model"),
    "provider": ("resource", "provider"),
    "route": ("resource", "route"),
}
"""The words of a key, and where in the policy document each has its value."""
MEMBERS: Final = frozenset({"key", "budget", "window"})
EXCEEDED: Final = "limit_exceeded"
UNREACHABLE: Final = "limit_unreachable"
FULL: Final = "limit_keys_exhausted"

_LITERAL: Final = re.compile(r"[a-z][a-z0-9_]{0,31}:\S{1,256}")
_WINDOW: Final = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_SECONDS: Final = 31 * 86_400
_LARGEST: Final = 10**15
_MOST_LIMITS: Final = 16
_MOST_PARTS: Final = 4
_NS: Final = 1_000_000_000


class Limit(msgspec.Struct, frozen=True):
    """One budget. ``window`` is as the policy wrote it; ``key`` are words of ``KEYS`` and literals of the rule."""

    rule: str
    key: tuple[str, ...]
    unit: Unit
    budget: int
    window: str
    window_seconds: int

    def __str__(self) -> str:
        unit = self.unit if self.budget > 1 else self.unit[:-1]
        return f"{self.budget} {unit} in {self.window} by {' and '.join(self.key)}"


def limits(obligations: Sequence[Obligation]) -> tuple[Limit, ...]:
    """The budgets of the ``limit`` obligations. Raises ``ObligationFailed`` on one that cannot be kept."""
    found: list[Limit] = []
    for obligation in obligations:
        if obligation.type == "limit":
            found += _limits(obligation)
    if len(found) > _MOST_LIMITS:
        mend = f"let at most {_MOST_LIMITS} budgets apply to one request"
        raise ObligationFailed(f"{len(found)} budgets apply to one request", mend=mend)
    return tuple(found)


def _limits(obligation: Obligation) -> list[Limit]:
    params, where = obligation.params, f"rule {obligation.rule}"
    for complaint in complaints(params):
        raise ObligationFailed(complaint[1], where=where, mend=complaint[2])
    key, budget, window = params["key"], params["budget"], params["window"]
    parts = (key,) if isinstance(key, str) else tuple(key)
    return [
        Limit(obligation.rule, parts, unit, int(budget[unit]), window, _seconds(window))
        for unit in UNITS
        if unit in budget
    ]


def complaints(params: Mapping[str, Any], partial: bool = False) -> list[tuple[str, str, str]]:
    """What is wrong with a limit: ``(member, what, mend)`` of each. ``partial``: members may be missing."""
    found = [
        (name, f"limit knows no member {name!r}", f"it has {', '.join(sorted(MEMBERS))}")
        for name in sorted(params.keys() - MEMBERS)
    ]
    for name, check in (("key", _key), ("budget", _budget), ("window", _window)):
        if name in params:
            if complaint := check(params[name]):
                found.append((name, *complaint))
        elif not partial:
            found.append((name, f"limit has no {name}", f'add "{name}"'))
    return found


def _key(value: Any) -> tuple[str, str] | None:
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not 1 <= len(parts) <= _MOST_PARTS:
        return "limit needs a key", f'use a word or a list of up to {_MOST_PARTS}, like ["tenant", "model"]'
    for part in parts:
        if not isinstance(part, str) or (part not in KEYS and not _LITERAL.fullmatch(part)):
            mend = f'it is one of {", ".join(sorted(KEYS))}, or a name of your own with a colon, like "team:blue"'
            said = repr(part[:64]) if isinstance(part, str) and part.isascii() else "a part that is no word"
            return f"limit knows no key {said}", mend
    return None if len(set(parts)) == len(parts) else ("limit names a part of its key twice", "name it once")


def _budget(value: Any) -> tuple[str, str] | None:
    mend = 'use {"requests": 100} or {"tokens": 200000}'
    if not isinstance(value, Mapping) or not value or not value.keys() <= set(UNITS):
        return "limit has no budget of requests or tokens", mend
    for unit, amount in value.items():
        whole = isinstance(amount, int | float) and not isinstance(amount, bool) and amount == amount // 1
        if not whole or not 1 <= amount <= _LARGEST:
            return f"limit has a budget of {unit} that is no positive whole number", mend
    return None


def _window(value: Any) -> tuple[str, str] | None:
    if not isinstance(value, str) or not 0 < _seconds(value) <= _LONGEST_SECONDS:
        return "limit has no window that it can keep", 'use "30s", "1m", "1h" or "1d"; the longest is "31d"'
    return None


def _seconds(window: str) -> int:
    match = _WINDOW.fullmatch(window)
    return int(match[1]) * _SECONDS[match[2]] if match else 0


# --- what an exchange takes -----------------------------------------------------------------------------------------


def draws(found: Sequence[Limit], document: Mapping[str, Any], keyed: KeyedHash, tokens: int) -> dict[Draw, Limit]:
    """What the request of this document would take from each counter. ``tokens`` is what is reserved for it.

    A counter belongs to a rule, a unit, a window and the values of the key. A value that the request does not have
    (no tenant) is a value as well: all that lack it share one counter. Of two budgets for one counter the smaller
    holds.
    """
    wanted: dict[bytes, tuple[Draw, Limit]] = {}
    for limit in found:
        named = [limit.rule, limit.unit, limit.window_seconds, *[_value(part, document) for part in limit.key]]
        key = keyed.digest("limit", msgspec.json.encode(named))[:16]
        known = wanted.get(key)
        if known is None or limit.budget < known[0].budget:
            amount = 1 if limit.unit == "requests" else tokens
            wanted[key] = Draw(key, amount, limit.budget, limit.window_seconds * _NS), limit
    return dict(wanted.values())


def _value(part: str, document: Mapping[str, Any]) -> list[Any]:
    place = KEYS.get(part)
    return [part] if place is None else [part, document[place[0]][place[1]]]


def retry_after(short: Sequence[Shortage]) -> int | None:
    """The seconds, 1 or more, after which all of it fits, if nobody else takes from it; ``None`` if it never does."""
    if any(one.wait_ns == NEVER for one in short):
        return None
    return max(1, *[-(-one.wait_ns // _NS) for one in short])


def _for(short: Shortage) -> str:
    return f"for {retry_after([short])} s"


def reason(limit: Limit, short: Shortage, rules: Mapping[str, RuleInfo]) -> Reason:
    """Why the request does not pass, in the words of the rule that set the budget."""
    if short.wait_ns == NEVER:
        code, message = UNREACHABLE, f"The request needs {short.draw.amount} {limit.unit}; the limit is {limit}."
    elif short.full:
        code, message = FULL, f"There is no room for another counter of the limit {limit}, {_for(short)}."
    else:
        code, message = EXCEEDED, f"The limit of {limit} is used up, {_for(short)}."
    info = rules.get(limit.rule)
    remedy = "Try again later, or ask the owner of the policy for more." if info is None else info.remediation
    if short.wait_ns == NEVER:
        # What the rule's author says against a budget that is used up would not help here.
        remedy = "Ask for fewer with max_tokens, send less, or ask the owner of the policy for more."
    return Reason(
        code=code,
        title="A limit is used up" if info is None else info.title,
        message=message,
        rule=limit.rule,
        severity="medium" if info is None else info.severity,
        remediation=remedy,
        location=None if info is None else info.location,
    )
