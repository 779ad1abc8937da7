"""``guard policy bundle``: builds, signs and verifies OPA bundles, which OPA takes as well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from guard.cli.policy.given import AsJson, NoShipped
from guard.config import BundleConfig
from guard.errors import ConfigError
from guard.policy.bundle import Bundle, load_bundle
from guard.policy.bundles.build import build_files, pack
from guard.policy.bundles.manifest import read_manifest
from guard.policy.bundles.opened import Opened, open_bundle
from guard.policy.bundles.signatures import signing_key
from guard.policy.embedded import compile_bundle
from guard.policy.sources import label_of

app = typer.Typer(
    name="bundle", help="Build, sign and verify OPA bundles.", no_args_is_help=True, rich_markup_mode=None
)

Algorithm = Annotated[str | None, typer.Option(metavar="NAME", help="RS256, ES256, EdDSA, HS256…; else the key's own.")]
KeyId = Annotated[str | None, typer.Option(metavar="ID", help="The key's id in the signature.")]
Scope = Annotated[str, typer.Option(metavar="NAME", help="The signature's scope.")]


@app.command("build")
def build(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Policies and data.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.")] = Path(
        "bundle.tar.gz"
    ),
    revision: Annotated[str | None, typer.Option("--revision", "-r", metavar="TEXT", help="Its revision.")] = None,
    roots: Annotated[
        list[str] | None, typer.Option("--root", metavar="PATH", help="What it owns, like guard/rules/acme.")
    ] = None,
    without_tests: Annotated[bool, typer.Option("--without-tests", help="Leave out *_test.rego.")] = False,
    signing_key_file: Annotated[
        Path | None, typer.Option("--signing-key", metavar="FILE", help="A private key in PEM, or an HMAC secret.")
    ] = None,
    algorithm: Algorithm = None,
    key_id: KeyId = None,
    scope: Scope = "",
    no_shipped: NoShipped = False,
    as_json: AsJson = False,
) -> None:
    """Build a bundle, signed where a key is given. Loads and compiles it, as the guard would, before it writes it."""
    if not directory.is_dir():
        raise ConfigError("there is no such directory", where=str(directory), mend="name one with policies")
    if signing_key_file is None and (algorithm or key_id or scope):
        raise ConfigError("a signature needs a key", where="--algorithm, --key-id, --scope", mend="give --signing-key")
    key = None if signing_key_file is None else signing_key(signing_key_file, algorithm, key_id, scope)
    label = label_of(directory)
    files = build_files(directory, label, revision=revision, roots=roots or (), tests=not without_tests, key=key)
    bundle = _loaded(Opened(label, files, read_manifest(files, label)), no_shipped=no_shipped)
    archive = pack(files)
    output.write_bytes(archive)
    _tell(bundle, output, len(archive), len(files), as_json=as_json, signed=key is not None, word="built")


@app.command("verify")
def verify(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle, or a directory.")],
    *,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", metavar="FILE", help="A public key or a certificate in PEM.")
    ] = None,
    hmac_secret: Annotated[Path | None, typer.Option("--hmac-secret", metavar="FILE", help="An HMAC secret.")] = None,
    algorithm: Algorithm = None,
    key_id: KeyId = None,
    scope: Scope = "",
    no_shipped: NoShipped = False,
    as_json: AsJson = False,
) -> None:
    """Verify a bundle as the guard would take it: archive, signature, roots, policies. Exit codes: 0 it would be taken,
    1 it would be refused."""
    settings = {"source": str(source), "public_key_file": public_key, "hmac_secret_file": hmac_secret}
    try:
        config = BundleConfig(**settings, algorithm=algorithm, key_id=key_id, scope=scope)
    except ValidationError as error:
        what = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(what, where="--public-key, --hmac-secret, --algorithm", mend="see docs/bundles.md") from None
    opened = open_bundle(config)
    bundle = _loaded(opened, no_shipped=no_shipped)
    size = source.stat().st_size if source.is_file() else sum(map(len, opened.files.values()))
    _tell(bundle, source, size, len(opened.files), as_json=as_json, signed=config.signed, word="would be taken")


def _loaded(opened: Opened, *, no_shipped: bool) -> Bundle:
    bundle = load_bundle(opened=opened, shipped=not no_shipped)
    compile_bundle({**bundle.modules, **bundle.tests}, bundle.data)
    return bundle


def _tell(bundle: Bundle, file: Path, size: int, files: int, *, as_json: bool, signed: bool, word: str) -> None:
    if as_json:
        said = {"file": str(file), "bytes": size, "files": files, "revision": bundle.revision, "digest": bundle.digest}
        typer.echo(json.dumps({**said, "signature_verified" if word != "built" else "signed": signed}))
        return
    trust = "signed" if signed else "not signed"
    typer.echo(f"{file}: {word}, {trust}; revision {bundle.revision}, {files} files, {size} bytes")
