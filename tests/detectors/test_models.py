"""Models as artefacts: files that are refused when anything about them is wrong; versions that come and go whole."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from detectors.common import artefact
from detectors.common.signature import name_of
from detectors.injection import InjectionDetector
from detectors.injection.lexicon import Lexicon
from detectors.injection.sources import shipped_file
from detectors.injection.stored import load, save
from detectors.models.directory import ModelDirectory, Step, resolved, taken
from detectors.models.metrics import changes
from guard.errors import ConfigError, KeyInvalid

ARRAYS = {"a": np.arange(5), "b": np.ones(3)}


def keys(directory: Path, name: str) -> tuple[Path, Path]:
    """A private key of mode 0600 and its public half, in PEM."""
    key = Ed25519PrivateKey.generate()
    private, public = directory / f"{name}.pem", directory / f"{name}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def variant(path: Path, shift: float, **card: Any) -> Path:
    """The shipped model with another intercept."""
    stored = load(shipped_file(), Lexicon.shipped())
    stored.model.stage_two[-1] += shift
    save(path, stored.model, {**stored.card, "version": path.stem, **card})
    return path


def step(identity: str, action: Any = "promote") -> Step:
    return Step(action, identity, "ab" * 32, "v" + identity[:2], "2026-01-01T00:00:00Z")


def placed(path: Path, data: bytes) -> Path:
    """A file with a card that names these very bytes: only what is in it can be wrong."""
    path.write_bytes(data)
    card = {"format": 1, "kind": "k", "sha256": hashlib.sha256(data).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """An archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def array(shape: tuple[int, ...], content: bytes, kind: str = "<f8") -> bytes:
    """An array in the format of numpy, with any header."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": kind})
    return file.getvalue() + content


def overlapping(content: bytes, times: int) -> bytes:
    """An archive whose members are all the same bytes: small, and large when it is unpacked."""
    data = zipped({"0.npy": content})
    middle = data.index(b"PK\x01\x02")
    entry, end = data[middle : data.index(b"PK\x05\x06")], data[data.index(b"PK\x05\x06") :]
    entries = b"".join(entry.replace(b"0.npy", f"{n % 10}.npy".encode()) for n in range(times))
    counts = times.to_bytes(2, "little") * 2 + len(entries).to_bytes(4, "little")
    return data[:middle] + entries + end[:8] + counts + end[16:]


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_signed_model_is_read_under_its_key(tmp_path: Path) -> None:
    """The signature covers the card, and the card names the arrays: with the right key both are believed."""
    private, public = keys(tmp_path, "maker")
    digest = artefact.write(tmp_path / "m.npz", "k", ARRAYS, {"version": "1"}, signing_key=private)
    found = artefact.read(tmp_path / "m.npz", "k", model_key=public)
    assert (found.digest, found.signed, list(found.arrays["a"])) == (digest, True, [0, 1, 2, 3, 4])
    assert len((tmp_path / "m.sig").read_bytes()) == 64
    assert len(name_of(public)) == 16


def test_without_a_key_the_signature_is_not_asked_for(tmp_path: Path) -> None:
    """Who configures no key gets the digest's protection only, and is not told that a signature was checked."""
    artefact.write(tmp_path / "m.npz", "k", ARRAYS, {})
    assert artefact.read(tmp_path / "m.npz", "k").signed is False


def other_card(file: Path) -> None:
    beside = file.with_suffix(".json")
    beside.write_text(beside.read_text().replace('"version": "1"', '"version": "2"'))


