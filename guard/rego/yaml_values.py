"""YAML text as values, as OPA reads it: the scalars of YAML 1.1 but for times and numbers to the base of sixty; keys
become their JSON text. Source: https://www.openpolicyagent.org/docs/policy-reference (yaml.unmarshal).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import yaml

from .runtime import Budget
from .show import compact

_BREAKS = "\r\n\x85\u2028\u2029"
_PREFIX = "tag:yaml.org,2002:"
_OWN = frozenset({f"{_PREFIX}{name}" for name in ("timestamp", "int", "float", "bool")})
_BOOL = re.compile(r"(?:y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON|n|N|no|No|NO|false|False|FALSE|off|Off|OFF)\Z")
_INT = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|0|[1-9][0-9_]*)\Z")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?\Z|[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z"
)


class YamlRefused(yaml.MarkedYAMLError):
    """YAML that no JSON value stands for, or that means more values than are allowed."""


class _Loader(yaml.SafeLoader):
    """Reads one document. Tokens are paid for: scanning is slow."""

    budget: Budget | None = None
    max_values = 0

    def flatten_mapping(self, node: Any) -> None:
        """Merges the keys of ``<<`` into a mapping: each step may multiply them."""
        super().flatten_mapping(node)
        if len(node.value) > self.max_values:
            raise YamlRefused(problem="document contains excessive aliasing")

    def fetch_more_tokens(self) -> Any:
        """The next token."""
        if self.budget is not None:
            self.budget.charge(1)
        return super().fetch_more_tokens()

    def construct_yaml_float(self, node: Any) -> Any:
        """A number, or the text of one that is too large."""
        value = super().construct_yaml_float(node)
        return node.value if math.isinf(value) and node.value[-1:].isdigit() else value

    def scan_to_next_token(self) -> None:
        """Tabs are blanks too, but where they would indent."""
        super().scan_to_next_token()
        while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key):
            self.forward()
            super().scan_to_next_token()

    def scan_plain_spaces(self, indent: int, start_mark: Any) -> Any:
        """The blanks inside of a plain text, tabs among them."""
        length = 0
        while self.peek(length) in " \t":
            length += 1
        blanks = self.prefix(length)
        if "\t" not in blanks:
            return super().scan_plain_spaces(indent, start_mark)
        self.forward(length)
        return super().scan_plain_spaces(indent, start_mark) if self.peek() in _BREAKS else [blanks]

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """A mapping by the texts of its keys: to Python, 1 and true are one key."""
        self.flatten_mapping(node)
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if key is None or isinstance(key, dict | list):
                raise yaml.constructor.ConstructorError(None, None, "found an unhashable key", key_node.start_mark)
            found[key if isinstance(key, str) else compact(whole(_scalar(key)))] = self.construct_object(
                value_node, deep=deep
            )
        return found


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] not in _OWN]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor(f"{_PREFIX}float", _Loader.construct_yaml_float)
_Loader.bool_values = dict(yaml.SafeLoader.bool_values) | {"y": True, "n": False}
_Loader.add_implicit_resolver(f"{_PREFIX}bool", _BOOL, list("yYnNtTfFoO"))
_Loader.add_implicit_resolver(f"{_PREFIX}int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver(f"{_PREFIX}float", _FLOAT, list("-+.0123456789"))


def whole(value: Any) -> Any:
    """A number as the integer that it is, if it is one; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _scalar(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        raise YamlRefused(problem="not a JSON number")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise YamlRefused(problem=f"unsupported value {type(value).__name__}")


def _json_value(value: Any, left: list[int], finish: Callable[[Any], Any] | None) -> Any:
    """The JSON value of loaded YAML; aliases are copies, so ``left`` bounds how many values they may become."""
    left[0] -= 1
    if left[0] < 0:
        raise YamlRefused(problem="document contains excessive aliasing")
    if isinstance(value, dict):
        return {key: _json_value(item, left, finish) for key, item in value.items()}
    if isinstance(value, list):
        return [_json_value(item, left, finish) for item in value]
    return _scalar(value) if finish is None else finish(_scalar(value))


def read_yaml(
    text: str | bytes, *, max_values: int, budget: Budget | None = None, finish: Callable[[Any], Any] | None = None
) -> Any:
    """The JSON value of the first document, of at most ``max_values`` values with those that aliases repeat. ``finish``
    has the last word on each scalar.

    Raises ``yaml.YAMLError`` (``YamlRefused`` for what is no JSON), ``ValueError`` and ``RecursionError``.
    """
    loader = _Loader(text)
    loader.budget, loader.max_values = budget, max_values
    value = loader.get_data() if loader.check_data() else None  # type: ignore[no-untyped-call]
    while loader.check_node():  # the documents after the first count for nothing, but must be YAML
        loader.get_node()
    return _json_value(value, [max_values], finish)
