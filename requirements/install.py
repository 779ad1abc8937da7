"""Makes ``.venv``: the locked dependencies with their hashes checked, and this checkout installed editable.

Run by ``make`` through ``setup.sh``, with the Python that was found. A step is done again when what it depends on has
changed; an environment whose making was interrupted is made anew. Uses the standard library only, and pip as the user
has configured it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "lock.txt"
PROJECT = ROOT / "pyproject.toml"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UNFINISHED = VENV / ".unfinished"
DONE = VENV / ".installed.json"
LOG = VENV / "setup.log"


def fail(what: str, mend: str) -> NoReturn:
    """Say what happened and how to mend it, and end with 2."""
    print(f"error: {what}\n       {mend}", file=sys.stderr)
    raise SystemExit(2)


def usable() -> bool:
    """Whether ``.venv`` is whole, runs, has pip, and stands on a Python that the project supports."""
    if UNFINISHED.exists() or not PYTHON.exists():
        return False
    probe = "import sys, pip._internal.cli.main; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 15)))"
    return subprocess.run([PYTHON, "-c", probe], capture_output=True, check=False).returncode == 0


def create() -> None:
    """An empty environment in place of whatever stands there."""
    print(f"Making .venv with Python {sys.version.split()[0]} ...", flush=True)
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    elif VENV.exists():
        shutil.rmtree(VENV)
    VENV.mkdir()
    UNFINISHED.touch()
    try:
        venv.create(VENV, with_pip=True, symlinks=True, prompt="policy-guard")
    except (OSError, subprocess.CalledProcessError) as error:
        fail(f"the virtual environment could not be made: {error}", "Is the disk full, or the checkout read-only?")


def pip(*arguments: str) -> None:
    """Run pip inside ``.venv``. All it says goes to ``.venv/setup.log``; a terminal sees how far it is."""
    # A user's `user = true` in pip's configuration has no meaning inside a virtual environment.
    environment = {**os.environ, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    command = [PYTHON, "-m", "pip", "install", "--progress-bar", "off", *arguments]
    terminal = sys.stdout.isatty()
    collected = 0
    lines: list[str] = []
    with (
        LOG.open("a", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            lines.append(line)
            if line.startswith("Collecting "):
                collected += 1
                progress = f"{collected}  {line.split()[1]}"
            elif line.startswith("Installing collected packages"):
                progress = f"{collected}  unpacking"
            else:
                continue
            if terminal:
                print(f"\r\033[K  {progress[:70]}", end="", flush=True)
    if terminal:
        print("\r\033[K", end="", flush=True)
    if process.returncode:
        sys.stderr.writelines(lines[-15:])
        fail(
            f"pip ended with {process.returncode}; the whole story is in {LOG.relative_to(ROOT)}.",
            "If the network or a mirror failed, run the same command again. pip reads your own configuration.",
        )


def digest(*parts: bytes) -> str:
    """One fingerprint of several byte strings."""
    return hashlib.sha256(b"\x00".join(parts)).hexdigest()


def recorded() -> dict[str, str]:
    """The fingerprints of the steps that were completed; empty when there are none or they cannot be read."""
    try:
        steps = json.loads(DONE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return steps if isinstance(steps, dict) else {}


def install() -> None:
    """Do the steps that are due."""
    if not usable():
        create()
    done = recorded()
    lock = digest(LOCK.read_bytes())
    project = digest(PROJECT.read_bytes(), os.fsencode(ROOT))  # an editable install holds the path of the checkout
    if done.get("lock") != lock:
        print("Installing the locked dependencies (the first time: some 200 MB, one to three minutes) ...", flush=True)
        UNFINISHED.touch()
        pip("--require-hashes", "--requirement", str(LOCK.relative_to(ROOT)))
    if done.get("lock") != lock or done.get("project") != project:
        UNFINISHED.touch()
        pip("--no-deps", "--no-build-isolation", "--no-index", "--editable", ".")
        UNFINISHED.unlink()
        DONE.write_text(json.dumps({"lock": lock, "project": project}), encoding="utf-8")


def main() -> None:
    """Install under a lock, so that two makes at once do it once; then touch the stamp that make looks at."""
    stamp = ROOT / sys.argv[1]
    with LOCK.open("rb") as handle:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        install()
    for older in VENV.glob(".ready-*"):
        older.unlink(missing_ok=True)
    stamp.touch()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("\nInterrupted. The next run starts afresh.", file=sys.stderr)
        raise SystemExit(130) from None
