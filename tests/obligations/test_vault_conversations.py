"""Pseudonyms of a conversation: kept sealed, for one principal, within bounds, until they end or are destroyed."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.errors import ObligationFailed
from guard.obligations.conversations import STORE, Bounds, Conversations
from guard.obligations.sealing import Binding
from guard.obligations.vault import Vault
from guard.types import Principal

MASTER = b"m" * 32
JANE = Principal(type="user", id="jane", tenant="acme", authenticated=True, method="jwt")


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """A store in a directory, with bounds and a clock of the test's."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.clock = directory, Clock()
        self.store = self.reopened()

    def reopened(self, bounds: Bounds | None = None, master: bytes = MASTER) -> Conversations:
        self.store = Conversations(self.directory, master, bounds or Bounds(ttl_seconds=3600), clock=self.clock)
        return self.store

    def hide(self, value: str, who: Principal = JANE, conversation: str = "c1", entity: str = "PERSON") -> str:
        """The placeholder of a value in a conversation."""
        return self.store.use(Binding.of(who, conversation), list, lambda vault: vault.placeholder(entity, value))[1]

    def back(self, text: str, who: Principal = JANE, conversation: str = "c1") -> str:
        """A text restored with what a conversation keeps."""
        vault, _ = self.store.use(Binding.of(who, conversation), list, lambda _: None)
        for start, end, new in reversed(vault.spans(text)):
            text = text[:start] + new + text[end:]
        return text

    def db(self) -> sqlite3.Connection:
        return sqlite3.connect(self.directory / STORE, isolation_level=None)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "vault")
    yield made
    made.store.close()


def other(**changes: object) -> Principal:
    """Somebody who is Jane in all but one respect."""
    members = {"type": "user", "id": "jane", "tenant": "acme", "authenticated": True, "method": "jwt", **changes}
    return Principal(**members)  # type: ignore[arg-type]


STRANGERS = {
    "another id": other(id="joe"),
    "another tenant": other(tenant="evil"),
    "no tenant": other(tenant=None),
    "another way to authenticate": other(method="api_key"),
    "a service of that name": other(type="service"),
}


def test_equal_values_keep_their_placeholder_over_requests_and_restarts(rig: Rig) -> None:
    """The provider sees one name for one person all through a conversation; new persons get new numbers."""
    first = rig.hide("Jane")
    assert rig.hide("Joe") != first
    rig.store.close()
    rig.reopened()
    assert rig.hide("Jane") == first
    assert rig.back(f"Dear {first}") == "Dear Jane"


@pytest.mark.parametrize("who", STRANGERS)
def test_a_conversation_of_that_name_of_somebody_else_is_another(rig: Rig, who: str) -> None:
    """Two tenants, or two principals, with the same conversation id: nothing of one comes back to the other."""
    placeholder = rig.hide("Jane")
    assert rig.back(placeholder, STRANGERS[who]) == placeholder
    assert rig.hide("Jane", STRANGERS[who]) != placeholder
    assert rig.back(placeholder, JANE, "c2") == placeholder


@pytest.mark.parametrize("who", STRANGERS)
def test_a_stored_vault_opens_for_nobody_else(rig: Rig, who: str) -> None:
    """Whoever can write the store and puts Jane's row in his own place gets an error, not her values."""
    rig.hide("Jane")
    (jane,) = rig.db().execute("SELECT name FROM conversations").fetchone()
    rig.hide("x", STRANGERS[who])
    db = rig.db()
    for column in ("sealed", "expires_at", "key_id"):
        db.execute(
            f"UPDATE conversations SET {column} = (SELECT {column} FROM conversations WHERE name = ?) WHERE name <> ?",
            (jane, jane),
        )
    if STRANGERS[who].tenant == JANE.tenant:
        with pytest.raises(ObligationFailed, match="another's"):
            rig.back("x", STRANGERS[who])
    else:  # another tenant's key: what it does not open is nothing
        assert rig.back("<PERSON_1_abc234>", STRANGERS[who]) == "<PERSON_1_abc234>"
    assert rig.hide("Jane") == rig.hide("Jane")


