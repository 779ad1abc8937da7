"""``guard witness``: cosign the checkpoints of others' logs, on a host that their operators do not reach."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer


def witness(
    *,
    state: Annotated[Path, typer.Option(metavar="DIR", help="Where it keeps its key and what it cosigned.")],
    log: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="Keys of the logs, as guard keys show prints them; may be repeated."),
    ],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="The address to listen at; port 0 takes a free one.")
    ] = "127.0.0.1:8190",
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name of a new witness, like witness.example.com/1.")
    ] = None,
) -> None:
    """Run a witness (C2SP tlog-witness): it remembers the last checkpoint of each log, and cosigns what extends it.

    Prints its verifier key, which the log's operator puts into [[record.witnesses]] and the auditor into the trust
    file. Runs until SIGTERM or SIGINT.
    """
    from guard.witness.keyring import Keyring
    from guard.witness.rules import Witness
    from guard.witness.server import serve
    from guard.witness.state import WitnessState

    host, port = _address(listen)
    keyring = Keyring(log)
    held = WitnessState(state, name)
    # The server ends in order on SIGTERM, and then raises it again: that is no failure here.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        one = Witness(held, keyring.keys)
        typer.echo(f"key:     {held.key.encode()}")
        typer.echo(f"logs:    {', '.join(one.origins)}")
        serve(one, keyring, host, port, started=lambda address: typer.echo(f"address: {address}"))
    finally:
        signal.signal(signal.SIGTERM, before)
        held.close()


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise typer.BadParameter("must be HOST:PORT, like 0.0.0.0:8190", param_hint="--listen")
    return host.removeprefix("[").removesuffix("]"), int(port)
