"""The choice of models and provider that a policy makes; the gateway, or the app, carries it out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guard.errors import ObligationFailed
from guard.types import Obligation


def choice(obligations: Sequence[Obligation]) -> dict[str, Any] | None:
    """``{"models": [...], "provider": name or None, "rule": id}`` as it is left in ``scope["guard"].route``.

    ``models`` come in the order of preference. Two rules that choose differently contradict each other, and nothing
    says which is meant: ``ObligationFailed``.
    """
    chosen: dict[str, Any] | None = None
    for obligation in obligations:
        if obligation.type != "route":
            continue
        where = f"rule {obligation.rule}"
        models, provider = obligation.params.get("models", []), obligation.params.get("provider")
        if not isinstance(models, list) or not all(isinstance(m, str) and m for m in models):
            raise ObligationFailed("route names no list of models", where=where, mend='use "models": ["name"]')
        if provider is not None and not isinstance(provider, str):
            raise ObligationFailed("route names no provider", where=where, mend='use "provider": "name"')
        if not models and provider is None:
            raise ObligationFailed("route chooses nothing", where=where, mend="name models or a provider")
        if chosen and (chosen["models"], chosen["provider"]) != (models, provider):
            mend = f"let one of them and rule {chosen['rule']} exclude the other"
            raise ObligationFailed("two rules choose different routes", where=where, mend=mend)
        chosen = chosen or {"models": list(models), "provider": provider, "rule": obligation.rule}
    return chosen
