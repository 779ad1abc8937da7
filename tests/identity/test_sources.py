"""The order of the sources: API keys, the app's own authentication, trusted proxies, anonymous."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.authentication import BaseUser, SimpleUser, UnauthenticatedUser

from guard.config import ApiKey, IdentityConfig, TrustedHeader
from guard.errors import ConfigError, CredentialRefused
from guard.identity import Authenticator, hash_api_key
from guard.types import ANONYMOUS, Principal
from tests.identity.issuer import Issuer, scope

pytestmark = pytest.mark.anyio
Make = Callable[..., Authenticator]

KEY = "test-key-0123456789abcdefghij"
OTHER = "test-key-abcdefghij0123456789"
BATCH = ApiKey(id="batch", hash=hash_api_key(KEY), tenant="acme", roles=("robot",), groups=("ops",))
NIGHT = ApiKey(id="night", hash=hash_api_key(OTHER))
PROXY = TrustedHeader(
    peers=("10.0.0.0/8", "2001:db8::/32"), subject="X-User", tenant="X-Tenant", roles="X-Roles", groups="X-Groups"
)
INSIDE = ("10.1.2.3", 443)


def keyed(**more: Any) -> Authenticator:
    return Authenticator(IdentityConfig(api_keys=(BATCH, NIGHT), **more))


def proxied(**more: Any) -> Authenticator:
    return Authenticator(IdentityConfig(trusted_header=PROXY, **more))


# --- anonymous ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "Bearer sk-proj-provider-key")],
        [("x-api-key", "sk-ant-provider-key"), ("x-api-key", "twice")],
        [("x-tenant", "acme"), ("x-forwarded-user", "root")],
    ],
)
async def test_nothing_configured_is_anonymous(headers: list[tuple[str, str]]) -> None:
    """Without a configured source nothing identifies: the provider's key is the provider's, headers are claims."""
    assert await Authenticator(IdentityConfig()).authenticate(scope(*headers)) == ANONYMOUS


async def test_no_credential_is_anonymous_not_refused(authenticator: Make) -> None:
    """The absence of a credential is no error: the policy decides what anonymous may do."""
    made = authenticator({"api_keys": (BATCH,), "trusted_header": PROXY, "scope_user": True})
    assert await made.authenticate(scope()) == ANONYMOUS


@pytest.mark.parametrize("configured", [False, True])
async def test_repeated_authorization_is_refused(configured: bool) -> None:
    """Two Authorization headers are refused under every configuration: readers differ in which they believe."""
    made = keyed() if configured else Authenticator(IdentityConfig())
    pair = [("authorization", f"Bearer {KEY}")] * 2
    with pytest.raises(CredentialRefused, match="repeated"):
        await made.authenticate(scope(*pair))


# --- API keys -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [("authorization", f"Bearer {KEY}"), ("authorization", f"bearer  {KEY} "), ("x-api-key", KEY)],
)
async def test_api_key_names_its_service(header: tuple[str, str]) -> None:
    """A configured key identifies its service in either header that SDKs use."""
    assert await keyed().authenticate(scope(header)) == Principal(
        type="service",
        id="batch",
        tenant="acme",
        roles=("robot",),
        groups=("ops",),
        authenticated=True,
        method="api_key",
    )


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Bearer sk-proj-0123456789")],
        [("authorization", "Bearer eyJhbGciOiJSUzI1NiJ9.e30.AA")],
        [("authorization", f"Bearer {KEY}x")],
        [("authorization", f"Bearer {BATCH.hash}")],
        [("x-api-key", "sk-ant-0123456789")],
        [("x-api-key", "")],
        [("x-api-key", KEY), ("x-api-key", KEY)],
        [("authorization", f"Bearer {KEY}"), ("x-api-key", "sk-ant-0123456789")],
        [("authorization", f"Bearer {KEY}"), ("x-api-key", OTHER)],
    ],
)
async def test_credential_that_is_no_known_key_is_refused(headers: list[tuple[str, str]]) -> None:
    """Where keys are configured, an unknown, repeated or contradicting credential never becomes anonymous."""
    with pytest.raises(CredentialRefused):
        await keyed().authenticate(scope(*headers))


async def test_same_key_in_both_headers_is_one_credential() -> None:
    """Clients that send one key in both headers are known; they contradict nothing."""
    principal = await keyed().authenticate(scope(("authorization", f"Bearer {KEY}"), ("x-api-key", KEY)))
    assert principal.id == "batch"


async def test_other_schemes_belong_to_the_app() -> None:
    """Basic and the like are no credentials of the guard."""
    assert await keyed().authenticate(scope(("authorization", "Basic YTpi"))) == ANONYMOUS


async def test_api_key_beside_tokens(issuer: Issuer, authenticator: Make) -> None:
    """With both sources a bearer may be either; a key and a token for different principals contradict each other."""
    made = authenticator({"api_keys": (BATCH,)})
    token = ("authorization", f"Bearer {issuer.token()}")
    assert (await made.authenticate(scope(("authorization", f"Bearer {KEY}")))).id == "batch"
    assert (await made.authenticate(scope(token))).id == "alice"
    with pytest.raises(CredentialRefused, match="different principals"):
        await made.authenticate(scope(token, ("x-api-key", KEY)))


async def test_api_key_header_is_the_providers_where_only_tokens_are_configured(
    issuer: Issuer, authenticator: Make
) -> None:
    """An Anthropic SDK sends its provider key in x-api-key: without configured keys it is not ours to judge."""
    token = ("authorization", f"Bearer {issuer.token()}")
    assert (await authenticator().authenticate(scope(token, ("x-api-key", "sk-ant-x")))).id == "alice"


def test_one_hash_for_two_keys_is_a_configuration_error() -> None:
    """A hash that stands twice would make it a matter of order who asks."""
    with pytest.raises(ConfigError, match="'night' is also that of 'batch'"):
        Authenticator(IdentityConfig(api_keys=(BATCH, ApiKey(id="night", hash=BATCH.hash))))


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=22, max_size=80))
def test_hash_is_sha256_of_the_key(key: str) -> None:
    """The configured form is what ``sha256sum`` prints, so owners can make it without us."""
    assert hash_api_key(key) == "sha256:" + hashlib.sha256(key.encode()).hexdigest()


@pytest.mark.parametrize("key", ["", "short", "x" * 21, "with a space in it, long enough", "line\nbreak" * 4, "ü" * 30])
def test_key_that_is_guessable_or_cannot_be_sent_is_not_hashed(key: str) -> None:
    """Keys under 128 bits and keys that no header can carry are refused before they are configured."""
    with pytest.raises(ValueError, match="API key"):
        hash_api_key(key)


# --- the app's own authentication -----------------------------------------------------------------------------------


class _NamedOnly(BaseUser):
    is_authenticated = True
    display_name = "carol"


class _Nameless(BaseUser):
    is_authenticated = True
    display_name = ""


@pytest.mark.parametrize(("user", "expected"), [(SimpleUser("bob"), "bob"), (_NamedOnly(), "carol")])
async def test_scope_user_is_believed_when_configured(user: object, expected: str) -> None:
    """The user of the app's authentication middleware identifies, by identity or else by display name."""
    made = Authenticator(IdentityConfig(scope_user=True))
    assert await made.authenticate(scope(user=user)) == Principal(
        type="user", id=expected, authenticated=True, method="scope_user"
    )


