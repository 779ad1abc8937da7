"""A model of each kind, judged: what ``guard model evaluate`` prints, and what it keeps in the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from detectors.anomaly.features import NAMES
from detectors.anomaly.forest import load as load_forest
from detectors.injection.training.evaluate import Quality as InjectionQuality
from detectors.intent.model import shipped_lexicon
from detectors.intent.stored import LEARNED
from detectors.intent.stored import load as load_intent
from detectors.models import injection, intent, simulated
from detectors.models.kinds import KINDS
from guard.errors import ConfigError


class Asked(NamedTuple):
    """What is to be judged, and on what: the options of the command."""

    model: Path | None
    sets: Path | None
    model_key: Path | None
    lexicon: Path | None


class Judged(NamedTuple):
    """``lines`` for people, ``told`` for programs, ``metrics`` for the card, as the group of this name."""

    lines: dict[str, object]
    told: dict[str, Any]
    group: str
    metrics: Mapping[str, Any]


def judged(kind: str, asked: Asked) -> Judged:
    """Judge a model of this kind. Raises ``ConfigError``, ``KeyInvalid``."""
    if kind not in _JUDGES:
        raise ConfigError(f"there are no models of kind {kind!r}", where="KIND", mend=f"write {', '.join(_JUDGES)}")
    return _JUDGES[kind](asked)


def _injection(asked: Asked) -> Judged:
    if asked.sets is None:
        raise ConfigError(
            "texts are needed to judge an injection model",
            where="--eval",
            mend="name a directory of atk_*, ben_* and hard_*.jsonl files: --eval DIR",
        )
    named = {"model": asked.model, "model_key": asked.model_key if asked.model else None, "lexicon": asked.lexicon}
    found = injection.judge(asked.sets, {name: str(path) for name, path in named.items() if path is not None})
    figures: InjectionQuality = found.figures
    lines: dict[str, object] = {f"recall  {name}": f"{share:.3f}" for name, share in figures.recall.items()}
    lines |= {"recall  all, micro": f"{figures.micro:.3f}", "recall  all, macro": f"{figures.macro:.3f}"}
    lines |= {f"flagged  {name}": f"{share:.3f}" for name, share in figures.flagged.items()}
    lines |= {"AUC against ordinary": f"{figures.auc:.3f}", "threshold": f"{figures.threshold:.6f}"}
    return Judged(
        lines, {**figures._asdict(), "of": found.of, "texts": found.texts}, "evaluated", injection.as_card(found)
    )


def _intent(asked: Asked) -> Judged:
    file = asked.model or KINDS["intent"].shipped
    stored = load_intent(file, shipped_lexicon(), model_key=asked.model_key if asked.model else None)
    if asked.sets is None:
        found, group = intent.held_out_of(stored, file), "held_out"
        lines: dict[str, object] = {"judged": "its training without a quarter of the templates, on that quarter"}
    else:
        found, group = intent.judge(asked.sets, stored), "evaluated"
        lines = {"judged": "the model itself, on your texts"}
    quality = found.quality
    metrics = found.as_card()
    lines |= {f"recall  {label}": f"{share:.3f}" for label, share in quality.recall.items()}
    lines |= {"recall  all, macro": f"{quality.recall_macro:.3f}", "accuracy": f"{quality.accuracy:.3f}"}
    lines |= {f"taken for  {label}": taken for label, taken in _mistakes(quality.confusion.tolist()).items()}
    confusion = {
        meant: dict(zip(LEARNED, row, strict=True))
        for meant, row in zip(LEARNED, quality.confusion.tolist(), strict=True)
    }
    return Judged(lines, {**metrics, "recall": quality.recall, "confusion": confusion}, group, metrics)


def _mistakes(confusion: list[list[int]]) -> dict[str, str]:
    """What each class is taken for, the most frequent first."""
    found: dict[str, str] = {}
    for at, row in enumerate(confusion):
        others = sorted(((count, LEARNED[to]) for to, count in enumerate(row) if to != at and count), reverse=True)
        if others:
            found[LEARNED[at]] = ", ".join(f"{name} {count}" for count, name in others) + f" of {sum(row)}"
    return found


def _behaviour(asked: Asked) -> Judged:
    if asked.sets is not None:
        raise ConfigError(
            "a forest judges behaviour, not texts",
            where="--eval",
            mend="leave --eval out: it is judged on a simulation",
        )
    file = asked.model or KINDS["behaviour"].shipped
    stored = load_forest(file, NAMES, model_key=asked.model_key if asked.model else None)
    metrics = simulated.measured(stored.forest)
    lines: dict[str, object] = {
        "judged": f"{metrics['requests']} simulated requests, attacks among them",
        "recall  all, micro": f"{metrics['recall_micro']:.3f} at 1 % false alarms",
        "recall  all, macro": f"{metrics['recall_macro']:.3f}, the mean over the kinds of attack",
        "AUC against ordinary": f"{metrics['auc']:.3f}",
    }
    return Judged(lines, dict(metrics), "simulated", metrics)


_JUDGES: Final[Mapping[str, Callable[[Asked], Judged]]] = {
    "injection": _injection,
    "behaviour": _behaviour,
    "intent": _intent,
}
