"""base64, hex, JSON, YAML, URLs. Encoders write what Go's do."""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import re
import urllib.parse
from typing import Any

import yaml

from guard.rego import numbers
from guard.rego.runtime import BuiltinFailure, Context
from guard.rego.show import compact, go_string, to_json
from guard.rego.values import Set, sorted_keys, type_name
from guard.rego.yaml_values import read_yaml, whole

from .registry import builtin
from .yaml_text import yaml_text

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}\Z")
_MAX_YAML_VALUES = 200_000


def decode_base64(text: str, *, url: bool) -> bytes:
    """The bytes of a base64 text; padding may be left out of the URL form. Raises BuiltinFailure."""
    cleaned = text.replace("\n", "").replace("\r", "")
    standard = cleaned.replace("-", "+").replace("_", "/") if url else cleaned
    if url:
        bad = next((at for at, char in enumerate(cleaned) if not re.match(r"[A-Za-z0-9_=-]", char)), -1)
        if bad >= 0:
            raise _illegal(bad)
    if url and not text.endswith("="):  # RFC 7515, appendix C
        standard += "=" * (-len(standard) % 4)
    if not _BASE64.match(standard) or len(standard) % 4:
        bad = next((at for at, char in enumerate(standard) if not re.match(r"[A-Za-z0-9+/=]", char)), len(standard))
        raise _illegal(bad)
    try:
        return base64.b64decode(standard, validate=True)
    except binascii.Error:
        raise _illegal(len(standard)) from None


