"""The coordinator's side: two rounds of secure aggregation, with the public structure made in between.

Its settings come from ``--run-config``: ``gateways``, ``trees``, ``samples``, ``seed``, ``space`` (a file; "" for the
behaviour model's), ``output`` (a directory that gets ``histograms.npz``, ``structure.npz`` and ``merged.npz``) and
``timeout_seconds``, which bounds each of the four exchanges of a round.
"""

# ruff: noqa: ARG002 - Flower hands its arguments over by name

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flwr.app import Context  # type: ignore[import-not-found]
from flwr.common import FitIns, Parameters, ndarrays_to_parameters, parameters_to_ndarrays  # type: ignore[import-not-found]
from flwr.server import LegacyContext, ServerApp, ServerConfig, SimpleClientManager  # type: ignore[import-not-found]
from flwr.server.strategy import Strategy  # type: ignore[import-not-found]
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow  # type: ignore[import-not-found]
from flwr.serverapp import Grid  # type: ignore[import-not-found]

from detectors.federation.exported import BEHAVIOUR
from detectors.federation.files import Held, rows_in, space_digest, write_structure, write_sums
from detectors.federation.flower import limbs
from detectors.federation.space import BINS, Counts, Space, load
from detectors.federation.structure import Structure, grown
from detectors.federation.sums import Kind, Sums, check, source_of
from guard.errors import ConfigError

THRESHOLD = 0.67
"""The part of all gateways whose shares unmask what a gateway that dropped out has masked."""
_NOTHING = Parameters([], "numpy.ndarray")


class Scaffold(Strategy):  # type: ignore[misc]
    """Round 1 sums histograms, round 2 sums leaf counts over the structure. Raises ``ConfigError`` where a round
    does not give sums of every gateway that was asked for."""

    def __init__(self, space: Space, settings: dict[str, Any]) -> None:
        self.space = space
        self.output = Path(str(settings["output"]))
        self._gateways = int(settings["gateways"])
        self._trees, self._samples, self._seed = (int(settings[key]) for key in ("trees", "samples", "seed"))
        self._structure: Structure | None = None
        self.merged: Held | None = None

    def initialize_parameters(self, client_manager: Any) -> Parameters:
        """Nothing: the first round needs the space alone."""
        return _NOTHING

    def configure_fit(self, server_round: int, parameters: Parameters, client_manager: Any) -> list[Any]:
        """The same for every gateway: the space, and the structure once there is one."""
        nodes = _NOTHING if self._structure is None else ndarrays_to_parameters(list(self._structure[1:]))
        chosen = client_manager.sample(num_clients=self._gateways, min_num_clients=self._gateways)
        return [(proxy, FitIns(nodes, {"space": self.space.encoded()})) for proxy in chosen]

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> tuple[None, dict[str, Any]]:
        """Take the unmasked means in. They stand, the same, in every result."""
        if len(results) != self._gateways:
            raise ConfigError(f"{len(results)} of {self._gateways} gateways took part in round {server_round}")
        told = [result.metrics for _, result in results]
        total = limbs.joined(parameters_to_ndarrays(results[0][1].parameters), len(results))
        if self._structure is None:
            held = Held(self._sums("histograms", space_digest(self.space), told, total), self.space, None)
            self._structure = grown(
                self.space,
                total.reshape(len(self.space.axes), BINS),
                trees=self._trees,
                samples=self._samples,
                seed=self._seed,
            )
            write_sums(self.output / "histograms.npz", held)
            write_structure(self.output / "structure.npz", self._structure, {"seed": self._seed})
        else:
            sums = self._sums("counts", self._structure.digest, told, total)
            self.merged = Held(sums, self.space, self._structure)
        return None, {}

    def _sums(self, kind: Kind, basis: str, told: Sequence[dict[str, Any]], total: Counts) -> Sums:
        if any(one["over"] != basis for one in told):
            raise ConfigError("a gateway counted over something else")
        # The digest of a summand would let its counts be guessed and checked: a random number stands for it.
        sources = [source_of(one["gateway"], secrets.token_hex(16), one["cap"], one["epsilon"]) for one in told]
        sums = Sums(kind, basis, total, tuple(sorted(sources)))
        check(sums)
        return sums

    def configure_evaluate(self, server_round: int, parameters: Parameters, client_manager: Any) -> list[Any]:
        """Nothing is evaluated."""
        return []

    def aggregate_evaluate(self, server_round: int, results: Any, failures: Any) -> tuple[None, dict[str, Any]]:
        """Nothing is evaluated."""
        return None, {}

    def evaluate(self, server_round: int, parameters: Parameters) -> None:
        """Nothing is evaluated."""


app = ServerApp()


@app.main()  # type: ignore[untyped-decorator]
def main(grid: Grid, context: Context) -> None:
    """Run both rounds and write the merged counts. Raises ``ConfigError``."""
    settings = dict(context.run_config)
    gateways = int(settings["gateways"])
    if not 3 <= gateways <= limbs.MOST_GATEWAYS:
        raise ConfigError(
            f"{gateways} gateways", mend=f"3 to {limbs.MOST_GATEWAYS}: of a sum of two, each knows the other's"
        )
    strategy = Scaffold(load(Path(str(settings["space"]))) if settings["space"] else BEHAVIOUR, settings)
    aggregate = SecAggPlusWorkflow(
        num_shares=1.0,
        reconstruction_threshold=THRESHOLD,
        max_weight=1.0,
        clipping_range=float(limbs.CLIP),
        quantization_range=limbs.RANGE,
        modulus_range=limbs.MODULUS,
        timeout=float(settings["timeout_seconds"]),
    )
    legacy = LegacyContext(
        context=context,
        config=ServerConfig(num_rounds=2),
        strategy=strategy,
        client_manager=SimpleClientManager(),
    )
    DefaultWorkflow(fit_workflow=aggregate)(grid, legacy)
    if strategy.merged is None:
        raise ConfigError("no counts were merged", mend="the log of the run says which step halted")
    write_sums(strategy.output / "merged.npz", strategy.merged)
    print(f"merged the counts of {gateways} gateways over {rows_in(strategy.merged)} events")  # noqa: T201 - the run's log
