"""``guard model``: the models behind detectors, made, judged, kept and watched. Reached through ``guard.commands``.

Exit codes: 0 done; 1 failed or refused; 3 usage.
"""

from __future__ import annotations

import typer

from detectors.federation import commands as federation
from detectors.models import command_evaluate, command_keep, command_show, command_train

app = typer.Typer(help="Detectors and the models behind them.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Detectors and the models behind them."""


app.command("show")(command_show.show)
app.add_typer(command_train.app, name="train")
app.command("evaluate")(command_evaluate.evaluate)
app.command("calibrate")(command_evaluate.calibrate)
app.command("promote")(command_keep.promote)
app.command("rollback")(command_keep.rollback)
federation.register(app)
