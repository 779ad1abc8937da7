"""Witnesses that really listen: in a thread of the test, or as the command in a process of its own."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from guard.witness.rules import Witness
from guard.witness.server import bind, build

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-c", "import sys; from guard.cli import main; sys.exit(main())", "witness")


@contextmanager
def serving(witness: Witness, port: int = 0) -> Iterator[str]:
    """The witness at an address of this machine, until the block ends."""
    config = uvicorn.Config(build(witness), lifespan="off", log_config=None, access_log=False, limit_concurrency=20)
    server = uvicorn.Server(config)
    with bind("127.0.0.1", port) as bound:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class Process:
    """``guard witness`` as a process, or a script that stands for it; ready when made."""

    def __init__(
        self,
        state: Path,
        keys: Path,
        *,
        port: int = 0,
        name: str = "witness.example/w1",
        command: Sequence[str] = COMMAND,
    ) -> None:
        arguments = ["--state", str(state), "--log", str(keys), "--listen", f"127.0.0.1:{port}", "--name", name]
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        told = dict.fromkeys(("key", "logs", "address"), "")
        for line in self.process.stdout:
            label, _, value = line.partition(":")
            told[label] = value.strip()
            if label == "address":
                break
        self.vkey, self.address = told["key"], told["address"]
        if not self.address:
            _, errors = self.process.communicate()
            raise AssertionError(f"the witness did not start: {errors}")

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.rpartition(":")[2])

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End it; returns the exit code and what it said on stderr."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


def post(address: str, body: bytes, path: str = "/add-checkpoint") -> tuple[int, str, str]:
    """Status, media type and text of one answer."""
    host, _, port = address.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        connection.request("POST", path, body)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type", ""), answer.read().decode()
    finally:
        connection.close()
