"""``docs/verify-without-us.md`` as a program: its ``sh`` blocks by name, each with what the page says it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "verify-without-us.md"
_FENCE: Final = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TIMEOUT: Final = 120


class Block(msgspec.Struct, frozen=True):
    """Commands of the page, and what they print; ``…`` stands for anything within a line."""

    name: str
    script: str
    promised: str | None


class Run(msgspec.Struct, frozen=True):
    """``outputs`` of the blocks that ran, by name; ``stopped`` names the one that failed, ``""`` if none did."""

    outputs: dict[str, str]
    stopped: str


def blocks() -> list[Block]:
    """All blocks of commands in the order of the page."""
    found: list[Block] = []
    for kind, name, text in _FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "sh":
            found.append(Block(name, text, None))
        else:
            found[-1] = Block(found[-1].name, found[-1].script, text)
    return found


def run(directory: Path, names: Sequence[str], **variables: str) -> Run:
    """Run the blocks of these names in ``directory``, in one shell that stops at the first failure."""
    chosen = {block.name: block.script for block in blocks() if block.name in names}
    script = "".join(f"exec > out.{name} 2>&1\n{chosen[name]}: > done.{name}\n" for name in names)
    shell(directory, script, **variables)
    outputs = {
        name: (directory / f"out.{name}").read_text(encoding="utf-8")
        for name in names
        if (directory / f"out.{name}").exists()
    }
    stopped = next((name for name in names if not (directory / f"done.{name}").exists()), "")
    return Run(outputs, stopped)


def shell(directory: Path, script: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a script in ``directory`` with our command on PATH; it stops at the first failure."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "GOFLAGS"},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SOURCE": str(ROOT),
        **({} if {"HOME", "GOCACHE"} & set(os.environ) else {"GOCACHE": str(directory / "cache")}),
        **variables,
    }
    command = ["/bin/bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=directory, env=environment, check=False, timeout=_TIMEOUT, capture_output=True)


def as_promised(output: str, promised: str) -> bool:
    """Whether an output is what the page says."""
    pattern = ".*".join(re.escape(part) for part in promised.split("…"))
    return re.fullmatch(pattern, output) is not None
