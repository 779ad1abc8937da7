"""``guard vault``: what the conversation-scoped vault holds, and its erasure."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from guard.cli.complaints import warn
from guard.config import GuardConfig, load_config
from guard.errors import ConfigError
from guard.obligations.conversations import STORE, Conversations
from guard.starting import open_conversations

app = typer.Typer(help="Pseudonyms of conversations: show what is kept, and erase it.", no_args_is_help=True)

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="The guard.toml; else as the app finds it.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of sentences.")]


@app.command()
def show(config: ConfigFile = None, as_json: Json = False) -> int:
    """Say how many conversations each tenant has in the vault, by its keyed name. Values are never shown."""
    with _opened(config) as store:
        stored = store.stored() if store else []
    if as_json:
        typer.echo(msgspec.json.encode(stored))
        return 0
    for one in stored:
        typer.echo(f"{one.tenant}  {_conversations(one.conversations)}  {one.sealed_bytes} bytes")
    if not stored:
        typer.echo("the vault holds no conversation")
    return 0


@app.command()
def destroy(
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="The tenant whose pseudonyms are erased.")] = None,
    no_tenant: Annotated[bool, typer.Option("--no-tenant", help="Those of callers without a tenant.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Those of every tenant.")] = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Erase pseudonyms for good: the tenant's key first, then what was sealed under it.

    Works while the guard runs. Conversations that go on begin with new pseudonyms; those in their history stay as they
    are.
    """
    if (tenant is not None) + no_tenant + everything != 1:
        raise typer.BadParameter("name exactly one of --tenant NAME, --no-tenant and --all")
    with _opened(config) as store:
        count = 0 if store is None else store.destroy_all() if everything else store.destroy(tenant)
    typer.echo(msgspec.json.encode({"destroyed": count}) if as_json else f"destroyed {_conversations(count)}")
    if not count:
        warn("there was nothing to destroy; if there should have been, look at the name")
    return 0


def _conversations(count: int) -> str:
    return f"{count} conversation{'' if count == 1 else 's'}"


@contextmanager
def _opened(path: Path | None) -> Iterator[Conversations | None]:
    """The store; ``None`` if nothing was ever kept. Raises ``ConfigError`` where none is configured."""
    config: GuardConfig = load_config(path)
    exists = (config.state_directory / "vault" / STORE).exists()
    if config.vault.scope != "conversation" and not exists:
        raise ConfigError(
            "there is no vault of conversations",
            where=str(config.state_directory / "vault"),
            mend='set vault.scope = "conversation", or name the guard.toml that does (--config)',
        )
    if not exists:
        yield None
        return
    kept = config.vault.model_copy(update={"scope": "conversation"})
    store = open_conversations(config.model_copy(update={"vault": kept}))
    assert store is not None  # noqa: S101 - the scope asks for one
    try:
        with closing(store):
            yield store
    except sqlite3.Error as error:
        raise ConfigError(
            f"the vault cannot be read or written: {error}",
            where=str(config.state_directory / "vault" / STORE),
            mend="try again; a damaged store can be deleted, and its keys with it",
        ) from error
