"""The ways on which checkpoints leave: what arrives there, and what is told where nothing does."""

from __future__ import annotations

import json
import re
import socket
import threading
from pathlib import Path

import pytest

from guard.errors import ConfigError
from guard.record.anchoring.failing import AnchorContradicts, AnchorFailed
from guard.record.anchoring.plan import AnchorPlan, WitnessPlace
from guard.record.anchoring.sinks import Anchor, DirectorySink, HttpSink, SyslogSink
from guard.record.anchoring.store import AnchorStore, anchor_files
from guard.record.anchoring.timestamps import TimestampSink
from guard.record.anchoring.web import MAX_ANSWER_BYTES, Endpoint
from guard.record.cosignature import cosign
from guard.record.keys import LogKeys
from guard.record.note import VerifierKey, checkpoint_text, sign_note, split_note
from guard.types import Checkpoint
from tests.components import require, require_package
from tests.record.logs import KEY, ORIGIN, OTHER_KEY
from tests.record.receivers import TimestampAuthority, http_receiver, syslog_receiver
from tests.record.test_cosignature import OTHER, WITNESS

OWN = VerifierKey.of(KEY.signer(ORIGIN))
LOG = Path("/nowhere") / ORIGIN


def anchor(size: int = 3, root: bytes = b"r" * 32, *, keys: LogKeys = KEY) -> Anchor:
    """A signed checkpoint."""
    checkpoint = Checkpoint(ORIGIN, size, root)
    return Anchor(checkpoint, sign_note(checkpoint_text(checkpoint), (keys.signer(ORIGIN),)))


def endpoint(url: str, *, timeout_seconds: float = 20, bearer: str = "") -> Endpoint:
    return Endpoint(url, timeout_seconds=timeout_seconds, bearer=bearer)


def test_a_directory_gets_a_note_for_each_size(tmp_path: Path) -> None:
    """Below the origin's name, word for word; the same again changes nothing."""
    sink = DirectorySink(tmp_path, LOG, lambda: [OWN])
    for size in (3, 5, 5):
        sink.deliver(anchor(size))
    assert {path.name: path.read_text() for path in anchor_files(tmp_path / ORIGIN)} == {
        "3.note": anchor(3).note,
        "5.note": anchor(5).note,
    }


def test_a_directory_that_is_not_mounted_is_not_made(tmp_path: Path) -> None:
    """Anchors on the log's own disk would look like anchors and be none."""
    with pytest.raises(AnchorFailed, match="not there"):
        DirectorySink(tmp_path / "mnt", LOG, lambda: [OWN]).deliver(anchor())
    assert not (tmp_path / "mnt").exists()


@pytest.mark.parametrize(("held", "offered", "what"), [(9, 5, "has seen 9 records"), (5, 5, "another log of 5")])
def test_a_directory_remembers_more_than_the_log(tmp_path: Path, held: int, offered: int, what: str) -> None:
    """A log that comes back smaller, or as another, meets its own signed note there; nothing is overwritten."""
    first = anchor(held, b"a" * 32)
    DirectorySink(tmp_path, LOG, lambda: [OWN]).deliver(first)
    with pytest.raises(AnchorContradicts, match=what) as caught:
        DirectorySink(tmp_path, LOG, lambda: [OWN]).deliver(anchor(offered, b"b" * 32))
    assert (caught.value.checkpoint, caught.value.note) == (first.checkpoint, first.note)
    assert (tmp_path / ORIGIN / f"{held}.note").read_text() == first.note


def test_notes_of_strangers_prove_nothing(tmp_path: Path) -> None:
    """Only what this log's key signed is held against it; noise and other keys' notes are passed over."""
    DirectorySink(tmp_path, LOG, lambda: [OWN]).deliver(anchor(99, keys=OTHER_KEY))
    (tmp_path / ORIGIN / "100.note").write_text("noise")
    (tmp_path / ORIGIN / "101.note").write_bytes(b"\xff")
    DirectorySink(tmp_path, LOG, lambda: [OWN]).deliver(anchor(5))
    assert (tmp_path / ORIGIN / "5.note").read_text() == anchor(5).note


