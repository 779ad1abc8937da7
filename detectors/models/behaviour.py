"""Training the behaviour model's second opinion on a signed log: ``guard model train behaviour``.

The requests of the log are replayed, in the order of their times, through a fresh ``TailModel``; what the forest learns
from is how far each feature of each request lay from what was usual for its caller then. Numbers, pseudonyms and names
of the configuration: a record holds no text.
"""

from __future__ import annotations

import datetime
import hashlib
import random
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest
from threadpoolctl import threadpool_limits

from detectors.anomaly import TailModel
from detectors.anomaly.features import NAMES
from detectors.anomaly.forest import KIND, FlatForest
from detectors.anomaly.second import one_sided
from detectors.anomaly.training.flatten import arrays_of
from detectors.common import artefact
from detectors.models.simulated import measured
from guard.errors import ConfigError
from guard.types import BehaviourEvent, BehaviourOutcome, DecisionRecord

ENOUGH: Final = 500
"""Requests of callers that are known well enough; below it a forest would be made of chance."""
MOST: Final = 50_000
"""Requests that are kept for the forest: a fair sample of more."""
KINDS: Final = ("decision", "outcome")
"""The kinds of record that ``learn`` takes."""
WARM_UP: Final = 30
"""A caller's first requests: nothing is known of it."""
SEED: Final = 20_261_123
_TREES: Final = 100
_PART: Final = 256
_LIBRARIES: Final = ("numpy", "scikit-learn")
_WAITING: Final = 100_000


class Account(NamedTuple):
    """What was learned from, and what was left out."""

    learned: int
    principals: int
    denied: int
    flagged: int
    bare: int
    first_us: int
    last_us: int
    origins: tuple[str, ...]

    @property
    def span(self) -> str:
        """From when to when, UTC."""
        return f"{_when(self.first_us)} to {_when(self.last_us)}"

    def as_card(self) -> dict[str, Any]:
        """As it stands in a model's card."""
        return {
            "source": "log",
            "origins": list(self.origins),
            "from": _when(self.first_us),
            "to": _when(self.last_us),
            "requests": self.learned,
            "callers": self.principals,
            "left_out": {"denied": self.denied, "labelled": self.flagged, "without_numbers": self.bare},
        }


class Learned(NamedTuple):
    """Rows of z for a forest, one column for each of ``NAMES``, and where they come from."""

    rows: npt.NDArray[np.float64]
    account: Account


def attacks_of(labels: Iterable[DecisionRecord]) -> set[str]:
    """The decisions that analysts last called an attack, whatever it was about."""
    last: dict[tuple[str, str], bool] = {}
    for record in labels:
        last[record["decision_ref"], record["about"]] = record["attack"]
    return {decision for (decision, _), attack in last.items() if attack}


def event_of(record: DecisionRecord) -> BehaviourEvent | None:
    """The request of a ``decision`` record as a behaviour model sees it, as far as it was recorded; ``None`` where no
    policy was asked, so that there are no numbers."""
    document = record.get("policy_input")
    if not isinstance(document, Mapping):
        return None
    who, what, asked = record["who"], record["what"], document.get("ai") or {}
    given = {
        "size_bytes": (document.get("context") or {}).get("size_bytes"),
        "tokens_estimate": asked.get("tokens_estimate"),
        "messages": asked["messages"] if isinstance(asked.get("messages"), int) else None,
    }
    tools = asked.get("tools")
    labels = {"endpoint": what["route"], "model": what["model"], "network": who["ip"]}
    known: dict[str, tuple[str, ...]] = {kind: (str(label),) for kind, label in labels.items() if label}
    if isinstance(tools, list) and tools:
        known["tools"] = tuple(str(tool) for tool in tools)
    return BehaviourEvent(
        f"{who['method']}:{who['tenant'] or ''}:{who['id'] or who['ip'] or ''}",
        record["ts_us"] / 1e6,
        {name: float(value) for name, value in given.items() if value is not None},
        str(who["tenant"] or ""),
        known,
        anonymous=who["method"] == "anonymous",
    )


def outcome_of(record: DecisionRecord) -> BehaviourOutcome:
    """What an ``outcome`` record tells of the answer: not how many tokens it had."""
    status = record["status"]
    refused = any(verdict.get("effect") == "deny" for verdict in record["decisions"])
    return BehaviourOutcome(
        record["ts_us"] / 1e6,
        error=status is None or status >= 400,
        refused=refused,
    )


