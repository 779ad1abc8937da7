"""What policies may use: which built-ins are refused, which optional keywords an import can turn on."""

from __future__ import annotations

from dataclasses import dataclass

REFUSED = frozenset({"http.send", "net.lookup_ip_addr"})
DEPRECATED = frozenset(
    {"all", "any", "cast_array", "cast_boolean", "cast_null", "cast_object", "cast_set", "cast_string"}
    | {"net.cidr_overlap", "re_match", "set_diff"}
)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What policies may use. ``refused`` built-ins are errors at load; ``future_keywords`` are the optional keywords
    that ``import future.keywords.X`` can turn on, ``import rego.v2`` all of them. OPA has ``not`` since 1.17, ``and``
    and ``or`` since 1.20: a deployment that hands its policies to an older server allows only ``not``."""

    refused: frozenset[str] = REFUSED
    future_keywords: frozenset[str] = frozenset({"not", "and", "or"})
