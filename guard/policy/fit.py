"""How policies that compile fit the policy document, the configuration and what the guard can do.

``load_bundle`` and the engines refuse what is wrong by itself. What is here loads, runs, and never does what its author
meant: a field that no document has, a provider that no configuration names, a rule that nobody asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from guard.config import Provider, Tenant
from guard.errors import PolicyInvalid
from guard.policy.bundle import Bundle, shipped_directory
from guard.policy.inference import Inference, Path, path_of_rule, resolved
from guard.policy.metadata import diagnostics
from guard.policy.negations import silent_negations
from guard.policy.obliging import Complaints, check_obligations
from guard.policy.references import CODE, References, Vocabulary, replacements
from guard.policy.remarks import Remark, nearest
from guard.policy.settings import CODE as SETTINGS
from guard.policy.settings import entities_of
from guard.policy.shapes import ANY, Fields, Shape, document_shape
from guard.rego import CompileError
from guard.rego.nodes import Const, Ref, Rule
from guard.rego.recursion import rule_refs

_COLLECTED: Final = ("deny", "obligations")
_RULES: Final = ("guard", "rules")
_OURS: Final = frozenset({("guard",), ("guard", "lib"), ("guard", "main")})
# What the loader and the configuration put below data.guard.
_TOLD: Final = frozenset({"modes", "networks", "providers", "routes", "settings", "tenants"})
_FACTS: Final = {"providers": tuple(Provider.model_fields), "tenants": tuple(Tenant.model_fields)}


class Setting(msgspec.Struct, frozen=True):
    """What policies are held against. ``obligations`` are those that each stage can perform, ``operators`` those of
    ``redact``, ``limit`` tells what is wrong with one of these; ``vocabularies`` the words that can stand at a place of
    the document, by its path."""

    obligations: Mapping[str, frozenset[str]]
    operators: frozenset[str]
    limit: Complaints
    entrypoint: str = "data.guard.decision"
    vocabularies: Mapping[str, Vocabulary] = {}


def check_fit(bundle: Bundle, setting: Setting) -> list[Remark]:
    """Remarks on the author's own policies; the shipped ones are read, to know what they hand on, and not remarked on.

    Raises ``PolicyInvalid`` for modules that do not parse.
    """
    try:
        rules = resolved(bundle.modules)
    except CompileError as error:
        raise PolicyInvalid(diagnostics(error)) from error
    own = [rule for rule in rules if rule.loc.file in bundle.own]
    found = list(_fields(bundle, setting, rules, own))
    found += _names(bundle, rules, own)
    found += check_obligations(own, setting.obligations, setting.operators, setting.limit)
    found += _silence(rules, own, setting.entrypoint)
    found += _entities(bundle, setting)
    return sorted(found, key=lambda remark: (remark.file, remark.row, remark.col))


def _fields(bundle: Bundle, setting: Setting, rules: list[Rule], own: list[Rule]) -> Iterator[Remark]:
    for expr in replacements(rules):
        what = "a rule puts another document in place of input or data: fields were not checked"
        yield Remark(
            "info", CODE, what, "", "use with in tests only, or check fields with opa check --schema", *expr.loc
        )
        return
    inference = Inference(rules, document_shape(shipped_directory()), dict(_facts(bundle.data)))
    yield from References(inference, setting.vocabularies).remarks(own)
    yield from silent_negations(own, inference)


def _facts(data: Mapping[str, Any]) -> Iterator[tuple[Path, Shape]]:
    """The shapes of ``data.guard.providers`` and ``tenants``: what the configuration tells of each, and data files."""
    for name, stated in _FACTS.items():
        given = data.get("guard", {}).get(name, {})
        path = f"data.guard.{name}[]"
        known = {*stated, *(key for each in given.values() if isinstance(each, dict) for key in each)}
        each = Fields(dict.fromkeys(sorted(known), ANY), None, path)
        yield ("guard", name), Fields(dict.fromkeys(given, each), each, f"data.guard.{name}")


def _entities(bundle: Bundle, setting: Setting) -> Iterator[Remark]:
    """Types of findings in settings of the shipped rules that nobody finds."""
    found_by_detectors = setting.vocabularies.get("input.findings[].type")
    if found_by_detectors is None or bundle.own >= bundle.modules.keys():
        return
    settings = bundle.data.get("guard", {}).get("settings", {})
    for where, word in entities_of(settings, shipped_directory()):
        if word not in found_by_detectors.words and not word.startswith(found_by_detectors.open):
            near = nearest(word, found_by_detectors.words)
            mend = f'did you mean "{near}"?' if near else found_by_detectors.mend
            yield Remark("warning", SETTINGS, f'{found_by_detectors.what} "{word}"', where, mend)


# --- names below data -----------------------------------------------------------------------------------------------


def _names(bundle: Bundle, rules: list[Rule], own: list[Rule]) -> Iterator[Remark]:
    """References to providers, tenants and rules that do not exist."""
    packages = {rule.package for rule in rules}
    defined = {path_of_rule(rule) for rule in rules}
    seen: set[tuple[str, int, int]] = set()
    for rule in own:
        for ref in rule_refs(rule):
            words = _words(ref)
            remark = _unknown_fact(words, bundle.data) or _undefined(words, packages, defined, bundle.data)
            if remark is not None and (remark.file, remark.row, remark.col) not in seen:
                seen.add((remark.file, remark.row, remark.col))
                yield remark


def _words(ref: Ref) -> list[Const]:
    """The names after ``data``, up to the first operand that is none."""
    words: list[Const] = []
    for term in ref.terms[1:]:
        if not isinstance(term, Const) or not isinstance(term.value, str):
            break
        words.append(term)
    return words


def _path(words: list[Const]) -> Path:
    return tuple(str(word.value) for word in words)


def _unknown_fact(words: list[Const], data: Mapping[str, Any]) -> Remark | None:
    if len(words) < 3 or words[0].value != "guard" or words[1].value not in _FACTS:
        return None
    table, name = words[1].value, words[2]
    given = data.get("guard", {}).get(table)
    if given is None or name.value in given:
        return None
    near = nearest(name.value, given)
    mend = f"did you mean {near}?" if near else f"add [{table}.{name.value}] to guard.toml"
    return Remark("warning", CODE, f"the configuration has no {table}.{name.value}", "", mend, *name.loc)


def _undefined(words: list[Const], packages: set[Path], defined: set[Path], data: Mapping[str, Any]) -> Remark | None:
    """A name in a package that has no such rule. Data that is put there later is possible, so what is near to nothing
    is left alone, except where the guard itself says what there is."""
    path = _path(words)
    for length in range(len(path) - 1, 0, -1):
        package, name = path[:length], path[length]
        if package not in packages:
            continue
        if any(each[: length + 1] == path[: length + 1] for each in (*defined, *packages)):
            return None
        base: Any = data
        for part in package:
            base = base.get(part) if isinstance(base, dict) else None
        known = {each[length] for each in (*defined, *packages) if each[:length] == package and len(each) > length}
        known |= set(base) if isinstance(base, dict) else set()
        known |= _TOLD if package == ("guard",) else set()
        near = nearest(name, known)
        if name in known or not (near or package in _OURS):
            return None
        mend = f"did you mean {near}?" if near else f"it has: {', '.join(sorted(known))}"
        what = f"data.{'.'.join(package)}.{name} is defined nowhere"
        return Remark("warning", CODE, what, "", mend, *words[length].loc)
    return None


# --- rules that nobody asks -----------------------------------------------------------------------------------------


def _silence(rules: list[Rule], own: list[Rule], entrypoint: str) -> Iterator[Remark]:
    """Rules named as if they were collected, in packages from which nothing is."""
    asked = [(path_of_rule(rule), _path(_words(ref))) for rule in rules for ref in rule_refs(rule)]
    asked.append(((), tuple(entrypoint.split(".")[1:])))
    told: set[Path] = set()
    for rule in own:
        path, package = path_of_rule(rule), rule.package
        if package in told or path[-1] not in _COLLECTED or (package[:2] == _RULES and len(package) == 3):
            continue
        if not any(by != path and _reaches(wanted, path) for by, wanted in asked):
            told.add(package)
            what = f"nobody asks {path[-1]} of package {'.'.join(package)}: it has no effect"
            yield Remark("warning", CODE, what, "", "move it to a package directly under guard.rules", *rule.loc)


def _reaches(wanted: Path, path: Path) -> bool:
    """Whether a reference, as far as its names go, can read the path."""
    length = min(len(wanted), len(path))
    return wanted[:length] == path[:length]
