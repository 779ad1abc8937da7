"""A real server for tests and the demo: uvicorn in a thread, on a loopback socket of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

from guard.errors import ConfigError

START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 10.0


@contextmanager
def serve(
    app: Any,
    *,
    lifespan: Literal["auto", "on", "off"] = "auto",
    log_level: str = "error",
    start_seconds: float = START_SECONDS,
) -> Iterator[str]:
    """Serve an ASGI app on 127.0.0.1 and a free port; yields ``http://127.0.0.1:PORT``.

    The app has started when the block begins and has shut down, its lifespan included, when the block has ended.
    Raises ``RuntimeError`` if it does not start within ``start_seconds``, or does not stop; ``ConfigError`` where
    uvicorn is not installed. The listener is bound before the thread starts, so no request can come too early.
    """
    try:
        import uvicorn
    except ImportError:
        raise ConfigError(
            "uvicorn is not installed", where="guard.testing", mend="pip install 'policy-guard[gateway]'"
        ) from None

    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(
        uvicorn.Config(
            app,
            lifespan=lifespan,
            log_config=None,
            log_level=log_level,
            proxy_headers=False,
            timeout_graceful_shutdown=int(STOP_SECONDS // 2),
        )
    )
    thread = threading.Thread(target=_run, args=(server, listener, started), name="guard-testing-server", daemon=True)
    thread.start()
    try:
        if not started.wait(start_seconds) or not server.started:
            raise RuntimeError("the app did not start: its log says why")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(STOP_SECONDS)
        listener.close()
        if thread.is_alive():
            raise RuntimeError(f"the app did not stop within {STOP_SECONDS:g} seconds")


def _run(server: Any, listener: socket.socket, started: threading.Event) -> None:
    try:
        server.run(sockets=[listener])
    except SystemExit:
        # uvicorn ends its process when the lifespan fails; here it ends the thread, and `serve` reports it.
        return
    finally:
        started.set()
