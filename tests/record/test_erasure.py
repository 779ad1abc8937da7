"""Pseudonym keys per tenant: separate, shared by processes, and gone for good when they are destroyed."""

from __future__ import annotations

import json
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from guard.errors import KeyInvalid, LogLocked, LogUnavailable
from guard.identity.apikeys import hash_api_key
from guard.keyed import KeyedHash
from guard.record.deployment import DeploymentKeys
from guard.record.erasure import erase_tenant
from guard.record.keys import load_or_create_keys
from guard.record.schema import KeyRecord, read_record
from guard.record.segment import list_segments, read_batches
from guard.record.tenant_keys import TenantKeys
from guard.record.verify import verify
from tests.flow.rig import Rig, answering, chat
from tests.record.logs import NAME

pytestmark = pytest.mark.anyio
DEPLOYMENT = KeyedHash("deploy01", b"d" * 32)


@pytest.fixture
def tenants(tmp_path: Path) -> TenantKeys:
    """The keys of tenants in a fresh directory."""
    return TenantKeys(tmp_path / "keys", DEPLOYMENT)


def test_tenants_have_keys_of_their_own(tenants: TenantKeys, tmp_path: Path) -> None:
    """One value under two tenants is two pseudonyms; a restart finds the same; names do not stand in the directory."""
    acme, other = tenants.of("acme"), tenants.of("other")
    assert acme.pseudonym("subject", "alice") != other.pseudonym("subject", "alice")
    again = TenantKeys(tmp_path / "keys", DEPLOYMENT).of("acme")
    assert again.pseudonym("subject", "alice") == acme.pseudonym("subject", "alice")
    files = list((tmp_path / "keys" / "tenants").iterdir())
    assert len(files) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert not any("acme" in path.name or b"acme" in path.read_bytes() for path in files)


def test_processes_that_meet_a_tenant_together_agree(tmp_path: Path) -> None:
    """Eight processes at once: one makes the key, all load it."""
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: TenantKeys(tmp_path / "keys", DEPLOYMENT).of("acme"), range(8)))
    assert len({key.key_id for key in keys}) == 1


async def test_a_key_that_another_process_destroyed_is_not_used_again(tenants: TenantKeys, tmp_path: Path) -> None:
    """The cache looks at the file: after an erasure the next request gets a new key, in every process."""
    before = await tenants.keyed("acme")
    assert await tenants.keyed("acme") is before
    TenantKeys(tmp_path / "keys", DEPLOYMENT).destroy("acme")
    assert tenants.held("acme") is None
    after = await tenants.keyed("acme")
    assert after.key_id != before.key_id
    assert tenants.existing("nobody") is None


async def test_the_cache_is_bounded(tmp_path: Path) -> None:
    """The least recently used key is read again when it is needed."""
    tenants = TenantKeys(tmp_path / "keys", DEPLOYMENT, max_cached=2)
    first = await tenants.keyed("a")
    await tenants.keyed("b")
    await tenants.keyed("a")
    await tenants.keyed("c")
    assert (tenants.held("a"), tenants.held("b")) == (first, None)
    assert (await tenants.keyed("b")).key_id == TenantKeys(tmp_path / "keys", DEPLOYMENT).of("b").key_id


async def test_a_damaged_key_of_a_tenant_is_refused(tenants: TenantKeys) -> None:
    """It is never replaced: the pseudonyms of its tenant would split in two unseen."""
    await tenants.keyed("acme")
    tenants.path("acme").write_bytes(b"hmac-sha256 half")
    with pytest.raises(KeyInvalid, match="no pseudonym key") as caught:
        await tenants.keyed("acme")
    assert caught.value.where == str(tenants.path("acme"))


async def test_a_key_that_cannot_be_made_is_spoken(tmp_path: Path) -> None:
    """No room, no permission: an error that names the file, and no key in memory only."""
    (tmp_path / "keys").mkdir(0o700)
    (tmp_path / "keys" / "tenants").write_text("in the way")
    tenants = TenantKeys(tmp_path / "keys", DEPLOYMENT)
    with pytest.raises(KeyInvalid):
        await tenants.keyed("acme")
    assert tenants.held("acme") is None


def erase(state: Path, tenant: str = "acme") -> KeyRecord:
    """An erasure, and its record."""
    keyed = load_or_create_keys(state / "keys").keyed
    tenants = TenantKeys(state / "keys", keyed)
    erased = erase_tenant(tenants, tenant, log=state / "log", name=NAME, signer=DeploymentKeys(state / "keys").origin)
    lines = [
        line
        for segment in list_segments(state / "log" / erased.origin / "seg")
        for batch in read_batches(segment.path)
        for line in batch.records
    ]
    record = read_record(lines[erased.seq])
    assert isinstance(record, KeyRecord)
    assert (record.key, record.tenant) == (erased.key_id, erased.tenant)
    return record


def test_an_erasure_is_recorded_without_the_name(tmp_path: Path) -> None:
    """A ``key`` record with the key's id and the tenant's pseudonym, in a log that verifies."""
    keyed = load_or_create_keys(tmp_path / "keys").keyed
    tenants = TenantKeys(tmp_path / "keys", keyed)
    key_id = tenants.of("acme-and-sons").key_id
    record = erase(tmp_path, "acme-and-sons")
    assert (record.event, record.purpose, record.reason, record.key) == ("destroyed", "pseudonym", "erasure", key_id)
    assert record.tenant == keyed.pseudonym("tenant key", "acme-and-sons")
    assert not tenants.path("acme-and-sons").exists()
    assert verify(tmp_path / "log").exit_code == 0
    held = [path.read_bytes() for path in (tmp_path / "log").rglob("*") if path.is_file()]
    assert not any(b"acme-and-sons" in data for data in held)