def _each_byte(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\ufffd", error.start + 1


codecs.register_error("rego_each_byte", _each_byte)


def _illegal(position: int) -> BuiltinFailure:
    return BuiltinFailure(f"illegal base64 data at input byte {position}")


def text_of(data: bytes) -> str:
    """Bytes as a string; each byte that is not UTF-8 becomes U+FFFD, as where Go reads a string."""
    return data.decode("utf-8", "rego_each_byte")


@builtin("base64.encode", "string -> string")
def _base64_encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@builtin("base64.decode", "string -> string")
def _base64_decode(text: str) -> str:
    return text_of(decode_base64(text, url=False))


@builtin("base64.is_valid", "string -> boolean", lenient=True)
def _base64_is_valid(text: Any) -> bool:
    if type(text) is not str:
        return False
    try:
        decode_base64(text, url=False)
    except BuiltinFailure:
        return False
    return True


@builtin("base64url.encode", "string -> string")
def _base64url_encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@builtin("base64url.encode_no_pad", "string -> string")
def _base64url_encode_no_pad(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@builtin("base64url.decode", "string -> string")
def _base64url_decode(text: str) -> str:
    return text_of(decode_base64(text, url=True))


@builtin("hex.encode", "string -> string")
def _hex_encode(text: str) -> str:
    return text.encode().hex()


@builtin("hex.decode", "string -> string")
def _hex_decode(text: str) -> str:
    for char in text:
        if char not in "0123456789abcdefABCDEF":
            raise BuiltinFailure(f"encoding/hex: invalid byte: U+{ord(char):04X} '{char}'")
    if len(text) % 2:
        raise BuiltinFailure("encoding/hex: odd length hex string")
    return text_of(bytes.fromhex(text))


# -- JSON -------------------------------------------------------------------------------------------------------------


def parse_json(text: str) -> Any:
    """The value of a JSON text; half a surrogate pair is U+FFFD. Raises BuiltinFailure, for NaN and infinities too."""
    try:
        found = json.loads(text, parse_float=_number, parse_int=_number, parse_constant=_no_constant)
        return _without_surrogates(found) if _SURROGATE.search(text) else found
    except (ValueError, RecursionError) as error:
        raise BuiltinFailure(f"invalid JSON: {error}") from None


def _without_surrogates(value: Any) -> Any:
    if type(value) is str:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if type(value) is list:
        return [_without_surrogates(item) for item in value]
    if type(value) is dict:
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def _number(text: str) -> Any:
    found = numbers.parse_number(text)
    if found is None:
        raise ValueError("number too big")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


@builtin("json.marshal", "any -> string", context=True)
def _json_marshal(ctx: Context, value: Any) -> str:
    return compact(to_json(value, exact=True, budget=ctx.budget))


_CHARACTERS_PER_STEP = 8


@builtin("json.unmarshal", "string -> any", context=True)
def _json_unmarshal(ctx: Context, text: str) -> Any:
    ctx.budget.charge(len(text) // _CHARACTERS_PER_STEP)
    return parse_json(text)


@builtin("json.is_valid", "any -> boolean", context=True)
def _json_is_valid(ctx: Context, text: Any) -> bool:
    if type(text) is not str:
        return False
    ctx.budget.charge(len(text) // _CHARACTERS_PER_STEP)
    try:
        parse_json(text)
    except BuiltinFailure:
        return False
    return True


@builtin("json.marshal_with_options", "any, object -> string", deep=True)
def _json_marshal_with_options(value: Any, options: dict[Any, Any]) -> str:
    for key in sorted_keys(options):
        chosen = options[key]
        wanted = {"pretty": bool, "indent": str, "prefix": str}.get(key)
        if wanted is None:
            raise BuiltinFailure(f'operand 2 object contained unknown key "{key}"', "eval_type_error")
        if type(chosen) is not wanted:
            name = "boolean" if wanted is bool else "string"
            raise BuiltinFailure(f"key {key} failed cast to {name}: got {type_name(chosen)}", "eval_type_error")
    plain = to_json(value, exact=True)
    if not options.get("pretty", bool(options)):
        return compact(plain)
    prefix = str(options.get("prefix", ""))
    return prefix + _indented(plain, prefix, str(options.get("indent", "\t")), 1)


def _indented(value: Any, prefix: str, indent: str, depth: int) -> str:
    if type(value) not in {list, dict} or not value:
        return compact(value)
    pad, end = f"\n{prefix}{indent * depth}", f"\n{prefix}{indent * (depth - 1)}"
    if type(value) is list:
        items = [_indented(item, prefix, indent, depth + 1) for item in value]
        return "[" + ",".join(pad + item for item in items) + end + "]"
    pairs = [f"{go_string(key)}: {_indented(value[key], prefix, indent, depth + 1)}" for key in sorted(value)]
    return "{" + ",".join(pad + pair for pair in pairs) + end + "}"


# -- YAML -------------------------------------------------------------------------------------------------------------


@builtin("yaml.marshal", "any -> string", context=True, deep=True)
def _yaml_marshal(ctx: Context, value: Any) -> str:
    text = compact(to_json(value, exact=True))
    ctx.budget.charge(len(text))
    return yaml_text(json.loads(text))


def _read_yaml(ctx: Context, text: str) -> Any:
    try:
        return read_yaml(text, max_values=_MAX_YAML_VALUES, budget=ctx.budget, finish=whole)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        row = mark.line + 1 if mark is not None else 1
        problem = str(getattr(error, "problem", "") or "could not be read")
        raise BuiltinFailure(f"yaml: line {row}: {problem.replace('expected', 'did not find expected')}") from None


@builtin("yaml.unmarshal", "string -> any", context=True)
def _yaml_unmarshal(ctx: Context, text: str) -> Any:
    return _read_yaml(ctx, text)


@builtin("yaml.is_valid", "any -> boolean", context=True)
def _yaml_is_valid(ctx: Context, text: Any) -> bool:
    if type(text) is not str:
        return False
    try:
        _read_yaml(ctx, text)
    except BuiltinFailure:
        return False
    return True


# -- URLs -------------------------------------------------------------------------------------------------------------


@builtin("urlquery.encode", "string -> string", context=True)
def _urlquery_encode(ctx: Context, text: str) -> str:
    ctx.budget.charge(len(text) // _CHARACTERS_PER_STEP)
    return urllib.parse.quote_plus(text, safe="")


def unquote(text: str) -> str:
    """The decoded form of a query part. Raises BuiltinFailure for a broken escape."""
    broken = re.search(r"%(?![0-9A-Fa-f]{2}).{0,2}", text, re.DOTALL)
    if broken:
        raise BuiltinFailure(f'invalid URL escape "{broken.group()}"')
    return urllib.parse.unquote_plus(text, errors="rego_each_byte")


@builtin("urlquery.decode", "string -> string")
def _urlquery_decode(text: str) -> str:
    return unquote(text)


@builtin("urlquery.encode_object", "object -> string")
def _urlquery_encode_object(obj: dict[Any, Any]) -> str:
    pairs: list[tuple[str, str]] = []
    for key in sorted_keys(obj):
        value = obj[key]
        values = [value] if type(value) is str else list(value) if type(value) in {list, Set} else None
        if type(key) is not str or values is None or not all(type(item) is str for item in values):
            message = f"operand 1 values must be string, array[string], or set[string] but got {type_name(value)}"
            raise BuiltinFailure(message, "eval_type_error")
        pairs += [(key, item) for item in values]
    return urllib.parse.urlencode(pairs)


@builtin("urlquery.decode_object", "string -> object", context=True)
def _urlquery_decode_object(ctx: Context, text: str) -> dict[str, list[str]]:
    ctx.budget.charge(len(text) // _CHARACTERS_PER_STEP + text.count("&"))
    found: dict[str, list[str]] = {}
    for part in text.split("&"):
        if ";" in part:
            raise BuiltinFailure("invalid semicolon separator in query")
        if part:
            key, _, value = part.partition("=")
            found.setdefault(unquote(key), []).append(unquote(value))
    return found