@pytest.mark.parametrize("scheme", ["udp", "tcp", "unix"])
def test_syslog_carries_the_note_in_one_message(scheme: str) -> None:
    """RFC 5424 with facility 13; over TCP counted (RFC 6587); the note comes out of the JSON as it went in."""
    with syslog_receiver(scheme) as (address, receive):
        SyslogSink(address, timeout_seconds=20).deliver(anchor())
        message = receive()
    if scheme == "tcp":
        count, _, message = message.partition(b" ")
        assert int(count) == len(message)
    head = re.fullmatch(
        r"<109>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]{1,255} policy-guard \d+ checkpoint - (\{.*\})",
        message.decode(),
    )
    assert head is not None
    assert json.loads(head[1]) == {"checkpoint": anchor().note}


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "unix:///nowhere/log"])
def test_syslog_that_is_away_is_told(address: str) -> None:
    """A refused connection, a socket that is not there."""
    with pytest.raises(AnchorFailed, match="syslog cannot be reached"):
        SyslogSink(address, timeout_seconds=5).deliver(anchor())


def test_http_gets_the_note_as_it_is() -> None:
    """One POST of text to the configured address, with the configured token and nothing else."""
    with http_receiver() as (address, taken):
        HttpSink(endpoint(f"{address}/anchors?from=guard", bearer="s3cret")).deliver(anchor())
        request = taken.get(timeout=20)
    assert (request.path, request.body.decode()) == ("/anchors?from=guard", anchor().note)
    assert request.headers["content-type"] == "text/plain; charset=utf-8"
    assert request.headers["authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("status", [302, 307, 400, 404, 500, 503])
def test_http_follows_nobody_elsewhere(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only 2xx is an arrival; redirects are not followed, and proxies of the environment not asked."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    refused = pytest.raises(AnchorFailed, match=f"status {status}")
    with http_receiver(lambda _path, _body: (status, b"")) as (address, _), refused:
        HttpSink(endpoint(address)).deliver(anchor())


def test_an_answer_has_a_deadline_and_a_size() -> None:
    """Who sends a byte at a time is cut off; more than 64 KiB are not read; nobody there is told."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=trickle)
        thread.start()
        with pytest.raises(AnchorFailed, match=r"within 0\.3 s"):
            endpoint(f"http://127.0.0.1:{server.getsockname()[1]}", timeout_seconds=0.3).post(b"x", "text/plain")
        stop.set()
        thread.join()
    too_long = pytest.raises(AnchorFailed, match="more than 65536 bytes")
    with http_receiver(lambda _path, _body: (200, b"x" * (MAX_ANSWER_BYTES + 1))) as (address, _), too_long:
        endpoint(address).post(b"x", "text/plain")
    with pytest.raises(AnchorFailed, match="cannot be reached"):
        endpoint("http://127.0.0.1:1").post(b"x", "text/plain")


def test_openssl_accepts_the_time_stamp(tmp_path: Path) -> None:
    """RFC 3161: the answer beside the note verifies over its first five lines, and over nothing else."""
    require("openssl")
    require_package("rfc3161-client")
    authority = TimestampAuthority(tmp_path / "tsa")
    store = AnchorStore(tmp_path / "anchors")
    with http_receiver(authority.answer) as (address, taken):
        TimestampSink(endpoint(address), authority.roots, store).deliver(anchor())
        assert taken.get(timeout=20).headers["content-type"] == "application/timestamp-query"
    store.add(anchor().checkpoint, anchor().note + cosign(split_note(anchor().note)[0], WITNESS))
    kept = (tmp_path / "anchors" / "3.note").read_text().splitlines(keepends=True)
    assert len(kept) == 6
    stamp = tmp_path / "anchors" / "3.tsr"
    assert authority.verifies("".join(kept[:5]).encode(), stamp)
    assert not authority.verifies("".join(kept).encode(), stamp)
    assert not authority.verifies(anchor(4).note.encode(), stamp)


def test_a_time_stamp_of_others_is_not_kept(tmp_path: Path) -> None:
    """Another authority's, a replay of an earlier answer, noise, an error: told, and nothing lies beside the note."""
    require("openssl")
    require_package("rfc3161-client")
    authority, other = TimestampAuthority(tmp_path / "tsa"), TimestampAuthority(tmp_path / "other")
    store = AnchorStore(tmp_path / "anchors")
    replay: list[bytes] = []

    def again(path: str, query: bytes) -> tuple[int, bytes]:
        replay.append(authority.answer(path, query)[1])
        return 200, replay[0]

    answers = (other.answer, again, lambda *_: (200, b"noise"), lambda *_: (500, b""))
    for number, answer in enumerate(answers):
        with http_receiver(answer) as (address, _):
            sink = TimestampSink(endpoint(address), authority.roots, store)
            if answer is again:
                sink.deliver(anchor(1))
            with pytest.raises(AnchorFailed):
                sink.deliver(anchor(10 + number))
    assert [path.name for path in (tmp_path / "anchors").glob("*.tsr")] == ["1.tsr"]


def test_the_store_gathers_cosignatures_and_keeps_contradictions(tmp_path: Path) -> None:
    """One line a witness, the newest; a note of the same size with another root stands beside, under its root."""
    store = AnchorStore(tmp_path)
    text = split_note(anchor().note)[0]
    early, late, second = cosign(text, WITNESS, seconds=5), cosign(text, WITNESS, seconds=9), cosign(text, OTHER)
    store.add(anchor().checkpoint, anchor().note + early)
    store.add(anchor().checkpoint, anchor().note + second)
    store.add(anchor().checkpoint, anchor().note + late)
    assert (tmp_path / "3.note").read_text() == anchor().note + late + second
    forked = anchor(3, b"f" * 32)
    assert store.add(forked.checkpoint, forked.note) == tmp_path / f"3.{b'f'.hex() * 4}.note"
    assert (tmp_path / "3.note").read_text() == anchor().note + late + second


def test_the_store_keeps_the_newest_and_all_evidence(tmp_path: Path) -> None:
    """Old notes go with their stamps; what contradicts the log stays for ever."""
    store = AnchorStore(tmp_path, kept=3)
    store.add(anchor(1).checkpoint, anchor(1).note)
    store.add_stamp(anchor(1).checkpoint, b"stamp")
    store.add(anchor(2).checkpoint, anchor(2).note)
    store.add(anchor(2, b"f" * 32).checkpoint, anchor(2, b"f" * 32).note)
    for size in (5, 40, 300):
        store.add(anchor(size).checkpoint, anchor(size).note)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "2.66666666.note",
        "2.note",
        "300.note",
        "40.note",
        "5.note",
    ]
    newest = store.newest([OWN])
    assert newest is not None
    assert newest[0].size == 300


def test_a_plan_is_checked_before_the_log_opens(tmp_path: Path) -> None:
    """Files that do not read are errors of the configuration, each with its place."""
    (tmp_path / "empty").write_text("")
    plans = [
        AnchorPlan(http_url="http://127.0.0.1:1", http_token_file=tmp_path / "empty"),
        AnchorPlan(http_url="http://127.0.0.1:1", http_token_file=tmp_path / "none"),
        AnchorPlan(http_url="https://127.0.0.1:1", ca_file=tmp_path / "empty"),
        AnchorPlan(timestamp_url="http://127.0.0.1:1", timestamp_roots_file=tmp_path / "empty"),
        AnchorPlan(witnesses=(WitnessPlace("http://127.0.0.1:1", OWN.encode()),)),
    ]
    for plan in plans:
        assert plan.anywhere
        with pytest.raises(ConfigError) as caught:
            plan.check()
        assert caught.value.where
        assert caught.value.mend
    AnchorPlan().check()
    assert not AnchorPlan().anywhere
