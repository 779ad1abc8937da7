"""``guard check``: would it start, and does it do what its owner meant.

Exit codes: 0 it would start, warnings or not; 1 errors, or warnings and unused names of policies under ``--strict``;
3 usage. Nothing is changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from guard.cli.complaints import STRICT, remarks_of, tell
from guard.cli.complaints import as_json as remark_as_json
from guard.cli.terminal import console, hanging
from guard.config import GuardConfig, Route, load_config
from guard.config.load import DEFAULT_FILE, find_config_file
from guard.errors import ConfigError, GuardError
from guard.policy.bundle import Bundle
from guard.policy.candidate import Candidate
from guard.policy.remarks import Level, Remark
from guard.types import BehaviourModel, Detector, IntentModel, PolicyEngine

_LABEL_WIDTH: Final = 11
_NAMES: Final[dict[Level, str]] = {"error": "errors", "warning": "warnings", "info": "notes"}


class Examined:
    """What a configuration and its policies are, as far as they load, and all that there is to say of them."""

    def __init__(self) -> None:
        self.remarks: list[Remark] = []
        self.config: GuardConfig | None = None
        self.engine: PolicyEngine | None = None
        self.candidate: Candidate | None = None
        self.detectors: list[Detector] = []
        self.behaviour: BehaviourModel | None = None
        self.intent: IntentModel | None = None

    def of(self, level: Level) -> list[Remark]:
        """The remarks of one level, each once."""
        return list(dict.fromkeys(remark for remark in self.remarks if remark.level == level))

    def fails(self, *, strict: bool) -> bool:
        """Whether the verdict is no."""
        return bool(self.of("error") or (strict and self.of("warning")))


def check(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="The guard.toml; else as the app finds it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help=STRICT)] = False,
) -> None:
    """Say what would run, and what of it does not fit: configuration, detectors, policies.

    Loads all of them as a start would, and writes nothing.
    """
    examined = examine(config, strict=strict)
    if as_json:
        typer.echo(json.dumps(_report(examined, strict=strict)))
    else:
        if examined.config is not None and not examined.of("error"):
            _tell(examined, config)
        tell([*examined.of("warning"), *examined.of("error")])
        typer.echo(_verdict(examined, strict=strict))
    if examined.fails(strict=strict):
        raise typer.Exit(1)


def examine(path: Path | None = None, *, strict: bool = False) -> Examined:
    """Everything that a start would load, each part by itself, so that one mistake does not hide another; ``strict``
    compiles the policies strictly as well."""
    from guard.cli.checking.configuration import check_configuration, check_keys
    from guard.cli.checking.keys import Keys, check_variables
    from guard.cli.checking.routes import check_routes

    examined = Examined()
    try:
        config = examined.config = load_config(path)
        keys = Keys(find_config_file(path))
    except ConfigError as error:
        examined.remarks += remarks_of(error)
        return examined
    examined.remarks += check_variables(os.environ)
    examined.remarks += check_routes(config, keys)
    examined.remarks += check_configuration(config, keys)
    examined.remarks += check_keys(config)
    examined.remarks += _detectors(examined, config)
    whole = len(examined.detectors) == len(config.detectors.enabled)
    examined.remarks += _policies(examined, config, examined.detectors if whole else None, strict=strict)
    return examined


def _detectors(examined: Examined, config: GuardConfig) -> Iterator[Remark]:
    from guard.cli.checking.detectors import each_detector, unloadable
    from guard.runtime import load_behaviour, load_intent

    for name, loaded in each_detector(config):
        if isinstance(loaded, Exception):
            yield unloadable(name, loaded)
        else:
            examined.detectors.append(loaded)
    try:
        examined.behaviour = load_behaviour(config)
    except Exception as error:  # noqa: BLE001 - what a constructor raises is what is to be told
        yield unloadable(str(config.detectors.behaviour), error)
    try:
        examined.intent = load_intent(config)
    except Exception as error:  # noqa: BLE001 - as above
        yield unloadable(str(config.detectors.intent), error)


def _policies(
    examined: Examined, config: GuardConfig, detectors: Sequence[Detector] | None, *, strict: bool
) -> Iterator[Remark]:
    from guard.cli.checking.candidate import check_candidate
    from guard.cli.checking.keys import CODE
    from guard.runtime import build_engine, bundle_of

    try:
        bundle = bundle_of(config)
        examined.engine = build_engine(config, bundle)
    except GuardError as error:
        yield from remarks_of(error)
        return
    if not bundle.own & bundle.modules.keys():
        what = "no policy of your own: the shipped policies alone decide"
        yield Remark("info", CODE, what, "policy.directories", "guard init writes a first one")
    refused = [*_on_a_server(config, bundle)] if config.policy.engine == "opa" else []
    yield from refused
    if strict and not refused:
        yield from _unused(bundle)
    yield from _fit(config, bundle, detectors)
    try:
        examined.candidate, remarks = check_candidate(config, bundle, detectors)
    except GuardError as error:
        remarks = remarks_of(error)
    yield from remarks


def _on_a_server(config: GuardConfig, bundle: Bundle) -> Iterator[Remark]:
    """A server compiles its own policies; these are what ``guard policy push`` would put there."""
    from guard.policy.embedded import EmbeddedEngine

    try:
        EmbeddedEngine(bundle, config.policy.entrypoint)
    except GuardError as error:
        for remark in remarks_of(error):
            yield Remark("warning", remark.code, remark.message, remark.where, remark.mend)


def _unused(bundle: Bundle) -> Iterator[Remark]:
    """What only a strict compiler refuses, of policies that compile."""
    from guard.policy.embedded import compile_bundle

    try:
        compile_bundle(bundle.modules, bundle.data, strict=True)
    except GuardError as error:
        yield from remarks_of(error)


def _fit(config: GuardConfig, bundle: Bundle, detectors: Sequence[Detector] | None) -> Iterator[Remark]:
    from guard.cli.checking.policies import setting_of
    from guard.policy.fit import check_fit

    try:
        yield from check_fit(bundle, setting_of(config, detectors))
    except GuardError as error:
        yield from remarks_of(error)


# --- telling --------------------------------------------------------------------------------------------------------


def _report(examined: Examined, *, strict: bool) -> dict[str, Any]:
    report: dict[str, Any] = {"ok": not examined.fails(strict=strict)}
    for level, name in _NAMES.items():
        report[name] = [remark_as_json(remark) for remark in examined.of(level)]
    if examined.config is None:
        return report
    report |= {
        "detectors": [detector.info.name for detector in examined.detectors],
        "behaviour": examined.behaviour.info.name if examined.behaviour else None,
        "intent": examined.intent.info.name if examined.intent else None,
        "sharing": sharing.url if (sharing := examined.config.detectors.sharing) else None,
        "routes": [{"path": r.path, "inspect": r.inspect, "provider": r.provider} for r in examined.config.routes],
    }
    if (engine := examined.engine) is not None:
        rules = sorted(engine.rules.values(), key=lambda rule: rule.id)
        report |= {"engine": engine.info.name, "revision": engine.info.revision, "digest": engine.info.digest}
        report["candidate"] = _candidate(examined.candidate)
        report["rules"] = [{"id": r.id, "title": r.title, "mode": r.mode, "location": str(r.location)} for r in rules]
    return report


def _candidate(candidate: Candidate | None) -> dict[str, Any] | None:
    if candidate is None:
        return None
    return {
        "revision": candidate.info.revision,
        "digest": candidate.info.digest,
        "entrypoint": candidate.entrypoint,
        "share_permille": candidate.permille,
    }


def _tell(examined: Examined, path: Path | None) -> None:
    config, engine = examined.config, examined.engine
    assert config is not None  # noqa: S101 - there is no error
    assert engine is not None  # noqa: S101
    out = console()
    names = [detector.info.name for detector in examined.detectors]
    names += [model.info.name for model in (examined.behaviour, examined.intent) if model]
    rows = [("config", _source(path)), ("engine", f"{engine.info.name}, policies {engine.info.revision}")]
    rules = sorted(engine.rules.values(), key=lambda rule: rule.id)
    rows += [("rule", f"{r.id:<10} {r.title}{'  (shadow)' if r.mode == 'shadow' else ''}") for r in rules]
    if (candidate := examined.candidate) is not None:
        share = f"on {candidate.permille / 10:g} % of the exchanges, without effect"
        rows += [("candidate", f"policies {candidate.info.revision}, {candidate.entrypoint}, {share}")]
    rows += [("detectors", ", ".join(names) or "none")]
    if (sharing := config.detectors.sharing) is not None and examined.behaviour is not None:
        rows += [("sharing", f"behaviour, through {sharing.url} under the name {sharing.name}")]
    rows += [("route", _route(route, config)) for route in config.routes]
    rows += [("state", str(config.state_directory))]
    # A route that is not inspected says so in its own row.
    rows += [("note", remark.message) for remark in examined.of("info") if not remark.where.endswith(".inspect")]
    for label, text in rows:
        hanging(out, f"{label:<{_LABEL_WIDTH}}", text, indent=_LABEL_WIDTH)


def _verdict(examined: Examined, *, strict: bool) -> str:
    errors, warnings = len(examined.of("error")), len(examined.of("warning"))
    counts = [
        f"{count} {word}{'' if count == 1 else 's'}" for count, word in ((errors, "error"), (warnings, "warning"))
    ]
    said = ", ".join(text for text, count in zip(counts, (errors, warnings), strict=True) if count)
    if examined.fails(strict=strict):
        return f"not ok: {said}"
    return f"ok, {said}" if said else "ok"


def _source(config: Path | None) -> str:
    named = config or os.environ.get("GUARD_CONFIG")
    if named is None and not Path(DEFAULT_FILE).is_file():
        return f"no {DEFAULT_FILE} here: the defaults (guard init writes one)"
    return str(named or DEFAULT_FILE)


def _route(route: Route, config: GuardConfig) -> str:
    methods = f" ({', '.join(route.methods)})" if route.methods else ""
    if not route.inspect:
        return f"{route.path}{methods}  NOT inspected"
    said = f"{route.path}{methods}  inspected" + (", FAILS OPEN" if route.unsafe_fail_open else "")
    provider = config.providers.get(route.provider or "")
    if provider is None:
        if route.provider is None:
            return f"{said}; no provider: calls of a model are taken for external"
        return f"{said}; provider {route.provider} has no entry, taken for external"
    return f"{said}; provider {route.provider}, {'external' if provider.external else 'not external'}"
