"""``guard model merge`` and ``guard model federation``: from events to a forest by files, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from detectors.anomaly.features import NAMES
from detectors.federation.events import LONGEST_LINE, Event, file_events, log_events, rows_of
from detectors.federation.exported import BEHAVIOUR
from detectors.federation.space import Axis, Space, load
from detectors.models.behaviour import WARM_UP
from guard.cli.command import run
from guard.cli.host import Host
from guard.errors import ConfigError

SPACE = Space((Axis("size", 0.0, 1e6), Axis("ratio", 0.0, 1.0, "linear", 0.0)))


def write_events(path: Path, first: int, count: int = 60) -> None:
    """Events of six principals; the last one is much larger."""
    lines = [
        {"principal": f"p{at % 6}", "features": {"size": 100.0 + 3 * (first + at), "ratio": (at % 10) / 20}}
        for at in range(count - 1)
    ]
    lines.append({"principal": "p0", "features": {"size": 9e5, "ratio": 0.99}})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    """What a word prints with ``--json``; it must end with 0."""
    assert run([*map(str, arguments), "--json"]) == 0
    printed: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[0])
    return printed


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What a word says as it ends with 1."""
    assert run(list(map(str, arguments))) == 1
    return capsys.readouterr().err


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a space, and events of three gateways."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.json").write_bytes(SPACE.encoded())
    for at, name in enumerate("abc"):
        write_events(tmp_path / f"{name}.jsonl", 100 * at)
    return tmp_path


def counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Steps 1 to 3 for a, b and c: ``h-NAME.npz``, ``structure.npz``, ``c-NAME.npz``."""
    for name in "abc":
        word = ["model", "federation", "histograms", f"{name}.jsonl", "--space", "space.json", "--gateway", name]
        assert said(capsys, *word, "-o", f"h-{name}.npz")["events"] == 60
    said(capsys, "model", "merge", "h-a.npz", "h-b.npz", "h-c.npz", "-o", "histograms.npz")
    said(capsys, "model", "federation", "structure", "histograms.npz", "--trees", "20", "-o", "structure.npz")
    for name in "abc":
        word = ["model", "federation", "counts", "structure.npz", f"{name}.jsonl", "--gateway", name]
        said(capsys, *word, "-o", f"c-{name}.npz")


def test_three_gateways_merge_to_what_one_would_count(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The merged file scores as one of all events does, and the large event comes first, by its size."""
    counted(capsys)
    merged = said(capsys, "model", "merge", "c-c.npz", "c-a.npz", "c-b.npz", "-o", "merged.npz")
    assert (merged["events"], merged["gateways"], merged["exact"]) == (180, ["a", "b", "c"], True)
    assert merged["files"] == {"c-c.npz": 60, "c-a.npz": 60, "c-b.npz": 60}
    (work / "all.jsonl").write_text("".join((work / f"{name}.jsonl").read_text("utf-8") for name in "abc"), "utf-8")
    word = ["model", "federation", "counts", "structure.npz", "all.jsonl", "--gateway", "all"]
    said(capsys, *word, "-o", "pooled.npz")
    first = said(capsys, "model", "federation", "score", "merged.npz", "b.jsonl")
    assert first == said(capsys, "model", "federation", "score", "pooled.npz", "b.jsonl")
    assert first["event"] == 60
    assert sum(first["shares"].values()) == pytest.approx(1.0, abs=0.01)