def test_a_tenants_key_in_anothers_place_does_not_open(rig: Rig) -> None:
    """Key files are bound to their tenant: swapping them, as swapping rows, is told."""
    rig.hide("Jane")
    rig.hide("Jane", other(tenant="evil"))
    first, second = sorted((rig.directory / "keys").iterdir())
    first.write_bytes(second.read_bytes())
    told = []
    for tenant in ("acme", "evil"):
        try:
            rig.hide("Joe", other(tenant=tenant))
        except ObligationFailed as error:
            told.append(error.what)
    assert told == ["a tenant's vault key does not open"]


@pytest.mark.parametrize(
    "change", ["sealed = CAST(x'00' || substr(sealed, 2) AS BLOB)", "expires_at = expires_at + 3600", "sealed = x'00'"]
)
def test_a_changed_row_is_told(rig: Rig, change: str) -> None:
    """Neither the values nor the end of a conversation can be moved by who cannot seal."""
    rig.hide("Jane")
    rig.db().execute(f"UPDATE conversations SET {change}")
    with pytest.raises(ObligationFailed, match="changed"):
        rig.hide("Jane")


def test_the_disk_holds_no_value_no_name_and_files_for_the_owner_only(rig: Rig) -> None:
    """Values, tenants, principals and conversations stand nowhere in clear; every file has mode 0600."""
    rig.hide("Jane Roe-Unmistakable", conversation="conversation-unmistakable")
    files = [path for path in rig.directory.rglob("*") if path.is_file()]
    assert len(files) >= 3
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        content = path.read_bytes()
        for word in (b"Unmistakable", b"unmistakable", b"jane", b"acme", b"PERSON"):
            assert word not in content, path
    assert stat.S_IMODE((rig.directory / "keys").stat().st_mode) == 0o700


def test_another_master_key_opens_nothing(rig: Rig) -> None:
    """A store that was carried away without the deployment's key holds nothing for its thief."""
    placeholder = rig.hide("Jane")
    rig.store.close()
    rig.reopened(master=b"x" * 32)
    assert rig.back(placeholder) == placeholder


def test_an_old_suffix_is_worth_nothing_after_the_end(rig: Rig) -> None:
    """After its end a conversation begins anew, with another suffix: old placeholders stay as they are."""
    placeholder = rig.hide("Jane")
    rig.clock.now += 3601
    assert rig.back(placeholder) == placeholder
    renewed = rig.hide("Jane")
    assert renewed != placeholder
    assert rig.back(placeholder + renewed) == placeholder + "Jane"


def test_use_moves_the_end_of_a_conversation(rig: Rig) -> None:
    """The time runs from the last use, also from one that adds nothing."""
    placeholder = rig.hide("Jane")
    for _ in range(3):
        rig.clock.now += 3000
        assert rig.back(placeholder) == "Jane"


def test_ended_conversations_leave_the_disk(rig: Rig) -> None:
    """What has ended is deleted when another conversation begins."""
    for number in range(5):
        rig.hide("Jane", conversation=str(number))
    rig.clock.now += 3601
    assert rig.store.stored() == []
    rig.hide("Jane", conversation="new")
    assert rig.db().execute("SELECT COUNT(*) FROM conversations").fetchone() == (1,)


def test_destroying_a_tenant_erases_it_and_nobody_else(rig: Rig) -> None:
    """The key goes first, so that rows kept in a copy of the store open no more; other tenants are not touched."""
    mine, theirs = rig.hide("Jane"), rig.hide("Joe", other(tenant="evil"))
    copy = rig.db().execute("SELECT * FROM conversations").fetchall()
    assert rig.store.destroy("acme") == 1
    assert rig.store.destroy("acme") == 0
    assert rig.back(theirs, other(tenant="evil")) == "Joe"
    rig.db().executemany("INSERT OR REPLACE INTO conversations VALUES (?, ?, ?, ?, ?, ?)", copy)
    assert rig.back(mine) == mine
    assert rig.hide("Jane") != mine
    assert rig.back(mine) == mine