@pytest.mark.parametrize(
    "user",
    [None, UnauthenticatedUser(), SimpleNamespace(), SimpleNamespace(is_authenticated="yes", identity="x"), "root"],
)
async def test_scope_user_that_is_not_authenticated_is_nobody(user: object) -> None:
    """Only ``is_authenticated is True`` counts."""
    made = Authenticator(IdentityConfig(scope_user=True))
    assert await made.authenticate(scope(user=user)) == ANONYMOUS


async def test_scope_user_is_not_read_unless_configured() -> None:
    """What the app puts into the scope is believed only on the owner's word."""
    assert await Authenticator(IdentityConfig()).authenticate(scope(user=SimpleUser("bob"))) == ANONYMOUS


async def test_authenticated_user_without_a_name_is_refused() -> None:
    """Somebody who is authenticated as nobody cannot be recorded, so the request is refused."""
    with pytest.raises(CredentialRefused, match="no subject"):
        await Authenticator(IdentityConfig(scope_user=True)).authenticate(scope(user=_Nameless()))


# --- a trusted proxy ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "client", [INSIDE, ("::ffff:10.1.2.3", 1), ("2001:db8::1", 1)], ids=["IPv4", "IPv4 in IPv6", "IPv6"]
)
async def test_header_from_a_trusted_peer_identifies(client: tuple[str, int]) -> None:
    """A proxy in a configured network names subject, tenant, roles and groups."""
    headers = [("x-user", "dora"), ("x-tenant", "acme"), ("x-roles", "a, b"), ("x-groups", "g")]
    assert await proxied().authenticate(scope(*headers, client=client)) == Principal(
        type="user",
        id="dora",
        tenant="acme",
        roles=("a", "b"),
        groups=("g",),
        authenticated=True,
        method="trusted_header",
    )


