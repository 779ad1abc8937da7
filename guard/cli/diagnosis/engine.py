"""Does the OPA server that the configuration names answer, and with these policies."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Final

from guard.cli.diagnosis.check import Check, of_error
from guard.config import GuardConfig
from guard.errors import EngineUnavailable, GuardError
from guard.policy.bundle import Bundle
from guard.types import UNDEFINED, EngineInfo

_SECONDS: Final = 3.0
_NAME: Final = "engine"


def check_engine(config: GuardConfig, bundle: Bundle | None) -> Iterator[Check]:
    """The embedded engine needs nothing; a server must answer, be healthy and hold the entrypoint."""
    if config.policy.engine == "embedded":
        yield Check(_NAME, "ok", "embedded: no server is asked")
        return
    url = config.policy.opa.url
    try:
        defined, info = asyncio.run(_ask(config))
    except EngineUnavailable as error:
        yield Check(_NAME, "problem", error.what, url, "start OPA, or correct policy.opa.url; until then each request "
                    "is answered 503")  # fmt: skip
        return
    except GuardError as error:
        yield of_error(_NAME, error)
        return
    yield from _health(url)
    if not defined:
        what = f"OPA {info.version} answers, and {config.policy.entrypoint} is undefined: every request is denied"
        yield Check(_NAME, "problem", what, url, "load the policies: guard policy push DIR --config guard.toml")
    elif bundle is not None and info.digest and info.digest != bundle.digest:
        what = f"OPA {info.version} holds revision {info.revision}, the directories revision {bundle.revision}"
        yield Check(_NAME, "warning", what, url, "guard policy push DIR --config guard.toml, or update the directories")
    else:
        held = f"revision {info.revision}" if info.revision else "policies of its own bundles"
        yield Check(_NAME, "ok", f"OPA {info.version} answers, with {held}", url)


async def _ask(config: GuardConfig) -> tuple[bool, EngineInfo]:
    """Whether the entrypoint is defined for an empty input, and what the server says of itself."""
    from guard.policy.opa import OpaEngine

    engine = OpaEngine(config.policy.opa, config.policy.entrypoint)
    await engine.start()
    try:
        verdict = await engine.evaluate({}, deadline=time.monotonic() + _SECONDS)
        return verdict.value is not UNDEFINED, engine.info
    finally:
        await engine.stop()


def _health(url: str) -> Iterator[Check]:
    """OPA's Health API: unhealthy while its bundles are not activated or a plugin fails. Where it is not open to us
    (authorisation, a private certificate authority) nothing is said."""
    address = url.rstrip("/") + "/health?bundles&plugins"
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS):  # noqa: S310 - the model takes http and https only
            return
    except urllib.error.HTTPError as error:
        if error.code == 500:
            what = "OPA reports itself unhealthy: a bundle is not activated, or a plugin fails"
            yield Check(_NAME, "problem", what, address, "look at OPA's status API and log")
    except OSError:
        return
