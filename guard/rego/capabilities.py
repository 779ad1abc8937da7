"""What policies may use: which built-ins are refused, and what of OPA versions after 1.18.1 is there."""

from __future__ import annotations

from dataclasses import dataclass

REFUSED = frozenset({"http.send", "net.lookup_ip_addr"})
DEPRECATED = frozenset(
    {"all", "any", "cast_array", "cast_boolean", "cast_null", "cast_object", "cast_set", "cast_string"}
    | {"net.cidr_overlap", "re_match", "set_diff"}
)
LATER_BUILTINS = frozenset({"strings.split_n"})
LATER_KEYWORDS = frozenset({"and", "or"})


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What policies may use. ``refused`` built-ins are errors at load. ``future_keywords`` are the optional keywords
    that ``import future.keywords.X`` can turn on, and where all of them are there ``import rego.v2``.
    ``later_builtins`` are those that OPA has since 1.18.1. The defaults are what OPA 1.18.1 has, so that a policy that
    loads here loads there; `newest` has all."""

    refused: frozenset[str] = REFUSED
    future_keywords: frozenset[str] = frozenset({"not"})
    later_builtins: frozenset[str] = frozenset()

    @classmethod
    def newest(cls) -> Capabilities:
        """All that the engine knows: for servers of OPA 1.20 and later."""
        return cls(future_keywords=frozenset({"not"}) | LATER_KEYWORDS, later_builtins=LATER_BUILTINS)
