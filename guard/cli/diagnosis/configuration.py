"""Does the configuration load, do the policies compile and fit it, do the detectors load, and who may write them."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from guard.cli.checking.candidate import check_candidate
from guard.cli.checking.configuration import check_configuration
from guard.cli.checking.detectors import each_detector, unloadable
from guard.cli.checking.keys import Keys, check_variables
from guard.cli.checking.policies import setting_of
from guard.cli.checking.routes import check_routes
from guard.cli.diagnosis.check import Check, of_error, of_remark
from guard.config import GuardConfig, load_config
from guard.config.load import find_config_file
from guard.errors import ConfigError, GuardError
from guard.policy.bundle import Bundle
from guard.policy.embedded import EmbeddedEngine
from guard.policy.fit import check_fit
from guard.policy.remarks import Remark
from guard.runtime import bundle_of, load_behaviour, load_intent

_RE2: Final = "google-re2"
_SECRET_KEY: Final = re.compile(r"(?i)secret|password|passwd|token$|credential|private|(?:^|_)key$")
_CREDENTIALS_IN_URL: Final = re.compile(r"^[a-z][a-z0-9+.-]*://[^/@\s]*:[^/@\s]+@")


def check_file(path: Path | None) -> tuple[GuardConfig | None, list[Check]]:
    """The configuration, if it loads, and what there is to say about its file."""
    name = "configuration"
    try:
        file = find_config_file(path)
        config = load_config(path)
    except ConfigError as error:
        return None, [of_error(name, error)]
    if file is None:
        what = "there is no guard.toml: the shipped policies decide on all routes"
        return config, [Check(name, "ok", what, mend="guard init writes one")]
    return config, [Check(name, "ok", "loads", str(file)), *_writable("configuration file", [file]), *_readable(file)]


def _writable(name: str, paths: list[Path]) -> Iterator[Check]:
    """Whoever may write the configuration or a policy decides what the guard lets pass."""
    for path in paths:
        mode = path.stat().st_mode
        if mode & stat.S_IWOTH:
            what = f"every user may write it (mode {stat.S_IMODE(mode):04o}), and so decide what passes"
            yield Check(name, "problem", what, str(path), f"chmod o-w {path}")
        elif mode & stat.S_IWGRP:
            what = f"its group may write it (mode {stat.S_IMODE(mode):04o}), and so decide what passes"
            yield Check(name, "warning", what, str(path), f"chmod g-w {path}")


def _readable(file: Path) -> Iterator[Check]:
    secrets = sorted(_secrets(tomllib.loads(file.read_text(encoding="utf-8")), ""))
    if not secrets:
        return
    mode = stat.S_IMODE(file.stat().st_mode)
    named = ", ".join(secrets)
    if mode & 0o077:
        yield Check(
            "secrets",
            "problem",
            f"others may read it (mode {mode:04o}), and it seems to hold secrets: {named}",
            str(file),
            f"chmod 600 {file}, replace what was readable, or give it through the environment",
        )
    else:
        yield Check("secrets", "ok", f"it seems to hold secrets ({named}), and its owner alone reads it", str(file))


def _secrets(value: Any, path: str) -> Iterator[str]:
    """The keys under which something that looks like a secret stands; hashes and names of files are none."""
    if isinstance(value, Mapping):
        for key, member in value.items():
            place = f"{path}.{key}".lstrip(".")
            if isinstance(member, str) and member and _SECRET_KEY.search(key):
                yield place
            else:
                yield from _secrets(member, place)
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(item, path)
    elif isinstance(value, str) and _CREDENTIALS_IN_URL.match(value):
        yield path


def check_policies(config: GuardConfig) -> tuple[Bundle | None, list[Check]]:
    """The policies, if they compile, and how they fit the configuration."""
    name = "policies"
    try:
        bundle = bundle_of(config)
        # A server compiles its own; here it is the entrypoint and the rules of the directories that must be sound.
        EmbeddedEngine(bundle, config.policy.entrypoint)
    except GuardError as error:
        return None, [of_error(name, error)]
    shadow = sum(rule.mode == "shadow" for rule in bundle.rules.values())
    what = f"{len(bundle.rules)} rules ({shadow} in shadow mode), revision {bundle.revision}"
    checks = [Check(name, "ok", what, config.policy.entrypoint)]
    if len(bundle.rules) == shadow:
        checks.append(
            Check(name, "warning", "no rule is enforced: nothing is denied by policy", mend="set a rule to enforce")
        )
    own = [path for root in config.policy.directories for path in (root, *sorted(root.rglob("*.rego")))]
    checks += _writable("policy files", own)
    return bundle, [*checks, *_candidate(config, bundle)]


def _candidate(config: GuardConfig, live: Bundle) -> Iterator[Check]:
    """The policies in shadow, if there are any."""
    name = "candidate"
    if config.policy.candidate is None:
        return
    try:
        candidate, remarks = check_candidate(config, live, None)
    except GuardError as error:
        yield of_error(name, error)
        return
    yield from (of_remark(name, remark) for remark in remarks)
    if candidate is not None:
        what = f"revision {candidate.info.revision} is in shadow, on {candidate.permille / 10:g} % of the exchanges"
        yield Check(name, "ok", what, candidate.entrypoint)


def check_fit_of(config: GuardConfig, bundle: Bundle | None, path: Path | None) -> Iterator[Check]:
    """What ``guard check`` remarks: routes, keys that contradict each other, files, policies that cannot take hold."""
    keys = Keys(find_config_file(path))
    excluded = [route.path for route in config.routes if not route.inspect]
    yield Check("routes", "ok", f"not inspected: {', '.join(excluded)}" if excluded else "every route is inspected")
    for name, remarks in (
        ("environment", check_variables(os.environ)),
        ("routes", check_routes(config, keys)),
        ("configuration", check_configuration(config, keys)),
        ("policies", _policies(config, bundle)),
    ):
        yield from (of_remark(name, remark) for remark in remarks if remark.level != "info")


def _policies(config: GuardConfig, bundle: Bundle | None) -> list[Remark]:
    if bundle is None:
        return []
    loaded = [detector for _, detector in each_detector(config)]
    whole = [detector for detector in loaded if not isinstance(detector, Exception)]
    return check_fit(bundle, setting_of(config, whole if len(whole) == len(loaded) else None))


def check_detectors(config: GuardConfig) -> Iterator[Check]:
    """Every detector that the configuration names loads; each is tried alone, so that one does not hide another."""
    names = []
    for name, loaded in each_detector(config):
        if isinstance(loaded, Exception):
            yield of_remark("detectors", unloadable(name, loaded))
            continue
        names.append(name)
        if slower := getattr(loaded, "degraded", ""):
            yield Check("detectors", "warning", f"{name}: {slower}", "detectors.enabled", f"pip install {_RE2}")
    try:
        behaviour = load_behaviour(config)
        names += [behaviour.info.name] if behaviour else []
    except Exception as error:  # noqa: BLE001 - what a constructor raises is what is to be told
        yield of_remark("detectors", unloadable(str(config.detectors.behaviour), error))
    try:
        intent = load_intent(config)
        names += [intent.info.name] if intent else []
    except Exception as error:  # noqa: BLE001 - as above
        yield of_remark("detectors", unloadable(str(config.detectors.intent), error))
    if not config.detectors.enabled:
        yield Check(
            "detectors", "warning", "none is enabled: no rule will see a finding", "detectors.enabled", 'enable "pii"'
        )
    elif names:
        yield Check("detectors", "ok", f"{', '.join(names)} load")


def check_extras(config: GuardConfig) -> Iterator[Check]:
    """Libraries that the configuration needs and the plain installation does not bring."""
    if config.policy.engine == "opa":
        if find_spec("opa_client") is None:
            yield Check(
                "extras", "problem", "policy.engine is opa, and opa-python-client is not installed", "policy.engine",
                "pip install 'policy-guard[opa]'",
            )  # fmt: skip
        else:
            yield Check("extras", "ok", "opa-python-client is installed")
    if config.health_path is not None:
        path = f"{config.health_path}/metrics"
        if find_spec("prometheus_client") is None:
            what = f"{path} answers 501, for prometheus-client is not installed: pip install 'policy-guard[metrics]'"
        else:
            what = f"{path} answers Prometheus"
        yield Check("extras", "ok", what, "health_path")
