"""Signatures of bundles: the key and its algorithm are the owner's choice, every file is covered, and nothing else is
taken."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.config import BundleConfig
from guard.errors import BundleRefused, BundleUntrusted, KeyInvalid
from guard.policy.bundles.build import pack
from guard.policy.bundles.hashing import canonical, digest
from guard.policy.bundles.opened import open_bundle
from guard.policy.bundles.signatures import SIGNATURES, key_of, sign, signing_key, verify
from tests.policy.bundling import Keys, bundle_files, signed

ALGORITHMS = ["RS256", "RS512", "PS256", "ES256", "EdDSA", "HS256", "HS512"]
OF = {"RS": "rsa", "PS": "rsa", "ES": "ec", "Ed": "ed"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Keys for the whole file: making them takes a while."""
    return Keys(tmp_path_factory.mktemp("keys"))


def configured(keys: Keys, algorithm: str | None = None, **options: Any) -> BundleConfig:
    """A configuration with the key for an algorithm; RSA's without one."""
    if algorithm is not None and algorithm.startswith("HS"):
        return BundleConfig(source="b", hmac_secret_file=keys.secret, algorithm=algorithm, **options)
    name = OF[(algorithm or "RS")[:2]]
    return BundleConfig(source="b", public_key_file=keys.public(name), algorithm=algorithm, **options)


def private(keys: Keys, algorithm: str) -> Path:
    """The key with which an algorithm signs."""
    return keys.secret if algorithm.startswith("HS") else keys.private(OF[algorithm[:2]])


def payload_of(files: dict[str, bytes]) -> dict[str, Any]:
    """The claims of a signature."""
    part = json.loads(files[SIGNATURES])["signatures"][0].split(".")[1]
    payload: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return payload


def resigned(files: dict[str, bytes], keys: Keys, change: Callable[[dict[str, Any]], None]) -> dict[str, bytes]:
    """The files with a good signature over other claims."""
    from joserfc.jws import serialize_compact

    payload = payload_of(files)
    change(payload)
    key = signing_key(keys.private("rsa"))
    token = serialize_compact({"alg": "RS256"}, json.dumps(payload), key.key)
    return {**files, SIGNATURES: json.dumps({"signatures": [token]}).encode()}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_signed_is_taken(keys: Keys, algorithm: str) -> None:
    """With each algorithm, and with no other key of its kind."""
    files = signed(bundle_files(), private(keys, algorithm), algorithm=algorithm)
    verify(files, key_of(configured(keys, algorithm)), "b")
    if algorithm.startswith("RS"):
        with pytest.raises(BundleUntrusted, match="does not verify"):
            verify(files, key_of(BundleConfig(source="b", public_key_file=keys.public("other"))), "b")


def test_the_algorithm_is_the_keys(keys: Keys) -> None:
    """A signature cannot choose another one: neither none, nor HMAC with the public key as its secret."""
    files = signed(bundle_files(), keys.private("rsa"), algorithm="RS512")
    with pytest.raises(BundleUntrusted, match="does not verify with the configured key and RS256"):
        verify(files, key_of(configured(keys)), "b")
    payload = json.loads(files[SIGNATURES])["signatures"][0].split(".")[1]
    for algorithm in ("HS256", "none"):
        head = base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).decode().rstrip("=")
        mac = hmac.digest(keys.public("rsa").read_bytes(), f"{head}.{payload}".encode(), "sha256")
        tail = base64.urlsafe_b64encode(mac).decode().rstrip("=") if algorithm == "HS256" else ""
        files[SIGNATURES] = json.dumps({"signatures": [f"{head}.{payload}.{tail}"]}).encode()
        with pytest.raises(BundleUntrusted, match="does not verify"):
            verify(files, key_of(configured(keys)), "b")
    with pytest.raises(KeyInvalid, match="no secret"):
        key_of(BundleConfig(source="b", hmac_secret_file=keys.public("rsa")))


def test_a_key_decides_whether_a_signature_is_wanted(keys: Keys) -> None:
    """With a key no unsigned bundle is taken; without one no signed bundle, which nobody would verify."""
    verify(bundle_files(), None, "b")
    with pytest.raises(BundleUntrusted, match="not signed"):
        verify(bundle_files(), key_of(configured(keys)), "b")
    with pytest.raises(BundleUntrusted, match="no key is configured"):
        verify(signed(bundle_files(), keys.private("rsa")), None, "b")


