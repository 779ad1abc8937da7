"""The benchmark of personal data: its texts, its arithmetic, its files, and a small run."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import pii
from benchmarks.pii_dataset import Sample, Span, as_json, dense, generate, is_known, known_half, load
from benchmarks.pii_score import ANY, score
from benchmarks.pii_speed import bounded_presidio_ms, text_of
from detectors.pii.gazetteer import load as load_gazetteer


def test_generated_texts_repeat_and_their_labels_fit() -> None:
    """The same seed gives the same texts; spans do not overlap; some texts hold nothing."""
    samples = generate(300, seed=3)
    assert samples == generate(300, seed=3) != generate(300, seed=4)
    for sample in samples:
        places = sorted((span.start, span.end) for span in sample.spans)
        assert all(end <= start for (_, end), (start, _) in pairwise(places))
        assert all(0 <= start < end <= len(sample.text) for start, end in places)
        assert "{person}" not in sample.text
    kinds = {span.type for sample in samples for span in sample.spans}
    assert {"PERSON", "STREET_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "DATE_OF_BIRTH"} <= kinds
    assert any(not sample.spans for sample in samples)
    assert {span.unseen for sample in samples for span in sample.spans if span.type == "PERSON"} == {True, False}


def test_the_graded_detector_does_not_know_the_unseen_half(tmp_path: Path) -> None:
    """No name that counts as unlisted stands in the gazetteer that the detector is given."""
    half = load_gazetteer(known_half(tmp_path / "names.txt"))
    for sample in generate(200, seed=5):
        for span in sample.spans:
            if span.type == "PERSON":
                words = sample.text[span.start : span.end].lower().split()
                assert all(is_known(word) is not span.unseen for word in words)
                assert not span.unseen or not any(word in half.first | half.last for word in words)


def test_the_score_of_a_worked_example() -> None:
    """Two labels, one met, one finding too many: counted by hand."""
    sample = Sample("Mary met Bob at ten", (Span("PERSON", 0, 4), Span("PERSON", 9, 12)))
    result = score([sample], [[Span("PERSON", 0, 4), Span("PHONE_NUMBER", 16, 19)]])
    rows = {row.type: row for row in result.rows}
    assert (rows["PERSON"].precision, rows["PERSON"].recall) == (1.0, 0.5)
    assert rows["PERSON"].f2 == pytest.approx(5 * 0.5 / 4.5)
    assert (rows["PHONE_NUMBER"].precision, rows["PHONE_NUMBER"].recall) == (0.0, None)
    assert (rows[ANY].precision, rows[ANY].recall) == (0.5, 0.5)
    assert result.leak == pytest.approx(3 / 7)
    assert result.over == pytest.approx(3 / 12)


def test_half_of_the_union_makes_a_pair() -> None:
    """Five of ten characters are enough, four are not; the type must be the same."""
    sample = Sample("0123456789", (Span("PERSON", 0, 10),))
    assert score([sample], [[Span("PERSON", 0, 5)]]).rows[0].recall == 1.0
    assert score([sample], [[Span("PERSON", 0, 4)]]).rows[0].recall == 0.0
    assert score([sample], [[Span("EMAIL_ADDRESS", 0, 10)]]).rows[1].recall == 0.0


def test_labels_of_other_datasets_are_understood() -> None:
    """An address is graded as a location, a birth as a date, where the labels know no better."""
    sample = Sample("x" * 30, (Span("GPE", 0, 10), Span("DATE_TIME", 20, 30)))
    result = score([sample], [[Span("STREET_ADDRESS", 0, 10), Span("DATE_OF_BIRTH", 20, 30)]])
    assert {row.type: row.recall for row in result.rows} == {"LOCATION": 1.0, "DATE_TIME": 1.0, ANY: 1.0}


def test_files_are_read_as_they_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--write makes presidio-research's format, --dataset grades it."""
    file = tmp_path / "texts.json"
    pii.main(["--texts", "20", "--write", str(file)])
    assert [(sample.text, len(sample.spans)) for sample in load(file)] == [
        (sample.text, len(sample.spans)) for sample in generate(20)
    ]
    assert json.loads(file.read_text()) == as_json(generate(20))
    pii.main(["--dataset", str(file), "--detector", "basic", "--no-speed", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["texts"] == 20
    assert printed["detectors"]["basic"]["types"]["any"]["recall"] > 0.5


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "cannot be read"),
        ("{}", "not a list"),
        ('[{"text": "x"}]', "text 0: no full_text"),
        ('[{"full_text": "x", "spans": [{"entity_type": "PERSON"}]}]', "lacks one of"),
        (
            '[{"full_text": "x", "spans": [{"entity_type": "PERSON", "start_position": 0, "end_position": 2}]}]',
            "not within its 1 characters",
        ),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: str, what: str) -> None:
    """The message names the file, the text and what is wrong."""
    file = tmp_path / "texts.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit, match=what):
        load(file)


@pytest.mark.parametrize("name", ["nobody", "no.such.module:Detector", "detectors.secrets:Nothing"])
def test_an_unknown_detector_is_refused(name: str) -> None:
    """A name that leads nowhere ends the run with one line."""
    with pytest.raises(SystemExit, match=name.partition(":")[0].split(".")[0]):
        pii.main(["--texts", "5", "--no-speed", "--detector", name])


def test_a_small_run_beside_presidio(capsys: pytest.CaptureFixture[str]) -> None:
    """One table with a column for each detector; a detector of yours by module:attribute."""
    names = ["presidio", "basic", "detectors.pii:PiiDetector"]
    pii.main(["--texts", "40", "--no-speed", *(part for name in names for part in ("--detector", name))])
    printed = capsys.readouterr().out
    head = next(line for line in printed.splitlines() if line.startswith("| type"))
    assert [cell.strip() for cell in head.strip("|").split("|")] == ["type", "labelled", *names]
    assert "leak (characters)" in printed
    assert "over-redaction (characters)" in printed


def test_texts_of_a_size() -> None:
    """Clean and dense texts have the asked length; presidio that does not end in time is said, not awaited."""
    assert [len(text_of(kind, 4096)) for kind in ("clean", "dense")] == [4096, 4096]
    assert dense(2000) != dense(2000, seed=2)
    assert bounded_presidio_ms("x", 0.01) is None
