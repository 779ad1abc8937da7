"""``guard log export``: copies of the signed log for others' tools. ``docs/exports.md`` describes each of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from guard.cli import log_conditions as on
from guard.cli.log_copies import Chosen, export_decisions, export_proof, export_signatures, export_tiles, say
from guard.cli.log_options import directory_of
from guard.record.export.ocsf import VERSIONS, OcsfVersion

_Directory = Annotated[
    Path | None,
    typer.Argument(metavar="DIR", help="The log, one origin of it, or its state directory; else configured."),
]
_Ocsf = Annotated[bool, typer.Option("--ocsf", help="OCSF events (API Activity, 6003), a line a decision.")]
_Table = Annotated[bool, typer.Option("--csv", help="A table, a row a decision.")]
_Tiles = Annotated[
    Path | None, typer.Option(metavar="OUT", help="A tlog-tiles tree of each origin, in the new directory OUT.")
]
_Proof = Annotated[
    str | None, typer.Option(metavar="ID", help="A tlog-proof of one record: its id, ORIGIN:SEQ, or: last")
]
_Sshsig = Annotated[
    Path | None, typer.Option(metavar="OUT", help="The newest checkpoints, signed for ssh-keygen, in OUT.")
]
_Output = Annotated[Path | None, typer.Option("-o", metavar="FILE", help="A new file instead of stdout.")]
_OcsfVersion = Annotated[str, typer.Option(metavar="VERSION", help=f"Of the OCSF schema: {' or '.join(VERSIONS)}.")]
_WithoutRecord = Annotated[
    bool, typer.Option("--without-record", help="A proof that does not carry the record itself.")
]
_SigningKey = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The log's key for --sshsig; else the one beside the log.")
]
_Json = Annotated[bool, typer.Option("--json", help="With --tiles, --sshsig: say what was made as JSON.")]


def export(
    *,
    directory: _Directory = None,
    ocsf: _Ocsf = False,
    table: _Table = False,
    tiles: _Tiles = None,
    proof: _Proof = None,
    sshsig: _Sshsig = None,
    output: _Output = None,
    since: on.Since = "",
    until: on.Until = "",
    effect: on.Effect = None,
    rule: on.Rule = None,
    code: on.Code = None,
    subject: on.Subject = None,
    tenant: on.Tenant = None,
    route: on.Route = None,
    model: on.Model = None,
    provider: on.Provider = None,
    finding: on.Finding = None,
    key: on.KeyFile = None,
    ocsf_version: _OcsfVersion = VERSIONS[0],
    without_record: _WithoutRecord = False,
    signing_key: _SigningKey = None,
    as_json: _Json = False,
) -> None:
    """Copy the log for others' tools: --ocsf, --csv, --tiles, --proof or --sshsig.

    Nothing is overwritten. What is exported is not verified first: guard log verify does that. The conditions from
    --since to --finding choose decisions for --ocsf and --csv, as those of guard log query do.
    """
    if ocsf + table + (tiles is not None) + (proof is not None) + (sshsig is not None) != 1:
        raise typer.BadParameter("name exactly one of --ocsf, --csv, --tiles OUT, --proof ID and --sshsig OUT")
    conditions = on.Conditions(
        since=since, until=until, effect=effect, rule=rule, code=code, subject=subject, tenant=tenant, route=route,
        model=model, provider=provider, finding=finding,
    )  # fmt: skip
    choosing = conditions != on.Conditions() or key is not None
    _fitting(
        {
            "-o": (output, ocsf or table or proof is not None),
            "a condition": (choosing, ocsf or table),
            "--ocsf-version": (ocsf_version != VERSIONS[0], ocsf),
            "--without-record": (without_record, proof is not None),
            "--signing-key": (signing_key, sshsig is not None),
            "--json": (as_json, tiles is not None or sshsig is not None),
        }
    )
    place = directory_of(directory)
    if tiles is not None:
        say(export_tiles(place, tiles), as_json=as_json)
    elif sshsig is not None:
        say(export_signatures(place, sshsig, signing_key), as_json=as_json)
    elif proof is not None:
        export_proof(place, proof, output, with_record=not without_record)
    else:
        chosen = Chosen.of(conditions, on.Look(place, key))
        export_decisions(place, chosen, _ocsf_version(ocsf_version) if ocsf else None, output)


def _fitting(given: Mapping[str, tuple[object, bool]]) -> None:
    """Refuse an option that would be ignored."""
    for name, (value, fits) in given.items():
        if value and not fits:
            raise typer.BadParameter(f"{name} does not go with this form of export")


def _ocsf_version(text: str) -> OcsfVersion:
    found = next((known for known in VERSIONS if known == text), None)
    if found is None:
        raise typer.BadParameter(f"--ocsf-version is {' or '.join(VERSIONS)}")
    return found
