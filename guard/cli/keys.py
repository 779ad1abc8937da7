"""``guard keys``: make, show and rotate the keys of a deployment, endorse them with an offline root, and erase a
tenant by its key."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from guard.cli.complaints import warn
from guard.cli.keys_report import KeyReport, report
from guard.config import GuardConfig, load_config
from guard.errors import ConfigError, KeyInvalid
from guard.record.deployment import (
    NEXT_KEY,
    add_notes,
    endorse_deployment,
    held_keys,
    prepare_next,
    read_notes,
)
from guard.record.deployment import rotate as rotate_key
from guard.record.endorse import read_endorsement
from guard.record.erasure import erase_tenant
from guard.record.keys import PSEUDONYM_KEY, load_keys, load_or_create_vault_key, load_pseudonym_key
from guard.record.note import NoteInvalid, VerifierKey
from guard.record.pem import create_root, load_root, load_signing_key
from guard.record.sign import Ed25519Signer
from guard.record.tenant_keys import TenantKeys
from guard.starting import deployment_keys, elsewhere, make_log_keys
from guard.types import Signer

app = typer.Typer(help="Keys of the log and of pseudonyms: make, show, rotate, destroy.", no_args_is_help=True)

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="The guard.toml; else as the app finds it.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of sentences.")]
Root = Annotated[
    Path | None, typer.Option("--root", metavar="FILE", help="An offline root's private key, which endorses the key.")
]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an offline root is asked to endorse: ``key`` may sign the logs of ``name`` after each of ``before``, and
    begin one. Keys are vkeys."""

    name: str
    key: str
    before: list[str]


@app.command()
def new(
    config: ConfigFile = None,
    root: Root = None,
    root_name: Annotated[
        str, typer.Option(metavar="NAME", help="The name of a root that is made; else NAME-root of record.name.")
    ] = "",
    as_json: Json = False,
) -> int:
    """Make the keys that are missing: to sign the log, for pseudonyms, for vaults. None is ever overwritten.

    With --root the signing key is endorsed by an offline root, which is made in FILE if there is no such file. Move
    that file away from this machine afterwards.
    """
    settings = load_config(config)
    made = _make(settings)
    roots: list[str] = []
    if root is not None:
        if create_root(root, root_name or f"{settings.record.name}-root"):
            made.append(root)
        signer = load_root(root)
        key = _present(settings)
        add_notes(_directory(settings), endorse_deployment(settings.record.name, key.public_key, [None], signer))
        roots.append(VerifierKey.of(signer).encode())
    elif not made:
        mend = "guard keys show lists them, guard keys rotate replaces the one that signs"
        raise KeyInvalid("all keys are there already", where=str(_directory(settings)), mend=mend)
    lines = [f"root {vkey}" for vkey in roots] + report(settings).trust
    if as_json:
        _print_json({"created": [str(path) for path in made], "trust": lines})
        return 0
    for path in made:
        typer.echo(f"made {path}")
    typer.echo("back them up, and keep them secret; keep an offline root on no machine that serves")
    _say_trust(lines)
    return 0


@app.command()
def show(
    config: ConfigFile = None,
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Where the key of this tenant lies.")] = None,
    as_json: Json = False,
) -> int:
    """Say which keys there are, which origin signs with which, and what an auditor's trust file should hold. No private
    key is shown."""
    settings = load_config(config)
    if tenant is not None:
        return _show_tenant(settings, tenant, as_json=as_json)
    found = report(settings)
    if as_json:
        typer.echo(msgspec.json.encode(found))
        return 0
    _say(found)
    return 0


@app.command()
def rotate(config: ConfigFile = None, root: Root = None, as_json: Json = False) -> int:
    """Replace the key that signs the log. Running writers take it up within a heartbeat, others when they start.

    The log records the change: the old key signs the commit that says so, and nothing after it. Where a key was
    prepared (guard keys request --next), that one is put in place.
    """
    settings = load_config(config)
    directory = _directory(settings)
    _require_files(settings)
    signer = None if root is None else load_root(root)
    old = _present(settings)
    key = prepare_next(directory)
    if signer is not None:
        add_notes(directory, endorse_deployment(settings.record.name, key, [None, *held_keys(directory)], signer))
    endorsed = any(read_endorsement(note).key == key for note in read_notes(directory))
    rotate_key(directory)
    if settings.record.key_per != "deployment":
        warn(
            f'record.key_per is "{settings.record.key_per}": origins go on with keys of their own, and only new ones '
            "are endorsed by this one"
        )
    if read_notes(directory) and not endorsed:
        warn("the root has not endorsed this key: who trusts the root alone follows it through the old key only")
    new_key = VerifierKey(settings.record.name, key)
    if as_json:
        _print_json({"key": new_key.encode(), "before": VerifierKey.of(old).encode(), "endorsed": endorsed})
        return 0
    typer.echo(f"the log is signed by {new_key.encode()} from its next heartbeat or start on")
    typer.echo(f"it replaces {VerifierKey.of(old).encode()}, which signs that change and is destroyed after it")
    typer.echo("back the new key up, and look at guard keys show when the writers have gone on")
    return 0


@app.command()
def request(
    config: ConfigFile = None,
    following: Annotated[
        bool, typer.Option("--next", help="For the key that the next rotation puts in place.")
    ] = False,
) -> int:
    """Print what an offline root should endorse, for guard keys endorse on the machine that holds it."""
    settings = load_config(config)
    _require_files(settings)
    directory, name = _directory(settings), settings.record.name
    key = prepare_next(directory) if following else _present(settings).public_key
    before = held_keys(directory) if following else []
    wanted = Request(name, VerifierKey(name, key).encode(), [VerifierKey(name, old).encode() for old in before])
    typer.echo(msgspec.json.format(msgspec.json.encode(wanted)))
    return 0


