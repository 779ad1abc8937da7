"""YAML text as OPA writes it: what a reader could take for another type than a string stands in double quotes, several
lines are a literal block. Source: https://www.openpolicyagent.org/docs/policy-reference (yaml.marshal).
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from guard.rego.gofmt import general

# What YAML 1.1 or 1.2 readers take for no string: numbers of any base, times, booleans of old.
_OTHER = re.compile(
    r"""[-+]?0b[01_]+ | [-+]?0o?[0-7_]+ | [-+]?0x[0-9a-fA-F_]+
    | [-+]?(?:[0-9][0-9_]*)(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)? | [-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?
    | [-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?
    | [-+]?\.(?:inf|Inf|INF) | \.(?:nan|NaN|NAN)
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?
      (?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?)?
    | ~ | null | Null | NULL | [yYnN]
    | (?:true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)""",
    re.VERBOSE,
)


class _Dumper(yaml.SafeDumper):
    """Writes no characters past the basic plane as they are."""

    event: Any

    def analyze_scalar(self, scalar: str) -> Any:
        """Which styles a text may have."""
        found = super().analyze_scalar(scalar)
        if any(ord(char) > 0xFFFF for char in scalar):
            found.allow_flow_plain = found.allow_block_plain = found.allow_single_quoted = found.allow_block = False
        return found

    def check_simple_key(self) -> bool:
        """An empty key needs no question mark."""
        empty = isinstance(self.event, yaml.ScalarEvent) and self.event.value == ""
        return empty or bool(super().check_simple_key())

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """JSON has none."""
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> Any:
    style = '"' if not text or _OTHER.fullmatch(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


def _number(dumper: yaml.SafeDumper, value: float) -> Any:
    plain = type(value) is int and -(1 << 63) <= value < 1 << 64
    return dumper.represent_scalar("tag:yaml.org,2002:int", str(value) if plain else general(float(value)))


_Dumper.add_representer(str, _string)
_Dumper.add_representer(int, _number)
_Dumper.add_representer(float, _number)
_Dumper.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0].endswith((":null", ":bool"))]
    for first, pairs in yaml.SafeDumper.yaml_implicit_resolvers.items()
}
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[-+][0-9]+)?\Z")
_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", _NUMBER, list("-0123456789"))


def yaml_text(value: Any) -> str:
    """A plain JSON value as a YAML document."""
    text: str = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, default_flow_style=False)
    return text.removesuffix("...\n")