def test_the_same_steps_give_the_same_bytes(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every file is reproduced from its inputs."""
    counted(capsys)
    before = {path.name: path.read_bytes() for path in work.glob("*.npz")}
    for path in before:
        (work / path).unlink()
    counted(capsys)
    assert {path.name: path.read_bytes() for path in work.glob("*.npz")} == before
    assert len(before) == 8


def test_merge_refuses_what_does_not_belong_together(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twice the same, other steps, other structures, damage, a file that is there, none at all."""
    counted(capsys)
    word = ["model", "federation", "structure", "histograms.npz", "--trees", "20", "--seed", "1", "-o", "other.npz"]
    said(capsys, *word)
    said(capsys, "model", "federation", "counts", "other.npz", "b.jsonl", "--gateway", "b", "-o", "other-b.npz")
    merge = ["model", "merge", "-o", "merged.npz", "c-a.npz"]
    assert "would count twice" in refused(capsys, *merge, "c-a.npz")
    assert "cannot be merged" in refused(capsys, *merge, "h-b.npz")
    assert "different structures" in refused(capsys, *merge, "other-b.npz")
    assert "federation-structure, not histograms or counts" in refused(capsys, *merge, "structure.npz")
    assert "No such file" in refused(capsys, *merge, "nowhere.npz")
    data = bytearray((work / "c-b.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (work / "c-b.npz").write_bytes(data)
    assert "its bytes are not those that its card names" in refused(capsys, *merge, "c-b.npz")
    assert not (work / "merged.npz").exists()
    assert "the file exists" in refused(capsys, "model", "merge", "-o", "c-a.npz", "c-a.npz", "c-c.npz")


def test_each_step_says_what_it_was_given_instead(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts for histograms and the other way round, events and a log, noise without a cap, no events."""
    counted(capsys)
    federation = ["model", "federation"]
    assert "counts, not histograms" in refused(capsys, *federation, "structure", "c-a.npz", "-o", "x.npz")
    assert "histograms, not counts" in refused(capsys, *federation, "score", "histograms.npz", "a.jsonl")
    assert "not counted over" in refused(capsys, *federation, "export", "c-a.npz", "-o", "x.npz")
    counts = [*federation, "counts", "structure.npz", "--gateway", "d", "-o", "x.npz"]
    assert "both events and --log" in refused(capsys, *counts, "a.jsonl", "--log", ".")
    assert "without a cap" in refused(capsys, *counts, "a.jsonl", "--epsilon", "1")
    assert "there is no log" in refused(capsys, *counts, "--log", ".")
    (work / "empty.jsonl").write_text('{"principal": "p", "features": {"ratio": 0.5}}\n', "utf-8")
    assert "1 do not tell every feature" in refused(capsys, *counts, "empty.jsonl")
    assert not (work / "x.npz").exists()


def test_noise_is_named_in_the_card(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was noised is not called exact, and merging keeps that."""
    counted(capsys)
    word = [
        "model",
        "federation",
        "counts",
        "structure.npz",
        "b.jsonl",
        "--gateway",
        "b",
        "--cap",
        "5",
        "--epsilon",
        "9",
    ]
    found = said(capsys, *word, "-o", "noisy.npz")
    assert (found["exact"], found["left_out"]["capped"]) == (False, 30)
    assert said(capsys, "model", "merge", "c-a.npz", "noisy.npz", "-o", "merged.npz")["exact"] is False


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"principal": "p"}', "missing required field `features`"),
        ('{"principal": "p", "features": {"size": "large"}}', "Expected `float`"),
        ('{"principal": "p", "features": {"size": 1e999}}', "the line is no event"),
        ('{"principal": "p", "features": {}, "text": "hello"}', "unknown field `text`"),
        ("[]", "the line is no event"),
        (" " * (LONGEST_LINE + 1), "longer than"),
    ],
)
def test_a_line_that_is_no_event_is_named(tmp_path: Path, line: str, message: str) -> None:
    """With its number; a text in it is refused, not dropped."""
    path = tmp_path / "events.jsonl"
    path.write_text('{"principal": "p", "features": {"size": 1}}\n' + line + "\n", "utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        list(file_events(path))
    assert caught.value.where.endswith("events.jsonl:2")


def test_a_feature_that_is_untold_counts_as_the_space_says() -> None:
    """``ratio`` counts as 0; without ``size`` the event is left out, and counted as such."""
    events = [Event("p", {"size": 10.0}), Event("p", {"ratio": 0.5}), Event("p", {"size": 10.0, "ratio": 0.0})]
    found = rows_of(events, SPACE)
    assert found.missing == 1
    assert found.levels[0].tolist() == found.levels[1].tolist()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"axes": []}',
        '{"axes": [{"name": "a", "low": 1, "high": 1}]}',
        '{"axes": [{"name": "a", "low": 0, "high": 1}, {"name": "a", "low": 0, "high": 1}]}',
        '{"axes": [{"name": "a", "low": 0, "high": 1, "scale": "square"}]}',
        '{"axes": [{"name": "a b", "low": 0, "high": 1}]}',
        '{"axes": [{"name": "a", "low": -1e308, "high": 1e308}]}',
    ],
)
def test_a_space_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """No features, no width, a name twice, an unknown scale, a name of another form."""
    (tmp_path / "space.json").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match="does not describe a space"):
        load(tmp_path / "space.json")


