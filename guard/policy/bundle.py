"""Policies as they lie on disk, and as an engine gets them: modules, data, annotated rules and one digest over all.

``policies/`` of this project is found in a wheel (as ``guard/_policies``) and beside the package in a checkout or an
editable install. Data files follow OPA's bundles: ``data.json`` or ``data.yaml`` stands under the path of its folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from guard.config import GuardConfig
from guard.errors import Diagnostic, PolicyInvalid
from guard.policy.metadata import CODE, read_annotations
from guard.policy.settings import check_settings
from guard.policy.sources import Sources
from guard.types import RuleInfo


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an engine evaluates, and what is known about it.

    ``modules`` and ``tests`` map file names to Rego; only modules decide. ``own`` names the files of the directories
    that were asked for: the others came with the guard, without their tests. ``data`` has ``guard.modes``,
    ``guard.providers``, ``guard.tenants`` and ``guard.settings`` beside the data files. ``digest`` is the SHA-256, in
    hex, over modules and data; it is the same on every machine. ``revision`` is its short form for people.
    """

    modules: Mapping[str, str]
    tests: Mapping[str, str]
    own: frozenset[str]
    data: Mapping[str, Any]
    rules: Mapping[str, RuleInfo]
    revision: str
    digest: str


def bundle_data(config: GuardConfig) -> dict[str, Any]:
    """What the configuration tells the rules: ``providers``, ``tenants`` and ``settings``, under ``guard``."""
    return {
        "guard": {
            "providers": {name: provider.model_dump(mode="json") for name, provider in config.providers.items()},
            "tenants": {name: tenant.model_dump(mode="json") for name, tenant in config.tenants.items()},
            "settings": dict(config.policy.settings),
        }
    }


def shipped_directory() -> Path:
    """Where the shipped policies lie. Raises ``PolicyInvalid`` if the installation has lost them."""
    package = Path(__file__).resolve().parent.parent
    for place in (package / "_policies", package.parent / "policies"):
        if (place / "guard" / "decision.rego").is_file():
            return place
    raise PolicyInvalid(
        [Diagnostic(CODE, "the shipped policies are missing; install policy-guard again", str(package))]
    )


def load_bundle(
    *, directories: Sequence[Path] = (), shipped: bool = True, data: Mapping[str, Any] | None = None
) -> Bundle:
    """Read, check and join the policies of all directories, the shipped ones and the configuration's data.

    A file that is reached twice is read once, under its first name. Raises ``PolicyInvalid`` with a diagnostic for
    every error, each with file and line: unreadable files, two places for one name or datum, Rego that does not parse,
    rules without a valid annotation, settings that no policy reads. Does not compile: engines do, each in its own way.
    """
    sources = Sources(data or {"guard": {}})
    for directory in directories:
        sources.read(directory, own=True)
    if shipped:
        sources.read(shipped_directory(), own=False)
    found = sources.diagnostics
    if not sources.modules and not found:
        found.append(Diagnostic(CODE, "there is no policy: no .rego file was found and shipped is off"))
    rules, problems = read_annotations(sources.modules)
    found += problems
    found += _set_modes(sources.data, rules)
    if shipped:
        found += check_settings(sources.data["guard"].get("settings", {}), sources.modules, shipped_directory())
    if found:
        raise PolicyInvalid(found)
    digest = _digest(sources.canonical, sources.data)
    return Bundle(
        modules=sources.modules,
        tests=sources.tests,
        own=frozenset(sources.own),
        data=sources.data,
        rules=rules,
        revision=digest[:12],
        digest=digest,
    )


def _set_modes(data: dict[str, Any], rules: dict[str, RuleInfo]) -> Iterator[Diagnostic]:
    """Writes ``data.guard.modes``: each rule's annotation, unless ``settings.modes`` says otherwise."""
    own = data.setdefault("guard", {})
    settings = own.get("settings", {})
    wishes = settings.get("modes", {}) if isinstance(settings, dict) else {}
    for identifier, mode in wishes.items() if isinstance(wishes, dict) else ():
        if identifier not in rules:
            yield Diagnostic(CODE, f'policy.settings.modes names the rule "{identifier}", which does not exist')
        elif mode not in {"enforce", "shadow"}:
            yield Diagnostic(CODE, f"policy.settings.modes.{identifier} must be enforce or shadow")
        else:
            rules[identifier] = msgspec.structs.replace(rules[identifier], mode=mode)
    if "modes" in own:
        yield Diagnostic(CODE, "data.guard.modes is written by the loader; use policy.settings.modes")
    own["modes"] = {identifier: rules[identifier].mode for identifier in sorted(rules)}


def _digest(files: Sequence[tuple[str, str]], data: Mapping[str, Any]) -> str:
    """SHA-256 over names, contents and data, each framed by its length.

    A name is the number of its directory and the path below it, so that the digest is the same on every machine.
    """
    sha = hashlib.sha256()
    for name, content in [*sorted(files), ("data", json.dumps(data, sort_keys=True, separators=(",", ":")))]:
        for part in (name.encode(), content.encode()):
            sha.update(len(part).to_bytes(8, "big"))
            sha.update(part)
    return sha.hexdigest()
