"""A behaviour score in words: what was unusual, against whose past, and how rare that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_SHOWN: Final = 3
_WORDS: Final = {
    "requests_10s": ("requests within ten seconds", ""),
    "requests_1m": ("requests within a minute", ""),
    "pace_per_minute": ("pace of the latest requests", " a minute"),
    "size_bytes": ("size", " bytes"),
    "tokens_estimate": ("tokens asked", ""),
    "messages": ("messages", ""),
    "entropy_bits": ("entropy of the text", " bits a character"),
    "finding_density": ("findings in a thousand characters", ""),
    "hour_surprise": ("an hour in which this caller rarely comes: surprise", " bits"),
    "endpoint_surprise": ("a route that this caller rarely uses: surprise", " bits"),
    "model_surprise": ("a model that this caller rarely uses: surprise", " bits"),
    "client_surprise": ("a client or network that this caller rarely uses: surprise", " bits"),
    "tool_surprise": ("tools that this caller rarely uses: surprise", " bits"),
    "tokens_out": ("tokens of the latest answers", ""),
    "cost_1h": ("cost of the last hour, in tokens", ""),
    "error_ratio": ("share of errors among the latest answers", ""),
    "refusal_ratio": ("share of refused answers among the latest", ""),
}
_PAST: Final = {
    "own": "Compared with the caller's own past.",
    "group": "Too little is known of the caller yet: compared with the others of its tenant.",
    "global": "Too little is known of the caller yet: compared with everybody who has a credential.",
}


_AMONG_ANONYMOUS: Final = "Too little is known of the caller yet: compared with all others without a credential."


def unusual(anomaly: Mapping[str, Any], *, anonymous: bool = False) -> list[str]:
    """Sentences about a recorded anomaly of a caller with or without (``anonymous``) a credential; none where nothing
    was scored. Features of other models keep their names."""
    if not anomaly["score"]:
        return []
    shares = [(one, round(one["share"] / 10)) for one in anomaly["features"]]
    told = [(one, share) for one, share in shares if share][:_SHOWN]
    parts = [f"{one['name']} ({share} %)" for one, share in told]
    because = f", mostly by {', '.join(parts)}" if parts else ""
    said = [f"Behaviour scored {anomaly['score'] / 1000:.2f}{because}."]
    said += [_feature(one) for one, _ in told if "rarity" in one]
    scope = anomaly.get("scope")
    if scope in _PAST:
        said.append(_AMONG_ANONYMOUS if anonymous and scope == "global" else _PAST[scope])
    if anomaly.get("second") is not None:
        said.append(f"Second opinion on all features together: {anomaly['second'] / 1000:.2f} (0.5 is ordinary).")
    return said


def _feature(one: Mapping[str, Any]) -> str:
    what, unit = _WORDS.get(one["name"], (one["name"], ""))
    usual = f"usually {_number(one['expected'])}"
    if one["spread"]:
        usual += f", often up to {_number(one['expected'] + one['spread'])}"
    said = f"{one['name']}: {what} {_number(one['value'])}{unit}, {usual}"
    if one["drift"]:
        return f"{said}; it has stayed above what it was for several requests."
    return f"{said}; {_rarity(one['rarity'])}." if one["rarity"] else f"{said}."


def _rarity(milli: int) -> str:
    if milli >= 6000:
        return "rarer than one in a million"
    return f"seen so high about once in {_number(round(float(f'{10 ** (milli / 1000):.2g}') * 1000))}"


def _number(milli: int) -> str:
    """Thousandths as people read them: whole from ten on, two digits below."""
    value = milli / 1000
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2f}".rstrip("0").rstrip(".")
