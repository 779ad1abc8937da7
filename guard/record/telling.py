"""The report of a verification for people, line by line. Headlines stand at the margin, what belongs to them below."""

from __future__ import annotations

from typing import Final

from guard.record.report import OriginReport, Report, Result, Status, Step

_HEADLINES: Final[dict[Status, str]] = {"whole": "WHOLE", "torn": "TORN TAIL", "tampered": "TAMPERED"}
_MARKS: Final[dict[Result, str]] = {"passed": "ok", "failed": "FAILED", "noted": "note", "skipped": "-"}
_LISTED: Final = 5


def lines_of(report: Report) -> list[str]:
    """The whole report."""
    said: list[str] = []
    everywhere = _everywhere(report) if len(report.origins) > 1 else frozenset()
    for origin in report.origins:
        said += [line for line in _origin_lines(origin) if line not in everywhere]
    said += [_step_line(step) for step in report.steps]
    if report.damages:
        said.append(f"TAMPERED: {report.directory}")
        said += [f"  {damage}" for damage in report.damages]
    said += [f"  not proven: {sentence}" for sentence in report.not_proven]
    if everywhere:
        said.append("of every origin:")
        said += [line for line in _doubts(report.origins[0]) if line in everywhere]
    if report.unanchored and report.status == "whole":
        names = ", ".join(report.unanchored)
        said.append(f"INCOMPLETE: an anchor is required, and there is none for {names}")
    return said


def _origin_lines(report: OriginReport) -> list[str]:
    accounts = report.accounts
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(accounts.records.items()))
    said = [f"{_HEADLINES[report.status]}: {report.origin}, {report.size} records verified ({counts or 'none'})"]
    said += [f"  {'first bad: ' if number == 0 else ''}{damage}" for number, damage in enumerate(report.damages)]
    said += [_step_line(step) for step in report.steps]
    if accounts.contradictions_total > 1:
        said.append(f"  {accounts.contradictions_total} records contradict those before them in this way")
    if accounts.unanswered_total:
        listed = ", ".join(accounts.unanswered[:_LISTED])
        more = " ..." if accounts.unanswered_total > _LISTED else ""
        said.append(f"  missing outcomes: {accounts.unanswered_total} allowed decisions have none: {listed}{more}")
    said += [f"  note: {notice}" for notice in report.notices]
    for evidence in report.evidence:
        said.append(f"  evidence: {evidence.what}")
        said += [f"    | {line}" for note in evidence.notes for line in note.splitlines()]
    warnings, doubts = _warnings(report), _doubts(report)
    said += warnings
    said += [f"  proven: {sentence}" for sentence in report.proven]
    said += [line for line in doubts if line not in warnings]
    return said


def _warnings(report: OriginReport) -> list[str]:
    return [] if report.anchored else ["  warning: no anchor from outside was held against this log (--anchor FILE)"]


def _doubts(report: OriginReport) -> list[str]:
    return [*_warnings(report), *(f"  not proven: {sentence}" for sentence in report.not_proven)]


def _everywhere(report: Report) -> frozenset[str]:
    """What would be said in the same words of every origin: it is said once."""
    return frozenset.intersection(*(frozenset(_doubts(origin)) for origin in report.origins))


def _step_line(step: Step) -> str:
    return f"  {step.number:>2}. {step.name:<14} {_MARKS[step.result]:<6} {step.said}"
