"""A guarded app on a real socket, with a state directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from guard.config import GuardConfig, load_config
from guard.errors import ConfigError
from guard.middleware import GuardMiddleware
from guard.testing.mock_model import Received, mock_model
from guard.testing.records import read_records
from guard.testing.server import serve
from guard.types import DecisionRecord


class GuardedApp:
    """A running app behind the guard. ``client`` is a synchronous httpx client with the base address set.

    ``received`` lists what reached the mock model; it stays empty for another app.
    """

    def __init__(self, url: str, client: Any, directory: Path, received: list[Received], running: ExitStack) -> None:
        self.url = url
        self.client = client
        self.directory = directory
        self.received = received
        self._running = running

    def decisions(self) -> list[DecisionRecord]:
        """The ``decision`` records, oldest first. Each is durable before its request reaches the app."""
        return read_records(self.directory, "decision")

    def outcomes(self) -> list[DecisionRecord]:
        """The ``outcome`` records. That of a streamed answer may follow its last byte: ``stop`` first to have all."""
        return read_records(self.directory, "outcome")

    def stop(self) -> None:
        """Shut down: every record is written and the log closed. Stopping twice is stopping once."""
        self._running.close()


@contextmanager
def guarded(
    app: Any = None, *, directory: Path, config: GuardConfig | str | Path | None = None, **keywords: Any
) -> Iterator[GuardedApp]:
    """Serve ``app``, by default the mock model, behind ``GuardMiddleware`` with its state in ``directory``.

    ``config`` is a ``GuardConfig``, the path of a ``guard.toml``, or ``None`` for the defaults: no file and no
    environment variable of the machine is read then. ``keywords`` are top-level keys of the configuration. Raises
    ``ConfigError`` or ``PolicyInvalid`` as the middleware does.
    """
    if isinstance(config, GuardConfig):
        if keywords:
            raise TypeError("keywords override a file or the defaults, not a GuardConfig")
        settled = config.model_copy(update={"state_directory": directory})
    elif config is None:
        settled = GuardConfig(**{"state_directory": directory, **keywords})
    else:
        settled = load_config(config, environ={}, state_directory=directory, **keywords)
    inner = mock_model() if app is None else app
    received: list[Received] = getattr(getattr(inner, "state", None), "received", [])
    with ExitStack() as running:
        # The guard takes part in the lifespan whatever the app does: a guard that cannot start must not serve.
        url = running.enter_context(serve(GuardMiddleware(inner, settled), lifespan="on"))
        client = running.enter_context(_http().Client(base_url=url, timeout=30.0))
        yield GuardedApp(url, client, settled.state_directory, received, running)


def _http() -> ModuleType:
    """httpx2, else httpx."""
    try:
        import httpx2

        return httpx2
    except ImportError:
        pass
    try:
        import httpx

        return httpx
    except ImportError:
        raise ConfigError("httpx is not installed", where="guard.testing", mend="pip install httpx") from None