def decision(number: int, principal: str, effect: str = "allow") -> dict[str, Any]:
    """A ``decision`` record, as far as the replay reads it."""
    return {
        "kind": "decision",
        "id": f"d{number}",
        "ts_us": (1_760_000_000 + 60 * number) * 1_000_000,
        "who": {"method": "jwt", "tenant": None, "id": principal, "ip": None},
        "what": {"route": "/v1/**", "model": "m"},
        "decision": {"effect": effect, "fail": None},
        "policy_input": {"ai": {"tokens_estimate": 100, "messages": 2}, "context": {"size_bytes": 400 + number % 7}},
    }


def test_the_log_gives_what_the_behaviour_model_saw() -> None:
    """Requests that were let in, past the warm-up, as one-sided z; a denied one gives none and teaches nothing."""
    let_in = [decision(at, "p") for at in range(WARM_UP + 5)]
    denied = [decision(100 + at, "p", "deny") for at in range(3)]
    events = list(log_events([*let_in, *denied]))
    assert len(events) == 5
    assert {event.principal for event in events} == {"jwt::p"}
    assert all(set(event.features) == set(NAMES) and min(event.features.values()) >= 0.0 for event in events)
    assert rows_of(events, BEHAVIOUR).levels.shape == (5, len(NAMES))


def test_a_log_becomes_events_and_counts_alike(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``events`` writes what the other words read of the log themselves: the histograms are the same, byte for byte.
    What an analyst called an attack is in neither."""

    @contextmanager
    def records(_host: Host, _directory: Path | None, kinds: Sequence[str], word: str) -> Iterator[Any]:
        assert word == "federation"
        label = {"decision_ref": f"d{2 * WARM_UP + 20}", "about": "behaviour", "attack": True}
        asked = [decision(at, f"p{at % 2}") for at in range(2 * WARM_UP + 21)]
        yield iter({("label",): [label], ("decision", "outcome"): asked}[tuple(kinds)])

    monkeypatch.setattr(Host, "records", records)
    federation = ["model", "federation"]
    assert run([*federation, "events", "-o", "events.jsonl"]) == 0
    assert "20 events" in capsys.readouterr().out
    said(capsys, *federation, "histograms", "--gateway", "a", "-o", "log.npz")
    said(capsys, *federation, "histograms", "events.jsonl", "--gateway", "a", "-o", "file.npz")
    assert (work / "log.npz").read_bytes() == (work / "file.npz").read_bytes()
    assert "the file exists" in refused(capsys, *federation, "events", "-o", "events.jsonl")


def test_a_log_that_cannot_be_read_leaves_no_events(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure on the way takes the file away again."""

    @contextmanager
    def records(_host: Host, _directory: Path | None, kinds: Sequence[str], _word: str) -> Iterator[Any]:
        def some() -> Iterator[Any]:
            yield decision(0, "p")
            raise ConfigError("the log ended")

        yield some() if "decision" in kinds else iter(())

    monkeypatch.setattr(Host, "records", records)
    assert "the log ended" in refused(capsys, "model", "federation", "events", "-o", "events.jsonl")
    assert not (work / "events.jsonl").exists()
