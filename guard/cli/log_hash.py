"""``guard log hash``: what stands in records for a value, so that an analyst who holds the key can search for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from guard.cli.complaints import warn
from guard.cli.log_conditions import KeyFile, from_stdin, pseudonym_keys
from guard.cli.log_options import Directory, directory_of
from guard.cli.log_reads import recorded_reading
from guard.cli.terminal import console, hanging, printable
from guard.config import load_config
from guard.errors import ConfigError, KeyInvalid
from guard.identity.apikeys import hash_api_key
from guard.keyed import KeyedHash
from guard.record.bodies import ContentHasher
from guard.record.tenant_keys import TenantKeys
from guard.review.explain import when
from guard.review.filters import Filter
from guard.review.pseudonyms import KINDS, Alias, Pseudonyms
from guard.review.query import LogReader, RecordNotFound
from guard.review.reading import keys_beside

_API_KEY: Final = "api_key"
_KIND_WIDTH: Final = 11
_PIECE_BYTES: Final = 1 << 20
_ERASURE: Final = ("destroyed", "pseudonym")


def hash_value(
    *,
    value: Annotated[
        str | None, typer.Argument(metavar="VALUE", help="The value; - reads a line from stdin, unseen by the shell.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help=f"Only as: {', '.join((*KINDS, _API_KEY))}. Else the usual ones.")
    ] = None,
    body: Annotated[
        Path | None, typer.Option("--body", metavar="FILE", help="Instead of a value: a whole body, as content.digest.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose caller it is, where tenants have keys of their own.")
    ] = None,
    directory: Directory = None,
    key: KeyFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of lines.")] = False,
) -> None:
    """Say what stands in records for a value: its keyed pseudonym, of each kind that it can be of.

    Search for it with guard log query. The key is needed: without it nobody can tell whose a pseudonym is.
    """
    if (value is None) == (body is None):
        raise typer.BadParameter("give a VALUE, or --body FILE")
    if kind not in (None, *KINDS, _API_KEY) or (body is not None and kind is not None):
        raise typer.BadParameter(f"--kind is one of {', '.join((*KINDS, _API_KEY))}, and goes with a VALUE")
    log = directory_of(directory)
    destroyed = _destroyed(log)
    keys = pseudonym_keys(log, key, tenant)
    if tenant is not None and key is None and len(keys) == 1:
        _refuse_erased(log, tenant, keys[0], destroyed)
    others = len(keys) - 1 if tenant is None else 0
    keys = keys[:1] if tenant is None else keys
    aliases = [_of_body(body, keyed) for keyed in keys] if body is not None else _of_value(value or "", kind, keys)
    told = next((alias for alias in aliases if not alias.plain), None)
    with recorded_reading(log, "hash", **({told.kind: told.stands} if told else {})) as account:
        if as_json:
            typer.echo(msgspec.json.encode({"keys": [keyed.key_id for keyed in keys], "found": aliases}))
        else:
            _tell(aliases)
        account.complete = True
    if others:
        warn(f"{others} tenants have keys of their own: name the caller's with --tenant, or let guard log query look")
    if destroyed:
        warn(f"{len(destroyed)} pseudonym keys were destroyed, the last on {max(destroyed.values())}")


def _of_value(value: str, kind: str | None, keys: Sequence[KeyedHash]) -> list[Alias]:
    value = from_stdin(value)
    pseudonyms = Pseudonyms(keys)
    if kind == _API_KEY:
        return pseudonyms.of("subject", _configured(value))
    return pseudonyms.usual(value) if kind is None else pseudonyms.of(kind, value)


def _refuse_erased(log: Path, tenant: str, deployment: KeyedHash, destroyed: Mapping[str, str]) -> None:
    """A tenant without a key of its own may have had one. Raises ``KeyInvalid``."""
    moment = destroyed.get(TenantKeys(keys_beside(log), deployment).pseudonym(tenant))
    if moment is not None:
        raise KeyInvalid(
            f"the key of this tenant was destroyed on {moment}",
            where=str(log),
            mend="what stood under it belongs to nobody any more; that was the purpose",
        )


def _configured(api_key: str) -> str:
    """The id that the configuration gives an API key. Raises ``ConfigError``."""
    try:
        wanted = hash_api_key(api_key)
    except ValueError as error:
        raise ConfigError(f"this is no API key: {error}") from None
    for entry in load_config().identity.api_keys:
        if entry.hash == wanted:
            return entry.id
    raise ConfigError(
        "the configuration knows no such API key",
        where="identity.api_keys",
        mend="run this where its guard.toml is; a key that is not known was refused, and has no subject",
    )


def _of_body(path: Path, keyed: KeyedHash) -> Alias:
    hasher = ContentHasher(keyed)
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            hasher.update(piece)
    return Alias("content", hasher.finish().digest, keyed.key_id)


def _destroyed(log: Path) -> dict[str, str]:
    """When the log says that pseudonym keys were destroyed: by the pseudonym of the tenant, else by the key's id."""
    try:
        records = LogReader(log).records(Filter(kind="key"))
        found = [record for record in records if (record["event"], record["purpose"]) == _ERASURE]
    except RecordNotFound:
        # Without a log there is nothing that could have been said.
        return {}
    return {str(record["tenant"] or record["key"]): when(record) for record in found}


def _tell(aliases: list[Alias]) -> None:
    out = console()
    for alias in aliases:
        text = f"{alias.stands}  (as it is)" if alias.plain else alias.stands
        hanging(out, f"[bold]{alias.kind:<{_KIND_WIDTH}}[/]", printable(text), indent=_KIND_WIDTH)
