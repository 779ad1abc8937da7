"""``guard log query`` and ``guard log hash``: an analyst finds decisions by raw values that the log does not hold."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.cli import main
from guard.identity import hash_api_key
from guard.keyed import KeyedHash
from guard.record.build import digest_of
from guard.record.erasure import erase_tenant
from guard.record.keys import LogKeys, load_or_create_keys
from guard.record.tenant_keys import TenantKeys
from guard.review.filters import Filter
from guard.review.query import LogReader
from guard.types import Decision, Principal, Reason
from tests.record.logs import ALICE, ENGINE, Opened, decision, document, outcome

BOB = Principal(type="service", id="billing", tenant="other", authenticated=True, method="api_key")
RAW = ("alice@example.com", "192.0.2.7", "billing")


class State:
    """A state directory with keys and a log of twelve records: seven decisions, three outcomes, open and close."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.keys: LogKeys = load_or_create_keys(directory / "keys")
        self.origin = write(directory / "log", self.keys)

    @property
    def keyed(self) -> KeyedHash:
        """The pseudonym key."""
        return self.keys.keyed

    def readings(self) -> list[dict[str, Any]]:
        """What the log of readings says so far."""
        return list(LogReader(self.directory / "log").records(Filter(kind="audit_read")))


def write(log: Path, keys: LogKeys) -> Path:
    """The log; each decision has something by which it alone is found."""
    keyed = keys.keyed
    unusual = document(keyed=keyed, anomaly={"score": 870, "features": []}, findings=[])
    bare = document(
        keyed=keyed, findings=[], resource={"type": "model", "route": "/v2/**", "model": "claude", "provider": "ant"}
    )
    by_bob = document(keyed=keyed, findings=[])
    by_bob["subject"] = {**by_bob["subject"], "tenant": "other", "id": keyed.pseudonym("subject", BOB.id)}
    slow = Reason(code="policy_timeout", title="t", message="m")
    outage = Decision(stage="request", effect="deny", reasons=(slow,), outage=True, engine=ENGINE)
    judged = document("response", keyed=keyed)
    with Opened(log, key=keys, segment_records=5) as opened:
        opened.commit(decision(0, keyed=keyed), decision(1, keyed=keyed, effect="deny"))
        opened.commit(outcome(0, keyed=keyed, policy_input=judged))
        opened.commit(decision(2, keyed=keyed, policy_input=unusual), outcome(2, keyed=keyed, policy_input=None))
        opened.commit(decision(3, keyed=keyed, policy_input=bare, route="/v2/**", client_ip="2001:db8::17"))
        opened.commit(decision(4, keyed=keyed))
        opened.commit(decision(5, keyed=keyed, principal=BOB, policy_input=by_bob, client_ip="203.0.113.9"))
        opened.commit(decision(6, keyed=keyed, decision=outage, policy_input=None, http_status=503))
        opened.commit(outcome(4, keyed=keyed, policy_input=None))
    return opened.slot.path


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    """The state directory; the working directory has no configuration."""
    monkeypatch.chdir(tmp_path)
    return State(tmp_path / "state")