def test_destroying_all_leaves_no_key(rig: Rig) -> None:
    """Nothing of anybody remains."""
    rig.hide("Jane")
    rig.hide("Joe", other(tenant=None))
    assert rig.store.destroy_all() == 2
    assert list((rig.directory / "keys").iterdir()) == []


def test_a_conversation_holds_a_bounded_number_of_values(rig: Rig) -> None:
    """Past the bound the request is denied; what was given before comes back still."""
    rig.store.close()
    rig.reopened(Bounds(max_values=3))
    placeholders = [rig.hide(f"v{number}") for number in range(3)]
    with pytest.raises(ObligationFailed, match="more than 3 values"):
        rig.hide("v3")
    assert rig.hide("v0") == placeholders[0]
    with pytest.raises(ObligationFailed, match="larger"):
        rig.hide("x" * 2**20, conversation="big")


def test_a_principal_who_opens_many_conversations_pushes_out_his_own(rig: Rig) -> None:
    """The oldest of the same principal makes room, nobody else's."""
    rig.store.close()
    rig.reopened(Bounds(max_conversations=2))
    theirs = rig.hide("Joe", other(id="joe"))
    first = rig.hide("Jane", conversation="0")
    for number in range(1, 4):
        rig.clock.now += 10
        last = rig.hide("Jane", conversation=str(number))
    assert rig.back(first, conversation="0") == first
    assert rig.back(last, conversation="3") == "Jane"
    assert rig.back(theirs, other(id="joe")) == "Joe"


def test_a_full_store_denies_and_loses_nothing(rig: Rig) -> None:
    """No conversation begins past max_bytes; those that are there go on."""
    placeholder = rig.hide("Jane")
    rig.store.close()
    rig.reopened(Bounds(max_bytes=1))
    with pytest.raises(ObligationFailed, match="full"):
        rig.hide("Jane", conversation="c2")
    assert rig.hide("Joe") != placeholder
    assert rig.back(placeholder) == "Jane"


def test_requests_that_run_together_never_share_a_number(tmp_path: Path) -> None:
    """Two processes add to one conversation at once: each value has a placeholder of its own, and all come back."""
    rigs = [Rig(tmp_path / "vault") for _ in range(2)]
    given_out: dict[str, str] = {}
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def work(rig: Rig, name: str) -> None:
        start.wait(10)
        for number in range(10):
            value = f"{name}{number}"
            for _ in range(50):
                try:
                    given_out[value] = rig.hide(value)
                    break
                except ObligationFailed as error:
                    if error.mend != "try again":
                        failures.append(error)
                        return

    threads = [threading.Thread(target=work, args=(rigs[n % 2], "abcd"[n])) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert len(set(given_out.values())) == len(given_out) == 40
    for value, placeholder in given_out.items():
        assert rigs[0].back(placeholder) == value
    for rig in rigs:
        rig.store.close()


def test_a_store_that_cannot_be_used_denies(rig: Rig) -> None:
    """A closed or broken store is an obligation that cannot be performed, never a request without its vault."""
    rig.store.close()
    with pytest.raises(ObligationFailed, match="cannot be used"):
        rig.hide("Jane")
    rig.reopened()


def test_a_vault_keeps_what_it_gave() -> None:
    """State goes out and comes back whole: numbers go on where they stood."""
    vault = Vault()
    given_out = [vault.placeholder(entity, value) for entity, value in (("A", "1"), ("B_C", "2"), ("A", "3"))]
    again = Vault.of(vault.state)
    assert [again.placeholder(e, v) for e, v in (("A", "1"), ("B_C", "2"), ("A", "3"))] == given_out
    assert again.placeholder("A", "4") == given_out[0].replace("A_1_", "A_3_")
