"""A log and its witness over real sockets: cosigned as it grows, caught when it is rolled back, forked or cut."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guard.errors import LogTampered, LogUnavailable
from guard.record.anchoring.failing import AnchorContradicts, AnchorFailed
from guard.record.anchoring.plan import AnchorPlan, WitnessPlace
from guard.record.anchoring.sinks import Anchor, DirectorySink
from guard.record.anchoring.store import AnchorStore
from guard.record.anchoring.web import Endpoint
from guard.record.anchoring.witness import WitnessSink
from guard.record.cosignature import CosignerKey, cosign, cosignatures
from guard.record.log import SignedLog
from guard.record.note import VerifierKey, split_note
from guard.record.trust import Trust, TrustedKey
from guard.record.verify import verify
from guard.witness.rules import Witness
from guard.witness.state import WitnessState
from tests.record.logs import KEY, NAME, ORIGIN, OTHER_KEY, Opened, decision
from tests.record.receivers import http_receiver
from tests.record.test_cosignature import OTHER, WITNESS
from tests.witness.serving import Process, serving
from tests.witness.test_server import KILLED

OWN = VerifierKey.of(KEY.signer(ORIGIN))
LISTS = VerifierKey.of(KEY.signer(f"{NAME}-writers"))


class Watched:
    """A witness in a thread, and sinks of logs to it."""

    def __init__(self, directory: Path, address: str, key: CosignerKey) -> None:
        self.directory, self.address, self.key = directory, address, key
        self.told: list[str] = []

    def sink(self, log: Path) -> WitnessSink:
        """A fresh client, as after a restart."""
        return WitnessSink(
            Endpoint(self.address, timeout_seconds=20),
            self.key,
            log=log,
            keys=lambda: [OWN],
            store=AnchorStore(log / "anchors"),
            told=lambda _checkpoint, note: self.told.append(note),
        )

    def send(self, opened: Opened, sink: WitnessSink | None = None) -> int:
        """Have the log as it stands cosigned; returns its size."""
        opened.writer.publish()
        checkpoint = opened.writer.checkpoint
        (sink or self.sink(opened.slot.path)).deliver(Anchor(checkpoint, opened.writer.note))
        return checkpoint.size

    @property
    def trust(self) -> Trust:
        """What an auditor believes who knows the log and the witness."""
        return Trust(keys=(TrustedKey(OWN), TrustedKey(LISTS)), witnesses=(self.key,))


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    state = WitnessState(tmp_path / "witness", "witness.example/w1")
    with serving(Witness(state, Trust.of([OWN, LISTS]).keys)) as address:
        yield Watched(tmp_path, address, state.key)
    state.close()


def grow(opened: Opened, commits: int, first: int = 0) -> None:
    """So many commits of one to three decisions."""
    for number in range(first, first + commits):
        opened.commit(*(decision(number * 3 + place) for place in range(1 + number % 3)))


def test_a_log_is_cosigned_as_it_grows(watched: Watched) -> None:
    """From 0, over any number of commits and segments, after a restart of the client: each time one proof suffices."""
    opened = Opened(watched.directory / "log", segment_records=16)
    sink, sizes = watched.sink(opened.slot.path), []
    for round_ in range(6):
        grow(opened, 1 + round_ * 3, first=round_ * 30)
        sizes.append(watched.send(opened, sink if round_ < 3 else None))
    sizes.append(watched.send(opened, sink))
    notes = {path.name for path in (opened.slot.path / "anchors").glob("*.note")}
    assert notes == {f"{size}.note" for size in sizes}
    assert all(cosignatures(note, [watched.key]) for note in watched.told)
    assert len(watched.told) == 7
    opened.close()
    report = verify(watched.directory / "log", trust=watched.trust, require_anchor=True)
    assert (report.exit_code, report.origins[0].anchored_size) == (0, sizes[-1])


@pytest.mark.parametrize("memory", [b"noise", b"", b'{"size":3,"hashes":["AAAA"],"segment":0,"offset":0}', "stale"])
def test_what_the_client_remembered_is_not_believed(watched: Watched, memory: bytes | str) -> None:
    """A memory that is noise, or of another log, costs a pass over the segments and nothing else."""
    opened = Opened(watched.directory / "log")
    grow(opened, 5)
    watched.send(opened)
    path = opened.slot.path / "anchors" / f"witness-{watched.key.id.hex()}.json"
    if memory == "stale":
        other = Opened(watched.directory / "other", key=KEY)
        grow(other, 5, first=70)
        text = path.read_text()
        assert text.count('"offset":') == 1
        path.write_text(
            text[: text.index('"hashes"')] + '"hashes":' + hashes_of(other) + text[text.index(',"segment"') :]
        )
        other.kill()
    else:
        path.write_bytes(memory if isinstance(memory, bytes) else b"")
    grow(opened, 4, first=20)
    size = watched.send(opened)
    assert cosignatures((opened.slot.path / "anchors" / f"{size}.note").read_text(), [watched.key])
    opened.close()


def hashes_of(opened: Opened) -> str:
    """The perfect subtrees of a log of as many records, as the client writes them."""
    import msgspec

    from guard.record.anchoring.prefix import Prefix, extend

    prefix = extend(opened.slot.path / "seg", Prefix(), opened.writer.checkpoint.size)
    return msgspec.json.encode(prefix.hashes).decode()


def test_a_rolled_back_log_meets_its_own_signature(watched: Watched) -> None:
    """The log is restored from a backup and goes on: the witness shows what the log signed, the next start refuses, and
    verification names it."""
    opened = Opened(watched.directory / "log")
    grow(opened, 4)
    opened.kill()
    shutil.copytree(watched.directory / "log", watched.directory / "backup")
    opened = Opened(watched.directory / "log")
    grow(opened, 9, first=10)
    seen = watched.send(opened)
    opened.kill()
    shutil.rmtree(watched.directory / "log")
    (watched.directory / "backup").rename(watched.directory / "log")
    back = Opened(watched.directory / "log")
    with pytest.raises(AnchorContradicts, match=f"has seen {seen} records") as caught:
        watched.send(back)
    assert cosignatures(caught.value.note, [watched.key]), "both signatures: the log's and the witness's"
    AnchorStore(back.slot.path / "anchors").add_evidence(caught.value.checkpoint, caught.value.note)
    back.close()
    report = verify(watched.directory / "log", trust=watched.trust)
    assert (report.exit_code, [one.result for one in report.origins[0].anchors]) == (1, ["beyond"])
    with pytest.raises(LogTampered, match=f"below its anchor of {seen}"):
        Opened(watched.directory / "log")


@pytest.mark.parametrize("more", [3, 40])
def test_a_forked_log_is_refused_with_both_notes(watched: Watched, more: int) -> None:
    """A second history under the same key, as long or longer: 422, the witness keeps both notes, the client one."""
    opened = Opened(watched.directory / "log")
    grow(opened, 9, first=10)
    seen = watched.send(opened)
    opened.kill()
    shutil.rmtree(watched.directory / "log")
    forked = Opened(watched.directory / "log")
    while forked.writer.checkpoint.size < seen + more:
        forked.commit(decision(500 + forked.writer.checkpoint.size))
    with pytest.raises(AnchorContradicts, match=f"another log of {seen} records") as caught:
        watched.send(forked)
    assert caught.value.checkpoint.size == seen
    (evidence,) = (watched.directory / "witness" / "evidence").rglob("*.notes")
    held, _, offered = evidence.read_text().partition("-----\n")
    assert held == caught.value.note
    assert offered == forked.writer.note
    AnchorStore(forked.slot.path / "anchors").add_evidence(caught.value.checkpoint, caught.value.note)
    forked.close()
    report = verify(watched.directory / "log", trust=watched.trust)
    assert (report.exit_code, [one.result for one in report.origins[0].anchors]) == (1, ["contradicts"])
    assert report.origins[0].evidence


def test_a_log_cut_at_a_commit_is_whole_without_anchors_only(watched: Watched) -> None:
    """Attack 4: records, commits and checkpoint cut back together. Signatures say whole, the anchor does not."""
    log = watched.directory / "log"
    opened = Opened(log)
    grow(opened, 4)
    opened.kill()
    shutil.copytree(log, watched.directory / "cut")
    opened = Opened(log)
    grow(opened, 4, first=10)
    size = watched.send(opened)
    opened.kill()
    assert verify(watched.directory / "cut", trust=watched.trust).exit_code == 0
    anchor = log / ORIGIN / "anchors" / f"{size}.note"
    report = verify(watched.directory / "cut", trust=watched.trust, anchors=[anchor])
    assert (report.exit_code, report.origins[0].damages[0].step) == (1, "anchors")
    whole = verify(log, trust=watched.trust, anchors=[anchor], require_anchor=True)
    assert (whole.exit_code, whole.origins[0].anchored_size) == (0, size)


def test_an_answer_that_was_lost_is_asked_for_again(tmp_path: Path) -> None:
    """The witness is killed between keeping and answering; started again, it and the client come together."""
    (tmp_path / "keys").write_text(f"{OWN.encode()}\n")
    doomed = Process(tmp_path / "witness", tmp_path / "keys", command=KILLED)
    watched = Watched(tmp_path, doomed.address, CosignerKey.parse(doomed.vkey))
    opened = Opened(tmp_path / "log")
    sink = watched.sink(opened.slot.path)
    watched.send(opened, sink)
    grow(opened, 5)
    with pytest.raises(AnchorFailed):
        watched.send(opened, sink)
    doomed.stop()
    back = Process(tmp_path / "witness", tmp_path / "keys", port=doomed.port)
    size = watched.send(opened, sink)
    assert cosignatures((opened.slot.path / "anchors" / f"{size}.note").read_text(), [watched.key])
    grow(opened, 5, first=50)
    watched.send(opened, sink)
    assert len(watched.told) == 3
    opened.close()
    assert back.stop() == (0, "")


def test_a_witness_that_forgot_is_taught_again(watched: Watched) -> None:
    """A witness restored from an older backup names a smaller size: the proof begins there."""
    opened = Opened(watched.directory / "log")
    sink = watched.sink(opened.slot.path)
    grow(opened, 3)
    watched.send(opened, sink)
    (kept,) = (watched.directory / "witness" / "logs").iterdir()
    older = kept.read_bytes()
    grow(opened, 3, first=10)
    watched.send(opened, sink)
    kept.write_bytes(older)
    grow(opened, 3, first=20)
    watched.send(opened, sink)
    assert len(watched.told) == 3
    opened.close()


def test_a_log_of_several_processes_is_not_taken_for_rolled_back(watched: Watched) -> None:
    """The list of writers: a process that comes late with its checkpoint sends the one that is published by then."""
    opened = Opened(watched.directory / "log")
    opened.writer.publish()
    late = Anchor(opened.writer.checkpoint, opened.writer.note)
    grow(opened, 3)
    seen = watched.send(opened)
    directory = watched.directory / "mnt"
    directory.mkdir()
    DirectorySink(directory, opened.slot.path, lambda: [OWN]).deliver(
        Anchor(opened.writer.checkpoint, opened.writer.note)
    )
    opened.writer.publish_cosigned(opened.writer.checkpoint, watched.told[-1])
    watched.sink(opened.slot.path).deliver(late)
    DirectorySink(directory, opened.slot.path, lambda: [OWN]).deliver(late)
    assert [cosignatures(note, [watched.key])[0].witness for note in watched.told] == ["witness.example/w1"] * 2
    assert [path.name for path in (directory / ORIGIN).iterdir()] == [f"{seen}.note"]
    opened.close()


def test_a_stranger_to_the_witness(watched: Watched) -> None:
    """Another key for a known origin, or an unknown origin: what to give the witness is said."""
    opened = Opened(watched.directory / "log", key=OTHER_KEY)
    with pytest.raises(AnchorFailed, match=r"status 403.*guard keys show"):
        watched.send(opened)
    opened.close()


def test_false_answers_are_no_anchors(tmp_path: Path) -> None:
    """Another witness's line, a line over another text, noise, a size that is none, an error: told, nothing kept."""
    key = CosignerKey.of(WITNESS)
    opened = Opened(tmp_path / "log")
    text = split_note(opened.writer.note)[0]
    answers = [
        (200, cosign(text, OTHER).encode(), "no cosignature by the configured key"),
        (200, cosign(text.replace("policy", "police"), WITNESS).encode(), "does not verify"),
        (200, b"", "no cosignature"),
        (200, b"noise\n", "does not verify"),
        (200, b"\xff", "does not verify"),
        (409, b"many\n", "tells no size"),
        (409, b"99\n", "does not show one"),
        (422, b"", "does not show one"),
        (503, b"", "status 503"),
    ]
    for status, body, what in answers:
        with http_receiver(lambda _path, _body, told=(status, body): told) as (address, _):  # type: ignore[misc]
            watched = Watched(tmp_path, address, key)
            with pytest.raises(AnchorFailed, match=what):
                watched.send(opened)
    assert not list((opened.slot.path / "anchors").glob("*.note"))
    opened.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread's work; the test's own timeout bounds it."""
    while not condition():
        time.sleep(0.01)


def test_a_whole_log_goes_on_while_its_witness_is_away(watched: Watched) -> None:
    """Requests never wait for a witness; health and heartbeats tell; once it is there all is made good, and the last
    checkpoint of the log is the cosigned one."""
    away = WitnessPlace("http://127.0.0.1:1", CosignerKey.of(OTHER).encode())
    here = WitnessPlace(watched.address, watched.key.encode())
    (watched.directory / "mnt").mkdir()
    plan = AnchorPlan(every_seconds=0.01, witnesses=(here, away), directory=watched.directory / "mnt")
    log = SignedLog(watched.directory / "log", name=NAME, signer=KEY.signer, anchors=plan, heartbeat_seconds=0.05)

    async def use() -> None:
        await log.start()
        for number in range(5):
            await log.append(decision(number))
        await asyncio.to_thread(until, lambda: log.status().anchors[0].size >= 6)
        await asyncio.to_thread(until, lambda: bool(log.status().anchors[2].failures))
        names = [way.name for way in log.status().anchors]
        assert names[3:] == [f"list of writers: {name}" for name in names[:3]]
        failing = log.status().anchors[2]
        assert (failing.name, failing.error_code) == ("witness witness.example/w2", "anchor_failed")
        assert log.status().writable
        await log.stop()

    asyncio.run(use())
    origin = watched.directory / "log" / ORIGIN
    size = verify(origin).origins[0].size
    last = (origin / "checkpoint").read_text()
    assert last == (origin / "anchors" / f"{size}.note").read_text()
    assert [one.witness for one in cosignatures(last, [watched.key])] == ["witness.example/w1"]
    assert (watched.directory / "mnt" / ORIGIN / f"{size}.note").read_text().count("\u2014") == 1
    report = verify(watched.directory / "log", trust=watched.trust, require_anchor=True)
    assert report.exit_code == 0
    assert [one.anchored_size for one in report.origins if one.origin == ORIGIN] == [size]
    heartbeats = [line for line in (origin / "seg" / "000000.jsonl").read_text().splitlines() if '"heartbeat"' in line]
    assert any('"anchors_failed"' in line for line in heartbeats)


@pytest.mark.parametrize(("more", "refusal"), [(1, "below its anchor"), (50, "another than its anchor")])
def test_a_rolled_back_log_refuses_its_next_start(watched: Watched, more: int, refusal: str) -> None:
    """End to end: the restored log starts, its witness contradicts it, and the start after that is refused, however far
    the log went meanwhile."""
    plan = AnchorPlan(every_seconds=0.01, witnesses=(WitnessPlace(watched.address, watched.key.encode()),))
    directory = watched.directory / "log"

    async def run(records: int, *, contradicted: bool) -> None:
        log = SignedLog(directory, name=NAME, signer=KEY.signer, anchors=plan)
        await log.start()
        for number in range(records):
            await log.append(decision(number))
        await asyncio.to_thread(until, lambda: bool(log.status().anchors[0].size or log.status().anchors[0].failures))
        assert log.status().anchors[0].error_code == ("anchor_contradicts" if contradicted else "")
        # The list of writers was rolled back too, and takes no more entries once its witness has said so.
        with contextlib.suppress(LogUnavailable) if contradicted else contextlib.nullcontext():
            await log.stop()

    asyncio.run(run(1, contradicted=False))
    shutil.copytree(directory, watched.directory / "backup")
    asyncio.run(run(5, contradicted=False))
    shutil.rmtree(directory)
    (watched.directory / "backup").rename(directory)
    asyncio.run(run(more, contradicted=True))
    with pytest.raises(LogTampered, match=refusal):
        asyncio.run(run(1, contradicted=True))
