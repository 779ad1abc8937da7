"""The tables of ``docs/configuration.md``, from the configuration's model, the shipped rules and the detectors."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

import annotated_types
import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from guard.config import GuardConfig
from guard.config.model import Cidr, Name
from tests.house.source import ROOT, rego_files
from tests.house.table import Table

PAGE = "docs/configuration.md"
_SETTINGS_SCHEMA = ROOT / "policies" / "schemas" / "settings" / "settings.v1.json"
_SETTING = re.compile(r"""\bsetting\(\s*"(?P<name>[a-z0-9_]+)"\s*,\s*(?P<default>[^()]+?)\s*\)""")


def sections(model: type[BaseModel] = GuardConfig, path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every table of ``guard.toml``: its path as TOML writes it, and its model."""
    yield path or "top level", model
    for key, field in model.model_fields.items():
        below = f"{path}.{key}".lstrip(".")
        for form, inner in _models(field.annotation):
            yield from sections(inner, below + {"one": "", "list": "[]", "map": ".NAME"}[form])


def _models(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """The models that a field holds: ``one``, a ``list`` or a ``map`` of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "one", annotation
        return
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    form = {tuple: "list", dict: "map"}.get(origin, "one")
    for argument in arguments:
        for _, inner in _models(argument):
            yield form, inner


def configuration_tables() -> Iterator[Table]:
    """One table for each table of ``guard.toml``, then what shipped rules and detectors take as options."""
    for path, model in sections():
        rows = tuple(
            (f"`{key}`", _type(field), _default(key, field))
            for key, field in model.model_fields.items()
            if not list(_models(field.annotation))
        )
        if rows:
            yield Table(PAGE, f"config {path}", ("Key", "Type", "Default", "Meaning"), rows)
    rows = tuple((f"`{name}`", type_, default) for name, type_, default in rule_settings())
    yield Table(PAGE, "rule settings", ("Key", "Type", "Default", "Meaning"), rows)
    for name, options in detector_options().items():
        rows = tuple((f"`{option}`", default) for option, default in options.items())
        if rows:
            yield Table(PAGE, f"detector {name}", ("Key", "Default", "Meaning"), rows)


_WORDS: Mapping[Any, str] = {
    Name: "name", Cidr: "network", str: "text", int: "integer", float: "number", bool: "true or false", Path: "path",
    Any: "any value",
}  # fmt: skip


def _type(field: FieldInfo) -> str:
    annotation = field.annotation
    for named in (Name, Cidr):
        inner = typing.get_args(named)
        if annotation is inner[0] and _same_metadata(field.metadata, named):
            return _WORDS[named]
    bounds = [bound for item in field.metadata for bound in _bounds(item)]
    return ", ".join([_words(annotation), *bounds])


def _same_metadata(metadata: list[Any], named: Any) -> bool:
    model = type("Probe", (BaseModel,), {"__annotations__": {"value": named}})
    return bool(metadata) and repr(metadata) == repr(model.model_fields["value"].metadata)


def _bounds(item: Any) -> Iterator[str]:
    match item:
        case annotated_types.Ge(ge=bound):
            yield f"≥ {bound}"
        case annotated_types.Gt(gt=bound):
            yield f"> {bound}"
        case annotated_types.Le(le=bound):
            yield f"≤ {bound}"
        case annotated_types.Lt(lt=bound):
            yield f"< {bound}"
        case annotated_types.MinLen(min_length=bound):
            yield f"at least {bound}"
        case annotated_types.MaxLen(max_length=bound):
            yield f"at most {bound}"
        case _ if getattr(item, "pattern", None):
            yield f"matching `{item.pattern}`"


def _words(annotation: Any) -> str:
    if annotation in _WORDS:
        return _WORDS[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _words(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{argument}`" if argument else '`""`' for argument in arguments)
    if origin is tuple:
        return f"list of: {_words(arguments[0])}"
    if origin is dict:
        return f"table, name = {_words(arguments[1])}"
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(_words(argument) for argument in arguments if argument is not types.NoneType)
    raise TypeError(f"docs_tables has no words for the type {annotation!r}")


def _default(key: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    text = _literal(str(default) if isinstance(default, Path) else default, PydanticUndefined)
    if key.endswith("_bytes") and isinstance(default, int):
        for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
            if default >= size and default % size == 0:
                return f"{text} ({default // size} {unit})"
    return text


def rule_settings() -> list[tuple[str, str, str]]:
    """What the shipped rules read from ``[policy.settings]``: key, type as the schema has it, default as Rego has it.

    Raises ``KeyError`` for a setting that the schema does not know.
    """
    schema: dict[str, Any] = json.loads(_SETTINGS_SCHEMA.read_text(encoding="utf-8"))["properties"]
    defaults: dict[str, str] = {}
    for path in rego_files():
        for match in _SETTING.finditer(path.read_text(encoding="utf-8")):
            defaults[match["name"]] = "`" + re.sub(r"\s+", " ", match["default"]) + "`"
    return [(name, _schema_type(schema[name]), defaults.get(name, "none")) for name in sorted({*schema, *defaults})]


def _schema_type(schema: Mapping[str, Any]) -> str:
    words = {"string": "text", "boolean": "true or false", "array": "list", "object": "table"}
    kind = words.get(schema["type"], schema["type"])
    inner = schema.get("items") or schema.get("additionalProperties")
    if isinstance(inner, Mapping):
        values = " or ".join(f"`{value}`" for value in inner.get("enum", ())) or words.get(inner["type"], inner["type"])
        kind += f" of: {values}" if kind == "list" else f", name = {values}"
    bounds = [f"{sign} {schema[key]}" for key, sign in (("minimum", "≥"), ("maximum", "≤")) if key in schema]
    return ", ".join([kind, *bounds])


def detector_options() -> dict[str, dict[str, str]]:
    """What our detectors take from ``[detectors.options.NAME]``: the parameters of their constructors, or the fields
    of the ``...Options`` struct beside a constructor that takes any keyword."""
    options: dict[str, dict[str, str]] = {}
    for entry in sorted(entry_points(group="guard.detectors"), key=lambda entry: entry.name):
        if entry.value.startswith("detectors."):
            parameters = inspect.signature(entry.load()).parameters.values()
            if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
                options[entry.name] = _struct_defaults(importlib.import_module(entry.module))
            else:
                options[entry.name] = {p.name: _literal(p.default, p.empty) for p in parameters}
    return options


def _struct_defaults(module: types.ModuleType) -> dict[str, str]:
    (struct,) = [
        value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and name.endswith("Options")
    ]
    return {
        field.name: _literal(
            field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory(), msgspec.NODEFAULT
        )
        for field in msgspec.structs.fields(struct)
    }


def _literal(default: object, required: object) -> str:
    """A default as TOML writes it."""
    if default is required:
        return "required"
    if default is None:
        return "none"
    if isinstance(default, Mapping):
        return "`{" + ", ".join(f"{key} = {_literal(value, ...).strip('`')}" for key, value in default.items()) + "}`"
    if isinstance(default, AbstractSet):
        default = sorted(default, key=repr)
    return f"`{json.dumps(default)}`"
