"""What each numbered step of a verification checked, or found: the table that the reader sees."""

from __future__ import annotations

from collections.abc import Sequence

from guard.record.report import STEPS, Notice, OriginReport, Result, Step, StepName


def steps_of(report: OriginReport, notices: Sequence[Notice]) -> list[Step]:
    """The steps of one origin, whose other findings are complete."""
    return [_step(number, name, report, notices) for number, name in enumerate(STEPS[:-1], 1)]


def _step(number: int, name: StepName, report: OriginReport, notices: Sequence[Notice]) -> Step:
    result: Result = "passed"
    said = _checked(name, report)
    damages = [damage.what for damage in report.damages if damage.step == name]
    noted = [notice.said for notice in notices if notice.step == name]
    if name == "pairs" and report.accounts.unanswered_total:
        noted.insert(0, f"{report.accounts.unanswered_total} allowed decisions have no outcome")
    if damages:
        result, said = "failed", "; ".join(damages)
    elif report.key is None:
        result, said = "skipped", "there is no key to verify with"
    elif name == "anchors" and not report.anchors:
        result, said = "skipped", "none was given, and none lies beside the log"
    elif noted:
        result, said = "noted", "; ".join(noted)
    elif report.damages and name not in ("key", "checkpoint"):
        said += ", as far as the log verifies"
    return Step(number, name, result, said)


def _checked(name: StepName, report: OriginReport) -> str:
    accounts, records = report.accounts, report.accounts.records
    several = f", {report.keys} keys one after the other" if report.keys > 1 else ""
    agreeing = sum(one.result == "agrees" for one in report.anchors)
    return {
        "key": ("believed by the trust file" if report.trusted else "named by the log itself") + several,
        "checkpoint": "signed by the key of its size",
        "segments": f"{accounts.segments} without a gap",
        "records": f"{report.size} canonical, in the schema, chained by prev and mono_us",
        "commits": f"{accounts.commits} signatures, sizes and roots",
        "end": "a commit covers every record, and the checkpoint is a state of this log",
        "anchors": f"{agreeing} agree, the largest at {max((one.size for one in report.anchors), default=0)} records",
        "ids": f"{report.size - report.ids_unproven} differ from all others",
        "configurations": "every decision names a configuration and policies that were announced before it",
        "pairs": f"{records.get('decision', 0)} decisions, {records.get('outcome', 0)} outcomes",
        "boots": f"{accounts.boots} opened, all closed",
        "clocks": "no silence longer than three heartbeats, no step back",
    }.get(name, "")
