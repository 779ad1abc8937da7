"""The trust file: which keys an auditor believes, for which origin, and over which sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from guard.record.cosignature import CosignerKey
from guard.record.endorse import endorse, read_endorsement, record_name
from guard.record.note import NoteInvalid, VerifierKey, parse_checkpoint, split_note
from guard.record.sign import Ed25519Signer
from guard.record.trust import Trust, TrustedKey, UsageError, parse_trust, read_trust

LOG = Ed25519Signer("policy-guard-0", Ed25519PrivateKey.from_private_bytes(b"l" * 32))
LATER = Ed25519Signer("policy-guard-0", Ed25519PrivateKey.from_private_bytes(b"n" * 32))
ROOT = Ed25519Signer("ops-root", Ed25519PrivateKey.from_private_bytes(b"r" * 32))
KEY, NEXT, ROOT_KEY = VerifierKey.of(LOG), VerifierKey.of(LATER), VerifierKey.of(ROOT)
WITNESS = CosignerKey("witness.example/w1", ROOT.public_key)


def test_every_kind_of_entry_is_read(tmp_path: Path) -> None:
    """Plain keys, ranges, roots and witnesses; comments and empty lines are nothing."""
    path = tmp_path / "trust"
    path.write_text(
        f"# the log\n\n{KEY.encode()} [1-5000]  # until March\n{NEXT.encode()}\t[5001-]\n"
        f"root {ROOT_KEY.encode()}\nwitness {WITNESS.encode()}\n"
    )
    trust = read_trust(path)
    assert trust.keys == (TrustedKey(KEY, 1, 5000), TrustedKey(NEXT, 5001))
    assert (trust.roots, trust.witnesses) == ((ROOT_KEY,), (WITNESS,))
    assert trust.keys_of("policy-guard-0") == trust.keys
    assert trust.keys_of("policy-guard-1") == ()
    assert [entry.sizes for entry in trust.keys] == ["[1-5000]", "[5001-]"]


def test_a_plain_key_is_trusted_at_every_size(tmp_path: Path) -> None:
    """One vkey a line, as before there were ranges."""
    path = tmp_path / "trust"
    path.write_text(KEY.encode() + "\n")
    trust = read_trust(path)
    assert trust == Trust.of([KEY])
    assert (trust.covers(KEY, 0), trust.covers(KEY, 10**15), trust.covers(NEXT, 1)) == (True, True, False)
    assert (trust.knows("policy-guard-0"), trust.knows("policy-guard-1")) == (True, False)


def test_a_listed_key_is_bound_to_its_sizes() -> None:
    """Both ends are inclusive; several ranges of one key add up; a key that is not listed is not spoken against."""
    trust = Trust((TrustedKey(KEY, 1, 10), TrustedKey(KEY, 20, 30)))
    assert [size for size in range(40) if trust.covers(KEY, size)] == [*range(1, 11), *range(20, 31)]
    assert trust.outside(KEY, 10) == ""
    assert trust.outside(KEY, 11).endswith("is trusted for the sizes [1-10], [20-30] only, here are 11")
    assert trust.outside(NEXT, 11) == ""


def test_roots_vouch_for_any_origin() -> None:
    """With a root, a log whose keys are not listed may still be believed."""
    assert Trust(roots=(ROOT_KEY,)).knows("any-7")
    assert not Trust(witnesses=(WITNESS,)).knows("any-7")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nonsense", "name+hash+base64"),
        (KEY.encode()[:-4], "base64"),
        (KEY.encode().replace("policy-guard-0", "policy-guard-1"), "does not belong"),
        (f"{KEY.encode()} [5-1]", "ends before it begins"),
        (f"{KEY.encode()} 1-5", "no range of sizes"),
        (f"{KEY.encode()} [1-05]", "no range of sizes"),
        (f"{KEY.encode()} [1-5] [7-9]", "begins no entry of 3 words"),
        (f"{KEY.encode()} {NEXT.encode()}", "no range of sizes"),
        ("root", "name+hash+base64"),
        (f"roots {KEY.encode()}", "begins no entry of 2 words"),
        (f"root {WITNESS.encode()}", "Ed25519 verifier key"),
        (f"witness {KEY.encode()}", "type 0x04"),
    ],
)
def test_what_does_not_read_is_named_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    """A line that is not understood is never skipped: it might have narrowed what is believed."""
    path = tmp_path / "trust"
    path.write_text(f"{NEXT.encode()}\n{line}\n")
    with pytest.raises(UsageError, match=said.replace("+", r"\+")) as caught:
        read_trust(path)
    assert caught.value.where == f"{path}:2"


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe", b"witness " + WITNESS.encode().encode()])
def test_a_file_that_names_no_key_of_a_log_is_an_error(tmp_path: Path, content: bytes) -> None:
    """Nothing to believe is a mistake, not a verdict."""
    path = tmp_path / "trust"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        read_trust(path)
    with pytest.raises(UsageError, match="does not read"):
        read_trust(tmp_path / "missing")


@given(st.integers(0, 10**15), st.none() | st.integers(1, 10**15), st.integers(0, 10**15))
def test_ranges_survive_writing_and_reading(first: int, last: int | None, size: int) -> None:
    """What ``sizes`` writes is what is read, and covers the same."""
    if last is not None and last < first:
        first, last = last, first
    entry = TrustedKey(KEY, first, last)
    (again,) = parse_trust([f"{KEY.encode()} {entry.sizes}"], "trust").keys
    assert again == entry
    assert again.covers(size) == (first <= size and (last is None or size <= last))


def test_an_endorsement_is_no_checkpoint_and_fits_one_place() -> None:
    """A signed note over four lines: bound to the scope, the key and the key before it."""
    note = endorse("policy-guard", NEXT.public_key, KEY.public_key, (ROOT,))
    endorsement = read_endorsement(note)
    with pytest.raises(NoteInvalid):
        parse_checkpoint(split_note(note)[0])
    assert endorsement.signed_by(ROOT_KEY)
    assert not endorsement.signed_by(VerifierKey("other-root", ROOT.public_key))
    assert endorsement.fits("policy-guard-0", NEXT.public_key, KEY.public_key)
    assert endorsement.fits("policy-guard-writers", NEXT.public_key, KEY.public_key)
    assert not endorsement.fits("other-0", NEXT.public_key, KEY.public_key)
    assert not endorsement.fits("policy-guard-0", NEXT.public_key, None)
    assert not endorsement.fits("policy-guard-0", KEY.public_key, NEXT.public_key)
    assert record_name("policy-guard-12") == "policy-guard"


@given(st.data())
def test_an_altered_endorsement_is_refused_or_unsigned(data: st.DataObject) -> None:
    """Any one character of the text changed: it reads as no endorsement, or nobody signed it."""
    note = endorse("policy-guard-0", NEXT.public_key, KEY.public_key, (ROOT,))
    place = data.draw(st.integers(0, note.index("\n\n")))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != note[place]))
    try:
        altered = read_endorsement(note[:place] + other + note[place + 1 :])
    except NoteInvalid:
        return
    assert not altered.signed_by(ROOT_KEY)
