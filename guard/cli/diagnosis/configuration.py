"""Does the configuration load, do the policies compile and fit it, do the detectors load, and who may write them."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from guard.cli.diagnosis.check import Check, of_error
from guard.config import GuardConfig, load_config
from guard.config.load import find_config_file
from guard.errors import ConfigError, GuardError
from guard.policy.bundle import Bundle
from guard.policy.embedded import EmbeddedEngine
from guard.runtime import bundle_of, load_behaviour, load_detectors

_SECRET_KEY: Final = re.compile(r"(?i)secret|password|passwd|token$|credential|private|(?:^|_)key$")
_CREDENTIALS_IN_URL: Final = re.compile(r"^[a-z][a-z0-9+.-]*://[^/@\s]*:[^/@\s]+@")
_EVERY_PATH: Final = "/**"


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
    return bundle, [*checks, *_routes(config)]


def _routes(config: GuardConfig) -> Iterator[Check]:
    """What is asked of the providers and what each route can still match."""
    excluded = [route.path for route in config.routes if not route.inspect]
    covered = False
    for number, route in enumerate(config.routes):
        where = f"routes[{number}] {route.path}"
        if covered:
            what = f"never matches: an entry before it takes {_EVERY_PATH}"
            yield Check("routes", "warning", what, where, "put the entry for everything last")
        if route.provider is not None and route.provider not in config.providers:
            yield Check(
                "routes", "warning", f"the provider {route.provider!r} is not described; rules take it for unknown",
                where, f"add [providers.{route.provider}]",
            )  # fmt: skip
        if route.path == _EVERY_PATH and not route.inspect:
            what = "everything is excluded from inspection" + (" that matched no entry before" if number else "")
            yield Check("routes", "warning", what, where, "exclude single paths only")
        covered = covered or (route.path == _EVERY_PATH and not route.methods)
    said = f"not inspected: {', '.join(excluded)}" if excluded else "every route is inspected"
    yield Check("routes", "ok", said)


def check_detectors(config: GuardConfig) -> Iterator[Check]:
    """Every detector that the configuration names loads; each is tried alone, so that one does not hide another."""
    names = []
    for detector in config.detectors.enabled:
        options = {"enabled": (detector,), "behaviour": None}
        try:
            load_detectors(config.model_copy(update={"detectors": config.detectors.model_copy(update=options)}))
            names.append(detector)
        except Exception as error:  # noqa: BLE001 - what a detector's constructor raises is what is to be told
            yield _unloadable(detector, error)
    try:
        behaviour = load_behaviour(config)
        names += [behaviour.info.name] if behaviour else []
    except Exception as error:  # noqa: BLE001 - as above
        yield _unloadable(str(config.detectors.behaviour), error)
    if not config.detectors.enabled:
        yield Check(
            "detectors", "warning", "none is enabled: no rule will see a finding", "detectors.enabled", 'enable "pii"'
        )
    elif names:
        yield Check("detectors", "ok", f"{', '.join(names)} load")


def _unloadable(name: str, error: Exception) -> Check:
    if isinstance(error, GuardError):
        return of_error("detectors", error)
    what = f"{name!r} does not take its options: {type(error).__name__}: {error}"
    return Check("detectors", "problem", what, f"detectors.options.{name}", "see docs/detectors.md")


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
