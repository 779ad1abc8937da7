"""Strings. Offsets and lengths count code points, as in OPA."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from guard.rego import gofmt, numbers
from guard.rego.runtime import BuiltinFailure, Context
from guard.rego.show import show
from guard.rego.values import Set, sorted_keys, type_name

from .arithmetic import integer
from .registry import builtin

GO_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


_CHUNK = 4096
_MAX_COMBINATIONS = 10_000
_COMPARISONS_PER_STEP = 256


def check_length(size: int) -> None:
    """Refuse to build a string of more than 16 Mi code points."""
    if size > gofmt.MAX_LENGTH:
        raise BuiltinFailure("the result is too long")


def strings_of(values: Any, position: int) -> list[str]:
    """The members of an array or set of strings."""
    found = list(values) if type(values) is list else values.sorted()
    kind = type_name(values)
    for value in found:
        if type(value) is not str:
            message = f"operand {position} must be {kind} of strings but got {kind} containing {type_name(value)}"
            raise BuiltinFailure(message, "eval_type_error")
    return found


@builtin("concat", "string, array | set -> string")
def _concat(separator: str, parts: Any) -> str:
    found = strings_of(parts, 2)
    check_length(sum(map(len, found)) + len(separator) * len(found))
    return separator.join(found)


@builtin("contains", "string, string -> boolean")
def _contains(text: str, part: str) -> bool:
    return part in text


@builtin("startswith", "string, string -> boolean")
def _startswith(text: str, prefix: str) -> bool:
    return text.startswith(prefix)


@builtin("endswith", "string, string -> boolean")
def _endswith(text: str, suffix: str) -> bool:
    return text.endswith(suffix)


def _cased(ctx: Context, text: str, change: Callable[[str], str]) -> str:
    """Each character changed for itself, as Go does: no context, no character that becomes two."""
    parts: list[str] = []
    for start in range(0, len(text), _CHUNK):
        ctx.budget.charge(_CHUNK >> 6)
        parts.append("".join(map(change, text[start : start + _CHUNK])))
    return "".join(parts)


@builtin("lower", "string -> string", context=True)
def _lower(ctx: Context, text: str) -> str:
    return text.lower() if text.isascii() else _cased(ctx, text, lambda char: char.lower()[:1])


@builtin("upper", "string -> string", context=True)
def _upper(ctx: Context, text: str) -> str:
    return (
        text.upper() if text.isascii() else _cased(ctx, text, lambda char: up if len(up := char.upper()) == 1 else char)
    )


@builtin("format_int", "number, number -> string")
def _format_int(value: Any, base: Any) -> str:
    codes = {2: "b", 8: "o", 10: "d", 16: "x"}
    if type(base) is not int or base not in codes:
        raise BuiltinFailure("operand 2 must be one of {2, 8, 10, 16}", "eval_type_error")
    whole = int(numbers.binary(value))
    return numbers.format_number(whole) if base == 10 else format(whole, codes[base])


@builtin("indexof", "string, string -> number")
def _indexof(text: str, part: str) -> int:
    if not part:
        raise BuiltinFailure("empty search character")
    return text.find(part)


@builtin("indexof_n", "string, string -> array", context=True)
def _indexof_n(ctx: Context, text: str, part: str) -> list[int]:
    if not part:
        raise BuiltinFailure("empty search character")
    ctx.budget.charge(text.count(part))
    return [match.start() for match in re.finditer(f"(?={re.escape(part)})", text)]


@builtin("substring", "string, number, number -> string")
def _substring(text: str, offset: Any, length: Any) -> str:
    start, size = integer(offset, 2), integer(length, 3)
    if start < 0:
        raise BuiltinFailure("negative offset")
    return text[start:] if size < 0 else text[start : start + size]


@builtin("split", "string, string -> array", context=True)
def _split(ctx: Context, text: str, separator: str) -> list[str]:
    # Before the work: half a million parts take more room than their text.
    ctx.budget.charge(text.count(separator))
    return text.split(separator) if separator else list(text)


@builtin("strings.split_n", "string, string, number -> array", context=True)
def _split_n(ctx: Context, text: str, separator: str, number: Any) -> list[str]:
    ctx.budget.charge(text.count(separator))
    parts, most = text.split(separator) if separator else list(text), integer(number, 3)
    return parts[:most] if most >= 0 else parts[most:]


def _as_bytes(text: str) -> str:
    return text.encode().decode("latin-1")


def _from_bytes(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "replace")


@builtin("replace", "string, string, string -> string")
def _replace(text: str, old: str, new: str) -> str:
    check_length(len(text) + (text.count(old) * len(new)))
    if not old and new and not text.isascii():  # Go finds an empty text between bytes, not between characters
        return _from_bytes(_as_bytes(text).replace(old, _as_bytes(new)))
    return text.replace(old, new)


@builtin("strings.replace_n", "object, string -> string", context=True)
def _replace_n(ctx: Context, patterns: dict[Any, Any], text: str) -> str:
    if not patterns:
        return text
    pairs: list[tuple[str, str]] = []
    for key in sorted_keys(patterns):
        if type(key) is not str:
            raise BuiltinFailure("operand 1 non-string key found in pattern object", "eval_type_error")
        if type(patterns[key]) is not str:
            raise BuiltinFailure("operand 1 non-string value found in pattern object", "eval_type_error")
        pairs.append((key, patterns[key]))
    ctx.budget.charge(len(text) * len(pairs) // _COMPARISONS_PER_STEP)
    known = dict(pairs)
    if known.get("") and not text.isascii():
        # As in replace: between bytes.
        known = {_as_bytes(old): _as_bytes(new) for old, new in pairs}
        return _from_bytes(_replaced(ctx, known, _as_bytes(text)))
    return _replaced(ctx, known, text)


def _replaced(ctx: Context, known: dict[str, str], text: str) -> str:
    length = len(text)

    def put(match: re.Match[str]) -> str:
        nonlocal length
        ctx.budget.charge(1)
        length += len(known[match.group()])
        check_length(length)
        return known[match.group()]

    return re.sub("|".join(re.escape(key) for key in known), put, text)


@builtin("trim", "string, string -> string")
def _trim(text: str, cutset: str) -> str:
    return text.strip(cutset) if cutset else text


@builtin("trim_left", "string, string -> string")
def _trim_left(text: str, cutset: str) -> str:
    return text.lstrip(cutset) if cutset else text


@builtin("trim_right", "string, string -> string")
def _trim_right(text: str, cutset: str) -> str:
    return text.rstrip(cutset) if cutset else text


@builtin("trim_prefix", "string, string -> string")
def _trim_prefix(text: str, prefix: str) -> str:
    return text.removeprefix(prefix)


@builtin("trim_suffix", "string, string -> string")
def _trim_suffix(text: str, suffix: str) -> str:
    return text.removesuffix(suffix)


@builtin("trim_space", "string -> string")
def _trim_space(text: str) -> str:
    return text.strip(GO_SPACE)


@builtin("strings.reverse", "string -> string")
def _reverse(text: str) -> str:
    return text[::-1]


@builtin("strings.count", "string, string -> number")
def _count(text: str, part: str) -> int:
    return text.count(part)


def _affixes(value: Any, position: int) -> list[str]:
    if type(value) is str:
        return [value]
    found = list(value) if type(value) is list else value.sorted()
    for item in found:
        if type(item) is not str:
            message = f"operand {position} must be array of strings but got array containing {type_name(item)}"
            raise BuiltinFailure(message, "eval_type_error")
    return found


@builtin("strings.any_prefix_match", "string | set | array, string | set | array -> boolean")
def _any_prefix(texts: Any, prefixes: Any) -> bool:
    wanted = tuple(_affixes(prefixes, 2))
    return any(text.startswith(wanted) for text in _affixes(texts, 1))


@builtin("strings.any_suffix_match", "string | set | array, string | set | array -> boolean")
def _any_suffix(texts: Any, suffixes: Any) -> bool:
    wanted = tuple(_affixes(suffixes, 2))
    return any(text.endswith(wanted) for text in _affixes(texts, 1))


def _go_argument(value: Any) -> Any:
    kind = type(value)
    if kind in {int, float, str}:
        return value
    if kind is Decimal:
        nearest = float(value)
        return nearest if math.isfinite(nearest) else show(value)
    return show(value)


@builtin("sprintf", "string, array -> string", context=True, deep=True)
def _sprintf(ctx: Context, template: str, args: list[Any]) -> str:
    ctx.budget.charge(template.count("%"))
    return gofmt.sprintf(template, [_go_argument(arg) for arg in args])


def combinations(operands: list[Any]) -> Iterable[list[str]]:
    """Every choice of one member of each operand, as texts; an empty set shows as ``<undefined>``."""
    choices: list[list[Any]] = []
    for operand in operands:
        if type(operand) is Set:
            choices.append(operand.sorted() or ["<undefined>"])
        else:
            choices.append([operand])
    found: list[list[str]] = [[]]
    for choice in choices:
        texts = [value if type(value) is str else show(value) for value in choice]
        if len(found) * len(texts) > _MAX_COMBINATIONS:
            raise BuiltinFailure("the operands have too many combinations")
        found = [[*before, text] for before in found for text in texts]
    return found


@builtin("internal.print", "array -> boolean", context=True, deep=True)
def _print(ctx: Context, operands: list[Any]) -> bool:
    hook = ctx.session.print_hook
    if hook is not None:
        for line in combinations(operands):
            hook(" ".join(line))
    return True
