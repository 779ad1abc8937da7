"""Manifests: what a bundle says of itself, and that it holds nothing outside of its roots nor where others live."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guard.config import BundleConfig, GuardConfig
from guard.errors import BundleInvalid, BundleOutsideRoots, PolicyInvalid
from guard.policy.bundle import Bundle
from guard.policy.bundles.build import pack
from guard.policy.bundles.loading import bundle_for
from guard.policy.bundles.manifest import Manifest, read_manifest
from guard.policy.bundles.opened import open_bundle
from tests.policy.bundling import acme_rule, bundle_files


def loaded(tmp_path: Path, files: dict[str, bytes], **policy: Any) -> Bundle:
    """The policies of a configuration with this bundle."""
    (tmp_path / "b.tar.gz").write_bytes(pack(files))
    return bundle_for(GuardConfig(policy={"bundle": {"source": str(tmp_path / "b.tar.gz")}, **policy}))


def test_a_bundle_joins_the_shipped_policies(tmp_path: Path) -> None:
    """Modules, data, tests and the revision; its own files are told from the shipped ones."""
    files = {
        **bundle_files(revision="2026-01-01/a"),
        "rules/acme_test.rego": acme_rule(package="guard.rules.acme.x_test"),
    }
    bundle = loaded(tmp_path, files)
    assert bundle.revision == "2026-01-01/a"
    assert bundle.data["acme"] == {"limit": 1.5, "names": ["é", "<&>"]}
    assert {"ACME-1", "PII-001"} <= bundle.rules.keys()
    assert {Path(name).name for name in bundle.tests} == {"acme_test.rego"}
    assert {Path(name).name for name in bundle.own} == {"acme.rego", "acme_test.rego", "data.json"}
    assert bundle.rules["ACME-1"].location.file.endswith("b.tar.gz/rules/acme.rego")


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    """The same policies have the same digest from an archive and from a directory, whatever the revision."""
    for name, content in bundle_files(revision="other").items():
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_bytes(content)
    directory = bundle_for(GuardConfig(policy={"bundle": {"source": str(tmp_path / "d")}}))
    archive = loaded(tmp_path, bundle_files(revision=""))
    assert directory.digest == archive.digest != loaded(tmp_path, bundle_files("other")).digest
    assert (directory.revision, archive.revision) == ("other", archive.digest[:12])


@pytest.mark.parametrize(
    ("roots", "files", "where", "said"),
    [
        (["guard/rules/acme"], {}, "acme/data.json", '"acme" is outside'),
        (["guard/rules/acm", "acme"], {}, "rules/acme.rego", '"guard/rules/acme" is outside'),
        ([], {}, "rules/acme.rego", "roots (none)"),
        (["guard/rules/acme", "acme/names"], {}, "acme/data.json", '"acme/limit" is outside'),
        (["guard/rules"], {}, ".manifest", '"guard/rules" overlaps with "guard/rules/'),
        (["guard/rules/pii"], {}, ".manifest", 'overlaps with "guard/rules/pii", which is the shipped'),
        (["guard/rules/pii/mine"], {}, ".manifest", "overlaps"),
        (["guard/settings"], {}, ".manifest", "written from the configuration"),
        (None, {"x.rego": acme_rule(package="guard.rules.pii")}, "x.rego", '"guard/rules/pii" is the shipped'),
        (None, {"x.rego": b"package guard\n\ndecision := 1"}, "x.rego", "is the shipped"),
        (None, {"x.rego": b"package guard.main.more\n\nx := 1"}, "x.rego", "is the shipped"),
        (None, {"guard/settings/data.json": b'{"a": 1}'}, "guard/settings/data.json", "written from the"),
        (None, {"data.json": b'{"guard": {"modes": {"PII-001": "shadow"}}}'}, "data.json", "written from the"),
    ],
)
def test_what_lies_outside_is_refused(
    tmp_path: Path, roots: list[str] | None, files: dict[str, bytes], where: str, said: str
) -> None:
    """Outside of the bundle's own roots, or inside of what others own."""
    with pytest.raises(BundleOutsideRoots) as caught:
        loaded(tmp_path, {**bundle_files(roots=roots), **files})
    assert caught.value.where.endswith(f"b.tar.gz/{where}")
    assert said in str(caught.value)
    assert caught.value.mend


