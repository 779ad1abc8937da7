"""How to mend each kind of error of a policy: what to write, where that can be known."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from guard.errors import Diagnostic

_BY_CODE: Final = {
    "rego_parse_error": "correct the syntax at this place",
    "rego_type_error": "the built-in functions are OPA's; docs/rego.md says which are refused",
    "guard_metadata_error": "policies/README.md says what a rule needs; guard init writes an example",
    "guard_settings_error": "docs/configuration.md lists the settings of the shipped rules",
}
_BLOCK: Final = """write this above the rule, with the id of its value:
# METADATA
# title: What the rule wants, in one sentence
# custom:
#   id: {id}
#   severity: low | medium | high | critical
#   remediation: What the caller can do about it.
#   mode: shadow | enforce"""
_BY_WORDS: Final = (  # the first that fits the message
    (r"policy\.entrypoint ", "correct policy.entrypoint in guard.toml"),
    (r"import .+ unused$|(assigned|declared) var .+ unused$|unused argument ", "use it, or remove it"),
    (
        r"`(if|contains)` keyword is required",
        "write it as Rego v1: name contains value if { … }, or name := value if { … }",
    ),
    (r"unexpected eof token: expected ([\])}])", r"close what is open: a \1 is missing before the end"),
    (r"yaml: ", "METADATA is YAML: what belongs to custom stands two spaces further in than custom:"),
    (r"(title) is missing", r"add a line to the METADATA comment: # \1: …"),
    (r"custom\.(\w+) is missing", r"add a line below # custom: in the METADATA comment: #   \1: …"),
    (r"custom\.(severity|mode) must be one of (.+)", r"write one of them; policies/README.md says what each \1 means"),
    (
        r"custom\.id is (\".+\"), but the value says",
        r"make both the same (policies/README.md): let the value say \1, or change custom.id",
    ),
    (r"the id (\".+\") is taken by", "give each rule an id of its own"),
    (
        r"guard\.main collects from packages directly under",
        "name the package guard.rules.NAME, one level below guard.rules",
    ),
    (r"package .+ has neither deny nor obligations", "name the rule deny or obligations, or move helpers to guard.lib"),
    (r"this must be a set of objects", 'write: deny contains {"id": …, "message": …} if { … }'),
)
_UNSAFE: Final = re.compile(r"var (\w+) is unsafe")
_UNDEFINED: Final = re.compile(r"undefined function (\S+)")
_NO_METADATA: Final = "the rule has no # METADATA comment"
_ASSIGNED: Final = re.compile(r"([\w, \[\]]+?)\s*:=|\bsome\s+([\w, ]+)")
_ID: Final = re.compile(r'"id": "([^"]+)"')
_NEAR: Final = 0.7


def mend(diagnostic: Diagnostic) -> str:
    """What to do about one error of a policy."""
    if diagnostic.file and not diagnostic.row:
        return "name a directory or a file of policies that exists and can be read"
    for pattern, text in _BY_WORDS:
        if found := re.match(pattern, diagnostic.message):
            return found.expand(text)
    if diagnostic.message.startswith(_NO_METADATA):
        named = _ID.search(_line(diagnostic))
        return _BLOCK.format(id=named[1] if named else "ABC-001")
    if unsafe := _UNSAFE.match(diagnostic.message):
        return _of_unsafe(unsafe[1], diagnostic)
    if near := _function(diagnostic.message):
        return f"did you mean {near}?"
    return _BY_CODE.get(diagnostic.code, "correct this place")


def _of_unsafe(name: str, diagnostic: Diagnostic) -> str:
    general = "give the variable a value (x := …, some x in …), or correct its name"
    names = set(_names_near(diagnostic))
    if name in names:
        return "its value is made of a variable that has none: mend that one first"
    near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=_NEAR)
    if near:
        return f"did you mean {near[0]}? If not, {general}"
    if re.search(rf"\b{name}\.", _line(diagnostic)):
        return f"{general}; if it is a package, import it: import data.….{name}"
    return general


def _names_near(diagnostic: Diagnostic) -> Iterator[str]:
    """The variables that get a value in the rule of an error: between the empty lines around it."""
    lines = _lines(diagnostic)
    row = diagnostic.row - 1
    first = next((n + 1 for n in range(row, -1, -1) if n < len(lines) and not lines[n].strip()), 0)
    last = next((n for n in range(row, len(lines)) if not lines[n].strip()), len(lines))
    for groups in _ASSIGNED.findall("\n".join(lines[first:last])):
        yield from re.findall(r"[^\W\d]\w*", " ".join(groups))


def _function(message: str) -> str:
    from guard.rego.builtins import BUILTINS

    unknown = _UNDEFINED.match(message)
    near = difflib.get_close_matches(unknown[1], list(BUILTINS), n=1) if unknown else []
    return near[0] if near else ""


def _line(diagnostic: Diagnostic) -> str:
    lines = _lines(diagnostic)
    return lines[diagnostic.row - 1] if 0 < diagnostic.row <= len(lines) else ""


def _lines(diagnostic: Diagnostic) -> list[str]:
    """The source, where its name is a file that can be read: names are paths from the working directory."""
    try:
        return Path(diagnostic.file).read_text("utf-8").splitlines() if diagnostic.file else []
    except (OSError, ValueError):
        return []
