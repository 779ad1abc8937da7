"""The witness over real sockets: the protocol's answers, its bounds, and what survives a kill."""

from __future__ import annotations

import http.client
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from guard.cli import main
from guard.record.cosignature import CosignerKey, cosignatures
from guard.record.note import VerifierKey
from guard.record.trust import Trust
from guard.witness import server
from guard.witness.rules import MAX_REQUEST_BYTES, Witness
from guard.witness.state import WitnessState, digest_of
from tests.witness.logs import KEY, ORIGIN, Tree, body
from tests.witness.serving import Process, post, serving

TREE = Tree(40)
OTHER_LOG = VerifierKey("another-0", KEY.public_key)
KILLED = (sys.executable, "-m", "tests.witness.killed_witness")


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    state = WitnessState(tmp_path / "w", "witness.example/w1")
    yield Witness(state, Trust.of([KEY]).keys)
    state.close()


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"{KEY.encode()}\n")
    return path


def get(address: str, path: str) -> tuple[int, str]:
    host, _, port = address.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def test_the_protocol_over_http(witness: Witness) -> None:
    """200 with lines, 409 with the size and its media type, 422, 404, 405, and the monitor's checkpoint."""
    with serving(witness) as address:
        status, _, lines = post(address, TREE.request(0, 20))
        assert (status, lines.count("\n"), lines[:2]) == (200, 1, "\u2014 ")
        assert post(address, TREE.request(0, 30)) == (409, "text/x.tlog.size", "20\n")
        assert post(address, body(20, [], TREE.checkpoint(30)))[0] == 422
        assert get(address, f"/{digest_of(ORIGIN)}/checkpoint") == (200, TREE.checkpoint(20) + lines)
        assert get(address, f"/{'0' * 64}/checkpoint")[0] == 404
        assert get(address, "/witness.pem")[0] == 404
        assert get(address, "/add-checkpoint")[0] == 405


def test_one_connection_serves_many_requests(witness: Witness) -> None:
    """Clients should keep their connections; a refusal does not end one."""
    with serving(witness) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        for old_size, size, wanted in ((0, 5, 200), (4, 9, 409), (5, 9, 200), (9, 9, 200)):
            connection.request("POST", "/add-checkpoint", TREE.request(old_size, size))
            answer = connection.getresponse()
            assert (answer.status, bool(answer.read())) == (wanted, True)
        connection.close()


def test_a_body_is_bounded(witness: Witness) -> None:
    """413 past the largest request that there can be, declared or chunked; nothing is kept of it."""
    with serving(witness) as address:
        assert post(address, b"x" * (MAX_REQUEST_BYTES + 1))[0] == 413
        host, _, port = address.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        connection.request("POST", "/add-checkpoint", iter([b"x" * 40_000] * 2), encode_chunked=True)
        assert connection.getresponse().status == 413
        connection.close()
        assert post(address, TREE.request(0, 20))[0] == 200


def test_a_body_that_does_not_come_is_given_up(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """408 after the deadline, and the others are served meanwhile."""
    monkeypatch.setattr(server, "BODY_SECONDS", 0.2)
    with serving(witness) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), 20) as slow:
            slow.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 100\r\n\r\nold 0")
            assert post(address, TREE.request(0, 20))[0] == 200
            assert slow.recv(12) == b"HTTP/1.1 408"


def test_many_clients_of_one_log(witness: Witness) -> None:
    """Requests from many connections: one size after the other, each cosigned once it is its turn."""
    with serving(witness) as address, ThreadPoolExecutor(8) as pool:

        def push(size: int) -> int:
            old = 0
            while True:
                if old > size:
                    return 409
                status, _, text = post(address, TREE.request(old, size))
                if status != 409:
                    return status
                old = int(text)

        statuses = list(pool.map(push, range(1, 25)))
    assert set(statuses) <= {200, 409}
    assert statuses[-1] == 200
    assert witness.last(digest_of(ORIGIN)).body.startswith(TREE.checkpoint(24))


def test_the_command_ends_in_order_and_goes_on_where_it_was(tmp_path: Path, keys: Path) -> None:
    """SIGTERM: exit code 0 and nothing said; the next start has the same key and the same memory."""
    first = Process(tmp_path / "w", keys)
    assert post(first.address, TREE.request(0, 20))[0] == 200
    assert first.stop() == (0, "")
    second = Process(tmp_path / "w", keys, port=first.port)
    assert (second.vkey, second.address) == (first.vkey, first.address)
    assert post(second.address, TREE.request(0, 30))[::2] == (409, "20\n")
    assert second.stop() == (0, "")


@pytest.mark.slow
def test_killed_after_keeping_and_before_answering(tmp_path: Path, keys: Path) -> None:
    """The client heard nothing; the witness that comes back knows the checkpoint, and cosigns it once more."""
    doomed = Process(tmp_path / "w", keys, command=KILLED)
    key = CosignerKey.parse(doomed.vkey)
    assert post(doomed.address, TREE.request(0, 20))[0] == 200
    with pytest.raises((http.client.HTTPException, OSError)):
        post(doomed.address, TREE.request(20, 30))
    assert doomed.stop()[0] == -signal.SIGKILL
    back = Process(tmp_path / "w", keys, port=doomed.port)
    forked = Tree(40, story="false", forked_at=25)
    assert post(back.address, forked.request(20, 30))[::2] == (409, "30\n")
    assert post(back.address, TREE.request(20, 30))[::2] == (409, "30\n")
    status, _, line = post(back.address, TREE.request(30, 30))
    assert status == 200
    assert cosignatures(TREE.checkpoint(30) + line, [key])
    code, said = back.stop()
    assert (code, said.count("\n"), "what=fork" in said) == (0, 1, True)


def test_a_disk_that_takes_nothing_more(tmp_path: Path, keys: Path) -> None:
    """With a real limit on file sizes: 500 and no cosignature, nothing half written, and it recovers by itself."""
    process = Process(tmp_path / "w", keys)
    assert post(process.address, TREE.request(0, 20))[0] == 200
    limits = resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (10, limits[1]))
    status, _, text = post(process.address, TREE.request(20, 30))
    assert (status, "\u2014" in text) == (500, False)
    resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, limits)
    assert post(process.address, TREE.request(20, 30))[0] == 200
    code, errors = process.stop()
    assert code == 0
    assert "cannot read or keep its state" in errors


def test_wrong_usage_is_told(tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What, where and mend for a port in use, a missing name and a missing file; usage for a bad address."""

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["witness", "--state", str(tmp_path / "w"), *arguments])
        return code, capsys.readouterr().err

    assert run("--log", str(keys), "--listen", "8190")[0] == 3
    assert run("--log", str(keys), "--listen", "127.0.0.1:99999")[0] == 3
    code, said = run("--log", str(keys))
    assert (code, "a new witness needs a name" in said) == (1, True)
    code, said = run("--log", str(tmp_path / "none"), "--name", "w")
    assert (code, "do not read" in said) == (1, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = run("--log", str(keys), "--name", "w", "--listen", address)
    assert (code, "cannot be used" in said) == (1, True)


def test_a_new_log_needs_no_restart(tmp_path: Path, keys: Path) -> None:
    """A key that is added to the file counts from the next request on: 404 before, 200 after."""
    keys.write_text(f"{OTHER_LOG.encode()}\n")
    process = Process(tmp_path / "w", keys)
    assert post(process.address, TREE.request(0, 20))[0] == 404
    keys.write_text(f"{OTHER_LOG.encode()}\n{KEY.encode()}\n")
    assert post(process.address, TREE.request(0, 20))[0] == 200
    assert process.stop()[0] == 0