def other_arrays(file: Path) -> None:
    data = artefact.packed({"a": np.arange(6)})
    file.write_bytes(data)
    card = json.loads(file.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(data).hexdigest()
    file.with_suffix(".json").write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda file: file.with_suffix(".sig").unlink(), "not signed"),
        (lambda file: file.with_suffix(".sig").write_bytes(b"\0" * 64), "signature"),
        (lambda file: file.with_suffix(".sig").write_bytes(b"short"), "signature"),
        (other_card, "signature"),
        (other_arrays, "signature"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "bytes are not those"),
        (lambda file: file.with_suffix(".json").write_text("[]"), "no object"),
        (lambda file: file.with_suffix(".json").unlink(), r"m\.json"),
    ],
)
def test_a_model_that_was_touched_is_refused_under_a_key(tmp_path: Path, spoil: Any, what: str) -> None:
    """No signature, a wrong one, a card or arrays that it does not cover, and damage are refused by name."""
    private, public = keys(tmp_path, "maker")
    artefact.write(tmp_path / "m.npz", "k", ARRAYS, {"version": "1"}, signing_key=private)
    spoil(tmp_path / "m.npz")
    with pytest.raises(ConfigError, match=what):
        artefact.read(tmp_path / "m.npz", "k", model_key=public)


BOMBS = {
    "compressed": (zipped({"a.npy": array((1 << 24,), bytes(1 << 27))}, zipfile.ZIP_DEFLATED), "compressed"),
    "compressed by a method without bound": (zipped({"a.npy": bytes(1 << 24)}, zipfile.ZIP_BZIP2), "compressed"),
    "members that share bytes": (overlapping(array((1 << 20,), bytes(1 << 23)), 10), "bytes unpacked"),
    "many members": (zipped({f"{n}.npy": b"" for n in range(65)}), "more than 64 arrays"),
    "a header that claims a terabyte": (zipped({"a.npy": array((1 << 37,), b"12345678")}), "not as large as it says"),
    "a header that claims less": (zipped({"a.npy": array((1,), bytes(16))}), "not as large as it says"),
    "a shape below zero": (zipped({"a.npy": array((-1, -1), bytes(8))}), "not as large as it says"),
    "objects": (zipped({"a.npy": array((1,), bytes(8), "|O")}), "objects"),
    "something else": (zipped({"a.txt": b"x"}), "something else than arrays"),
    "no array": (zipped({"a.npy": b"x"}), "cannot be loaded"),
    "no archive": (b"PK but no archive", "cannot be loaded"),
}


@pytest.mark.parametrize("which", BOMBS)
def test_a_file_that_would_unpack_to_more_is_refused_before(tmp_path: Path, which: str) -> None:
    """Whatever an archive or a header claims: refused by name, and no memory is taken for it first."""
    data, what = BOMBS[which]
    file = placed(tmp_path / "m.npz", data)
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match=what):
            artefact.read(file, "k")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(data) + (1 << 21)


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    """Of every shape and order, empty ones included."""
    arrays = {
        "a": np.arange(12.0).reshape(3, 4),
        "b": np.zeros(0, np.int8),
        "c": np.array([[7]]),
        "d": np.array([True]),
    }
    artefact.write(tmp_path / "m.npz", "k", arrays, {})
    found = artefact.read(tmp_path / "m.npz", "k").arrays
    assert {name: (each.dtype, each.tolist()) for name, each in found.items()} == {
        name: (each.dtype, each.tolist()) for name, each in arrays.items()
    }
    assert all(each.flags.writeable for each in found.values())


def test_another_makers_signature_is_refused(tmp_path: Path) -> None:
    """A right signature of another key is a wrong one."""
    private, _ = keys(tmp_path, "maker")
    _, other = keys(tmp_path, "other")
    artefact.write(tmp_path / "m.npz", "k", ARRAYS, {}, signing_key=private)
    with pytest.raises(ConfigError, match="signature"):
        artefact.read(tmp_path / "m.npz", "k", model_key=other)


@pytest.mark.parametrize("form", [artefact.FORMAT + 1, "1", None])
def test_a_later_format_is_refused(tmp_path: Path, form: object) -> None:
    """A card of a format that this version does not know is not guessed at."""
    artefact.write(tmp_path / "m.npz", "k", ARRAYS, {"format": form})
    with pytest.raises(ConfigError, match="format"):
        artefact.read(tmp_path / "m.npz", "k")


