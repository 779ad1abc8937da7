"""``guard log query``: the records that meet every condition, newest first."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from guard.cli import log_conditions as on
from guard.cli.complaints import warn
from guard.cli.log_lines import print_records, warn_of_unreadable
from guard.cli.log_options import Directory, directory_of
from guard.cli.log_reads import recorded_reading
from guard.cli.terminal import console
from guard.review.query import LogReader


def query(
    *,
    directory: Directory = None,
    since: on.Since = "",
    until: on.Until = "",
    effect: on.Effect = None,
    rule: on.Rule = None,
    code: on.Code = None,
    subject: on.Subject = None,
    ip: on.Ip = None,
    tenant: on.Tenant = None,
    request_id: on.RequestId = None,
    trace_id: on.TraceId = None,
    route: on.Route = None,
    model: on.Model = None,
    provider: on.Provider = None,
    finding: on.Finding = None,
    anomaly: on.Unusual = 0.0,
    kind: on.Kind = None,
    record_id: on.RecordId = "",
    changed: on.Changed = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, metavar="N", help="At most so many; 0 is all.")] = 0,
    oldest_first: Annotated[bool, typer.Option("--oldest-first", help="Else the newest comes first.")] = False,
    key: on.KeyFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, a record on each line.")] = False,
) -> None:
    """Find records: every condition that is given must hold.

    Who, what and what was found stand in decisions, and in outcomes whose answer was judged. Raw values are looked up
    under the pseudonym key; what is recorded of the search is their pseudonyms.
    """
    conditions = on.Conditions(
        since=since, until=until, effect=effect, rule=rule, code=code, subject=subject, ip=ip, tenant=tenant,
        request_id=request_id, trace_id=trace_id, route=route, model=model, provider=provider, finding=finding,
        anomaly=anomaly, kind=kind, record_id=record_id, changed=changed,
    )  # fmt: skip
    log = directory_of(directory)
    reader = LogReader(log)
    wanted = conditions.wanted(on.Look(log, key))
    found = islice(reader.records(wanted, newest_first=not oldest_first), limit or None)
    with recorded_reading(log, "query", **conditions.asked(wanted), limit=limit) as account:
        print_records(console(), account.counted(found), as_json=as_json)
        account.complete = True
    if not account.records:
        warn("no record is such")
    warn_of_unreadable(reader)
