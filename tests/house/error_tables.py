"""The tables of ``docs/errors.md``, from the error classes, the codes in the source and the rules' annotations."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import TypeVar

import yaml

from guard.errors import REFUSALS, GuardError
from guard.rego.errors import EvalError
from tests.house.source import CodeTracer, modules, rego_files
from tests.house.table import Table

T = TypeVar("T")
PAGE = "docs/errors.md"
_ANNOTATION = re.compile(r"^# METADATA\n((?:#.*\n)+)", re.MULTILINE)


def import_everything() -> None:
    """Import every module of ours, so that every subclass of ``GuardError`` exists; without what runs on Flower, which
    has an environment of its own."""
    for package in ("guard", "detectors"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__") and not module.name.startswith("detectors.federation.flower"):
                importlib.import_module(module.name)


def error_classes() -> list[type[GuardError]]:
    """``GuardError`` and every class below it that is ours, in the order of their definition."""
    import_everything()
    return [
        cls for cls in [GuardError, *subclasses(GuardError)] if cls.__module__.split(".")[0] in {"guard", "detectors"}
    ]


def subclasses(base: type[T]) -> list[type[T]]:
    """Every class below ``base``, each once, parents first."""
    found: dict[type[T], None] = {}
    waiting = base.__subclasses__()
    while waiting:
        cls = waiting.pop(0)
        found[cls] = None
        waiting.extend(cls.__subclasses__())
    return list(found)


def error_tables() -> Iterator[Table]:
    """Classes, refusals, reasons of decisions, diagnostics of policies, shipped rules."""
    classes = tuple((f"`{cls.code}`", f"`{cls.__module__}.{cls.__qualname__}`") for cls in error_classes())
    yield Table(PAGE, "error classes", ("Code", "Class", "What happened", "How to mend it"), classes, 2)
    refusals = tuple((f"`{code}`", str(status), title) for code, (status, title) in REFUSALS.items())
    yield Table(PAGE, "refusals", ("Code", "Status", "Title", "What the client does"), refusals)
    tracer = CodeTracer(modules("guard", "detectors"))
    known = {cls.code for cls in error_classes()} | set(REFUSALS)
    reasons = tuple(
        (f"`{code}`", ", ".join(f"`{name}`" for name in sorted(origins)))
        for code, origins in sorted(tracer.codes("Reason", position=None).items())
        if code not in known
    )
    yield Table(PAGE, "reasons", ("Code", "Given by", "What happened", "How to mend it"), reasons, 2)
    codes = {*tracer.codes("Diagnostic", position=0), *tracer.codes("RegoDiagnostic", position=0)}
    codes |= {EvalError.code, *(cls.code for cls in subclasses(EvalError)), *tracer.codes("BuiltinFailure", position=1)}
    yield Table(PAGE, "diagnostics", ("Code", "Meaning"), tuple((f"`{code}`",) for code in sorted(codes)))
    rules = tuple(
        (f"`{rule['id']}`", rule["severity"], rule["mode"], rule["title"], rule["remediation"])
        for rule in shipped_rules()
    )
    yield Table(PAGE, "rules", ("Rule", "Severity", "Mode", "Title", "How to mend it"), rules, 0)


def shipped_rules() -> list[dict[str, str]]:
    """The annotations of the shipped rules, by id."""
    rules = {}
    for path in rego_files():
        for block in _ANNOTATION.finditer(path.read_text(encoding="utf-8")):
            annotation = yaml.safe_load("".join(line[2:] or "\n" for line in block[1].splitlines(keepends=True)))
            custom = annotation.get("custom") or {}
            if "id" in custom:
                rules[custom["id"]] = {"title": annotation["title"], **custom}
    return [rules[key] for key in sorted(rules)]