def test_writing_anew_takes_the_old_signature_away(tmp_path: Path) -> None:
    """An unsigned model never stands beside the signature of the one before."""
    private, _ = keys(tmp_path, "maker")
    artefact.write(tmp_path / "m.npz", "k", ARRAYS, {}, signing_key=private)
    artefact.write(tmp_path / "m.npz", "k", ARRAYS, {"version": "2"})
    assert not (tmp_path / "m.sig").exists()


def test_keys_that_are_no_keys_are_refused(tmp_path: Path) -> None:
    """An open private key, a public one in its place, text, and a key of another algorithm are said, before writing."""
    private, public = keys(tmp_path, "maker")
    private.chmod(0o644)
    text = tmp_path / "text.pem"
    text.write_text("no key")
    text.chmod(0o600)
    foreign = tmp_path / "x25519.pem"
    foreign.write_bytes(X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    foreign.chmod(0o600)
    public.chmod(0o600)
    said = []
    for key in (private, public, text, foreign, tmp_path / "missing.pem"):
        with pytest.raises(KeyInvalid) as caught:
            artefact.write(tmp_path / "m.npz", "k", ARRAYS, {}, signing_key=key)
        said.append(caught.value.what.split()[0:4])
    assert said[0] == ["the", "signing", "key", "is"]
    assert said[3] == ["the", "key", "is", "not"]
    assert not (tmp_path / "m.npz").exists()


# --- versions -------------------------------------------------------------------------------------------------------


def test_the_current_version_is_the_last_promoted(tmp_path: Path) -> None:
    """Promotion places files and moves the pointer; rollback goes back one promotion at a time, and no further."""
    model = taken(variant(tmp_path / "m.npz", 0.1))
    models = ModelDirectory(tmp_path / "store")
    for name in ("aa", "bb", "cc"):
        models.promote(model, step(name * 8))
    assert models.current == models.file("cc" * 8)
    assert models.current.read_bytes() == model.arrays
    assert [models.rollback("2026-01-02T00:00:00Z").id[:2] for _ in range(2)] == ["bb", "aa"]
    with pytest.raises(ConfigError, match="no version before"):
        models.rollback("2026-01-02T00:00:00Z")
    models.promote(model, step("dd" * 8))
    assert models.before is not None
    assert models.before.id == "aa" * 8
    assert [one.action for one in models.history] == ["promote"] * 3 + ["rollback"] * 2 + ["promote"]
    assert resolved(tmp_path / "store") == models.file("dd" * 8)
    assert resolved(tmp_path / "m.npz") == tmp_path / "m.npz"


def test_readers_see_a_whole_pointer_while_it_changes(tmp_path: Path) -> None:
    """While one thread promotes and takes back, another always reads a version that is there, with all its files."""
    model = taken(variant(tmp_path / "m.npz", 0.1))
    models = ModelDirectory(tmp_path / "store")
    models.promote(model, step("aa" * 8))
    done = threading.Event()
    failures: list[str] = []

    def look() -> None:
        reader = ModelDirectory(tmp_path / "store")
        while not done.is_set():
            try:
                artefact.read_any(reader.current)
            except ConfigError as error:
                failures.append(str(error))

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(20):
        models.promote(model, step("bb" * 8))
        models.rollback("2026-01-02T00:00:00Z")
    done.set()
    thread.join()
    assert failures == []


def test_two_changers_lose_nothing(tmp_path: Path) -> None:
    """Promotions from several threads each stand in the history."""
    model = taken(variant(tmp_path / "m.npz", 0.1))
    names = [f"{number:016x}" for number in range(8)]
    threads = [
        threading.Thread(target=ModelDirectory(tmp_path / "store").promote, args=(model, step(name))) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.id for one in ModelDirectory(tmp_path / "store").history) == names


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "damaged"),
        ('{"format": 2, "current": "a", "history": []}', "format 2"),
        ('{"format": 1, "current": "a", "history": []}', "history"),
        (json.dumps({"format": 1, "current": "../../x", "history": [{
            "action": "promote", "id": "../../x", "sha256": "a", "version": "1", "at": ""}]}), "no version"),
        (json.dumps({"format": 1, "current": "aa" * 8, "history": [{
            "action": "rollback", "id": "aa" * 8, "sha256": "a", "version": "1", "at": ""}]}), "taken back"),
    ],
)  # fmt: skip
def test_a_damaged_pointer_is_refused(tmp_path: Path, text: str, what: str) -> None:
    """A pointer that does not read, or leads out of its directory, is never followed."""
    (tmp_path / "current.json").write_text(text)
    with pytest.raises(ConfigError, match=what):
        _ = ModelDirectory(tmp_path).current


