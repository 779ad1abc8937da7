"""The gateway's side: it reads its own events, counts, and hands the counts to SecAgg+ to be masked.

Its settings come from its own ``--node-config``, never from the coordinator: ``events`` (a file of JSON lines),
``gateway`` (its name), ``cap``, and ``epsilon`` (0: no noise).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from flwr.client import ClientApp, NumPyClient  # type: ignore[import-not-found]
from flwr.client.mod import secaggplus_mod  # type: ignore[import-not-found]
from flwr.common import Context  # type: ignore[import-not-found]

from detectors.federation.contribution import counts_of, histograms_of
from detectors.federation.events import file_events, rows_of
from detectors.federation.files import Held
from detectors.federation.flower.limbs import cut
from detectors.federation.space import decode
from detectors.federation.structure import Structure
from guard.errors import ConfigError

Arrays = list[npt.NDArray[Any]]


class Gateway(NumPyClient):  # type: ignore[misc]
    """One gateway. ``fit`` answers step 1 and step 3."""

    def __init__(self, settings: dict[str, Any]) -> None:
        try:
            self._events, self._name = Path(settings["events"]), str(settings["gateway"])
            self._cap, self._epsilon = int(settings.get("cap", 0)), float(settings.get("epsilon", 0.0)) or None
        except (KeyError, ValueError) as error:
            raise ConfigError(f"--node-config does not fit: {error}", mend="see docs/federation.md, Flower") from error

    def fit(self, parameters: Arrays, config: dict[str, Any]) -> tuple[Arrays, int, dict[str, Any]]:
        """The limbs of the counts, of weight one, and who counted how. Raises ``ConfigError``."""
        held = self._counted(parameters, bytes(config["space"]))
        source = held.sums.sources[0]
        told = {"gateway": source.gateway, "cap": source.cap, "epsilon": source.epsilon, "over": held.sums.basis}
        return list(cut(held.sums.counts)), 1, told

    def _counted(self, parameters: Arrays, encoded: bytes) -> Held:
        space = decode(encoded, "the coordinator's space")
        rows = rows_of(file_events(self._events), space, cap=self._cap)
        if not parameters:
            return histograms_of(rows.levels, space, self._name, cap=self._cap, epsilon=self._epsilon)
        feature, *nodes = parameters
        structure = Structure(space, feature.astype(np.int16), *(part.astype(np.int32) for part in nodes))
        structure.check()
        return counts_of(rows.levels, structure, self._name, cap=self._cap, epsilon=self._epsilon)


def _client(context: Context) -> Any:
    return Gateway(dict(context.node_config)).to_client()


app = ClientApp(client_fn=_client, mods=[secaggplus_mod])