def learn(records: Iterable[DecisionRecord], attacks: set[str]) -> Learned:
    """Replay the decisions and outcomes of a log, oldest first, without those in ``attacks``.

    Raises ``ConfigError`` where too little is left.
    """
    replay = _Replay(attacks)
    for record in records:
        replay.take(record)
    if len(replay.rows) < ENOUGH:
        raise ConfigError(
            f"the log has {len(replay.rows)} requests of callers that are known well enough; {ENOUGH} are needed",
            mend="wait until it has more, or keep the shipped model",
        )
    return Learned(np.array(replay.rows), replay.account())


class _Replay:
    """The replay of one log. Holds at most ``MOST`` rows and ``_WAITING`` requests whose outcome is to come."""

    def __init__(self, attacks: set[str]) -> None:
        self.rows: list[list[float]] = []
        self._attacks = attacks
        self._model = TailModel(second_opinion="off")
        self._source = random.Random(SEED)  # noqa: S311 - a reproducible sample, no secret
        self._waiting: dict[str, BehaviourEvent] = {}
        self._known: dict[str, int] = {}
        self._origins: set[str] = set()
        self._first_us = self._last_us = 0
        self._counts = dict.fromkeys(("learned", "denied", "flagged", "bare", "rows"), 0)

    def take(self, record: DecisionRecord) -> None:
        """One record."""
        if record["kind"] == "outcome":
            event = self._waiting.pop(record["decision_ref"], None)
            if event is not None:
                self._model.settle(event, outcome_of(record))
            return
        event, ruling = event_of(record), record["decision"]
        if ruling["effect"] != "allow" or ruling["fail"] is not None:
            self._counts["denied"] += 1
        elif record["id"] in self._attacks:
            self._counts["flagged"] += 1
        elif event is None:
            self._counts["bare"] += 1
        else:
            self._learn(record, event)

    def _learn(self, record: DecisionRecord, event: BehaviourEvent) -> None:
        seen = self._known.get(event.principal, 0)
        self._known[event.principal] = seen + 1
        if seen >= WARM_UP:
            self._keep([one_sided(z) for z in self._model.zs(event)])
        self._model.learn(event, "allow")
        self._counts["learned"] += 1
        self._origins.add(str(record["origin"]))
        moment: int = record["ts_us"]
        self._first_us = min(self._first_us or moment, moment)
        self._last_us = max(self._last_us, moment)
        self._waiting[record["id"]] = event
        if len(self._waiting) > _WAITING:
            del self._waiting[next(iter(self._waiting))]

    def _keep(self, row: list[float]) -> None:
        """A fair sample of all rows (reservoir sampling)."""
        self._counts["rows"] += 1
        if len(self.rows) < MOST:
            self.rows.append(row)
        elif (at := self._source.randrange(self._counts["rows"])) < MOST:
            self.rows[at] = row

    def account(self) -> Account:
        """What was learned from."""
        counts = self._counts
        return Account(
            counts["learned"],
            len(self._known),
            counts["denied"],
            counts["flagged"],
            counts["bare"],
            self._first_us,
            self._last_us,
            tuple(sorted(self._origins)),
        )


def write(
    path: Path, learned: Learned, *, name: str | None, signing_key: Path | None
) -> tuple[str, str, dict[str, Any]]:
    """Fit the forest and write it as ``[detectors.options.behaviour] forest`` takes it; its digest and version, and how
    it does on simulated attacks.

    Raises ``OSError``, ``KeyInvalid``.
    """
    with threadpool_limits(1):
        forest = IsolationForest(
            n_estimators=_TREES, max_samples=min(_PART, len(learned.rows)), random_state=SEED, n_jobs=1
        )
        forest.fit(learned.rows)
    arrays, depth, normal = arrays_of(forest)
    digest = hashlib.sha256(artefact.packed(arrays)).hexdigest()
    seen = [feature for feature, column in zip(NAMES, learned.rows.T, strict=True) if column.any()]
    called = name or digest[:12]
    metrics = measured(FlatForest(**arrays, depth=depth, normal=normal, features=len(NAMES)))
    card = {
        "version": called,
        "licence": "that of your log",
        "depth": depth,
        "normal": normal,
        "features": list(NAMES),
        "features_in_the_log": seen,
        "data": learned.account.as_card(),
        "metrics": {"simulated": metrics},
        "libraries": {library: version(library) for library in _LIBRARIES},
    }
    return artefact.write(path, KIND, arrays, card, signing_key=signing_key), called, metrics


def _when(moment_us: int) -> str:
    return datetime.datetime.fromtimestamp(moment_us / 1e6, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
