"""What the tests of the OPA engine share: an engine that is started, one question to it, and bundles for OPA."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from guard.config import OpaConfig
from guard.policy.bundle import Bundle, load_bundle
from guard.policy.engine import decide
from guard.policy.opa import OpaEngine
from guard.types import Decision
from tests.components import require
from tests.policy.documents import document

ALLOW = {"allow": True, "reasons": [], "obligations": [], "would_deny": []}
ENTRYPOINT = "data.guard.decision"
PATIENCE_SECONDS = 30.0


@asynccontextmanager
async def started(
    url: str, entrypoint: str = ENTRYPOINT, bundle: Bundle | None = None, **config: Any
) -> AsyncIterator[OpaEngine]:
    """An engine for this server, with further keys of ``[policy.opa]``."""
    engine = OpaEngine(OpaConfig(url=url, **config), entrypoint, bundle)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


async def ask(engine: OpaEngine, seconds: float = 5.0) -> Decision:
    """The decision on an ordinary request, within this deadline."""
    return await decide(engine, document(), stage="request", deadline=time.monotonic() + seconds)


def codes(decision: Decision) -> list[str]:
    """Why it denied; empty where it allowed."""
    return [reason.code for reason in decision.reasons]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what comes about by itself."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - the engine asks by itself
            await asyncio.sleep(0.01)


def bundle_of(folder: Path, **modules: str) -> Bundle:
    """A bundle of these modules alone."""
    folder.mkdir(exist_ok=True)
    for name, text in modules.items():
        (folder / f"{name}.rego").write_text(text)
    return load_bundle(directories=[folder], shipped=False, data={"guard": {}})


def built(file: Path, revision: str, text: str, name: str = "guard") -> Path:
    """A bundle archive as ``opa build`` makes it, whose root is ``name``."""
    folder = file.with_suffix(f".{revision}.d")
    folder.mkdir()
    (folder / f"{name}.rego").write_text(text)
    (folder / ".manifest").write_text(json.dumps({"revision": revision, "roots": [name]}))
    subprocess.run([require("opa"), "build", "-b", str(folder), "-o", str(file)], check=True, capture_output=True)
    return file
