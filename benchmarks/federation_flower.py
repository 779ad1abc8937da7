"""A federation on this machine: a Flower SuperLink, one SuperNode process for each gateway, one run, all on loopback.

``--insecure`` is Flower's word for "no TLS": every address here is 127.0.0.1. All processes are started here, in
sessions of their own, and ended by their ids.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from detectors.federation.flower import bundle

START_SECONDS: Final = 60.0
RUN_SECONDS: Final = 420.0
_CONFIG: Final = (
    '[superlink]\ndefault = "loopback"\n\n[superlink.loopback]\naddress = "127.0.0.1:{}"\ninsecure = true\n'
)


def run(work: Path, events: Mapping[str, Path], settings: Mapping[str, object]) -> float:
    """Run the federation over each gateway's file of events; results go into ``work``. Returns the run's seconds.

    Raises ``RuntimeError`` with the end of its log if it fails or takes longer than ``RUN_SECONDS``.
    """
    bundle.write(work / "app")
    link, *nodes = _free_ports(1 + len(events))
    (work / "flwr").mkdir(parents=True)
    (work / "flwr" / "config.toml").write_text(_CONFIG.format(link), "utf-8")
    environ = {
        **os.environ,
        "FLWR_HOME": str(work / "flwr"),
        "HOME": str(work),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "OMP_NUM_THREADS": "1",
        "NO_COLOR": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    with contextlib.ExitStack() as running:
        superlink = ["flower-superlink", "--insecure", "--host", "127.0.0.1", "--port", str(link)]
        superlink += ["--disable-runtime-dependency-installation"]
        process = running.enter_context(_process("superlink", superlink, work, environ))
        _await_port(process, link)
        for (name, file), port in zip(events.items(), nodes, strict=True):
            node = ["flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{link}", "--host", "127.0.0.1"]
            node += ["--port", str(port), "--node-config", f'events="{file}" gateway="{name}"']
            running.enter_context(_process(name, node, work, environ))
        return _submit(work, environ, {**settings, "gateways": len(events), "output": str(work)})


def _submit(work: Path, environ: Mapping[str, str], settings: Mapping[str, object]) -> float:
    told = " ".join(
        f'{key}="{value}"' if isinstance(value, str) else f"{key}={value}" for key, value in settings.items()
    )
    command = ["flwr", "run", str(work / "app"), "loopback", "--stream", "--run-config", told]
    began = time.monotonic()
    with _process("run", command, work, environ) as process:
        try:
            process.wait(RUN_SECONDS)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"the run took longer than {RUN_SECONDS:g} s\n{_log(work, 'run')}") from None
    if process.returncode or not (work / "merged.npz").exists():
        raise RuntimeError(f"the run ended with {process.returncode} and merged nothing\n{_log(work, 'run')}")
    return time.monotonic() - began


@contextlib.contextmanager
def _process(
    name: str, command: Sequence[str], work: Path, environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process and its children, until the block ends; what it says goes to ``NAME.log``."""
    with (work / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environ, cwd=work, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        for end in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, end)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _await_port(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the SuperLink ended with {process.returncode} before it listened")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the SuperLink did not listen within {START_SECONDS:g} s")


def _log(work: Path, name: str) -> str:
    return (work / f"{name}.log").read_text("utf-8", "replace")[-4000:]
