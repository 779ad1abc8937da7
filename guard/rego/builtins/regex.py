"""regex.* on RE2 and glob.* translated to it: linear in the text, whatever the pattern. google-re2 is loaded at the
first use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from guard.rego.runtime import BuiltinFailure, Context
from guard.rego.values import type_name

from .arithmetic import integer
from .registry import builtin
from .strings import check_length

_EXPAND = re.compile(r"\$(?:\$|([A-Za-z0-9_]+)|\{([A-Za-z0-9_]+)\})")
_KEPT = 1024
_MAX_WILDCARDS = 500


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
        if len(delimiter) != 1:
            size = len(delimiter)
            raise BuiltinFailure(f"{name} delimiter has to be exactly one character long but is {size} long")
    pattern, position = "", 0
    while position < len(template):
        begin = template.find(start, position)
        if begin < 0:
            break
        depth, at = 1, begin + 1
        while at < len(template) and depth:
            depth += (template[at] == start) - (template[at] == end)
            at += 1
        if depth:
            raise BuiltinFailure(f"unbalanced braces in {template!r}")
        pattern += re.escape(template[position:begin]) + "(" + template[begin + 1 : at - 1] + ")"
        position = at
    return compile_pattern(f"^{pattern}{re.escape(template[position:])}$").search(text) is not None


# -- globs ------------------------------------------------------------------------------------------------------------


@builtin("glob.match", "string, array | null, string -> boolean")
def _glob_match(pattern: str, delimiters: Any, text: str) -> bool:
    if delimiters is None:
        separators = ""
    else:
        for item in delimiters:
            if type(item) is not str or len(item) != 1:
                message = f"operand 2 must be array of runes but got array containing {type_name(item)}"
                raise BuiltinFailure(message, "eval_type_error")
        separators = "".join(delimiters) or "."
    return compile_pattern(glob_pattern(pattern, separators)).fullmatch(text) is not None


@lru_cache(maxsize=_KEPT)
def glob_pattern(pattern: str, separators: str) -> str:
    """A glob as a regular expression. ``*`` and ``?`` stop at separators, ``**`` does not; ``[a-c]``, ``[!abc]`` and
    ``{one,two}`` as in shells. Raises BuiltinFailure where brackets do not close."""
    escaped = "".join(f"\\x{{{ord(char):x}}}" for char in separators)
    single = f"[^{escaped}]" if separators else "."
    out: list[str] = ["(?s)"]
    depth, position = 0, 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            if pattern.startswith("*", position):
                while pattern.startswith("*", position):
                    position += 1
                out.append(".*")
            else:
                out.append(single + "*")
        elif char == "?":
            out.append(single)
        elif char == "[":
            text, position = _class(pattern, position)
            out.append(text)
        elif char == "{":
            depth += 1
            out.append("(?:")
        elif char == "}" and depth:
            depth -= 1
            out.append(")")
        elif char == "," and depth:
            out.append("|")
        else:
            if char == "\\" and position < len(pattern):
                char = pattern[position]
                position += 1
            out.append(_literal(char))
    if depth:
        raise BuiltinFailure("unexpected end of input")
    if sum(each.endswith("*") for each in out) > _MAX_WILDCARDS:
        raise BuiltinFailure("too many wildcards")
    return "".join(out)


def _literal(char: str) -> str:
    return char if char.isalnum() else f"\\x{{{ord(char):x}}}"


def _class(pattern: str, position: int) -> tuple[str, int]:
    """``abc]`` or ``!a-c]`` after the opening bracket."""
    end = pattern.find("]", position + 1)
    if end < 0:
        raise BuiltinFailure("unexpected end of input")
    body = pattern[position:end]
    negated = body[:1] in {"!", "^"}
    chars = body[1:] if negated else body
    if len(chars) == 3 and chars[1] == "-":
        if chars[0] > chars[2]:
            raise BuiltinFailure(f"hi character {chars[2]!r} should be greater than lo {chars[0]!r}")
        inner = f"{_literal(chars[0])}-{_literal(chars[2])}"
    else:
        inner = "".join(map(_literal, chars))
    return f"[{'^' if negated else ''}{inner}]", end + 1


@builtin("glob.quote_meta", "string -> string")
def _glob_quote_meta(pattern: str) -> str:
    return re.sub(r"[*?\\\[\]{}]", lambda match: "\\" + match.group(), pattern)
