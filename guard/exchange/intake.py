"""The server's ``receive`` while the guard reads a request: its bytes stand on the account of the exchange, and a
route that fails open keeps the messages, so that the app can be given the request as it came."""

from __future__ import annotations

from starlette.types import Message, Receive

from guard.exchange.pressure import Account


class Intake:
    """Counts, and with ``keep`` remembers, what is received until the app is called."""

    def __init__(self, receive: Receive, account: Account, *, keep: bool) -> None:
        self._receive = receive
        self._account = account
        self._kept: list[Message] | None = [] if keep else None
        self._reading = True

    async def __call__(self) -> Message:
        """The next message. Raises ``Overloaded`` if there is no room for it."""
        message = await self._receive()
        if self._reading:
            if self._kept is not None:
                self._kept.append(message)
            self._account.hold(len(message.get("body", b"")))
        return message

    def hand_over(self, replay: Receive) -> Receive:
        """The app's ``receive`` where the request was read: with its first message the body is the app's."""
        self._reading, self._kept = False, None
        account = self._account

        async def receive() -> Message:
            message = await replay()
            account.drop()
            return message

        return receive

    def as_it_came(self) -> Receive:
        """The app's ``receive`` where the guard failed: the messages that were received, then the server's."""
        kept, self._reading, self._kept = self._kept or [], False, None
        kept.reverse()

        async def receive() -> Message:
            if kept:
                return kept.pop()
            self._account.drop()
            return await self._receive()

        return receive
