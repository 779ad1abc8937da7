"""The app's answer where the guard failed and the route fails open: passed as the app gives it, and accounted for."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guard.exchange.failing import FAIL_OPEN
from guard.exchange.session import Session
from guard.record.build import outcome_record


async def pass_unread(session: Session, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Call the app with the server's own channels, and record the outcome."""
    answer = Unread(session, send)
    try:
        await app(scope, receive, answer)
    except Exception:
        await answer.close("app_error")
        raise
    except BaseException:
        await answer.close("cancelled")
        raise
    await answer.close("incomplete")


class Unread:
    """The ``send`` that the app is given: notes the status and the size, changes nothing."""

    def __init__(self, session: Session, send: Send) -> None:
        self._session = session
        self._send = send
        self._status: int | None = None
        self._size = 0
        self._recorded = False
        self._started = time.monotonic()

    async def __call__(self, message: Message) -> None:
        """Pass one ASGI message of the app."""
        kind = message["type"]
        await self._send(message)
        if kind == "http.response.start":
            self._status = message["status"]
        elif kind == "http.response.body":
            self._size += len(message.get("body", b""))
            if not message.get("more_body", False):
                await self.close(None)
        elif kind == "http.response.pathsend":  # a whole file, sent by the server: its size is not known here
            await self.close(None)

    async def close(self, aborted: str | None) -> None:
        """Record the outcome, once."""
        if self._recorded:
            return
        self._recorded = True
        session = self._session
        await session.append(
            outcome_record(
                decision_ref=session.decision_id,
                status=self._status,
                upstream_status=self._status,
                aborted=aborted,
                decisions=(),
                policy_input=None,
                size_bytes=self._size,
                duration_us=round((time.monotonic() - self._started) * 1e6),
                unread=FAIL_OPEN,
                keyed=session.keyed,
            )
        )
