"""Key changes in a live log: continuous epochs, each key bound to its sizes, old private keys gone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guard.errors import KeyInvalid, LogTampered
from guard.record.boot import BootFacts
from guard.record.chain import Chain, Flaw
from guard.record.deployment import DeploymentKeys, add_notes, endorse_deployment, held_keys, prepare_next, rotate
from guard.record.endorse import endorse
from guard.record.keys import SIGNING_KEY, load_or_create_keys
from guard.record.log import SignedLog
from guard.record.note import VerifierKey, open_note, parse_checkpoint, sign_note, split_note
from guard.record.pem import load_signing_key
from guard.record.schema import KeyRecord
from guard.record.segment import commit_line, commit_note, list_segments, read_batches
from guard.record.sign import Ed25519Signer
from guard.record.slot import Slot
from guard.record.trust import Trust, TrustedKey
from guard.record.verify import verify
from guard.record.writer import Writer
from tests.record.logs import NAME, ORIGIN, decision, outcome

ROOT = Ed25519Signer("ops-root", Ed25519PrivateKey.from_private_bytes(b"r" * 32))


def opened(state: Path, per: str = "deployment") -> tuple[Slot, Writer]:
    """The first origin's writer, open."""
    slot = Slot(state / "log", NAME)
    keys = DeploymentKeys(state / "keys", per)  # type: ignore[arg-type]
    writer = Writer(slot.path, keys.origin(slot.origin), BootFacts())
    try:
        writer.open()
    except BaseException:
        slot.release()
        raise
    return slot, writer


def boot(state: Path, per: str = "deployment", *, number: int = 0) -> None:
    """One boot that records one exchange and closes in order."""
    slot, writer = opened(state, per)
    writer.commit([decision(number)])
    writer.commit([outcome(number)])
    writer.close({})
    slot.release()


def rotated(state: Path, *, root: bool = False) -> None:
    """``guard keys rotate``."""
    directory = state / "keys"
    key = prepare_next(directory)
    if root:
        add_notes(directory, endorse_deployment(NAME, key, [None, *held_keys(directory)], ROOT))
    rotate(directory)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with keys and no log."""
    load_or_create_keys(tmp_path / "keys")
    return tmp_path


def first_key(state: Path) -> VerifierKey:
    return VerifierKey.parse((state / "log" / ORIGIN / "log.vkey").read_text().strip())


def read(state: Path, trust: Trust | None = None) -> Chain:
    """The whole log, verified; raises ``Flaw``."""
    chain = Chain(first_key(state), trust=trust)
    for segment in list_segments(state / "log" / ORIGIN / "seg"):
        for batch in read_batches(segment.path):
            chain.accept(batch)
    return chain


def key_records(state: Path) -> list[KeyRecord]:
    chain = Chain(first_key(state))
    found = []
    for segment in list_segments(state / "log" / ORIGIN / "seg"):
        for batch in read_batches(segment.path):
            found += [record for record in chain.accept(batch) if isinstance(record, KeyRecord)]
    return found


def keys_of_origin(state: Path) -> list[str]:
    return sorted(path.name for path in (state / "keys" / "origins" / ORIGIN).iterdir())


def test_a_rotation_is_taken_up_at_the_next_boot(state: Path) -> None:
    """The commit with the ``key`` record is the old key's last; everything later is the new key's."""
    boot(state)
    rotated(state)
    boot(state, number=1)
    (record,) = key_records(state)
    assert (record.event, record.reason, record.before) == ("replaced", "rotate", first_key(state).encode())
    chain = read(state)
    old, new = chain.epochs.history
    assert (old.first, old.last, new.first, new.last) == (1, record.seq + 1, record.seq + 2, None)
    assert new.key.encode() == record.key
    checkpoint = (state / "log" / ORIGIN / "checkpoint").read_text()
    assert parse_checkpoint(open_note(checkpoint, new.key)).size == chain.size


def test_a_running_writer_takes_up_a_rotation(state: Path) -> None:
    """``turn`` (at each heartbeat) goes on under the new key without a restart, and once only."""
    slot, writer = opened(state)
    assert not writer.turn()
    rotated(state)
    assert writer.turn()
    assert not writer.turn()
    writer.commit([decision()])
    writer.close({})
    slot.release()
    assert len(read(state).epochs.history) == 2


def test_the_old_private_key_is_gone_when_the_last_origin_went_on(state: Path) -> None:
    """Two origins: the file stays while one of them must still sign its last commit with it."""
    first, second = opened(state), opened(state)
    old = (state / "keys" / SIGNING_KEY).read_bytes()
    for slot, writer in (first, second):
        writer.close({})
        slot.release()
    rotated(state)

    def holders() -> list[Path]:
        return [path for path in (state / "keys").rglob("*.pem") if path.read_bytes() == old]

    assert len(holders()) == 2
    slots = [opened(state)[0]]
    assert len(holders()) == 1
    slots.append(opened(state)[0])
    assert holders() == []
    for slot in slots:
        slot.release()


def test_a_log_that_slept_through_two_rotations_goes_on(state: Path) -> None:
    """Its key is kept for it, and the root endorsed the newest key for it, too."""
    boot(state)
    rotated(state, root=True)
    rotated(state, root=True)
    boot(state, number=1)
    chain = read(state, Trust(keys=(TrustedKey(first_key(state)),), roots=(VerifierKey.of(ROOT),)))
    assert [epoch.grounds for epoch in chain.epochs.history] == ["listed", "endorsed by ops-root and the key before"]


@pytest.mark.parametrize("per", ["boot", "day"])
def test_a_key_of_its_own_from_the_first_record_on(state: Path, per: str) -> None:
    """With a key per boot or day the deployment's key only endorses; it signs no checkpoint."""
    boot(state, per)
    deployment = Ed25519Signer(NAME, load_or_create_keys(state / "keys").signing_key)
    assert first_key(state).public_key != deployment.public_key
    (record,) = key_records(state)
    assert (record.event, record.key) == ("begun", first_key(state).encode())
    chain = read(state, Trust(roots=(VerifierKey.of(deployment),)))
    assert chain.epochs.history[0].grounds == f"endorsed by {NAME}"


