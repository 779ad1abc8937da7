"""Decisions as CSV (RFC 4180), a row each, for a spreadsheet.

Spreadsheets run what looks like a formula. A cell that begins like one gets an apostrophe before it
(https://owasp.org/www-community/attacks/CSV_Injection), control characters are spelled out, and every cell is quoted.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from guard.record.export.exchanges import Exchange
from guard.record.export.story import Story, told

Cell: TypeAlias = str | int | bool | None

_NAMES: Final = """
    time origin seq decision_id connection request_id trace_id
    tenant subject_type subject authenticated roles client
    method route operation model provider
    effect action stage mode severity rules titles would_deny obligations redactions restored failure
    outcome status upstream_status aborted request_bytes response_bytes tokens not_inspected incomplete
    policy_us duration_us
    engine policy_revision policy_digest config_digest truncated
"""
COLUMNS: Final = tuple(_NAMES.split())
"""The columns in order; ``docs/exports.md`` describes each."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# The last four are the full-width forms, which some spreadsheets take for the others.
_FORMULA: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def rows(exchanges: Iterable[Exchange]) -> Iterator[bytes]:
    """The head, then a row for each exchange, as UTF-8 lines that end in CR LF."""
    yield _row(COLUMNS)
    for exchange in exchanges:
        cells = cells_of(exchange)
        yield _row(cells[column] for column in COLUMNS)


def cells_of(exchange: Exchange) -> dict[str, Cell]:
    """The cells of an exchange by column, before anything is neutralised."""
    story = told(exchange)
    return {
        **_decision(exchange.decision),
        **_verdict(story),
        **_outcome(exchange.decision, exchange.outcome or {}),
        "outcome": exchange.ending,
    }


def harmless(text: str) -> str:
    """``text`` as a cell that no spreadsheet takes for a formula, on one line."""
    plain = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return f"'{plain}" if text.lstrip(" \u3000\xa0").startswith(_FORMULA) else plain


def moment(ts_us: int) -> str:
    """Microseconds since the epoch as ISO 8601 in UTC."""
    try:
        return (_EPOCH + timedelta(microseconds=ts_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except OverflowError:
        return str(ts_us)


def _decision(record: dict[str, Any]) -> dict[str, Cell]:
    who, what, policy = record["who"], record["what"], record["policy"] or {}
    return {
        "time": moment(record["ts_us"]),
        "origin": record["origin"],
        "seq": record["seq"],
        "decision_id": record["id"],
        "connection": record.get("connection"),
        "request_id": record["request_id"],
        "trace_id": record["trace_id"],
        "tenant": who["tenant"],
        "subject_type": who["type"],
        "subject": who["id"],
        "authenticated": who["authenticated"],
        "roles": _list(who["roles"]),
        "client": who["ip"],
        "method": what["method"],
        "route": what["route"],
        "operation": what["operation"],
        "model": what["model"],
        "provider": what["provider"],
        "mode": record["decision"]["mode"],
        "request_bytes": record["content"] and record["content"]["bytes"],
        "policy_us": record["duration_us"],
        "engine": policy.get("engine"),
        "policy_revision": policy.get("revision"),
        "policy_digest": policy.get("digest"),
        "config_digest": record["config_digest"],
    }


def _verdict(story: Story) -> dict[str, Cell]:
    fail = story.fail
    return {
        "effect": "deny" if story.denied else "allow",
        "action": story.action,
        "stage": story.stage,
        "severity": story.severity,
        "rules": _list(_rules(story.why)),
        "titles": _list(reason["title"] for reason in story.why),
        "would_deny": _list(_rules(story.would_deny)),
        "obligations": _list(f"{duty['type']}:{duty['result']}" for duty in story.obligations),
        "redactions": _list(f"{entity}:{count}" for entity, count in story.redactions.items()),
        "failure": None if fail is None else f"{fail['component']}:{fail['kind']}:{fail['policy']}",
    }


def _outcome(decision: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Cell]:
    """What only the outcome tells, and what both add to; empty cells where there is none."""
    coverage = [record["coverage"] for record in (decision, outcome) if record]
    return {
        "restored": outcome.get("restored"),
        "status": outcome["status"] if outcome else decision["decision"]["http_status"],
        "upstream_status": outcome.get("upstream_status"),
        "aborted": outcome.get("aborted"),
        "response_bytes": outcome.get("size_bytes"),
        "tokens": (outcome.get("tokens") or {}).get("used"),
        "not_inspected": sum(len(part["skipped"]) for part in coverage),
        "incomplete": sum(len(part["incomplete"]) for part in coverage),
        "duration_us": outcome.get("duration_us"),
        "truncated": bool(decision.get("truncated") or outcome.get("truncated")),
    }


def _row(cells: Iterable[Cell]) -> bytes:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(map(_cell, cells))
    return line.getvalue().encode()


def _cell(value: Cell) -> str | int:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return harmless(value) if isinstance(value, str) else value


def _list(words: Iterable[str]) -> str:
    return "; ".join(words)


def _rules(reasons: Iterable[dict[str, Any]]) -> Iterator[str]:
    return (reason["rule"] or reason["code"] for reason in reasons)
