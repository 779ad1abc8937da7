"""Which servers are installed, and what of their shortcuts the guard takes away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from guard.cli.diagnosis.check import Check
from guard.config import GuardConfig
from guard.exchange.scope import inner_scope
from guard.types import ANONYMOUS, Anomaly, GuardContext

SERVERS: Final = ("uvicorn", "granian", "hypercorn", "daphne", "gunicorn")
# Extensions of ASGI with which an app answers otherwise than by messages that the guard reads.
SHORTCUTS: Final = (
    "http.response.pathsend",
    "http.response.zerocopysend",
    "http.response.push",
    "http.response.trailers",
    "http.response.early_hint",
)


def check_servers(config: GuardConfig | None) -> Iterator[Check]:
    """Asks the guard itself what it leaves of a server's extensions, so that this never says what is not so."""
    name = "servers"
    installed = []
    for server in SERVERS:
        try:
            installed.append(f"{server} {version(server)}")
        except PackageNotFoundError:
            continue
    if not installed:
        yield Check(name, "warning", "no ASGI server is installed here", mend="pip install 'policy-guard[gateway]'")
    left = sorted(_left())
    if left:
        yield Check(name, "problem", f"these let an app answer past the inspection: {', '.join(left)}")
        return
    short = ", ".join(shortcut.rpartition(".")[2] for shortcut in SHORTCUTS)
    said = f"{', '.join(installed)}; " if installed else ""
    yield Check(name, "ok", f"{said}on inspected routes the app is not offered http.response.* ({short})")
    excluded = [route.path for route in config.routes if not route.inspect] if config else []
    if excluded:
        yield Check(name, "ok", f"excluded routes keep the server's extensions: {', '.join(excluded)}")


def check_forwarded(config: GuardConfig | None, environ: Mapping[str, str]) -> Iterator[Check]:
    """A server that takes the client's address from X-Forwarded-For lets whoever sets it choose the peer, and so the
    identity that a trusted header claims."""
    allowed = environ.get("FORWARDED_ALLOW_IPS", "")
    if config is None or config.identity.trusted_header is None or not allowed:
        return
    where = "environment variable FORWARDED_ALLOW_IPS"
    mend = "unset it and start the server without --proxy-headers: identity.trusted_header needs the connection's peer"
    if "*" in allowed:
        what = "anybody may name the address he comes from, and identity.trusted_header believes addresses"
        yield Check("servers", "problem", what, where, mend)
    else:
        what = (
            f"behind {allowed} the server replaces the peer's address, and identity.trusted_header believes addresses"
        )
        yield Check("servers", "warning", what, where, mend)


def _left() -> set[str]:
    context = GuardContext(
        decision_id="", effect="allow", reasons=(), obligations=(), findings=(), anomaly=Anomaly(0.0), route=None,
        principal=ANONYMOUS,
    )  # fmt: skip
    scope = {"type": "http", "method": "GET", "headers": [], "extensions": {name: {} for name in SHORTCUTS}}
    inner = inner_scope(scope, b"", context, rewritten=False)
    return set(inner.get("extensions") or {}) & set(SHORTCUTS)
