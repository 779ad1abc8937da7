"""The published JSON Schema of records: made from the one schema, and held by real records of every kind."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from guard.cli import main
from guard.record.build import Change, Standing, config_record
from guard.record.canonical import canonical
from guard.record.groups import ASKED, CLOSED_WORDS
from guard.record.published import FILE, record_schema, schema_text
from guard.record.reads import audit_read_record
from guard.record.schema import AnyRecord, read_record
from guard.types import Decision, DetectorInfo, DetectorOutcome
from tests.components import require_package
from tests.record.logs import CARDS, ENGINE, KEYED, Opened, decision, outcome

PAGE = Path(__file__).resolve().parents[2] / "docs"
KINDS = {str(kind.__struct_config__.tag) for kind in get_args(AnyRecord)}
RUN = DetectorOutcome(DetectorInfo("pii", "1", "ab" * 32), "ok", 12)
CHANGES = (Change("input.anomaly.score", 700, 500, "allow"), Change("input.resource.provider", "a", None, "allow"))


def records(tmp_path: Path) -> list[dict[str, Any]]:
    """Records as they stand in a log, of every kind that a writer makes in order."""
    standing = Standing("cd" * 32, ENGINE, "data.guard.decision", (RUN.info,), ENGINE, "data.guard.decision")
    leak = Decision(stage="response", effect="deny", reasons=(CARDS,), engine=ENGINE)
    with Opened(tmp_path) as opened:
        opened.commit(
            config_record(standing, standing),
            config_record(standing, None, ("policy_invalid", "rules/a.rego:7")),
            decision(0, detectors=(RUN,), request_body=b"body", redactions={"PERSON": 1}),
            decision(1, effect="deny", refusal=("json_invalid", "/a"), policy_input=None, changes=CHANGES),
            outcome(0, decisions=(leak,), aborted="denied"),
            audit_read_record(
                "query", {"effect": "deny", "limit": 3}, reader="jane", records=2, complete=True, keyed=KEYED
            ),
            {"kind": "heartbeat", "counters": {"appended": 3}},
            {"kind": "recovery", "segment": "000000.jsonl", "file": "f", "dropped_bytes": 1, "sha256": "ab" * 32},
        )
    segments = sorted((opened.slot.path / "seg").iterdir())
    lines = [json.loads(line) for path in segments for line in path.read_bytes().splitlines()]
    return [line for line in lines if "commit" not in line]


def test_the_published_schema_is_current() -> None:
    """``docs/`` holds what the code says: ``guard schema --record -o docs`` writes it."""
    assert (PAGE / FILE).read_text(encoding="utf-8") == schema_text()


def test_real_records_fit_the_published_schema(tmp_path: Path) -> None:
    """An independent validator accepts what writers write, and refuses a field that the schema does not name."""
    require_package("jsonschema")
    from jsonschema import Draft202012Validator

    schema = record_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for record in records(tmp_path):
        assert list(validator.iter_errors(record)) == [], record["kind"]
        assert not validator.is_valid({**record, "prompt": "raw text"}), record["kind"]
        assert not validator.is_valid({**record, "seq": -1}), record["kind"]


def test_every_kind_is_in_the_schema_and_on_the_page(tmp_path: Path) -> None:
    """No kind of record is undocumented, in the schema or for people."""
    mapping = record_schema()["discriminator"]["mapping"]
    assert set(mapping) == KINDS
    page = (PAGE / "log-format.md").read_text(encoding="utf-8")
    assert [kind for kind in sorted(KINDS) if f"`{kind}`" not in page] == []


def test_every_field_is_on_the_page() -> None:
    """Each field of each kind, at the top of the record, has its row."""
    page = (PAGE / "log-format.md").read_text(encoding="utf-8")
    fields = {name for kind in get_args(AnyRecord) for name in kind.__struct_encode_fields__}
    assert [name for name in sorted(fields) if f"`{name}`" not in page] == []


def test_guard_schema_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To stdout, or into a directory under its name."""
    assert main(["schema", "--record"]) == 0
    assert json.loads(capsys.readouterr().out) == record_schema()
    assert main(["schema", "--record", "-o", str(tmp_path)]) == 0
    assert (tmp_path / FILE).read_text(encoding="utf-8") == schema_text()
    assert capsys.readouterr().out == f"wrote {tmp_path / FILE}\n"


def test_a_counterfactual_stands_where_somebody_found_one(tmp_path: Path) -> None:
    """The slot of a decision: what would have changed the effect. Absent where nobody looked."""
    (found,) = [record for record in records(tmp_path) if record.get("refusal")]
    assert found["counterfactual"] == [
        {"feature": "input.anomaly.score", "from": 700, "to": 500, "effect": "allow"},
        {"feature": "input.resource.provider", "from": "a", "to": None, "effect": "allow"},
    ]
    assert "counterfactual" not in decision(0)
    assert len(decision(0, changes=CHANGES * 9)["counterfactual"]) == 8


def test_what_a_reader_asked_stands_there_hidden() -> None:
    """Closed words, ids, numbers and pseudonyms as they are; everything else, whatever it is, as a pseudonym."""
    plain: dict[str, Any] = {
        "effect": "deny",
        "id": decision(0)["id"],
        "limit": 3,
        "ip": KEYED.pseudonym("client", "::1"),
    }
    raw = {"rule": "jane@corp.com", "code": "123-45-6789", "model": "Allow", "route": "", "kind": "diary"}
    record = audit_read_record("query", {**plain, **raw}, reader="jane", records=0, complete=False, keyed=KEYED)
    stamps = {"v": 1, "origin": "o", "boot": "0" * 16, "seq": 0, "prev": "0" * 64, "ts_us": 1, "mono_us": 1, "id": "i"}
    line = canonical({**record, **stamps})
    read_record(line)
    assert {name: record["asked"][name] for name in plain} == plain
    for value in (*raw.values(), "jane"):
        assert f'"{value}"'.encode() not in line
    assert set(record["asked"]) == {*plain, *raw}


def test_every_kind_may_be_asked_for() -> None:
    """The words that may stand in ``asked`` as they are hold every kind of record."""
    assert set(CLOSED_WORDS) >= KINDS
    assert all(re.fullmatch(ASKED, word) for word in CLOSED_WORDS)
    assert not re.fullmatch(ASKED, "jane")
