"""Errors for people: what happened, where, and how to mend it, on stderr."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, Final

import typer

from guard.cli.mends import mend
from guard.config.explain import ConfigInvalid
from guard.errors import ConfigError, Diagnostic, GuardError, PolicyInvalid
from guard.policy.remarks import Level, Remark

STRICT: Final = "Warnings are errors; so are unused imports, variables and arguments in policies."
"""What ``--strict`` means, for the help of each command that has it."""

_HEADS: Final[Mapping[Level, str]] = {"error": "error", "warning": "warning", "info": "note"}
_NARROWEST: Final = 20


def remarks_of(error: GuardError) -> list[Remark]:
    """What an error tells: one remark for each diagnostic of policies, and for each key of a configuration."""
    if isinstance(error, PolicyInvalid):
        return [Remark("error", d.code, d.message, place(d), mend(d), d.file, d.row, d.col) for d in error.diagnostics]
    if isinstance(error, ConfigInvalid):
        return [Remark("error", p.code, p.what, p.where, p.mend) for p in error.problems]
    return [Remark("error", error.code, error.what, error.where, error.mend)]


def complain(error: GuardError) -> None:
    """Print an error."""
    tell(remarks_of(error), codes=isinstance(error, PolicyInvalid))


def tell(remarks: Iterable[Remark], *, codes: bool = False) -> None:
    """Print remarks on stderr, each in up to three lines; on a terminal, wrapped."""
    for remark in remarks:
        what = f"{remark.message} ({remark.code})" if codes else remark.message
        head = _HEADS[remark.level]
        for label, text in ((head, what), ("where", place_of(remark)), ("mend", remark.mend)):
            if text:
                typer.echo("\n".join(_wrapped(f"{f'{label}:':<7}", text)), err=True)


def warn(text: str) -> None:
    """Print a sentence on something that is allowed and probably not meant."""
    tell([Remark("warning", "", text)])


def as_json(remark: Remark) -> dict[str, Any]:
    """A remark for programs."""
    return {
        "code": remark.code,
        "message": remark.message,
        "where": place_of(remark),
        "mend": remark.mend,
        "file": remark.file,
        "row": remark.row,
        "col": remark.col,
    }


def place_of(remark: Remark) -> str:
    """Where a remark is about, for people."""
    return remark.where if remark.file and remark.where.startswith(remark.file) else remark.place


def _wrapped(head: str, text: str) -> list[str]:
    """Lines of a terminal's width, below the beginning of the text; whole lines elsewhere. Paths and commands stay in
    one piece, so that they can be copied."""
    head = head if head.endswith(" ") else head + " "
    lines: list[str] = []
    for paragraph in text.splitlines():
        if sys.stderr.isatty():
            width = max(shutil.get_terminal_size().columns - len(head), _NARROWEST)
            lines += textwrap.wrap(paragraph, width, break_long_words=False, break_on_hyphens=False)
        else:
            lines.append(paragraph)
    return [(" " * len(head) if number else head) + line for number, line in enumerate(lines)]


def place(diagnostic: Diagnostic) -> str:
    """``file:row:col``, as far as it is known; a text without a file is the query of the command line."""
    name = diagnostic.file or ("query" if diagnostic.row else "")
    return f"{name}:{diagnostic.row}:{diagnostic.col}" if diagnostic.row else name


def unusable(error: OSError, *, what: str) -> ConfigError:
    """A file that the system does not let us use."""
    where = str(error.filename) if error.filename is not None else ""
    return ConfigError(f"{what}: {error.strerror}", where=where, mend="check the path, its permissions and the space")
