"""``guard policy check``: does it compile, is it annotated, and does it fit the guard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from guard.cli.checking.policies import plain_setting, setting_of
from guard.cli.complaints import STRICT, remarks_of, tell
from guard.cli.complaints import as_json as remark_as_json
from guard.cli.policy.comparing import differences
from guard.cli.policy.given import AsJson, Config, Directories, NoShipped, load
from guard.cli.policy.real_opa import RealOpa
from guard.config import load_config
from guard.errors import PolicyInvalid
from guard.policy.bundle import Bundle
from guard.policy.embedded import compile_bundle
from guard.policy.fit import Setting, check_fit
from guard.policy.metadata import CODE
from guard.policy.remarks import Remark


def check(
    directories: Directories,
    *,
    config: Config = None,
    no_shipped: NoShipped = False,
    as_json: AsJson = False,
    strict: Annotated[bool, typer.Option("--strict", help=STRICT)] = False,
    with_opa: Annotated[
        bool, typer.Option("--with-opa", help="Compare with opa check --strict --schema; differences are warnings.")
    ] = False,
) -> None:
    """Compile policies and tests, and check annotations, fields and obligations.

    Compiles modules and tests together with the shipped policies, holds every rule against its METADATA, and every
    reference to input against the schema of the policy document. Exit codes: 0 no errors, 1 errors (with --strict,
    warnings too), 3 wrong usage.
    """
    opa = RealOpa() if with_opa else None
    remarks: list[Remark] = []
    bundle = None
    try:
        bundle = load(directories, config, no_shipped=no_shipped)
        compile_bundle({**bundle.modules, **bundle.tests}, bundle.data, strict=strict)
        remarks += check_fit(bundle, plain_setting() if config is None else _setting(config))
        if not bundle.own & bundle.modules.keys():
            what = "no file NAME.rego was found, only the shipped policies were checked"
            remarks.append(Remark("warning", CODE, what, ", ".join(map(str, directories)), "name another directory"))
    except PolicyInvalid as error:
        remarks += remarks_of(error)
    if opa is not None and bundle is not None:
        remarks += [*differences(opa, bundle, remarks)]
    elif opa is not None:
        what = "nothing was compared with opa: the policies could not be read"
        remarks.append(Remark("warning", CODE, what, "--with-opa", "mend the errors first"))
    errors = [remark for remark in remarks if remark.level == "error"]
    milder = [remark for remark in remarks if remark.level != "error"]
    failed = bool(errors or (strict and any(remark.level == "warning" for remark in milder)))
    if as_json:
        told: dict[str, Any] = {"ok": not failed, "errors": [*map(remark_as_json, errors)]}
        for level, name in (("warning", "warnings"), ("info", "notes")):
            told[name] = [remark_as_json(remark) for remark in milder if remark.level == level]
        if bundle is not None:
            rules = {identifier: rule.mode for identifier, rule in sorted(bundle.rules.items())}
            told |= {"digest": bundle.digest, "rules": rules}
        typer.echo(json.dumps(told))
    else:
        if bundle is not None and not errors:
            _tell_bundle(bundle)
        tell(milder)
        tell(errors, codes=True)
    if failed:
        raise typer.Exit(1)


def _setting(config: Path) -> Setting:
    from guard.cli.checking.detectors import each_detector

    loaded = load_config(config)
    found = [detector for _, detector in each_detector(loaded)]
    detectors = [detector for detector in found if not isinstance(detector, Exception)]
    return setting_of(loaded, detectors if len(detectors) == len(found) else None)


def _tell_bundle(bundle: Bundle) -> None:
    shadow = sum(rule.mode == "shadow" for rule in bundle.rules.values())
    typer.echo(
        f"ok: {len(bundle.modules)} modules, {len(bundle.rules)} rules ({shadow} in shadow mode), "
        f"revision {bundle.revision}"
    )
    for identifier, rule in sorted(bundle.rules.items()):
        if rule.location.file in bundle.own:
            typer.echo(f"  {identifier:<10} {rule.mode:<8} {rule.title}  ({rule.location})")
