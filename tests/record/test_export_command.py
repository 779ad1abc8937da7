"""``guard log export`` and ``guard log verify --proof`` as somebody types them, and what is printed."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from guard.cli.command import run
from guard.record.segment import list_segments
from tests.components import require
from tests.record.logs import ORIGIN, decision, outcome, write_closed
from tests.record.others.material import OTHER_VKEY, replace, rotated_log, state_directory

GUARD = Path(sys.executable).parent / "guard"


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """The command configures this process's logs; they are put back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with keys and a log of 402 records."""
    return state_directory(tmp_path_factory.mktemp("state")).parents[1]


@pytest.fixture
def state(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, named ``state`` in the working directory."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(shared, tmp_path / "state"))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log without keys beside it: an allowed and a denied decision, and one that is under way."""
    monkeypatch.chdir(tmp_path)
    batches = [[decision(0), outcome(0)], [decision(1, effect="deny")], [decision(2)]]
    return write_closed(tmp_path / "log", batches).parent


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    code = run(["log", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_table_and_the_events_hold_every_decision(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To stdout, one after the other in the order of completion."""
    code, out, _ = printed(capsys, "export", str(small), "--csv")
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert code == 0
    assert [(row["decision_id"][-1], row["effect"], row["outcome"]) for row in rows] == [
        ("0", "allow", "recorded"),
        ("1", "deny", "none"),
        ("2", "allow", "missing"),
    ]
    code, out, _ = printed(capsys, "export", str(small), "--ocsf")
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [event["metadata"]["uid"][-1] for event in events] == ["0", "1", "2"]
    assert {event["metadata"]["version"] for event in events} == {"1.8.0"}


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        (["--effect", "deny"], "1"),
        (["--effect", "allow"], "02"),
        (["--rule", "PII-002"], "1"),
        (["--code", "policy_denied"], "1"),
        (["--model", "gpt-4o"], "012"),
        (["--model", "other"], ""),
        (["--tenant", "acme", "--effect", "deny"], "1"),
        (["--since", "2100-01-01"], ""),
        (["--until", "2100-01-01"], "012"),
        (["--until", "2001-01-01"], ""),
    ],
)
def test_conditions_choose_decisions(
    small: Path, capsys: pytest.CaptureFixture[str], conditions: list[str], ids: str
) -> None:
    """The same conditions as those of ``guard log query``; none that is such is no failure, and is said."""
    code, out, err = printed(capsys, "export", str(small), "--csv", *conditions)
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert code == 0
    assert "".join(row["decision_id"][-1] for row in rows) == ids
    assert ("no decision is such" in err) is (not ids)


def test_a_file_is_made_whole_and_never_overwritten(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second export into the same file is refused; the first stays."""
    code, out, err = printed(capsys, "export", str(small), "--csv", "-o", "out.csv")
    assert (code, out) == (0, "")
    assert "out.csv: 4 rows, the head included" in err
    made = Path("out.csv").read_bytes()
    code, out, err = printed(capsys, "export", str(small), "--ocsf", "-o", "out.csv")
    assert code == 1
    assert "there is something already, and an export overwrites nothing" in err
    assert "out.csv" in err
    assert Path("out.csv").read_bytes() == made


def test_the_newer_schema_is_asked_for_by_name(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``record_integrity`` stands only in the development version."""
    _, out, _ = printed(capsys, "export", str(small), "--ocsf", "--ocsf-version", "1.9.0-dev")
    assert all("attestation_list" in json.loads(line) for line in out.splitlines())
    code, _, err = printed(capsys, "export", str(small), "--ocsf", "--ocsf-version", "2")
    assert code == 3
    assert "--ocsf-version is 1.8.0 or 1.9.0-dev" in err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "name exactly one of"),
        (["--csv", "--ocsf"], "name exactly one of"),
        (["--tiles", "out", "-o", "x"], "-o does not go with"),
        (["--tiles", "out", "--effect", "deny"], "a condition does not go with"),
        (["--proof", "last", "--since", "1d"], "a condition does not go with"),
        (["--csv", "--without-record"], "--without-record does not go with"),
        (["--csv", "--json"], "--json does not go with"),
        (["--csv", "--ocsf-version", "1.9.0-dev"], "--ocsf-version does not go with"),
        (["--csv", "--signing-key", "x"], "--signing-key does not go with"),
        (["--csv", "--effect", "maybe"], "--effect is allow or deny"),
        (["--csv", "--since", "soon"], "is like 30m"),
    ],
)
def test_wrong_usage_is_said(small: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str) -> None:
    """An option that would be ignored is refused, with exit code 3; nothing is made."""
    code, out, err = printed(capsys, "export", str(small), *words)
    assert (code, out) == (3, "")
    assert complaint in " ".join(err.split())
    assert [path.name for path in Path().iterdir()] == ["log"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nowhere", "--csv"], "there is no log here"),
        (["nowhere", "--tiles", "out"], "there is no log here"),
        (["log", "--proof", "nothing"], "the log holds no record 'nothing'"),
        (["log", "--proof", "0198c0de"], "3 records have an id that begins so"),
        (["log", "--sshsig", "out"], "there is no signing key beside the log"),
        (["log", "--csv", "-o", "no/where"], "No such file or directory"),
        (["log", "--tiles", "no/where"], "No such file or directory"),
    ],
)
def test_what_cannot_be_exported_is_said(
    small: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    """What happened, where, and how to mend it; exit code 1, and nothing is left behind."""
    code, _, err = printed(capsys, "export", *words)
    assert code == 1
    assert complaint in err
    assert "where:" in err or "mend:" in err
    assert [path.name for path in Path().iterdir()] == ["log"]


def test_lines_that_are_no_records_are_counted(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line that does not parse, and one that does not fit the schema, are left out; both are said."""
    path = list_segments(small / ORIGIN / "seg")[0].path
    lines = path.read_bytes().splitlines(keepends=True)
    number = next(place for place, line in enumerate(lines) if b'"kind":"decision"' in line)
    lines[number : number + 1] = [b"nonsense\n", lines[number].replace(b'"who":', b'"whom":')]
    path.write_bytes(b"".join(lines))
    code, out, err = printed(capsys, "export", str(small), "--csv")
    assert code == 0
    assert len(out.splitlines()) == 3
    assert "2 lines are no records and are left out" in err


def test_tiles_are_made_once(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tree of each origin, told as JSON; an existing target is refused."""
    code, out, _ = printed(capsys, "export", str(state), "--tiles", "tree", "--json")
    (made,) = json.loads(out)
    assert code == 0
    assert (made["origin"], made["size"], made["directory"]) == (ORIGIN, 402, f"tree/{ORIGIN}")
    assert Path("tree", ORIGIN, "checkpoint").read_bytes() == (state / "log" / ORIGIN / "checkpoint").read_bytes()
    code, _, err = printed(capsys, "export", str(state), "--tiles", "tree")
    assert code == 1
    assert "overwrites nothing" in err


def test_a_proof_is_made_and_checked(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the log's own key, with a trust file, and against a foreign one."""
    wanted = "0198c0de-0000-7000-8000-000000000007"
    assert printed(capsys, "export", str(state), "--proof", wanted, "-o", "a.tlog-proof")[0] == 0
    code, out, err = printed(capsys, "verify", str(state), "--proof", "a.tlog-proof")
    assert code == 0
    assert out.startswith(f"PROVEN: record 15 of {ORIGIN}, in its log of 402 records\n  signed by {ORIGIN}+")
    assert f'"id":"{wanted}"' in out
    assert "integrity is proven and origin is not" in err
    shutil.copy(state / "log" / ORIGIN / "log.vkey", "trust")
    code, out, err = printed(capsys, "verify", "--proof", "a.tlog-proof", "--trust", "trust", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["proven"], told["index"], told["size"], told["cosigned"]) == (True, 15, 402, [])
    assert told["record"]["id"] == wanted
    Path("trust").write_text(f"{OTHER_VKEY}\n", encoding="utf-8")
    code, out, err = printed(capsys, "verify", "--proof", "a.tlog-proof", "--trust", "trust", "--json")
    assert code == 1
    assert json.loads(out)["proven"] is False
    assert "the checkpoint is not trusted" in err


def test_a_proof_without_its_record_takes_the_line_from_a_file(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The record is handed over by itself."""
    printed(capsys, "export", str(state), "--proof", f"{ORIGIN}:15", "--without-record", "-o", "bare")
    assert "extra" not in Path("bare").read_text(encoding="utf-8")
    code, _, err = printed(capsys, "verify", str(state), "--proof", "bare")
    assert code == 1
    assert "give the record's line with --record" in err
    lines = [line for segment in list_segments(state / "log" / ORIGIN / "seg")
             for line in segment.path.read_bytes().splitlines() if b'"seq":15,' in line]  # fmt: skip
    Path("record").write_bytes(lines[0] + b"\n")
    assert printed(capsys, "verify", str(state), "--proof", "bare", "--record", "record")[0] == 0
    Path("record").write_bytes(lines[0].replace(b"allow", b"alloy") + b"\n")
    assert printed(capsys, "verify", str(state), "--proof", "bare", "--record", "record")[0] == 1


def test_an_altered_proof_is_refused_and_a_missing_one_is_usage(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit codes: 1 not proven, 3 nothing was checked."""
    printed(capsys, "export", str(state), "--proof", "last", "-o", "proof")
    replace(Path("proof"), "index 399", "index 397")
    assert printed(capsys, "verify", str(state), "--proof", "proof")[0] == 1
    for words in (
        ["verify", str(state), "--proof", "nowhere"],
        ["verify", "nowhere", "--proof", "proof"],
        ["verify", str(state), "--proof", "proof", "--trust", "nowhere"],
        ["verify", str(state), "--proof", "/dev/zero"],
        ["verify", str(state), "--record", "proof"],
    ):
        code, out, err = printed(capsys, *words)
        assert (code, out) == (3, ""), words
        assert err, words


def test_reading_is_recorded(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An export of decisions leaves an ``audit_read`` record with the word ``export``."""
    printed(capsys, "export", str(state), "--csv", "--effect", "deny")
    _, out, _ = printed(capsys, "query", "--dir", str(state), "--kind", "audit_read", "--json", "--oldest-first")
    told = [json.loads(line) for line in out.splitlines()]
    assert [(one["word"], one["asked"], one["records"], one["complete"]) for one in told] == [
        ("export", {"effect": "deny"}, 0, True)
    ]


def test_the_signing_key_must_be_the_one_that_signed(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another key could sign any text; it would prove nothing of this log."""
    require("openssl")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", "other.pem"], check=True)
    Path("other.pem").chmod(0o600)
    code, _, err = printed(capsys, "export", str(state), "--sshsig", "out", "--signing-key", "other.pem")
    assert code == 1
    assert "the key did not sign the newest checkpoint" in err
    key = str(state / "keys" / "log-signing.pem")
    code, _, err = printed(capsys, "export", str(state / "log" / ORIGIN), "--sshsig", "out", "--signing-key", key)
    assert code == 0
    assert sorted(path.name for path in Path("out", ORIGIN).iterdir()) == [
        "allowed_signers",
        "checkpoint",
        "text",
        "text.sig",
    ]


def test_a_log_with_replaced_keys_is_proven_under_the_key_of_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key that signed the checkpoint is found among those of the log, and among the files beside it."""
    monkeypatch.chdir(tmp_path)
    log = rotated_log(tmp_path)
    assert printed(capsys, "export", str(log), "--proof", f"{ORIGIN}:1", "-o", "proof")[0] == 0
    code, out, _ = printed(capsys, "verify", str(log), "--proof", "proof")
    assert code == 0
    first = (log / "log.vkey").read_text(encoding="utf-8").strip()
    assert f"signed by {ORIGIN}+" in out
    assert first not in out
    assert printed(capsys, "verify", "--proof", "proof", "--trust", str(log / "log.vkey"))[0] == 1
    assert printed(capsys, "export", str(log), "--sshsig", "out")[0] == 0
    (log / "log.vkey").write_text("nonsense\n", encoding="utf-8")
    code, _, err = printed(capsys, "verify", str(log), "--proof", "proof")
    assert code == 3
    assert "the log's own keys do not read" in err


def guard(*words: str, limit: int | None = None, stdout: int | None = None) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own; ``limit`` is the size past which it can write no file."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [str(GUARD), "log", "export", *words],
        check=False,
        timeout=60,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        preexec_fn=limited,
    )


@pytest.mark.parametrize("words", [["--csv", "-o", "out"], ["--tiles", "out"]])
def test_a_full_disk_leaves_nothing_half_written(state: Path, words: list[str]) -> None:
    """The write fails at 16 KiB: exit code 1, said in one sentence, and no file or directory stands there."""
    done = guard(str(state), *words, limit=16_384)
    assert done.returncode == 1
    assert b"File too large" in done.stderr
    assert b"Traceback" not in done.stderr
    assert [path.name for path in Path().iterdir()] == ["state"]


def test_a_full_device_is_said(state: Path) -> None:
    """What was printed on ``/dev/full`` is lost: exit code 1."""
    with Path("/dev/full").open("wb") as full:
        done = guard(str(state), "--csv", stdout=full.fileno())
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_reader_that_goes_away_ends_the_export(state: Path) -> None:
    """A pipe that ``head`` closed: nothing to complain of, but the export is not whole, so exit code 1."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = guard(str(state), "--ocsf", stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_signer_that_is_no_file_signs_for_ssh(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The configured command signs, if its key is the log's; one that signs other bytes is refused."""
    require("openssl")
    (state / "keys" / "log-signing.pem").rename("key.pem")
    public = (state / "log" / ORIGIN / "log.vkey").read_text(encoding="utf-8").strip().split("+", 2)[2]
    sign = "cat > message; openssl pkeyutl -sign -inkey key.pem -rawin -in message | base64 -w 0"
    Path("sign").write_text(f"#!/bin/sh\n{sign}\n", encoding="utf-8")
    Path("sign").chmod(0o700)
    settings = ['state_directory = "state"', "[record.signer]", f'command = ["{Path("sign").absolute()}"]']
    Path("guard.toml").write_text("\n".join([*settings, f'public_key = "{public}"\n']), encoding="utf-8")
    code, _, err = printed(capsys, "export", "state", "--sshsig", "out")
    assert (code, err) == (0, "")
    assert Path("out", ORIGIN, "text.sig").read_text(encoding="utf-8").startswith("-----BEGIN SSH SIGNATURE-----\n")
    Path("sign").write_text("#!/bin/sh\ncat > /dev/null; head -c 64 /dev/zero\n", encoding="utf-8")
    code, _, err = printed(capsys, "export", "state", "--sshsig", "other")
    assert code == 1
    assert "gave a signature that is not of the configured key" in err
    assert not Path("other").exists()
