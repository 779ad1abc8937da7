"""Bundles between us and the real OPA: each takes what the other builds and signs, and nothing that was changed."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from guard.config import BundleConfig, GuardConfig
from guard.errors import BundleUntrusted
from guard.policy.bundles.build import build_files, pack
from guard.policy.bundles.hashing import DIGESTS, digest
from guard.policy.bundles.loading import bundle_for
from guard.policy.bundles.opened import open_bundle
from guard.policy.bundles.signatures import SIGNATURES, signing_key
from tests.components import require
from tests.policy.bundling import Keys, bundle_files
from tests.policy.servers import opa_server
from tests.policy.test_bundle_signatures import payload_of

SIGNING = [("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "ec"), ("EdDSA", "ed")]
YAML = 'b: 1.50\na: [1e3, .5, 1., 1.5e-7, 1.0e+22, 1e20, 0.00001, 0x10, 017, 1:30, 2001-01-01, yes, ~, "\\u2028<&>"]\n'


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Keys for the whole file: making them takes a while."""
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A bundle as its author has it."""
    files = {**bundle_files(), "acme/more/data.yaml": YAML.encode(), "README.md": b"read me\n"}
    for name, content in files.items():
        (tmp_path / "acme" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "acme" / name).write_bytes(content)
    return tmp_path / "acme"


def opa(*arguments: str | Path, cwd: Path | None = None) -> None:
    """Run the real program."""
    done = subprocess.run([require("opa"), *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def taken(source: Path, **options: Any) -> str:
    """The revision of a bundle that is taken."""
    return bundle_for(GuardConfig(policy={"bundle": {"source": str(source), **options}})).revision


def test_what_opa_builds_is_taken(directory: Path, tmp_path: Path) -> None:
    """Data of several files in one, names with a slash before them, a manifest that OPA wrote."""
    opa("build", "-b", directory, "-r", "built-1", "-o", tmp_path / "b.tar.gz")
    assert taken(tmp_path / "b.tar.gz") == "built-1"
    bundle = bundle_for(GuardConfig(policy={"bundle": {"source": str(tmp_path / "b.tar.gz")}}))
    ours = bundle_for(GuardConfig(policy={"bundle": {"source": str(directory)}}))
    assert bundle.data["acme"] == ours.data["acme"]
    assert bundle.data["acme"]["more"]["a"][:5] == [1000, 0.5, 1, 1.5e-7, 1e22]


@pytest.mark.parametrize(("algorithm", "name"), SIGNING)
def test_what_opa_signs_is_taken(directory: Path, tmp_path: Path, keys: Keys, algorithm: str, name: str) -> None:
    """A directory signed in place, the tarball of it, and what ``opa build`` signs anew."""
    signing = ("--signing-alg", algorithm, "--signing-key", keys.private(name))
    opa("sign", "-b", ".", "-o", ".", *signing, cwd=directory)
    options = {"public_key_file": keys.public(name), "algorithm": algorithm}
    assert taken(directory, **options) == "r1"
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as archive:
        archive.add(directory, arcname=".")
    assert taken(tmp_path / "packed.tar.gz", **options) == "r1"
    opa(
        "build",
        "-b",
        ".",
        "-o",
        tmp_path / "built.tar.gz",
        "--verification-key",
        keys.public(name),
        *signing,
        cwd=directory,
    )
    assert taken(tmp_path / "built.tar.gz", **options) == "r1"
    (directory / "rules" / "acme.rego").write_text("package guard.rules.acme\n\ndeny := set()\n")
    with pytest.raises(BundleUntrusted):
        taken(directory, **options)


def test_claims_of_opa_are_held_against_the_configuration(directory: Path, keys: Keys) -> None:
    """Scope and key id, as ``--claims-file`` puts them."""
    claims = directory.parent / "claims.json"
    claims.write_text(json.dumps({"scope": "prod", "keyid": "2026", "iss": "ci"}))
    opa("sign", "-b", ".", "-o", ".", "--claims-file", claims, "--signing-key", keys.private("rsa"), cwd=directory)
    options = {"public_key_file": keys.public("rsa")}
    assert taken(directory, **options, scope="prod", key_id="2026") == "r1"
    for wrong in ({"scope": "test"}, {}, {"scope": "prod", "key_id": "2025"}):
        with pytest.raises(BundleUntrusted):
            taken(directory, **options, **wrong)


def test_secrets_of_opa_are_taken(directory: Path, keys: Keys) -> None:
    """HMAC, with the secret on its command line and in our file."""
    secret = keys.secret.read_text().strip()
    opa("sign", "-b", ".", "-o", ".", "--signing-alg", "HS256", "--signing-key", secret, cwd=directory)
    assert taken(directory, hmac_secret_file=keys.secret) == "r1"


@pytest.mark.parametrize(("algorithm", "name"), SIGNING)
def test_opa_takes_what_we_build_and_sign(
    directory: Path, tmp_path: Path, keys: Keys, algorithm: str, name: str
) -> None:
    """A server runs it, verified; another key is refused by it."""
    key = signing_key(keys.private(name), algorithm, key_id="default")
    file = tmp_path / "ours.tar.gz"
    file.write_bytes(pack(build_files(directory, "acme", key=key)))
    flags = ("--verification-key", str(keys.public(name)), "--signing-alg", algorithm, "--bundle", str(file))
    with opa_server(*flags) as url, urllib.request.urlopen(f"{url}/v1/data/acme/limit", timeout=5) as answer:
        assert json.load(answer) == {"result": 1.5}
    wrong = ("run", "--verification-key", str(keys.public("other")), "--signing-alg", "RS256", "--bundle", str(file))
    done = subprocess.run([require("opa"), *wrong], input="", capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode != 0


def test_our_digests_are_those_of_opa(directory: Path, keys: Keys) -> None:
    """File by file, structured ones by value."""
    (directory / "acme" / "data.yml").write_text("x: 1\n")
    opa("sign", "-b", ".", "-o", ".", "--signing-key", keys.private("rsa"), cwd=directory)
    listed = payload_of({SIGNATURES: (directory / SIGNATURES).read_bytes()})["files"]
    assert {entry["name"] for entry in listed} >= {".manifest", "acme/data.json", "acme/more/data.yaml", "README.md"}
    for entry in listed:
        assert entry["algorithm"] in DIGESTS
        assert digest(entry["name"], (directory / entry["name"]).read_bytes(), entry["algorithm"]) == entry["hash"]


def test_a_bundle_for_the_shipped_policies_is_one_for_opa(directory: Path, tmp_path: Path) -> None:
    """Ours stays openable by OPA's own tools, which check its roots."""
    file = tmp_path / "ours.tar.gz"
    file.write_bytes(pack(build_files(directory, "acme", roots=["guard/rules/acme", "acme"], revision="ours")))
    opa("inspect", file)
    assert open_bundle(BundleConfig(source=str(file))).manifest.revision == "ours"
    shutil.rmtree(directory / "acme")
    file.write_bytes(pack(build_files(directory, "acme", roots=["guard/rules/other"])))
    done = subprocess.run([require("opa"), "inspect", str(file)], capture_output=True, text=True, check=False)
    assert "roots" in done.stdout + done.stderr
