"""Does the OPA server that the configuration names answer, and with these policies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from guard.cli.diagnosis.check import Check, of_error
from guard.config import GuardConfig
from guard.errors import GuardError
from guard.policy.bundle import Bundle

if TYPE_CHECKING:
    from guard.policy.opa import ServerStatus

_NAME: Final = "engine"
_PUSH: Final = "guard policy push DIR --config guard.toml"


def check_engine(config: GuardConfig, bundle: Bundle | None) -> Iterator[Check]:
    """The embedded engine needs nothing; a server must answer, be healthy and hold the entrypoint."""
    if config.policy.engine == "embedded":
        yield Check(_NAME, "ok", "embedded: no server is asked")
        return
    url = config.policy.opa.url
    try:
        status = asyncio.run(_ask(config, bundle))
    except GuardError as error:
        yield of_error(_NAME, error)
        return
    if status.error:
        yield Check(_NAME, "problem", status.error, url, "start OPA, or correct policy.opa.url; until then each "
                    "request is answered 503")  # fmt: skip
        return
    if status.bundles_active is False:
        what = "OPA reports itself unhealthy: a bundle is not activated, or a plugin fails"
        yield Check(_NAME, "problem", what, url, "guard policy status, and OPA's own log, say which")
    for each in status.bundles:
        if each.error:
            what = f"OPA cannot get its bundle {each.name}: {each.error}"
            yield Check(_NAME, "warning", what, url, "correct OPA's configuration, or its bundle service")
    yield _policies(config, bundle, status)


def _policies(config: GuardConfig, bundle: Bundle | None, status: ServerStatus) -> Check:
    says = f"OPA {status.version} answers"
    if not status.defined:
        what = f"{says}, and {config.policy.entrypoint} is undefined: every request is denied"
        return Check(_NAME, "problem", what, status.url, f"load the policies: {_PUSH}")
    if status.unexpected:
        what = f"{says}, and its answers do not count: {status.unexpected}"
        mend = f"give OPA the expected policies ({_PUSH}), or correct [policy.opa]"
        return Check(_NAME, "problem", what, status.url, mend)
    if bundle is not None and status.revision and status.same_as_local is False:
        what = f"OPA {status.version} holds revision {status.revision}, the directories revision {bundle.revision}"
        return Check(_NAME, "warning", what, status.url, f"{_PUSH}, or update the directories")
    held = f"revision {status.revision}" if status.revision else "policies that it does not name"
    return Check(_NAME, "ok", f"{says}, with {held}", status.url)


async def _ask(config: GuardConfig, bundle: Bundle | None) -> ServerStatus:
    from guard.policy.opa import OpaEngine

    engine = OpaEngine(config.policy.opa, config.policy.entrypoint, bundle)
    async with engine.opened():
        return await engine.status()