def test_each_boot_has_a_key_and_the_one_before_is_destroyed(state: Path) -> None:
    """Three boots, three keys, one private key left; the chain of endorsements leads back to the pinned first key."""
    for number in range(3):
        boot(state, "boot", number=number)
        assert len(keys_of_origin(state)) == 1
    chain = read(state, Trust.of([first_key(state)]))
    assert [epoch.grounds for epoch in chain.epochs.history] == ["listed", *["endorsed by the key before"] * 2]
    assert [record.reason for record in key_records(state)] == ["start", "boot", "boot"]


def test_a_new_day_has_a_new_key(state: Path) -> None:
    """Within a day the key stays; a writer that runs past midnight (UTC) goes on under a new one."""
    boot(state, "day")
    day = "2026-01-01"
    keys = DeploymentKeys(state / "keys", "day").origin(ORIGIN)
    today = keys._today
    slot = Slot(state / "log", NAME)
    writer = Writer(slot.path, keys, BootFacts())
    writer.open()
    assert not writer.turn()
    keys._today = lambda: day
    assert writer.turn()
    keys._today = today
    assert not writer.turn()
    writer.close({})
    slot.release()
    assert [record.reason for record in key_records(state)] == ["start", "day"]


def test_a_crash_between_the_record_and_the_clean_up_loses_nothing(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says which key it is at; both private keys are there until the next opening."""
    boot(state, "boot")
    with monkeypatch.context() as patched:
        patched.setattr("guard.record.origin_keys.OriginKeys.settled", lambda *_: None)
        slot, writer = opened(state, "boot")
        writer.poison()
        slot.release()
    assert len(keys_of_origin(state)) == 2
    boot(state, "boot", number=1)
    assert len(keys_of_origin(state)) == 1
    assert len(read(state).epochs.history) == 3


def test_a_torn_switch_never_was(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``key`` record whose commit was torn by a crash: the log goes on under the old key, and then turns again."""
    boot(state, "boot")
    published = (state / "log" / ORIGIN / "checkpoint").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr("guard.record.origin_keys.OriginKeys.settled", lambda *_: None)
        slot, writer = opened(state, "boot")
        writer.poison()
        slot.release()
    tear_last(state, published)
    boot(state, "boot", number=1)
    assert len(keys_of_origin(state)) == 1
    assert [record.reason for record in key_records(state)] == ["start", "boot"]


def test_a_log_cut_at_a_durable_switch_is_not_continued(state: Path) -> None:
    """The old private key is gone by then, so nobody here can sign as it: cut back to before the switch (with its
    checkpoint), the log is refused."""
    boot(state, "boot")
    published = (state / "log" / ORIGIN / "checkpoint").read_bytes()
    slot, writer = opened(state, "boot")
    writer.poison()
    slot.release()
    tear_last(state, published)
    with pytest.raises(KeyInvalid, match="another signing key"):
        opened(state, "boot")


def tear_last(state: Path, checkpoint: bytes) -> None:
    """Cut the end off the last segment, and put this checkpoint in the place of the newest."""
    last = list_segments(state / "log" / ORIGIN / "seg")[-1].path
    last.write_bytes(last.read_bytes()[:-20])
    (state / "log" / ORIGIN / "checkpoint").write_bytes(checkpoint)


def test_the_retired_key_signs_nothing_more(state: Path) -> None:
    """Whoever kept the old key appends under it: refused, and named as retired."""
    boot(state)
    stolen = load_or_create_keys(state / "keys").signing_key
    rotated(state)
    boot(state, number=1)
    resign_last(state, Ed25519Signer(ORIGIN, stolen))
    with pytest.raises(Flaw, match="was retired at 6 records"):
        read(state)


def test_a_newer_key_seals_nothing_older(state: Path) -> None:
    """Re-sealing an old commit with the newer key (CVE-2023-31439 of journald) does not verify."""
    boot(state)
    rotated(state)
    boot(state, number=1)
    newer = Ed25519Signer(ORIGIN, load_or_create_keys(state / "keys").signing_key)
    resign_last(state, newer, segment=0)
    with pytest.raises(Flaw, match="does not verify"):
        read(state)


def test_no_commit_verifies_under_another_key_of_the_log(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five epochs, and a thief who kept every private key: each commit signed anew by each other key is refused."""
    kept: dict[bytes, Ed25519Signer] = {}

    def keep(path: Path) -> None:
        signer = Ed25519Signer(ORIGIN, load_signing_key(path))
        kept[signer.public_key] = signer
        path.unlink()

    monkeypatch.setattr("guard.record.origin_keys.destroy", keep)
    for number, per in enumerate(["deployment", "boot", "boot", "day", "boot"]):
        boot(state, per, number=number)
    for path in (state / "keys").rglob("*.pem"):
        keep(path)
    chain = read(state)
    assert len(chain.epochs.history) >= 4
    assert {epoch.key.public_key for epoch in chain.epochs.history} <= kept.keys()
    tried = 0
    for segment in list_segments(state / "log" / ORIGIN / "seg"):
        whole = segment.path.read_bytes()
        for batch in read_batches(segment.path):
            text, _ = split_note(commit_note(batch.commit or b""))
            rightful = chain.epochs.key_at(parse_checkpoint(text).size).public_key
            body = whole[: batch.start] + b"".join(line + b"\n" for line in batch.records)
            for signer in (signer for key, signer in kept.items() if key != rightful):
                segment.path.write_bytes(body + commit_line(sign_note(text, (signer,))) + whole[batch.end :])
                with pytest.raises(Flaw, match="does not verify"):
                    read(state)
                tried += 1
        segment.path.write_bytes(whole)
    assert tried >= 4 * 3 * 3
    assert read(state).size == chain.size


@pytest.mark.parametrize("seed", range(12))
def test_honest_histories_go_on_and_verify(state: Path, seed: int) -> None:
    """Boots of every kind, rotations, crashes and torn tails in any order: the log is continued, and is whole."""
    random = Random(seed)
    changed = False
    for number in range(8):
        if random.random() < 0.4:
            rotated(state)
        # From an origin's own key the deployment's may only follow if it never signed here.
        per = random.choice(["boot", "day"] if changed else ["deployment", "boot", "day"])
        changed = changed or per != "deployment"
        slot, writer = opened(state, per)
        writer.commit([decision(number)])
        writer.commit([outcome(number)])
        if random.random() < 0.5:
            writer.close({})
        else:
            writer.poison()
            last = list_segments(state / "log" / ORIGIN / "seg")[-1].path
            with last.open("ab") as file:
                file.write(b'{"kind":"dec' * random.randrange(3))
        slot.release()
    boot(state, "day", number=99)
    report = verify(state / "log", trust=[first_key(state)])
    assert (report.origins[0].status, report.origins[0].trusted) == ("whole", True)
    assert len(keys_of_origin(state)) == 1


def resign_last(state: Path, signer: Ed25519Signer, *, segment: int = -1) -> None:
    """Sign the last commit of a segment anew."""
    path = list_segments(state / "log" / ORIGIN / "seg")[segment].path
    batches = list(read_batches(path))
    text, _ = split_note(commit_note(batches[-1].commit or b""))
    kept = path.read_bytes()[: batches[-1].start]
    body = b"".join(line + b"\n" for line in batches[-1].records)
    path.write_bytes(kept + body + commit_line(sign_note(text, (signer,))))


def test_a_key_outside_its_range_fails(state: Path) -> None:
    """The trust file bounds a key: what it signs beyond is refused, whoever endorsed it."""
    boot(state)
    key = first_key(state)
    assert read(state, Trust((TrustedKey(key, 1, 4),))).size == 4
    with pytest.raises(Flaw, match=r"trusted for the sizes \[1-3\] only, here are 4"):
        read(state, Trust((TrustedKey(key, 1, 3),)))
    rotated(state)
    boot(state, number=1)
    newer = read(state).key
    with pytest.raises(Flaw, match=r"\[900-\] only"):
        read(state, Trust((TrustedKey(key), TrustedKey(newer, 900))))
    ranges = read(state, Trust((TrustedKey(key, 1, 6), TrustedKey(newer, 7)))).epochs.history
    assert [epoch.grounds for epoch in ranges] == ["listed", "listed"]


def test_a_log_that_no_entry_leads_to_is_refused(state: Path) -> None:
    """Another root, or a root's word for another deployment, is none for this log."""
    boot(state, "boot")
    with pytest.raises(Flaw, match="names no key for policy-guard-0"):
        read(state, Trust(roots=(VerifierKey.of(ROOT),)))
    deployment = load_or_create_keys(state / "keys").signing_key
    named_otherwise = VerifierKey.of(Ed25519Signer("elsewhere", deployment))
    with pytest.raises(Flaw, match="names no key"):
        read(state, Trust(roots=(named_otherwise,)))


def test_a_root_leads_to_the_deployment_and_on_to_its_epochs(state: Path) -> None:
    """Root -> deployment -> first key of the origin -> the next boot's: one line in the trust file."""
    deployment = Ed25519Signer(NAME, load_or_create_keys(state / "keys").signing_key)
    add_notes(state / "keys", endorse_deployment(NAME, deployment.public_key, [None], ROOT))
    boot(state, "boot")
    boot(state, "boot", number=1)
    chain = read(state, Trust(roots=(VerifierKey.of(ROOT),)))
    assert [epoch.grounds for epoch in chain.epochs.history] == ["endorsed by ops-root", "endorsed by the key before"]


def test_no_key_comes_back(state: Path) -> None:
    """From the deployment's key to keys per boot and back: that would reopen a closed epoch."""
    boot(state)
    boot(state, "boot", number=1)
    with pytest.raises(KeyInvalid, match="no key comes back"):
        opened(state)
    rotated(state)
    boot(state, number=2)
    assert len(read(state).epochs.history) == 3


def test_a_forged_key_record_is_refused(state: Path) -> None:
    """A successor without the old key's endorsement, or for another origin, does not verify."""
    boot(state)
    slot, writer = opened(state)
    stranger = Ed25519Signer(ORIGIN, Ed25519PrivateKey.generate())
    notes = {
        "unsigned": endorse(ORIGIN, stranger.public_key, first_key(state).public_key, (stranger,)),
        "elsewhere": endorse("other-0", stranger.public_key, first_key(state).public_key, (stranger,)),
    }
    record = {
        "kind": "key",
        "event": "replaced",
        "purpose": "signing",
        "key": VerifierKey.of(stranger).encode(),
        "before": first_key(state).encode(),
        "reason": "rotate",
        "endorsements": list(notes.values()),
    }
    writer.commit([record])
    writer.poison()
    slot.release()
    with pytest.raises(Flaw, match="has not endorsed the new key"):
        read(state)
    with pytest.raises(LogTampered, match="has not endorsed the new key"):
        opened(state)


@pytest.mark.anyio
async def test_a_running_log_takes_a_rotation_up_at_its_heartbeat(state: Path) -> None:
    """No restart, no signal: the next heartbeat sees the new key. A key that cannot be read then stops nothing."""
    log = SignedLog(state / "log", name=NAME, signer=DeploymentKeys(state / "keys").origin, heartbeat_seconds=0.05)
    await log.start()
    (state / "keys" / SIGNING_KEY).chmod(0o644)
    size = log.status().size
    while log.status().size < size + 2:  # noqa: ASYNC110 - heartbeats tell nobody
        await asyncio.sleep(0.02)
    assert log.failure is None
    (state / "keys" / SIGNING_KEY).chmod(0o600)
    rotated(state)
    while log._worker is None or len(log._worker.writer.keys) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    await log.append(decision())
    await log.append(outcome())
    await log.stop()
    assert len(read(state).epochs.history) == 2
    assert verify(state / "log", trust=[first_key(state)]).origins[0].status == "whole"


def test_the_list_of_writers_follows_too(state: Path) -> None:
    """Every log of the deployment goes on under the new key, and all verify from one root."""
    deployment = Ed25519Signer(NAME, load_or_create_keys(state / "keys").signing_key)
    add_notes(state / "keys", endorse_deployment(NAME, deployment.public_key, [None], ROOT))

    async def serve(number: int) -> None:
        log = SignedLog(state / "log", name=NAME, signer=DeploymentKeys(state / "keys").origin)
        await log.start()
        await log.append(decision(number))
        await log.append(outcome(number))
        await log.stop()

    asyncio.run(serve(0))
    rotated(state, root=True)
    asyncio.run(serve(1))
    report = verify(state / "log", trust=Trust(roots=(VerifierKey.of(ROOT),)))
    assert {origin.origin: origin.status for origin in report.origins} == {
        ORIGIN: "whole",
        f"{NAME}-writers": "whole",
    }
    assert [origin.keys for origin in report.origins] == [2, 2]
