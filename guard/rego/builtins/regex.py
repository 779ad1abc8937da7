"""regex.* on RE2: linear in the text, whatever the pattern. google-re2 is loaded at the first use.
Source: https://www.openpolicyagent.org/docs/policy-reference/builtins/regex.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from guard.rego.runtime import BuiltinFailure, Context

from .arithmetic import integer
from .registry import builtin
from .strings import check_length

_EXPAND = re.compile(r"\$(?:\$|([A-Za-z0-9_]+)|\{([A-Za-z0-9_]+)\})")
_KEPT = 1024


@lru_cache(maxsize=_KEPT)
def compile_pattern(pattern: str) -> Any:
    """A compiled RE2 pattern. Raises BuiltinFailure for one that RE2 does not accept."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        problem = error.args[0] if error.args else "unreadable"
        text = problem.decode("utf-8", "replace") if isinstance(problem, bytes) else str(problem)
        raise BuiltinFailure(f"error parsing regexp: {text}") from None


def matches(ctx: Context, pattern: Any, text: str, limit: int = -1) -> Iterator[Any]:
    """Successive matches, a step each; an empty one next to the match before it does not count, as in Go."""
    if limit == 0:
        return
    count, end = 0, -1
    for match in pattern.finditer(text):
        if match.start() == match.end() == end:
            continue
        end = match.end()
        ctx.budget.charge(1)
        yield match
        count += 1
        if count == limit:
            return


@builtin("regex.is_valid", "any -> boolean")
def _is_valid(pattern: Any) -> bool:
    if type(pattern) is not str:
        return False
    try:
        compile_pattern(pattern)
    except BuiltinFailure:
        return False
    return True


@builtin("regex.match", "string, string -> boolean")
def _match(pattern: str, text: str) -> bool:
    return compile_pattern(pattern).search(text) is not None


@builtin("regex.find_n", "string, string, number -> array", context=True)
def _find_n(ctx: Context, pattern: str, text: str, limit: Any) -> list[str]:
    return [match.group() for match in matches(ctx, compile_pattern(pattern), text, integer(limit, 3))]


@builtin("regex.find_all_string_submatch_n", "string, string, number -> array", context=True)
def _find_submatches(ctx: Context, pattern: str, text: str, limit: Any) -> list[list[str]]:
    found = matches(ctx, compile_pattern(pattern), text, integer(limit, 3))
    return [[match.group(), *[group or "" for group in match.groups()]] for match in found]


@builtin("regex.split", "string, string -> array", context=True)
def _split(ctx: Context, pattern: str, text: str) -> list[str]:
    compiled = compile_pattern(pattern)
    if pattern and not text:
        return [""]
    parts: list[str] = []
    begin = end = 0
    for match in matches(ctx, compiled, text):
        end = match.start()
        if match.end() != 0:
            parts.append(text[begin:end])
        begin = match.end()
    return parts if end == len(text) else [*parts, text[begin:]]


@builtin("regex.replace", "string, string, string -> string", context=True)
def _replace(ctx: Context, text: str, pattern: str, value: str) -> str:
    parts: list[str] = []
    begin, size = 0, len(text)
    for match in matches(ctx, compile_pattern(pattern), text):
        parts += [text[begin : match.start()], expand(value, match)]
        size += len(parts[-1])
        check_length(size)
        begin = match.end()
    return "".join([*parts, text[begin:]])


def expand(template: str, match: Any) -> str:
    """A replacement with ``$1``, ``$name``, ``${name}`` and ``$$`` filled in; unknown groups are empty."""
    if "$" not in template:
        return template
    groups = [match.group(), *match.groups()]
    named = match.groupdict()

    def fill(found: re.Match[str]) -> str:
        name = found.group(1) or found.group(2)
        if name is None:
            return "$"
        if name.isdigit():
            return (groups[int(name[:6])] or "") if int(name[:6]) < len(groups) else ""
        return named.get(name) or ""

    return _EXPAND.sub(fill, template)


@builtin("regex.template_match", "string, string, string, string -> boolean")
def _template_match(template: str, text: str, start: str, end: str) -> bool:
    for name, delimiter in (("start", start), ("end", end)):
        size = len(delimiter.encode())
        if size != 1:
            raise BuiltinFailure(f"{name} delimiter has to be exactly one character long but is {size} long")
    pattern, position = "", 0
    for begin, close in _delimited(template, start, end):
        inner = template[begin + 1 : close]
        compile_pattern(f"^{inner}$")
        pattern += f"{re.escape(template[position:begin])}({inner})"
        position = close + 1
    return compile_pattern(f"^{pattern}{re.escape(template[position:])}$").search(text) is not None


def _delimited(template: str, start: str, end: str) -> Iterator[tuple[int, int]]:
    """The positions of delimiters that belong together, outermost ones. Raises BuiltinFailure where one is alone."""
    depth = begin = 0
    for at, char in enumerate(template):
        if char == start:
            depth += 1
            begin = at if depth == 1 else begin
        elif char == end:
            depth -= 1
            if depth == 0:
                yield begin, at
        if depth < 0:
            break
    if depth:
        raise BuiltinFailure(f"unbalanced braces in {template!r}")
