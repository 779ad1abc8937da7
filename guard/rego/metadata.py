"""``rego.metadata.chain()`` and ``rego.metadata.rule()``: METADATA as constants of the rule that asks for it.

Source: https://www.openpolicyagent.org/docs/policy-language#accessing-annotations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from .annotations import Annotation, attach
from .nodes import Array, Const, Module, Object, Rule, Term
from .tree import ground_path
from .values import value_of

CHAIN, RULE = "rego.metadata.chain", "rego.metadata.rule"
_AUTHOR = re.compile(r"(?P<name>.*?)\s*(?:<(?P<email>[^<>]*)>)?\s*\Z", re.DOTALL)
_SIMPLE = ("title", "description", "organizations", "custom", "labels")


class Metadata:
    """The annotations of a set of modules, by what they describe."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self.packages = {module.file: module.package for module in modules}
        asked = any("rego.metadata." in module.source for module in modules)
        self.annotations = attach(modules) if asked else ()

    def constants(self, module: Module, rule: Rule) -> dict[str, Term]:
        """What the two functions answer in a rule; nothing where no module asks."""
        if "rego.metadata." not in module.source:
            return {}
        links = list(self.links(module, rule))
        own = next((found for _, found in links if found is not None and found.scope == "rule"), None)
        chain = [_link(path, found) for path, found in links]
        return {CHAIN: term_of(chain), RULE: term_of(describe(own) if own is not None else {})}

    def links(self, module: Module, rule: Rule) -> Iterable[tuple[Sequence[Any], Annotation | None]]:
        """(path, annotation) from the rule outwards; the first stands for the rule even without one."""
        path = [value_of(part) for part in ground_path(rule)]
        own = [each for each in self.of("rule") if (each.file, each.target_row) == (module.file, rule.loc.row)]
        for each in reversed(own) if own else (None,):
            yield path, each
        dotted = ".".join(["data", *map(str, path)])
        for each in [found for found in self.of("document") if found.path == dotted][:1]:
            yield path, each
        for each in [found for found in self.of("package") if self.packages[found.file] == module.package][:1]:
            yield module.package, each
        for size in range(len(module.package), 0, -1):
            above = module.package[:size]
            for each in [found for found in self.of("subpackages") if self.packages[found.file] == above][:1]:
                yield above, each

    def of(self, scope: str) -> list[Annotation]:
        """The annotations of one scope, in source order."""
        return [each for each in self.annotations if each.scope == scope]


def _link(path: Sequence[Any], annotation: Annotation | None) -> dict[str, Any]:
    link: dict[str, Any] = {"path": list(path)}
    if annotation is not None:
        link["annotations"] = describe(annotation)
    return link


def describe(annotation: Annotation) -> dict[str, Any]:
    """An annotation as an object; what it does not say is left out."""
    found: dict[str, Any] = {"scope": annotation.scope}
    found |= {name: getattr(annotation, name) for name in _SIMPLE if getattr(annotation, name)}
    if annotation.entrypoint:
        found["entrypoint"] = True
    if annotation.authors:
        found["authors"] = [_author(each) for each in annotation.authors]
    if annotation.related_resources:
        resources = annotation.related_resources
        found["related_resources"] = [{"ref": each} if isinstance(each, str) else each for each in resources]
    if annotation.schemas:
        found["schemas"] = [_schema(each) for each in annotation.schemas if isinstance(each, dict)]
    return found


def _author(author: Any) -> Any:
    """``name <email>`` as an object."""
    match = _AUTHOR.match(author) if isinstance(author, str) else None
    return {name: text for name, text in match.groupdict().items() if text} if match else author


def _schema(pair: dict[Any, Any]) -> dict[str, Any]:
    """``{input.a: schema.b}`` as paths; a schema in place is a definition."""
    path, schema = next(iter(pair.items()), ("", ""))
    found: dict[str, Any] = {"path": str(path).split(".")}
    if isinstance(schema, str):
        found["schema"] = schema.split(".")
    else:
        found["definition"] = schema
    return found


def term_of(value: Any) -> Term:
    """A value of JSON as a literal."""
    if isinstance(value, dict):
        return Object(tuple((Const(str(key)), term_of(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return Array(tuple(map(term_of, value)))
    return Const(value if value is None or isinstance(value, bool | int | float | str) else str(value))