@pytest.mark.parametrize(
    "client",
    [("203.0.113.9", 1), ("11.0.0.1", 1), ("::ffff:11.0.0.1", 1), ("testclient", 1), ("", 0), None],
)
async def test_header_from_a_foreign_peer_is_ignored(client: tuple[str, int] | None) -> None:
    """Identity headers of any other peer, of a socket without an address too, are never believed."""
    headers = [("x-user", "root"), ("x-user", "twice"), ("x-tenant", "acme")]
    assert await proxied().authenticate(scope(*headers, client=client)) == ANONYMOUS


@pytest.mark.parametrize(
    "headers",
    [
        [("x-user", "dora"), ("x-user", "root")],
        [("x-user", "dora"), ("x-tenant", "a"), ("x-tenant", "b")],
        [("x-user", "root, dora")],
        [("x-user", b"\xff\xfe")],
        [("x-user", "dora\x7f")],
        [("x-user", "dora"), ("x-tenant", "a b")],
        [("x-user", "dora"), ("x-roles", "a,,b")],
    ],
)
async def test_ambiguous_header_of_a_trusted_peer_is_refused(headers: list[tuple[str, str]]) -> None:
    """A proxy that adds to the client's header instead of replacing it is found out, not believed."""
    with pytest.raises(CredentialRefused):
        await proxied().authenticate(scope(*headers, client=INSIDE))


@pytest.mark.parametrize("headers", [[], [("x-user", "")], [("x-tenant", "acme"), ("x-roles", "admin")]])
async def test_trusted_peer_without_a_subject_is_anonymous(headers: list[tuple[str, str]]) -> None:
    """A tenant or a role without a subject identifies nobody."""
    assert await proxied().authenticate(scope(*headers, client=INSIDE)) == ANONYMOUS


# --- several sources ------------------------------------------------------------------------------------------------


async def test_the_first_source_that_identifies_wins(issuer: Issuer, authenticator: Make) -> None:
    """A token before the app's user, the app's user before the proxy's header."""
    made = authenticator({"trusted_header": PROXY, "scope_user": True})
    proxy = ("x-user", "dora")
    token = ("authorization", f"Bearer {issuer.token()}")
    methods = [
        (await made.authenticate(scope(proxy, token, client=INSIDE, user=SimpleUser("bob")))).method,
        (await made.authenticate(scope(proxy, client=INSIDE, user=SimpleUser("bob")))).method,
        (await made.authenticate(scope(proxy, client=INSIDE))).method,
    ]
    assert methods == ["jwt", "scope_user", "trusted_header"]


async def test_a_bad_token_is_not_saved_by_another_source(authenticator: Make) -> None:
    """A refused credential ends the search: nobody downgrades to a weaker source."""
    made = authenticator({"trusted_header": PROXY, "scope_user": True})
    bad = ("authorization", "Bearer nonsense")
    with pytest.raises(CredentialRefused):
        await made.authenticate(scope(bad, ("x-user", "dora"), client=INSIDE, user=SimpleUser("bob")))
