"""``guard policy check --with-opa``: what ``opa check --strict --schema`` and our own check judge differently."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple

from guard.cli.policy.real_opa import RealOpa, as_files
from guard.errors import Diagnostic, PolicyInvalid
from guard.policy.bundle import Bundle, shipped_directory
from guard.policy.embedded import compile_bundle
from guard.policy.remarks import Remark

CODE: Final = "opa_difference"
_MOST: Final = "100"
_MEND: Final = "the policy would be judged differently on an OPA server; write it so that both agree"
_SCHEMA: Final = "schemas/input.v1.json"


class _OpaError(NamedTuple):
    """An error of ``opa check``, in the author's file."""

    words: str
    file: str
    row: int
    col: int


def differences(opa: RealOpa, bundle: Bundle, remarks: Collection[Remark]) -> Iterator[Remark]:
    """A warning for each place that one of the two refuses and the other takes. ``remarks`` are our own; ours are
    completed with those of a strict compilation, because opa's is strict."""
    ours = _strict(bundle)
    with as_files(bundle, tests=True) as (directory, names):
        schema = str(shipped_directory() / _SCHEMA)
        arguments = ["check", "--strict", "--schema", schema, "--max-errors", _MOST, "--format", "json", "."]
        found = opa.json(arguments, cwd=directory) or {}
    theirs = [_error(told, names) for told in found.get("errors", ())]
    known = {(d.file, d.row) for d in ours} | {(r.file, r.row) for r in remarks if r.level != "info"}
    refused = {(each.file, each.row) for each in theirs}
    for each in theirs:
        if (each.file, each.row) not in known:
            what = f"opa {opa.version} refuses what is accepted here: {each.words}"
            yield Remark("warning", CODE, what, "", _MEND, each.file, each.row, each.col)
    for own in ours:
        if (own.file, own.row) not in refused:
            what = f"opa {opa.version} accepts what is refused here: {own.message} ({own.code})"
            yield Remark("warning", CODE, what, "", _MEND, own.file, own.row, own.col)


def _strict(bundle: Bundle) -> list[Diagnostic]:
    try:
        compile_bundle({**bundle.modules, **bundle.tests}, bundle.data, strict=True)
    except PolicyInvalid as error:
        return list(error.diagnostics)
    return []


def _error(told: Mapping[str, Any], names: Mapping[str, str]) -> _OpaError:
    place = told.get("location") or {}
    name = place.get("file", "")
    words = f"{told.get('message')} ({told.get('code')})"
    return _OpaError(words, names.get(name, name), place.get("row", 0), place.get("col", 0))
