"""YAML data as OPA reads it: numbers in every spelling that Go knows, dates and ``1:30`` as text."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

MAX_BYTES: Final = 2 * 2**20
MAX_VALUES: Final = 500_000
"""Values with those that aliases repeat: a few lines of YAML can mean more values than there are atoms."""

_NUMBERS: Final = {
    "tag:yaml.org,2002:float": re.compile(
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
    ),
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]+|0|[1-9][0-9_]*)$"),
}
_TEXT: Final = frozenset({*_NUMBERS, "tag:yaml.org,2002:timestamp"})


class YamlTooLarge(yaml.YAMLError):
    """The document is larger than ``MAX_BYTES``, or means more than ``MAX_VALUES``: write it as JSON."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with other words for numbers, and a bound on what merged keys repeat."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the base class has it
        first: [(tag, pattern) for tag, pattern in known if tag not in _TEXT]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def flatten_mapping(self, node: Any) -> None:
        """Merges the keys of ``<<`` into a mapping."""
        super().flatten_mapping(node)
        if len(node.value) > MAX_VALUES:
            raise YamlTooLarge


for _tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
    _Loader.add_implicit_resolver(_tag, _NUMBERS[_tag], list("-+.0123456789"))


def load_yaml(text: str | bytes) -> Any:
    """The value of a YAML document. Raises ``yaml.YAMLError``, ``ValueError`` and ``RecursionError``."""
    if len(text) > MAX_BYTES:
        raise YamlTooLarge
    value = yaml.load(text, _Loader)  # noqa: S506 - it is the safe loader
    waiting, count = [value], 0
    while waiting:
        each = waiting.pop()
        members = list(each.values()) if isinstance(each, dict) else each if isinstance(each, list) else ()
        count += 1 + len(members)
        if count > MAX_VALUES:
            raise YamlTooLarge
        waiting += members
    return value
