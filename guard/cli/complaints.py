"""Errors for people: what happened, where, and how to mend it, on stderr."""

from __future__ import annotations

import difflib
import re
from typing import Final

import typer

from guard.errors import ConfigError, Diagnostic, GuardError, PolicyInvalid

_MENDS: Final = {
    "rego_parse_error": "correct the syntax at this place",
    "rego_unsafe_var_error": "give the variable a value (x := …, some x in …), or correct its name",
    "rego_type_error": "docs/rego.md lists the built-in functions",
    "guard_metadata_error": "policies/README.md says what a rule needs; guard init writes an example",
    "guard_settings_error": "docs/configuration.md lists the settings of the shipped rules",
}
_UNDEFINED: Final = re.compile(r"undefined function (\S+)")


def report(error: GuardError) -> str:
    """An error in up to three lines, or in three for each diagnostic of policies that do not load."""
    if isinstance(error, PolicyInvalid):
        return "\n".join(_lines(d.message + f" ({d.code})", place(d), mend(d)) for d in error.diagnostics)
    return _lines(error.what, error.where, error.mend)


def complain(error: GuardError) -> None:
    """Print an error."""
    typer.echo(report(error), err=True)


def warn(text: str) -> None:
    """Print a sentence on something that is allowed and probably not meant."""
    typer.echo(f"warning: {text}", err=True)


def place(diagnostic: Diagnostic) -> str:
    """``file:row:col``, as far as it is known; a text without a file is the query of the command line."""
    name = diagnostic.file or ("query" if diagnostic.row else "")
    return f"{name}:{diagnostic.row}:{diagnostic.col}" if diagnostic.row else name


def mend(diagnostic: Diagnostic) -> str:
    """What to do about one error of a policy."""
    if diagnostic.file and not diagnostic.row:
        return "name a directory or a file of policies that exists and can be read"
    near = _meant(diagnostic.message)
    if near:
        return f"did you mean {near[0]}?"
    return _MENDS.get(diagnostic.code, "correct this place")


def _meant(message: str) -> list[str]:
    from guard.rego.builtins import BUILTINS

    unknown = _UNDEFINED.match(message)
    return difflib.get_close_matches(unknown[1], list(BUILTINS), n=1) if unknown else []


def unusable(error: OSError, *, what: str) -> ConfigError:
    """A file that the system does not let us use."""
    where = str(error.filename) if error.filename is not None else ""
    return ConfigError(f"{what}: {error.strerror}", where=where, mend="check the path, its permissions and the space")


def _lines(what: str, where: str, mend: str) -> str:
    parts = [f"error: {what}"]
    parts += [f"where: {where}"] if where else []
    parts += [f"mend:  {mend}"] if mend else []
    return "\n".join(parts)