@pytest.mark.parametrize(
    ("change", "said", "where"),
    [
        (lambda files: files.update({"more.rego": b"x"}), "not among those that were signed", "more.rego"),
        (lambda files: files.update({"README.md": b"x"}), "not among those that were signed", "README.md"),
        (lambda files: files.pop("rules/acme.rego"), "was signed and is missing", "rules/acme.rego"),
        (lambda files: files.update({"rules/acme.rego": b"x"}), "not the one that was signed", "rules/acme.rego"),
        (lambda files: files.update({".manifest": b"{}"}), "not the one that was signed", ".manifest"),
        (lambda files: files.update({"acme/data.json": b"["}), "cannot be read", "acme/data.json"),
    ],
)
def test_the_files_are_those_that_were_signed(keys: Keys, change: Any, said: str, where: str) -> None:
    """No more, no less, no other."""
    files = signed(bundle_files(), keys.private("rsa"))
    change(files)
    with pytest.raises(BundleUntrusted, match=said) as caught:
        verify(files, key_of(configured(keys)), "b")
    assert caught.value.where == f"b/{where}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda payload: payload.update(files="all"), "not among those"),
        (lambda payload: payload["files"].append(payload["files"][0]), "cannot be read"),
        (lambda payload: payload["files"][0].pop("hash"), "cannot be read"),
        (lambda payload: payload["files"][0].update(algorithm="MD5"), "digest that is not supported"),
        (lambda payload: payload["files"][0].update(algorithm=""), "digest that is not supported"),
        (lambda payload: payload.update(scope="write"), "another scope"),
    ],
)
def test_a_signature_over_something_else_is_refused(keys: Keys, change: Any, said: str) -> None:
    """Though the key is the right one."""
    files = resigned(signed(bundle_files(), keys.private("rsa")), keys, change)
    with pytest.raises(BundleUntrusted, match=said):
        verify(files, key_of(configured(keys)), "b")


def test_key_id_and_scope_are_those_that_are_configured(keys: Keys) -> None:
    """A signature that names no key id passes: the key is pinned in any case."""
    named = signed(bundle_files(), keys.private("rsa"), key_id="2026", scope="prod")
    verify(named, key_of(configured(keys, key_id="2026", scope="prod")), "b")
    verify(named, key_of(configured(keys, scope="prod")), "b")
    for options in ({"key_id": "2025", "scope": "prod"}, {"key_id": "2026"}, {"key_id": "2026", "scope": "test"}):
        with pytest.raises(BundleUntrusted):
            verify(named, key_of(configured(keys, **options)), "b")
    verify(signed(bundle_files(), keys.private("rsa")), key_of(configured(keys, key_id="2026")), "b")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"signatures": []}',
        b'{"signatures": ["a.b.c", "a.b.c"]}',
        b'{"signatures": [7]}',
        b'{"signatures": ["a.b"]}',
        b'{"signatures": ["..."]}',
        b'{"signatures": ["e30.e30.e30"]}',
        b'{"signatures": ["a.b.c"], "plugin": "kms"}',
        b'{"signatures": ["a.b.c"], "more": 1}',
        b"[" * 100_000,
    ],
)
def test_what_holds_no_signature_is_refused(keys: Keys, content: bytes) -> None:
    """Exactly one JWT, as OPA writes it."""
    with pytest.raises(BundleUntrusted) as caught:
        verify({**bundle_files(), SIGNATURES: content}, key_of(configured(keys)), "b")
    assert caught.value.where == "b/.signatures.json"


@given(data=st.data())
def test_any_flipped_bit_of_any_file_is_refused(keys: Keys, data: st.DataObject) -> None:
    """Of policies, data, manifest and the signature itself. What is left of it holds the same values."""
    files = signed(bundle_files(), keys.private("ed"))
    key = key_of(configured(keys, "EdDSA"))
    name = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[name])
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    changed = {**files, name: bytes(content)}
    if name in {".manifest", "acme/data.json"}:
        try:
            same = canonical(name, bytes(content)) == canonical(name, files[name])
        except ValueError:
            same = False
        if same:
            verify(changed, key, "b")
            return
    with pytest.raises(BundleUntrusted):
        verify(changed, key, "b")


