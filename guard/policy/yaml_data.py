"""YAML data as OPA reads it, within bounds."""

from __future__ import annotations

from typing import Any, Final

import yaml

from guard.rego import read_yaml

MAX_BYTES: Final = 2 * 2**20
MAX_VALUES: Final = 500_000
"""Values with those that aliases repeat: a few lines of YAML can mean more values than there are atoms."""


class YamlTooLarge(yaml.YAMLError):
    """The document is larger than ``MAX_BYTES``: write it as JSON."""


def load_yaml(text: str | bytes) -> Any:
    """The value of a YAML document. Raises ``yaml.YAMLError``, ``ValueError`` and ``RecursionError``."""
    if len(text) > MAX_BYTES:
        raise YamlTooLarge
    return read_yaml(text, max_values=MAX_VALUES)