def test_two_erasures_follow_each_other(tmp_path: Path) -> None:
    """The log of keys goes on; an erased tenant has no key until it comes again."""
    tenants = TenantKeys(tmp_path / "keys", load_or_create_keys(tmp_path / "keys").keyed)
    tenants.of("acme")
    tenants.of("other")
    assert erase(tmp_path, "other").seq > erase(tmp_path).seq - 10
    with pytest.raises(KeyInvalid, match="has no key"):
        erase(tmp_path)
    assert verify(tmp_path / "log").exit_code == 0


def test_an_erasure_that_cannot_be_recorded_does_not_begin(tmp_path: Path) -> None:
    """The log is opened first: where that fails, the key stays."""
    tenants = TenantKeys(tmp_path / "keys", load_or_create_keys(tmp_path / "keys").keyed)
    tenants.of("acme")
    (tmp_path / "log" / f"{NAME}-keys").mkdir(parents=True)
    (tmp_path / "log" / f"{NAME}-keys" / "log.vkey").write_text("damaged\n")
    with pytest.raises(KeyInvalid, match="does not read"):
        erase(tmp_path)
    assert tenants.path("acme").exists()


def test_a_record_that_fails_after_the_destruction_is_spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills in between: the error says that the key is gone and that nothing says so."""
    tenants = TenantKeys(tmp_path / "keys", load_or_create_keys(tmp_path / "keys").keyed)
    tenants.of("acme")
    destroyed = TenantKeys.destroy

    def destroy(self: TenantKeys, tenant: str) -> None:
        destroyed(self, tenant)
        monkeypatch.setattr("os.fdatasync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))

    monkeypatch.setattr(TenantKeys, "destroy", destroy)
    with pytest.raises(LogUnavailable, match="is destroyed, and that could not be recorded"):
        erase(tmp_path)


def test_erasures_take_turns(tmp_path: Path) -> None:
    """A second erasure at the same moment is refused, not interleaved."""
    import fcntl
    import os

    tenants = TenantKeys(tmp_path / "keys", load_or_create_keys(tmp_path / "keys").keyed)
    tenants.of("acme")
    (tmp_path / "log" / f"{NAME}-keys").mkdir(parents=True)
    fd = os.open(tmp_path / "log" / f"{NAME}-keys" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(LogLocked, match="another erasure"):
        erase(tmp_path)
    os.close(fd)
    assert tenants.path("acme").exists()


API_KEYS = {name: f"{name}-0123456789-0123456789-0123456789" for name in ("acme", "other")}


def guarded(tmp_path: Path, seen: list[Any]) -> Rig:
    """A guard with keys per tenant, and two tenants with an API key each."""
    keys = tuple({"id": f"ci-{name}", "hash": hash_api_key(key), "tenant": name} for name, key in API_KEYS.items())
    return Rig(tmp_path, answering(b"{}", seen=seen), identity={"api_keys": keys}, record={"tenant_keys": True})


async def asked(rig: Rig, tenant: str, text: str = "hello") -> set[str]:
    """One request; the key ids of all pseudonyms in its records and its policy document."""
    before = len(rig.log.records)
    key = API_KEYS.get(tenant)
    headers = [("x-request-id", "named by the client")] + ([("authorization", f"Bearer {key}")] if key else [])
    answer = await rig.call(body=chat(text), headers=headers)
    assert answer.status == 200
    written = json.dumps([rig.log.records[before:], rig.engine.documents[-1]])
    return set(re.findall(r"hmac:([a-z0-9]+):", written))


async def test_everything_about_a_tenant_is_written_under_its_key(tmp_path: Path) -> None:
    """Identities, addresses, ids, digests of bodies, the policy document: no other key's pseudonym is among them."""
    rig = guarded(tmp_path, [])
    acme, other, nobody = await asked(rig, "acme"), await asked(rig, "other"), await asked(rig, "")
    assert {len(ids) for ids in (acme, other, nobody)} == {1}
    assert len(acme | other | nobody) == 3
    assert nobody == {rig.runtime.services.keyed.key_id if rig.runtime.services else ""}
    assert await asked(rig, "acme") == acme


async def test_after_an_erasure_nothing_can_be_linked(tmp_path: Path) -> None:
    """The running guard goes on under a new key; the old digests of the same body are nobody's."""
    rig = guarded(tmp_path, [])
    before = await asked(rig, "acme", "the same body")
    assert rig.runtime.services is not None
    TenantKeys(tmp_path / "keys", rig.runtime.services.keyed).destroy("acme")
    after = await asked(rig, "acme", "the same body")
    assert not before & after
    decisions = [record for record in rig.log.records if record["kind"] == "decision"]
    assert decisions[0]["content"]["bytes"] == decisions[1]["content"]["bytes"]
    assert decisions[0]["content"]["digest"].split(":")[2] != decisions[1]["content"]["digest"].split(":")[2]


async def test_without_its_key_a_tenant_is_not_served(tmp_path: Path) -> None:
    """A damaged key of a tenant refuses that tenant (503), nobody else, and the app is not called."""
    seen: list[Any] = []
    rig = guarded(tmp_path, seen)
    await asked(rig, "other")
    assert rig.runtime.services is not None
    tenants = TenantKeys(tmp_path / "keys", rig.runtime.services.keyed)
    tenants.of("acme")
    tenants.path("acme").write_bytes(b"")
    answer = await rig.call(body=chat("x"), headers=[("authorization", f"Bearer {API_KEYS['acme']}")])
    assert (answer.status, len(seen)) == (503, 1)
    await asked(rig, "other")