@given(data=st.data())
def test_any_flipped_bit_of_an_archive_is_refused_or_harmless(
    keys: Keys, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """What is taken despite it (a time or a system in the gzip header) is the same bundle."""
    files = signed(bundle_files(), keys.private("ed"))
    held = bytearray(pack(files))
    held[data.draw(st.integers(0, len(held) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        opened = open_bundle(configured(keys, "EdDSA"), bytes(held))
    except BundleRefused:
        return
    assert opened.files == files


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("data.json", '{"b": [1.50, 1E5, -0], "a": {}}', '{"a":{},"b":[1.50,1E5,-0]}'),
        ("x/data.json", '{"a": "\\u00e9<&>\\u2028\\ud83d\\ude00\\b"}', '{"a":"é<&>\\u2028😀\\b"}'),
        (".manifest", '{"roots": ["a"], "revision": "1"}', '{"revision":"1","roots":["a"]}'),
        (
            "data.yaml",
            "b: 1.50\na: [1e3, 0x10, yes, ~, 1.0e+22, 1.0e-7]",
            '{"a":[1000,16,true,null,1e+22,1e-7],"b":1.5}',
        ),
        ("data.yml", "b: 1\n", "b: 1\n"),
        ("x.rego", "package  x\n", "package  x\n"),
    ],
)
def test_structured_files_are_hashed_by_value(name: str, content: str, wanted: str) -> None:
    """JSON without spaces and with sorted keys; JSON's numbers as they stand, YAML's as Go writes them."""
    assert canonical(name, content.encode()).decode() == wanted
    spaced = content.replace(": ", ":  ")
    if name.endswith((".json", ".manifest")):
        assert digest(name, spaced.encode(), "SHA-256") == digest(name, content.encode(), "SHA-256")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda keys: BundleConfig(source="b", public_key_file=keys.private("rsa")), "private key"),
        (lambda keys: BundleConfig(source="b", public_key_file=keys.secret), "no public key"),
        (lambda keys: BundleConfig(source="b", public_key_file=keys.root / "none"), "cannot be read"),
        (
            lambda keys: BundleConfig(source="b", public_key_file=keys.public("ec"), algorithm="RS256"),
            "not one for RS256",
        ),
        (
            lambda keys: BundleConfig(source="b", public_key_file=keys.public("rsa"), algorithm="ES256"),
            "not one for ES256",
        ),
    ],
)
def test_a_key_that_cannot_be_used_is_named(keys: Keys, make: Any, said: str) -> None:
    """At load, with its file."""
    with pytest.raises(KeyInvalid, match=said) as caught:
        key_of(make(keys))
    assert str(keys.root) in caught.value.where


def test_weak_keys_are_refused(keys: Keys, tmp_path: Path) -> None:
    """RSA under 2048 bits and secrets under 32 bytes (RFC 7518)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    weak = rsa.generate_private_key(65537, 1024).public_key()
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "weak.pub").write_bytes(weak.public_bytes(*form))
    (tmp_path / "short").write_bytes(b"x" * 31)
    with pytest.raises(KeyInvalid, match="shorter than 2048"):
        key_of(BundleConfig(source="b", public_key_file=tmp_path / "weak.pub"))
    with pytest.raises(KeyInvalid, match="shorter than 32"):
        key_of(BundleConfig(source="b", hmac_secret_file=tmp_path / "short"))


def test_what_cannot_be_hashed_is_not_signed(keys: Keys) -> None:
    """A bundle that nobody could verify is no use."""
    with pytest.raises(ValueError, match=r"acme/data\.json"):
        sign({**bundle_files(), "acme/data.json": b"{"}, signing_key(keys.private("rsa")))


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
MERGES = "m0: &m0 {x: 1, y: 2}\n" + "".join(f"m{n}: &m{n}\n  <<: [*m{n - 1}, *m{n - 1}]\n" for n in range(1, 60))


@pytest.mark.parametrize("text", [LAUGHS, MERGES, "a: &a [*a]", "a: " + "x" * 5 * 2**20, "[" * 5000])
def test_a_bomb_is_no_work_before_it_is_refused(keys: Keys, text: str) -> None:
    """Whoever changes a file on its way can make it mean as much as he likes; it costs a bounded time to refuse."""
    files = signed({**bundle_files(), "acme/data.yaml": b"a: 1"}, keys.private("ed"))
    files["acme/data.yaml"] = text.encode()
    with pytest.raises(BundleUntrusted, match="cannot be read as it was signed"):
        verify(files, key_of(configured(keys, "EdDSA")), "b")
