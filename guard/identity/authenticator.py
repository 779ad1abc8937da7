"""The order of the sources, and what happens when several are presented."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from guard.config import IdentityConfig
from guard.errors import CredentialRefused
from guard.identity import claims
from guard.identity.apikeys import principals_by_digest
from guard.identity.proxy import TrustedProxy
from guard.identity.tokens import TokenVerifier
from guard.types import ANONYMOUS, Principal

_AUTHORIZATION: Final = b"authorization"
_API_KEY: Final = b"x-api-key"
_VISIBLE_ASCII: Final = re.compile(rb"[\x21-\x7e]+")


class Authenticator:
    """Turns an ASGI scope into a ``Principal``. Holds configuration, keys and verified tokens; nothing of a request.

    1. Credentials of the request: ``Authorization: Bearer`` (an API key or a JWT) and ``x-api-key``. Each one that is
       presented must be valid, and if two are, they must name the same principal.
    2. ``scope["user"]`` of the app's own authentication, if ``scope_user`` is set.
    3. The identity header of a trusted proxy.
    4. Anonymous.

    Headers of a source that is not configured are not read: where neither JWTs nor API keys are configured, a bearer
    token is the provider's affair. Two ``Authorization`` headers are always refused.
    """

    def __init__(
        self,
        config: IdentityConfig,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` is Unix time in seconds, ``monotonic`` never goes back. Raises ``ConfigError``."""
        self._api_keys = principals_by_digest(config.api_keys)
        self._tokens = TokenVerifier(config.jwt, clock=clock, monotonic=monotonic) if config.jwt else None
        self._scope_user = config.scope_user
        self._proxy = TrustedProxy(config.trusted_header) if config.trusted_header else None
        self._wanted = frozenset({_AUTHORIZATION, _API_KEY}) | (self._proxy.headers if self._proxy else frozenset())

    async def start(self) -> None:
        """Reads the key set. Raises ``ConfigError`` if a key file is unreadable; an address may answer later."""
        if self._tokens:
            await self._tokens.start()

    async def stop(self) -> None:
        """Ends a refresh that is under way."""
        if self._tokens:
            await self._tokens.stop()

    async def authenticate(self, scope: Mapping[str, Any]) -> Principal:
        """Who asks. Raises ``CredentialRefused`` for a credential that is presented and not valid (answered 401)."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            if name in self._wanted:
                headers.setdefault(name, []).append(value)
        principal = await self._presented(headers) if headers else None
        if principal is None and self._scope_user:
            principal = _scope_user(scope.get("user"))
        if principal is None and self._proxy:
            principal = self._proxy.principal(scope, headers)
        return ANONYMOUS if principal is None else principal

    async def _presented(self, headers: Mapping[bytes, Sequence[bytes]]) -> Principal | None:
        """The principal of the credentials that the request itself carries, ``None`` if it carries none of ours."""
        by_bearer = by_key = None
        if authorization := headers.get(_AUTHORIZATION):
            bearer = _bearer(_single(authorization, "Authorization"))
            if bearer is not None and (self._api_keys or self._tokens):
                by_bearer = await self._of_bearer(bearer)
        if self._api_keys and (keys := headers.get(_API_KEY)):
            by_key = self._api_keys.get(hashlib.sha256(_single(keys, "x-api-key")).digest())
            if by_key is None:
                raise CredentialRefused("the API key is not known", where="x-api-key")
        if by_bearer is not None and by_key is not None and by_bearer != by_key:
            raise CredentialRefused(
                "Authorization and x-api-key name different principals",
                where="Authorization",
                mend="send one credential",
            )
        return by_key if by_bearer is None else by_bearer

    async def _of_bearer(self, token: bytes) -> Principal:
        if not _VISIBLE_ASCII.fullmatch(token):
            raise CredentialRefused("the bearer token is empty or malformed", where="Authorization")
        digest = hashlib.sha256(token).digest()
        known = self._api_keys.get(digest)
        if known is not None:
            return known
        if self._tokens is None:
            raise CredentialRefused("the bearer token is not a known API key", where="Authorization")
        return await self._tokens.verify(token, digest)


def _single(values: Sequence[bytes], name: str) -> bytes:
    if len(values) > 1:
        raise CredentialRefused(
            "the header is repeated, and readers differ in which one they believe", where=name, mend="send it once"
        )
    return values[0]


def _bearer(authorization: bytes) -> bytes | None:
    """The token of a ``Bearer`` credential (RFC 6750, 2.1), ``None`` for another scheme: those are the app's."""
    scheme, _, rest = authorization.strip(b" \t").partition(b" ")
    return rest.strip(b" ") if scheme.lower() == b"bearer" else None


def _scope_user(user: object) -> Principal | None:
    """The user of Starlette's ``AuthenticationMiddleware`` and of what looks like it (``BaseUser``)."""
    if user is None or getattr(user, "is_authenticated", False) is not True:
        return None
    try:
        identity = getattr(user, "identity", None)
    except NotImplementedError:  # BaseUser.identity, where the app's class does not override it
        identity = None
    return Principal(
        type="user",
        id=claims.subject(identity or getattr(user, "display_name", None), where='scope["user"]'),
        authenticated=True,
        method="scope_user",
    )