def test_an_empty_directory_holds_no_model(tmp_path: Path) -> None:
    """A detector that is pointed at a directory in which nothing was promoted does not start."""
    with pytest.raises(ConfigError, match="no model was promoted"):
        InjectionDetector(model=str(tmp_path))


def test_only_the_same_texts_are_compared() -> None:
    """Figures of different texts say nothing of each other; fewer false alarms are better."""
    before = {"metrics": {"generated": {"of": "x", "auc": 0.9}, "evaluated": {"of": "y", "hard_flagged": 0.02}}}
    after = {"metrics": {"generated": {"of": "z", "auc": 0.5}, "evaluated": {"of": "y", "hard_flagged": 0.05}}}
    assert [(each.name, each.worse) for each in changes(before, after)] == [("evaluated.hard_flagged", True)]
    assert [each.worse for each in changes(after, before)] == [False]
    assert changes({}, after) == changes({"metrics": {"generated": {"auc": 1.0}}}, after) == []


# --- in the detector ------------------------------------------------------------------------------------------------


def test_a_detector_takes_the_current_version_and_says_so(tmp_path: Path) -> None:
    """Model directory in, version and digest out: what stands in each record tells which model judged."""
    models = ModelDirectory(tmp_path / "store")
    for number, shift in enumerate((0.5, -0.5)):
        file = variant(tmp_path / f"v{number}.npz", shift)
        models.promote(taken(file), step(f"{number:016x}"))
    new = InjectionDetector(model=str(tmp_path / "store")).info
    models.rollback("2026-01-02T00:00:00Z")
    old = InjectionDetector(model=str(tmp_path / "store")).info
    assert (new.version, old.version) == ("1+v1", "1+v0")
    assert new.digest != old.digest


def test_a_key_with_nothing_to_check_is_an_error(tmp_path: Path) -> None:
    """``model_key`` alone would seem to protect something."""
    with pytest.raises(ConfigError, match="nothing to check"):
        InjectionDetector(model_key=str(tmp_path / "k.pub"))


def test_a_configured_key_refuses_what_is_unsigned(tmp_path: Path) -> None:
    """The live model and the candidate alike must be signed where a key is configured."""
    _, public = keys(tmp_path, "maker")
    file = variant(tmp_path / "m.npz", 0.1)
    for options in ({"model": str(file)}, {"shadow": str(file)}):
        with pytest.raises(ConfigError, match="not signed"):
            InjectionDetector(**options, model_key=str(public))


def test_a_version_that_is_no_word_is_refused(tmp_path: Path) -> None:
    """What a card calls its version stands in every record: it is a word."""
    file = variant(tmp_path / "m.npz", 0.1, version="four words <b>or</b> more")
    with pytest.raises(ConfigError, match="version"):
        InjectionDetector(model=str(file))


def test_the_shipped_card_tells_where_the_model_comes_from() -> None:
    """Version, licence, data, features, libraries, metrics and the reference stand in the card of the shipped model."""
    card = json.loads(shipped_file().with_suffix(".json").read_text())
    assert set(card) >= {"format", "kind", "version", "licence", "data", "features", "libraries", "metrics", "sha256"}
    assert card["data"]["source"] == "generated"
    assert set(card["metrics"]["generated"]) >= {"of", "auc", "recall_micro"}
    assert InjectionDetector().info.version == f"1+{card['version']}"
