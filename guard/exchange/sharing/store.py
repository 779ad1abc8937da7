"""The server that replicas share through: one stream of lessons, and snapshots for newcomers. Redis 5 or newer, Valkey.

All keys begin with ``policy-guard:{<name>}:``, in one slot of a cluster. What is written expires a week after the last
guard wrote: nothing has to be tidied up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from guard.config.sharing import SharingConfig
from guard.errors import ConfigError

if TYPE_CHECKING:
    import redis

T = TypeVar("T")

CONNECT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 3.0
"""Longer than a read waits."""
_KEEP_SECONDS: Final = 7 * 86_400
_LEAVE_SECONDS: Final = 120
"""A snapshot that was replaced stays for those who are reading it."""
_MOST_SECRET_BYTES: Final = 4096
_FIELD: Final = b"m"
BEGINNING: Final = b"0-0"
"""Before the first message of a stream."""


class StoreFailed(Exception):
    """The server did not do what was asked. The text is for logs: it holds no secret."""


class Message(NamedTuple):
    """One message of the stream: its place there, and the envelope (empty where somebody put something else in)."""

    place: bytes
    envelope: bytes


class Left(NamedTuple):
    """A snapshot that somebody left: its manifest, and the name under which the chunks lie. Both are to be opened."""

    manifest: bytes
    generation: bytes


def check_installed() -> None:
    """Raises ``ConfigError`` where the client library is missing."""
    if find_spec("redis") is None:
        raise ConfigError(
            "sharing what behaviour was learned needs the library redis, which is not installed",
            where="detectors.sharing",
            mend="pip install 'policy-guard[redis]'",
        )


def after(place: bytes, other: bytes) -> bool:
    """Whether one place of the stream comes after another."""
    return _numbers(place) > _numbers(other)


def place_at(time_s: float) -> bytes:
    """The place in the stream of a moment, in seconds since 1970."""
    return b"%d-0" % max(0, int(time_s * 1000))


def _numbers(place: bytes) -> tuple[int, int]:
    milliseconds, _, sequence = place.partition(b"-")
    return int(milliseconds), int(sequence or 0)


class Store:
    """Blocking calls, each bounded in time, from any thread. Every one raises ``StoreFailed``. Connects by itself."""

    def __init__(self, config: SharingConfig) -> None:
        """Reads no file and opens nothing. Raises ``ConfigError`` without the library."""
        check_installed()
        self._config = config
        prefix = f"policy-guard:{{{config.name}}}:"
        self._lessons = prefix + "lessons"
        self._snapshots = prefix + "snapshot:"
        self._client: redis.Redis | None = None

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._ask(lambda client: client.ping())

    def add(self, envelopes: Sequence[bytes]) -> None:
        """Put messages into the stream, in their order; the oldest make room."""

        def ask(client: redis.Redis) -> object:
            pipeline = client.pipeline(transaction=False)
            for envelope in envelopes:
                pipeline.xadd(self._lessons, {_FIELD: envelope}, maxlen=self._config.stream_messages, approximate=True)
            pipeline.expire(self._lessons, _KEEP_SECONDS)
            return pipeline.execute()

        self._ask(ask)

    def read(self, place: bytes, *, most: int, wait_ms: int) -> list[Message]:
        """The messages after a place, waiting for the first one; none if nothing came."""
        found: Any = self._ask(lambda client: client.xread({self._lessons: place}, count=most, block=wait_ms))
        return [_message(entry) for _, entries in found or () for entry in entries]

    def newest(self) -> Message | None:
        """The newest message; ``None`` for an empty stream."""
        found: Any = self._ask(lambda client: client.xrevrange(self._lessons, count=1))
        return _message(found[0]) if found else None

    def take_turn(self, model: str, seconds: int) -> bool:
        """Whether it is for the caller to leave the next snapshot: one caller's in so many seconds."""
        key = f"{self._snapshots}{model}:turn"
        return bool(self._ask(lambda client: client.set(key, b"1", nx=True, ex=seconds)))

    def leave(self, model: str, generation: bytes, manifest: bytes, chunks: Sequence[bytes]) -> None:
        """Put a snapshot in the place of the one before. Whole or not at all: the manifest comes last."""
        key, place = f"{self._snapshots}{model}", f"{self._snapshots}{model}:".encode()
        for chunk in chunks:
            self._ask(partial(_push, key=place + generation, chunk=chunk))

        def ask(client: redis.Redis) -> object:
            before: Any = client.hget(key, "g")
            pipeline = client.pipeline(transaction=True)
            pipeline.hset(key, mapping={"m": manifest, "g": generation})
            pipeline.expire(key, _KEEP_SECONDS)
            pipeline.expire(place + generation, _KEEP_SECONDS)
            if before is not None:
                pipeline.expire(place + before, _LEAVE_SECONDS)
            return pipeline.execute()

        self._ask(ask)

    def left(self, model: str) -> Left | None:
        """The newest snapshot; ``None`` where there is none."""
        found: Any = self._ask(lambda client: client.hmget(f"{self._snapshots}{model}", ["m", "g"]))
        return Left(found[0], found[1]) if found[0] is not None and found[1] is not None else None

    def chunk(self, model: str, generation: bytes, index: int) -> bytes:
        """One chunk of a snapshot, from 0; empty for one that is gone."""
        key = f"{self._snapshots}{model}:".encode() + generation
        found: Any = self._ask(lambda client: client.lindex(key, index))
        return found or b""

    def close(self) -> None:
        """Let the connections go. Nobody may be asking."""
        client, self._client = self._client, None
        if client is not None:
            client.connection_pool.disconnect()

    def _ask(self, question: Callable[[redis.Redis], T]) -> T:
        import redis

        try:
            client = self._client = self._client or _client(self._config)
            return question(client)
        except (redis.RedisError, OSError, ValueError) as error:
            raise StoreFailed(f"{type(error).__name__}: {error}") from None