@pytest.mark.parametrize(
    ("roots", "files"),
    [
        (None, {}),
        ([""], {}),
        (["/guard/rules/acme/", "acme"], {}),
        (["guard/rules/acme", "acme/limit", "acme/names"], {}),
        (["guard/rules/acme", "acme"], {"data.json": b"{}"}),
        (["guard/rules/acme", "acme", "guard/lib/acme"], {"l.rego": b"package guard.lib.acme\n\nf(x) := x"}),
    ],
)
def test_what_lies_inside_is_taken(tmp_path: Path, roots: list[str] | None, files: dict[str, bytes]) -> None:
    """Roots may be deeper than the packages' first parts, and have slashes around them; helpers may join guard.lib."""
    assert "ACME-1" in loaded(tmp_path, {**bundle_files(roots=roots), **files}).rules


def test_without_the_shipped_policies_their_places_are_free(tmp_path: Path) -> None:
    """An owner who replaces them may use their names; what the configuration writes stays reserved."""
    files = {**bundle_files(roots=["guard/rules/pii"]), "rules/acme.rego": acme_rule(package="guard.rules.pii")}
    del files["acme/data.json"]
    files["decision.rego"] = b"package guard\n\ndecision := data.guard.rules.pii.deny"
    files[".manifest"] = b"{}"
    assert "ACME-1" in loaded(tmp_path, files, shipped=False).rules


def test_a_mistake_in_a_policy_has_its_line(tmp_path: Path) -> None:
    """As in a directory; the archive stands before the name."""
    with pytest.raises(PolicyInvalid) as caught:
        loaded(tmp_path, {**bundle_files(), "rules/more.rego": b"package guard.rules.acme\n\nx := {"})
    assert any(e.file.endswith("b.tar.gz/rules/more.rego") and e.row == 3 for e in caught.value.diagnostics)


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({"rego_version": 0}, "another version of Rego"),
        ({"file_rego_versions": {"*/old.rego": 0}}, "another version of Rego"),
        ({"wasm": [{"entrypoint": "a", "module": "/policy.wasm"}]}, "WebAssembly"),
        ({"roots": ["a", "a/b"]}, 'the roots "a" and "a/b" overlap'),
        ({"roots": ["", "a"]}, "overlap"),
        ({"roots": "a"}, "roots must be a list"),
        ({"roots": [1]}, "roots must be a list"),
        ({"revision": 7}, "no plain text"),
        ({"revision": "[red]x"}, "no plain text"),
        ({"revision": "x" * 129}, "no plain text"),
        ({"metadata": []}, "metadata"),
    ],
)
def test_a_manifest_that_cannot_be_taken_is_refused(manifest: dict[str, Any], said: str) -> None:
    """Before any policy is read."""
    with pytest.raises(BundleInvalid, match=said) as caught:
        read_manifest({".manifest": json.dumps(manifest).encode()}, "b")
    assert caught.value.where == "b/.manifest"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("patch.json", "delta bundle"),
        ("policy.wasm", "WebAssembly"),
        ("plan.json", "evaluation plan"),
        ("rules/.manifest", "one manifest"),
    ],
)
def test_a_kind_of_bundle_that_is_not_supported_is_named(name: str, said: str) -> None:
    """Nothing is left out in silence."""
    with pytest.raises(BundleInvalid, match=said) as caught:
        read_manifest({**bundle_files(), name: b"{}"}, "b")
    assert caught.value.where == f"b/{name}"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"revision": "a", "revision": "b"}', b"[" * 100_000, b"\xff"])
def test_a_manifest_that_is_no_json_object_is_refused(content: bytes) -> None:
    """Also one that names a key twice."""
    with pytest.raises(BundleInvalid):
        read_manifest({".manifest": content}, "b")


def test_without_a_manifest_everything_is_its_own() -> None:
    """As OPA has it: one root, the empty path."""
    assert read_manifest({"a.rego": b""}, "b") == Manifest(revision="", roots=((),))


def test_metadata_is_the_authors(tmp_path: Path) -> None:
    """It is read, and nothing else is made of it."""
    files = bundle_files(metadata={"commit": "abc"})
    (tmp_path / "b").write_bytes(pack(files))
    assert open_bundle(BundleConfig(source=str(tmp_path / "b"))).manifest.metadata == {"commit": "abc"}