@app.command()
def endorse(
    wanted: Annotated[Path, typer.Argument(metavar="REQUEST", help="What guard keys request printed.")],
    root: Annotated[Path, typer.Option("--root", metavar="FILE", help="The root's private key.")],
) -> int:
    """On the offline machine: print the root's endorsements, for guard keys accept. Reads no configuration."""
    signer = load_root(root)
    asked = _read(wanted, Request, "guard keys request writes one")
    try:
        keys = [VerifierKey.parse(text) for text in (asked.key, *asked.before)]
    except NoteInvalid as error:
        raise ConfigError(f"the request does not read: {error}", where=str(wanted)) from error
    typer.echo(f"{signer.name} endorses {asked.key} for the logs of {asked.name}", err=True)
    before = [None, *(key.public_key for key in keys[1:])]
    typer.echo(msgspec.json.encode(endorse_deployment(asked.name, keys[0].public_key, before, signer)))
    return 0


@app.command()
def accept(
    notes: Annotated[Path, typer.Argument(metavar="NOTES", help="What guard keys endorse printed.")],
    config: ConfigFile = None,
) -> int:
    """Keep a root's endorsements beside the keys. They must be of the present key or of the next."""
    settings = load_config(config)
    directory = _directory(settings)
    given = _read(notes, list[str], "guard keys endorse writes them")
    following = directory / NEXT_KEY
    known = {_present(settings).public_key}
    if following.exists():
        known.add(Ed25519Signer("", load_signing_key(following)).public_key)
    for note in given:
        try:
            endorsement = read_endorsement(note)
        except NoteInvalid as error:
            raise ConfigError(f"the endorsements do not read: {error}", where=str(notes)) from error
        if endorsement.key not in known or endorsement.scope != settings.record.name:
            mend = "guard keys request [--next] prints what to endorse for this deployment"
            raise ConfigError("an endorsement is of another key or another log", where=str(notes), mend=mend)
    add_notes(directory, given)
    typer.echo(f"kept {len(given)} endorsement{'' if len(given) == 1 else 's'}")
    return 0


@app.command()
def destroy(
    tenant: Annotated[str, typer.Option(metavar="NAME", help="The tenant whose pseudonym key is destroyed.")],
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Erase a tenant: destroy the key under which everything about it was written. This cannot be undone.

    The log stays whole and verifies; nobody can link or search its pseudonyms of this tenant any more. The erasure is
    recorded, without the tenant's name. Works while the guard runs; a request that is under way still ends under the
    old key. Conversations are erased by guard vault destroy.
    """
    settings = load_config(config)
    directory = _directory(settings)
    tenants = TenantKeys(directory, load_pseudonym_key(directory / PSEUDONYM_KEY))
    erased = erase_tenant(
        tenants,
        tenant,
        log=settings.state_directory / "log",
        name=settings.record.name,
        signer=deployment_keys(settings).origin,
        software_version=version("policy-guard"),
    )
    if as_json:
        _print_json(msgspec.structs.asdict(erased))
        return 0
    typer.echo(f"destroyed the key {erased.key_id}; record {erased.seq} of {erased.origin} says so")
    typer.echo("copies in backups are not reached: destroy them, too")
    return 0


def _make(settings: GuardConfig) -> list[Path]:
    made = make_log_keys(settings)
    _, vault = load_or_create_vault_key(_directory(settings))
    return [*made, *([] if vault is None else [vault])]


def _directory(settings: GuardConfig) -> Path:
    return settings.state_directory / "keys"


def _present(settings: GuardConfig) -> Signer:
    return deployment_keys(settings).present().signer(settings.record.name)


def _require_files(settings: GuardConfig) -> None:
    if elsewhere(settings):
        raise ConfigError(
            "the signing key is not in a file of this deployment",
            where="record.signer",
            mend="make a new key there, name it in record.signer and the old one in record.signer.previous",
        )
    load_keys(_directory(settings))


def _show_tenant(settings: GuardConfig, tenant: str, *, as_json: bool) -> int:
    directory = _directory(settings)
    tenants = TenantKeys(directory, load_pseudonym_key(directory / PSEUDONYM_KEY))
    keyed, path = tenants.existing(tenant), tenants.path(tenant)
    if as_json:
        found = {"file": str(path), "key_id": keyed and keyed.key_id, "pseudonym": tenants.pseudonym(tenant)}
        _print_json(found)
    elif keyed is None:
        typer.echo("this tenant has no key")
    else:
        typer.echo(f"{path}\nkey {keyed.key_id}; in records of keys the tenant is {tenants.pseudonym(tenant)}")
        typer.echo("search for what was written under it: guard log hash --tenant NAME VALUE")
    return 0


def _say(found: KeyReport) -> None:
    for file in found.files:
        typer.echo(f"{file.path}  {file.state}")
    if found.roots:
        typer.echo(f"{found.key}  endorsed by {', '.join(found.roots)}")
    for origin in found.origins:
        later = "; the deployment's new key follows at its next heartbeat or start" if origin.pending else ""
        typer.echo(f"{origin.origin}  signed by {origin.key}, key number {origin.epochs}{later}")
    _say_trust(found.trust)


def _say_trust(lines: list[str]) -> None:
    typer.echo("\nfor an auditor's trust file (docs/keys.md):")
    for line in lines:
        typer.echo(f"  {line}")


def _read(path: Path, kind: Any, mend: str) -> Any:
    try:
        return msgspec.json.decode(sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes(), type=kind)
    except msgspec.DecodeError as error:
        raise ConfigError(f"this is not what was expected: {error}", where=str(path), mend=mend) from error


def _print_json(value: Any) -> None:
    typer.echo(msgspec.json.encode(value))
