"""JSON Web Tokens: verified against the configured keys, algorithms, issuer and audience, or refused.

Sources: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best current practice), RFC 9068 (access tokens), RFC 9864 (EdDSA).
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jws import CompactSignature, JWSRegistry, extract_compact, validate_compact
from joserfc.jwt import JWTClaimsRegistry

from guard.config import JwtConfig
from guard.errors import CredentialRefused
from guard.identity import claims as checked
from guard.identity.jwks import VerificationKey
from guard.identity.keyring import Keyring
from guard.types import Principal

MAX_TOKEN_BYTES: Final = 16 * 1024
VERIFIED_REMEMBERED: Final = 4096
"""Verified tokens kept, least recently used first out; about 1 KiB each."""

_WHERE: Final = "Authorization"
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})


class _Registry(JWSRegistry):
    """The pinned algorithms, found without joserfc's warning about the name EdDSA, which most issuers still use."""

    max_header_length = 4096
    max_payload_length = MAX_TOKEN_BYTES

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


class _Verified(msgspec.Struct, frozen=True):
    principal: Principal
    expires_s: float
    generation: int


class TokenVerifier:
    """Verifies bearer tokens; remembers what it verified until it expires or the keys change."""

    def __init__(self, config: JwtConfig, *, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        """``clock`` is Unix time in seconds. Raises ``ConfigError`` for an unsafe ``jwks_url``."""
        self._config = config
        self._clock = clock
        self._keyring = Keyring(config, monotonic=monotonic)
        # RFC 9864 gives the algorithm that JOSE called EdDSA its curve's name; issuers send either.
        renamed = {"Ed25519"} if "EdDSA" in config.algorithms else set()
        self._algorithms = frozenset(config.algorithms) | renamed
        # RFC 7515, 4: header parameters that are not understood are ignored; `crit` is refused by step 2.
        self._registry = _Registry(algorithms=self._algorithms, strict_check_header=False)
        self._claims = JWTClaimsRegistry(
            now=lambda: int(clock()),
            leeway=config.leeway_seconds,
            iss={"essential": True, "value": config.issuer},
            aud={"essential": True, "value": config.audience},
            exp={"essential": True},
        )
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    async def start(self) -> None:
        """Reads the key set. Raises ``ConfigError`` if a key file is unreadable."""
        await self._keyring.start()

    async def stop(self) -> None:
        """Ends a read of the key set that is under way."""
        await self._keyring.stop()

    async def verify(self, token: bytes, digest: bytes) -> Principal:
        """The principal of a token. ``digest`` is the SHA-256 of the token. Raises ``CredentialRefused``.

        The verification steps:

        1. The token is a compact JWS of at most 16 KiB.
        2. Its header names a pinned algorithm, no other use than a JWT's, and no critical extension.
        3. One key of the set has its key id and fits its algorithm.
        4. The signature is valid under that key.
        5. The claims are a JSON object without repeated keys.
        6. Issuer and audience are the configured ones; it has not expired and is already valid.
        7. Subject, tenant, roles and groups have the types and bounds that policies rely on.
        """
        keys = await self._keyring.keys()
        remembered = self._remembered(digest)
        if remembered is not None:
            return remembered
        signed = _extract(token, self._registry)  # (1)
        self._check_header(signed.protected)  # (2)
        key = self._key(signed.protected, keys)  # (3)
        if key is None:
            key = self._key(signed.protected, await self._keyring.refreshed_keys())
        if key is None:
            raise CredentialRefused(
                "the token is signed with a key that the issuer's key set does not hold", where=_WHERE
            )
        generation = self._keyring.generation
        _check_signature(signed, key, self._registry)  # (4)
        claims = _claims(signed.payload)  # (5)
        self._check_claims(claims)  # (6)
        principal = self._principal(claims)  # (7)
        # An integer of JSON may be larger than any float; past 2**53 seconds it makes no difference.
        expires_s = min(claims["exp"], 2**53) + self._config.leeway_seconds
        self._remember(digest, _Verified(principal, expires_s, generation))
        return principal

    def _remembered(self, digest: bytes) -> Principal | None:
        found = self._verified.get(digest)
        if found is None:
            return None
        if found.generation != self._keyring.generation or self._clock() >= found.expires_s:
            del self._verified[digest]
            return None
        self._verified.move_to_end(digest)
        return found.principal

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        self._verified[digest] = verified
        if len(self._verified) > VERIFIED_REMEMBERED:
            self._verified.popitem(last=False)

    def _check_header(self, header: Mapping[str, Any]) -> None:
        algorithm = header["alg"]
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise CredentialRefused(
                "the token's algorithm is not one of the configured ones",
                where=_WHERE,
                mend=f"identity.jwt.algorithms allows {', '.join(sorted(self._algorithms))}",
            )
        if not isinstance(header.get("kid"), str | None):
            raise CredentialRefused("the token's key id is not a string", where=_WHERE)
        if "crit" in header:
            raise CredentialRefused("the token demands an extension that is not understood", where=_WHERE)
        kind = header.get("typ", "JWT")
        # RFC 8725, 3.11 and 3.12: a token of another kind (a logout token, a DPoP proof) must not pass as this one.
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise CredentialRefused("the token is of another type than JWT or at+jwt", where=_WHERE)

    def _key(self, header: Mapping[str, Any], keys: tuple[VerificationKey, ...]) -> VerificationKey | None:
        """The one key that fits, ``None`` if none or several do. Keys named in the token are never looked at."""
        kid, algorithm = header.get("kid"), self._registry.get_alg(header["alg"])
        fitting = [key for key in keys if (kid is None or key.kid == kid) and _fits(algorithm, key)]
        return fitting[0] if len(fitting) == 1 else None

    def _check_claims(self, claims: dict[str, Any]) -> None:
        try:
            self._claims.validate(claims)
        except ExpiredTokenError:
            raise CredentialRefused("the token has expired", where=_WHERE) from None
        except JoseError as error:
            # The library's sentences name the claim, never its value.
            raise CredentialRefused(f"the token's claims are refused: {error.description}", where=_WHERE) from None

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        config = self._config
        subject = checked.subject(checked.claim(claims, config.subject_claim), where=f"claim {config.subject_claim}")
        return Principal(
            # RFC 9068, 2.2: where no person is involved, the subject is the client itself.
            type="service" if claims.get("client_id") == subject else "user",
            id=subject,
            tenant=checked.tenant(checked.claim(claims, config.tenant_claim), where=f"claim {config.tenant_claim}"),
            roles=checked.names(
                checked.claim(claims, config.roles_claim), "roles", where=f"claim {config.roles_claim}"
            ),
            groups=checked.names(
                checked.claim(claims, config.groups_claim), "groups", where=f"claim {config.groups_claim}"
            ),
            authenticated=True,
            method="jwt",
        )


def _extract(token: bytes, registry: JWSRegistry) -> CompactSignature:
    if token.count(b".") != 2 or not token.startswith(b"ey"):
        raise CredentialRefused("the bearer token is neither a JWT nor a known API key", where=_WHERE)
    if len(token) > MAX_TOKEN_BYTES:
        raise CredentialRefused(f"the token is larger than {MAX_TOKEN_BYTES} bytes", where=_WHERE)
    try:
        signed = extract_compact(token, registry=registry)
    except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
        raise CredentialRefused("the bearer token is not a well-formed JWT", where=_WHERE) from None
    header: Any = signed.protected  # joserfc annotates a dict, and passes on whatever JSON the token holds
    if not isinstance(header, dict):
        raise CredentialRefused("the bearer token is not a well-formed JWT", where=_WHERE)
    return signed


def _fits(algorithm: Any, key: VerificationKey) -> bool:
    try:
        algorithm.check_key(key)
        key.check_key_op("verify")
    except JoseError:
        return False
    return True


def _check_signature(signed: CompactSignature, key: VerificationKey, registry: JWSRegistry) -> None:
    try:
        is_valid = validate_compact(signed, key, registry=registry)
    except (JoseError, ValueError, TypeError) as error:
        raise CredentialRefused("the token's signature could not be checked", where=_WHERE) from error
    if not is_valid:
        raise CredentialRefused("the token's signature is not valid", where=_WHERE)


def _claims(payload: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("repeated key")
        return found

    try:
        claims = json.loads(payload, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise CredentialRefused("the token's claims are not a JSON object without repeated keys", where=_WHERE)
    return claims