def _push(client: redis.Redis, *, key: bytes, chunk: bytes) -> object:
    pipeline = client.pipeline(transaction=False)
    pipeline.rpush(key, chunk)
    # Shorter than a whole snapshot lives: what a process began and never finished goes soon.
    pipeline.expire(key, _LEAVE_SECONDS)
    return pipeline.execute()


def _message(entry: tuple[bytes, Mapping[bytes, bytes] | None]) -> Message:
    place, fields = entry
    return Message(place, (fields or {}).get(_FIELD, b""))


def _client(config: SharingConfig) -> redis.Redis:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    class FromFile(redis.CredentialProvider):
        """Reads the password for each connection: one that was changed is found."""

        def get_credentials(self) -> tuple[str] | tuple[str, str]:
            password = password_of(config)
            return (config.username, password) if config.username else (password,)

    options: dict[str, Any] = {}
    if config.password_file is not None:
        options["credential_provider"] = FromFile()
    if config.encrypted:
        options |= {
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": _text(config.ca_file),
            "ssl_certfile": _text(config.client_cert_file),
            "ssl_keyfile": _text(config.client_key_file),
        }
    return redis.Redis.from_url(
        config.url,
        # The version of the protocol that every server speaks.
        protocol=2,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        # Whoever asks decides when to ask again.
        retry=Retry(NoBackoff(), 0),
        **options,
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def password_of(config: SharingConfig) -> str:
    """The password in ``password_file``: one line. Raises ``StoreFailed``, which does not quote it."""
    file = config.password_file
    if file is None:
        return ""
    try:
        with file.open("rb") as opened:
            password = opened.read(_MOST_SECRET_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreFailed(f"password_file cannot be read: {type(error).__name__}") from None
    if not password or not password.isprintable():
        raise StoreFailed("password_file holds no password: one line is expected")
    return password
