"""Policies as they lie on disk, and as an engine gets them: modules, data, annotated rules and one digest over all.

``policies/`` of this project is found in a wheel (as ``guard/_policies``) and beside the package in a checkout or an
editable install. Data files follow OPA's bundles: ``data.json`` or ``data.yaml`` stands under the path of its folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from guard.config import GuardConfig
from guard.errors import Diagnostic, PolicyInvalid
from guard.policy.bundles.manifest import DataPath
from guard.policy.bundles.opened import Opened, paths_of
from guard.policy.metadata import CODE, read_annotations
from guard.policy.settings import check_settings
from guard.policy.sources import Sources
from guard.types import RuleInfo

_TABLES: Final = ("networks", "providers", "routes", "tenants")
# Shipped packages below which others may have packages of their own.
_OPEN: Final = frozenset({("guard",), ("guard", "lib")})
_WRITTEN: Final = tuple(("guard", name) for name in (*_TABLES, "modes", "settings"))


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an engine evaluates, and what is known about it.

    ``modules`` and ``tests`` map file names to Rego; only modules decide. ``own`` names the files of the directories
    that were asked for: the others came with the guard, without their tests. ``data`` has ``guard.modes``,
    ``guard.providers``, ``guard.tenants`` and ``guard.settings`` beside the data files. ``digest`` is the SHA-256, in
    hex, over modules and data; it is the same on every machine. ``revision`` is the one that a bundle's manifest says,
    else the digest's short form.
    """

    modules: Mapping[str, str]
    tests: Mapping[str, str]
    own: frozenset[str]
    data: Mapping[str, Any]
    rules: Mapping[str, RuleInfo]
    revision: str
    digest: str


def bundle_data(config: GuardConfig) -> dict[str, Any]:
    """What the configuration tells the rules, under ``guard``: ``providers``, ``tenants`` and ``settings``, and the
    words of ``resource.route`` and ``context.networks``. A request that no route matches has the pattern ``/**``."""
    routes = {route.path for route in config.routes if route.inspect} | {"/**"}
    return {
        "guard": {
            "networks": sorted(config.networks),
            "routes": sorted(routes),
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
    *,
    directories: Sequence[Path] = (),
    opened: Opened | None = None,
    shipped: bool = True,
    data: Mapping[str, Any] | None = None,
) -> Bundle:
    """Read, check and join the policies of all directories or of a bundle, the shipped ones and the configuration's
    data.

    A file that is reached twice is read once, under its first name. Raises ``PolicyInvalid`` with a diagnostic for
    every error, each with file and line: unreadable files, two places for one name or datum, Rego that does not parse,
    rules without a valid annotation, settings that no policy reads. Does not compile: engines do, each in its own way.
    Raises ``BundleOutsideRoots`` for a bundle that holds what it may not.
    """
    sources = Sources(data or {"guard": {}})
    owned = dict.fromkeys(_WRITTEN, "written from the configuration")
    for directory in directories:
        sources.read(directory, own=True)
    if opened is not None:
        sources.read_files(opened.label, opened.files)
    if shipped:
        sources.read(shipped_directory(), own=False)
    if opened is not None:
        opened.check(sources.added, owned | (_shipped_paths(sources) if shipped else {}))
    found = sources.diagnostics
    if not sources.modules and not sources.tests and not found:
        found.append(Diagnostic(CODE, "there is no policy: no .rego file was found and shipped is off"))
    rules, problems = read_annotations(sources.modules)
    found += problems
    found += _set_modes(sources.data, rules)
    if shipped:
        own = sources.data["guard"]
        names = {table: own[table] for table in _TABLES if table in own}
        found += check_settings(own.get("settings", {}), sources.modules, shipped_directory(), names)
    if found:
        raise PolicyInvalid(found)
    digest = _digest(sources.canonical, sources.data)
    return Bundle(
        modules=sources.modules,
        tests=sources.tests,
        own=frozenset(sources.own),
        data=sources.data,
        rules=rules,
        revision=(opened.manifest.revision if opened is not None else "") or digest[:12],
        digest=digest,
    )


def _shipped_paths(sources: Sources) -> dict[DataPath, str]:
    """The paths of the shipped policies: no bundle may reach into these."""
    owned: set[DataPath] = set()
    for name, text in sources.modules.items():
        if name not in sources.own:
            package, rules = paths_of(name, text)
            owned |= rules if package in _OPEN else {package}
    return dict.fromkeys(owned, "the shipped policies'")


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