def ask(state: State, *arguments: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The decisions and outcomes that a query finds, as ``d3`` or ``o3``, in the order in which they are printed."""
    assert main(["log", "query", *arguments, "--json", "--dir", str(state.directory)]) == 0
    found = []
    for record in map(json.loads, capsys.readouterr().out.splitlines()):
        exchange = record.get("decision_ref", record["id"]) if record["kind"] in {"decision", "outcome"} else "?"
        found.append(f"{record['kind'][0]}{int(exchange[-3:], 16)}" if exchange != "?" else record["kind"])
    return found


CASES: list[tuple[list[str], list[str]]] = [
    (["--effect", "deny"], ["d6", "d1"]),
    (["--rule", "PII-002"], ["d1"]),
    (["--code", "policy_timeout"], ["d6"]),
    (["--code", "policy_denied"], ["d1"]),
    (["--subject", "billing"], ["d5"]),
    (["--subject", "alice@example.com", "--kind", "outcome"], ["o0"]),
    (["--ip", "2001:0DB8:0::17"], ["d3"]),
    (["--ip", "203.0.113.9"], ["d5"]),
    (["--tenant", "other"], ["d5"]),
    (["--request-id", "req-2"], ["d2"]),
    (["--model", "claude"], ["d3"]),
    (["--provider", "ant"], ["d3"]),
    (["--route", "/v2/**"], ["d3"]),
    (["--finding", "CREDIT_CARD"], ["d4", "o0", "d1", "d0"]),
    (["--anomaly", "0.87"], ["d2"]),
    (["--anomaly", "0.88"], []),
    (["--kind", "outcome"], ["o4", "o2", "o0"]),
    (["--id", "0198c0de-0000-7000-8000-000000000004"], ["o4", "d4"]),
    (["--limit", "2", "--kind", "decision"], ["d6", "d5"]),
    (["--limit", "2", "--kind", "decision", "--oldest-first"], ["d0", "d1"]),
    (["--effect", "deny", "--rule", "PII-002", "--tenant", "acme"], ["d1"]),
    (["--effect", "allow", "--rule", "PII-002"], []),
    (["--subject", "nobody@example.com"], []),
    (["--since", "2001-01-01", "--until", "2001-02-01"], []),
    (["--until", "2001-02-01"], []),
    (["--since", "1h", "--kind", "decision", "-n", "1"], ["d6"]),
]


@pytest.mark.parametrize(("arguments", "expected"), CASES, ids=[" ".join(arguments) for arguments, _ in CASES])
def test_records_are_found_by_every_condition(
    state: State, arguments: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Newest first; every condition has to hold. Raw values are looked up under the key."""
    assert ask(state, *arguments, capsys=capsys) == expected


def test_pseudonyms_and_plain_names_need_no_key(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever only has the log asks by what stands in it; a raw id then says which key is missing."""
    hashed = state.keyed.pseudonym("subject", "billing")
    (state.directory / "keys").rename(state.directory / "elsewhere")
    assert ask(state, "--subject", hashed, capsys=capsys) == ["d5"]
    assert ask(state, "--tenant", "other", capsys=capsys) == ["d5"]
    assert main(["log", "query", "--subject", "billing", "--dir", str(state.directory)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: the key file cannot be read")
    assert "billing" not in said
    key = state.directory / "elsewhere" / "pseudonym.key"
    assert ask(state, "--subject", "billing", "--key", str(key), capsys=capsys) == ["d5"]


def test_a_raw_value_may_come_from_stdin(
    state: State, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``-`` keeps it out of the shell's history; without a line that is wrong usage."""
    monkeypatch.setattr("sys.stdin", io.StringIO("billing\nnot this\n"))
    assert ask(state, "--subject", "-", capsys=capsys) == ["d5"]
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["log", "query", "--subject", "-", "--dir", str(state.directory)]) == 3
    assert "there was none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--effect", "maybe"], "--effect is allow or deny"),
        (["--kind", "diary"], "--kind is one of"),
        (["--since", "yesterday"], "--since is like 30m"),
        (["--anomaly", "7"], "'--anomaly'"),
        (["--limit", "-1"], "'--limit'"),
        (["--colour", "red"], "--colour"),
    ],
)
def test_wrong_usage_is_told(state: State, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 3, and what would have been right; nothing is read, and nothing recorded."""
    assert main(["log", "query", *arguments, "--dir", str(state.directory)]) == 3
    assert said in capsys.readouterr().err
    assert state.readings() == []


def test_a_log_that_is_not_there_is_said_first(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    """Not which key is missing beside it."""
    assert main(["log", "query", "--subject", "x", "--dir", str(state.directory / "nowhere")]) == 1
    assert capsys.readouterr().err.startswith("error: there is no log here")


def test_a_record_that_was_altered_is_left_out_and_told(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    """Every word goes on without it: an auditor reads tampered logs, too."""
    segment = next(path for path in sorted((state.origin / "seg").iterdir()) if b'"who":' in path.read_bytes())
    segment.write_bytes(segment.read_bytes().replace(b'"who":', b'"whom":', 1))
    place = ["--dir", str(state.directory)]
    assert main(["log", "query", *place]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 11
    assert captured.err == "warning: 1 line is no record and is left out; run: guard log verify\n"
    for words in (["tail"], ["shadow"], ["query", "--subject", "alice@example.com"], ["show", "last"]):
        assert main(["log", *words, *place]) == 0


def test_nothing_found_is_said(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, so that a pipe stays empty."""
    assert main(["log", "query", "--rule", "X-1", "--dir", str(state.directory)]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "warning: no record is such\n")


def test_for_people_each_record_is_a_line(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    """As ``guard log tail`` prints it."""
    assert main(["log", "query", "--rule", "PII-002", "--dir", str(state.directory)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "deny" in line
    assert line.endswith("POST /v1/** gpt-4o  PII-002")


def test_newest_first_is_oldest_first_turned_round(state: State) -> None:
    """Over segments and origins; nothing is lost or doubled."""
    with Opened(state.directory / "log", key=state.keys) as opened:
        opened.commit(decision(90, keyed=state.keyed), outcome(90, keyed=state.keyed))
    reader = LogReader(state.directory / "log")
    forwards = [(record["origin"], record["seq"]) for record in reader.records()]
    backwards = [(record["origin"], record["seq"]) for record in reader.records(newest_first=True)]
    assert sorted(forwards) == sorted(backwards)
    for origin in {name for name, _ in forwards}:
        assert [seq for name, seq in backwards if name == origin] == [
            seq for name, seq in reversed(forwards) if name == origin
        ]


# --- hash -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hashed(state: State, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, list[str]]]:
    """Runs ``guard log hash --json``."""

    def run(*arguments: str) -> dict[str, list[str]]:
        assert main(["log", "hash", *arguments, "--json", "--dir", str(state.directory)]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["keys"] == [state.keyed.key_id]
        found: dict[str, list[str]] = {}
        for alias in answer["found"]:
            found.setdefault(alias["kind"], []).append(alias["stands"])
        return found

    return run


def test_what_is_hashed_stands_in_the_log(state: State, hashed: Any) -> None:
    """The pseudonyms of a subject, an address and a request are those of the records."""
    log = b"".join(path.read_bytes() for path in state.origin.rglob("*.jsonl"))
    for value, kind in ((ALICE.id, "subject"), ("192.0.2.7", "ip"), ("req-2", "request")):
        (stands,) = hashed(value, "--kind", kind)[kind]
        assert stands.encode() in log
        assert stands == state.keyed.pseudonym({"ip": "client"}.get(kind, kind), value)


def test_each_usual_kind_is_told(state: State, hashed: Any) -> None:
    """Names that stand in records as they are are told as such; an address only where it is one."""
    found = hashed("acme")
    keyed = state.keyed
    assert found == {
        "subject": [keyed.pseudonym("subject", "acme")],
        "tenant": ["acme"],
        "role": ["acme"],
        "request": [keyed.pseudonym("request", "acme")],
        "model": ["acme", keyed.pseudonym("model", "acme")],
        "tool": ["acme", keyed.pseudonym("tool", "acme")],
        "member": [keyed.token("acme")],
    }
    assert hashed("2001:DB8:0::17")["ip"] == [
        keyed.pseudonym("client", "2001:DB8:0::17"),
        keyed.pseudonym("client", "2001:db8::17"),
    ]
    assert hashed("Müller & Co")["tenant"] == [keyed.pseudonym("tenant", "Müller & Co")]


def test_a_body_is_hashed_as_its_record_has_it(state: State, hashed: Any, tmp_path: Path) -> None:
    """``content.digest`` of a file's bytes."""
    body = tmp_path / "body.json"
    body.write_bytes(b'{"model":"m"}')
    assert hashed("--body", str(body)) == {"content": [digest_of(b'{"model":"m"}', state.keyed).digest]}


def test_an_api_key_leads_to_its_subject(
    state: State, hashed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its hash in the configuration; the key itself is nowhere."""
    secret = "k" * 30
    (tmp_path / "guard.toml").write_text(f'[[identity.api_keys]]\nid = "billing"\nhash = "{hash_api_key(secret)}"\n')
    assert hashed(secret, "--kind", "api_key") == {"subject": [state.keyed.pseudonym("subject", "billing")]}
    assert main(["log", "hash", "z" * 30, "--kind", "api_key", "--dir", str(state.directory)]) == 1
    assert "knows no such API key" in capsys.readouterr().err
    assert main(["log", "hash", "short", "--kind", "api_key", "--dir", str(state.directory)]) == 1
    assert "short" not in capsys.readouterr().err.replace("22 random", "")


@pytest.mark.parametrize(
    "arguments", [[], ["a", "--body", "b"], ["a", "--kind", "shoe"], ["--body", "b", "--kind", "ip"]]
)
def test_hash_says_what_it_wants(state: State, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 3 for none or two of VALUE and --body, and for a kind that there is not."""
    assert main(["log", "hash", *arguments, "--dir", str(state.directory)]) == 3
    assert capsys.readouterr().out == ""


def test_values_are_hashed_before_the_log_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys come first: they are found beside the log that is not there yet, with and without ``--dir``."""
    monkeypatch.chdir(tmp_path)
    keyed = load_or_create_keys(tmp_path / ".guard" / "keys").keyed
    for place in ([], ["--dir", ".guard"], ["--dir", ".guard/log"]):
        assert main(["log", "hash", "alice", "--kind", "subject", *place]) == 0
        assert keyed.pseudonym("subject", "alice") in capsys.readouterr().out


def test_without_the_key_nothing_is_hashed(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1: what, where, mend."""
    (state.directory / "keys" / "pseudonym.key").unlink()
    assert main(["log", "hash", "alice", "--dir", str(state.directory)]) == 1
    said = capsys.readouterr().err
    assert "the key file cannot be read" in said
    assert "mend:" in said


def erase(state: State, tenant: str) -> None:
    """Destroy the key of a tenant, as ``guard keys`` does."""
    tenants = TenantKeys(state.directory / "keys", state.keyed)
    erase_tenant(tenants, tenant, log=state.directory / "log", name="policy-guard", signer=state.keys.signer)


def test_tenants_with_keys_of_their_own_are_found(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    """``query`` looks under every key, ``hash`` under the one of the tenant that is named, and says that there are
    such; once it is destroyed nobody finds its callers, and it is said when that was."""
    own = TenantKeys(state.directory / "keys", state.keyed).of("acme")
    with Opened(state.directory / "log", key=state.keys) as opened:
        opened.commit(decision(80, keyed=own))
    assert "d80" in ask(state, "--subject", ALICE.id, capsys=capsys)
    assert "d80" in ask(state, "--subject", ALICE.id, "--tenant", "acme", capsys=capsys)
    assert ask(state, "--subject", ALICE.id, "--tenant", "other", capsys=capsys) == []
    place = ["--dir", str(state.directory)]
    assert main(["log", "hash", ALICE.id, "--tenant", "acme", "--kind", "subject", *place]) == 0
    assert capsys.readouterr().out.split()[1] == own.pseudonym("subject", ALICE.id)
    assert main(["log", "hash", ALICE.id, "--kind", "subject", *place]) == 0
    captured = capsys.readouterr()
    assert captured.out.split()[1:] == [state.keyed.pseudonym("subject", ALICE.id)]
    assert "1 tenants have keys of their own" in captured.err

    erase(state, "acme")
    assert "d80" not in ask(state, "--subject", ALICE.id, capsys=capsys)
    assert main(["log", "hash", ALICE.id, "--tenant", "acme", *place]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: the key of this tenant was destroyed on 20")
    assert main(["log", "hash", ALICE.id, *place]) == 0
    assert "1 pseudonym keys were destroyed, the last on 20" in capsys.readouterr().err


# --- who reads is read ----------------------------------------------------------------------------------------------


def test_every_word_that_shows_decisions_is_recorded(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    """Who, by which word, under which conditions, how many records; in an origin of its own that verifies."""
    place = ["--dir", str(state.directory)]
    for arguments in (
        ["tail", "-n", "3"],
        ["show", "last"],
        ["explain", "0198c0de-0000-7000-8000-000000000004", "--json"],
        ["query", "--subject", "alice@example.com", "--effect", "deny", "--limit", "9"],
        ["shadow"],
        ["hash", "alice@example.com", "--kind", "subject"],
    ):
        assert main(["log", *arguments, *place]) == 0
        assert capsys.readouterr().err == ""
    subject = state.keyed.pseudonym("subject", "alice@example.com")
    said = [(r["word"], r["asked"], r["records"], r["complete"]) for r in state.readings()]
    ids = [decision(number)["id"] for number in (6, 4)]
    assert said == [
        ("tail", {}, 3, True),
        ("show", {"id": ids[0]}, 1, True),
        ("explain", {"id": ids[1]}, 2, True),
        ("query", {"effect": "deny", "limit": 9, "subject": subject}, 2, True),
        ("shadow", {}, 12, True),
        ("hash", {"subject": subject}, 0, True),
    ]
    assert {r["origin"] for r in state.readings()} == {"policy-guard-reads"}
    assert len({r["reader"] for r in state.readings()}) == 1
    assert main(["log", "verify", str(state.directory)]) == 0
    assert not any(raw.encode() in path.read_bytes() for raw in RAW for path in state.directory.rglob("*.jsonl"))


def test_a_read_only_auditor_reads_without_a_record_and_is_told(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the keys nothing is written, not even a directory."""
    (state.directory / "keys").rename(state.directory.parent / "gone")
    before = sorted(state.directory.rglob("*"))
    assert main(["log", "show", "last", "--dir", str(state.directory)]) == 0
    captured = capsys.readouterr()
    assert captured.err == "note:  this reading is not recorded: the keys beside the log cannot be read\n"
    assert captured.out
    assert sorted(state.directory.rglob("*")) == before


def test_readings_are_not_recorded_where_that_is_switched_off(
    state: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``record.audit_reads = false``; nothing is said, since it was asked for."""
    (tmp_path / "guard.toml").write_text("[record]\naudit_reads = false\n")
    assert main(["log", "tail", "--dir", str(state.directory)]) == 0
    assert capsys.readouterr().err == ""
    assert state.readings() == []


def test_a_reading_goes_on_where_it_cannot_be_recorded(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    """A log of readings that was tampered with takes nothing more, and the reader is told; he reads all the same."""
    place = ["--dir", str(state.directory)]
    assert main(["log", "tail", *place]) == 0
    segment = state.directory / "log" / "policy-guard-reads" / "seg" / "000000.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"word":"tail"', b'"word":"tale"'))
    capsys.readouterr()
    assert main(["log", "show", "last", *place]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("Decision")
    assert captured.err.startswith("note:  this reading is not recorded: ")


def test_readings_do_not_wait_for_the_guard_nor_it_for_them(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    """While a writer holds its origin, readers append to theirs; neither notices the other."""
    with Opened(state.directory / "log", key=state.keys) as opened:
        opened.commit(decision(91, keyed=state.keyed))
        for _ in range(3):
            assert main(["log", "tail", "-n", "1", "--json", "--dir", str(state.directory)]) == 0
            assert json.loads(capsys.readouterr().out)["id"] == decision(91)["id"]
        opened.commit(outcome(91, keyed=state.keyed))
    assert len(state.readings()) == 3
    assert main(["log", "verify", str(state.directory)]) == 0


def test_the_log_of_readings_cannot_vanish_unseen(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    """Attack: somebody removes every trace of his reading. The list of writers names that log: verification fails."""
    assert main(["log", "tail", "--dir", str(state.directory)]) == 0
    assert main(["log", "verify", str(state.directory)]) == 0
    shutil.rmtree(state.directory / "log" / "policy-guard-reads")
    assert main(["log", "verify", str(state.directory)]) == 1
    assert "policy-guard-reads" in capsys.readouterr().out


def test_what_is_broken_off_is_recorded_so(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who closes the pipe has read what was shown until then."""

    def closed(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("typer.echo", closed)
    assert main(["log", "query", "--json", "--dir", str(state.directory)]) == 0
    monkeypatch.undo()
    (reading,) = state.readings()
    assert (reading["records"], reading["complete"]) == (1, False)


def test_the_log_of_readings_is_not_in_the_way(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    """``tail`` and ``query`` show it only where it is asked for."""
    place = ["--dir", str(state.directory)]
    for _ in range(2):
        assert main(["log", "tail", "-n", "1", *place]) == 0
    assert "audit_read" not in capsys.readouterr().out
    assert "audit_read" not in ask(state, capsys=capsys)
    assert main(["log", "tail", "--kind", "audit_read", *place]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "policy-guard-reads  tail  by hmac:" in lines[0]
    assert lines[0].endswith("1 record")
