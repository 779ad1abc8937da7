"""Bearer tokens: what is accepted, and a table of attacks by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwk
from joserfc.jws import JWSRegistry

from guard.errors import CredentialRefused
from guard.identity import Authenticator
from guard.types import Principal
from tests.identity.issuer import AUDIENCE, NOW, Clock, Issuer, b64, bearer, scope

pytestmark = pytest.mark.anyio
Make = Callable[..., Authenticator]


async def test_verified_token_names_subject_tenant_roles_and_groups(issuer: Issuer, authenticator: Make) -> None:
    """A token of the configured issuer becomes a principal with all that its claims say."""
    assert await authenticator().authenticate(bearer(issuer.token())) == Principal(
        type="user",
        id="alice",
        tenant="acme",
        roles=("analyst",),
        groups=("eu/finance",),
        authenticated=True,
        method="jwt",
    )


@pytest.mark.parametrize(
    ("key", "alg"), [("rsa", "RS256"), ("rsa", "PS256"), ("ec", "ES256"), ("ed", "EdDSA"), ("ed", "Ed25519")]
)
async def test_each_pinned_algorithm_verifies(issuer: Issuer, authenticator: Make, key: str, alg: str) -> None:
    """Tokens of each configured algorithm are accepted; EdDSA also under its RFC 9864 name."""
    made = authenticator(algorithms=("RS256", "PS256", "ES256", "EdDSA"))
    assert (await made.authenticate(bearer(issuer.token(key, alg)))).id == "alice"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"aud": ["other", AUDIENCE]}, {"id": "alice"}),
        ({"exp": NOW - 29}, {"id": "alice"}),
        ({"nbf": NOW + 30}, {"id": "alice"}),
        ({"exp": 10**400}, {"id": "alice"}),
        ({"exp": NOW + 10.5}, {"id": "alice"}),
        ({"tenant": None, "roles": None, "groups": None}, {"tenant": None, "roles": (), "groups": ()}),
        ({"roles": "reader writer"}, {"roles": ("reader", "writer")}),
        ({"roles": ["a", "a", "Domain Users"]}, {"roles": ("a", "Domain Users")}),
        ({"roles": ""}, {"roles": ()}),
        ({"client_id": "alice"}, {"type": "service"}),
        ({"client_id": "app"}, {"type": "user"}),
    ],
)
async def test_claims_are_read_as_issuers_write_them(
    issuer: Issuer, authenticator: Make, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Audience lists, leeway, fractional times, absent claims, space-separated roles and client credentials."""
    principal = await authenticator().authenticate(bearer(issuer.token(**changes)))
    assert {name: getattr(principal, name) for name in expected} == expected


async def test_claim_names_may_be_urls_or_paths(issuer: Issuer, authenticator: Make) -> None:
    """A claim is found by its exact name (Auth0's are URLs), else by its dotted path (Keycloak nests them)."""
    made = authenticator(roles_claim="realm_access.roles", groups_claim="https://acme.example/groups")
    nested: dict[str, Any] = {"realm_access": {"roles": ["admin"]}, "https://acme.example/groups": ["g1"]}
    principal = await made.authenticate(bearer(issuer.token(**nested)))
    assert (principal.roles, principal.groups) == (("admin",), ("g1",))


def _unsigned(issuer: Issuer, header: object) -> str:
    return f"{b64(json.dumps(header))}.{b64(json.dumps(issuer.claims()))}."


def _hmac_with_public_key(issuer: Issuer) -> str:
    # CVE-2015-9235 and its kin: the verifier takes the public key as the secret of an HMAC.
    head = b64(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "rsa"}))
    signed = f"{head}.{b64(json.dumps(issuer.claims()))}"
    secret = jwk.OctKey.import_key(b64(issuer.keys["rsa"].as_pem(private=False)))
    return f"{signed}.{b64(JWSRegistry.algorithms['HS256'].sign(signed.encode(), secret))}"


def _key_in_header(issuer: Issuer) -> str:
    stranger = Issuer()
    return stranger.token(header={"jwk": stranger.keys["rsa"].as_dict(private=False), "kid": None})


def _payload_exchanged(issuer: Issuer) -> str:
    head, _, signature = issuer.token().split(".")
    return f"{head}.{b64(json.dumps(issuer.claims(sub='root')))}.{signature}"


ATTACKS: dict[str, tuple[Callable[[Issuer], str], str]] = {
    "alg none": (lambda i: _unsigned(i, {"alg": "none", "typ": "JWT"}), "algorithm"),
    "alg none in other letters": (lambda i: _unsigned(i, {"alg": "nOnE", "typ": "JWT"}), "algorithm"),
    "alg missing": (lambda i: _unsigned(i, {"typ": "JWT"}), "well-formed"),
    "HS256 signed with the public key": (_hmac_with_public_key, "algorithm"),
    "algorithm that is not pinned": (lambda i: i.token(alg="RS512"), "algorithm"),
    "algorithm of another key type": (lambda i: i.token("ec", "ES256", header={"alg": "RS256"}), "key set"),
    "algorithm that is no string": (lambda i: i.token(header={"alg": ["RS256"]}), "algorithm"),
    "signed by a stranger": (lambda _: Issuer().token(), "signature"),
    "key brought along in the header": (_key_in_header, "signature"),
    "key id unknown": (lambda i: i.token(header={"kid": "other"}), "key set"),
    "key id is a number": (lambda i: i.token(header={"kid": 1}), "key id"),
    "payload exchanged": (_payload_exchanged, "signature"),
    "signature cut": (lambda i: i.token()[:-8], "signature"),
    "signature missing": (lambda i: i.token().rpartition(".")[0] + ".", "signature"),
    "another audience": (lambda i: i.token(aud="other"), "aud"),
    "audience missing": (lambda i: i.token(aud=None), "aud"),
    "audience is an object": (lambda i: i.token(aud={"policy-guard": 1}), "aud"),
    "another issuer": (lambda i: i.token(iss="https://issuer.example.evil"), "iss"),
    "issuer missing": (lambda i: i.token(iss=None), "iss"),
    "expired": (lambda i: i.token(exp=NOW - 31), "expired"),
    "expiry missing": (lambda i: i.token(exp=None), "exp"),
    "expiry is text": (lambda i: i.token(exp="9999999999"), "exp"),
    "expiry is NaN": (lambda i: i.token(exp=float("nan")), "exp"),
    "expiry is true": (lambda i: i.token(exp=True), "exp"),
    "not valid yet": (lambda i: i.token(nbf=NOW + 31), "not yet valid"),
    "issued in the future": (lambda i: i.token(iat=NOW + 31), "future"),
    "critical extension": (lambda i: i.token(header={"crit": ["exp"], "exp": 1}), "extension"),
    "unencoded payload (RFC 7797)": (lambda i: i.token(header={"crit": ["b64"], "b64": False}), "extension"),
    "logout token": (lambda i: i.token(header={"typ": "logout+jwt"}), "another type"),
    "type is a list": (lambda i: i.token(header={"typ": ["JWT"]}), "another type"),
    "repeated claim": (lambda i: i.token(payload='{"sub":"a","sub":"b"}'), "repeated"),
    "claims are a list": (lambda i: i.token(payload="[]"), "object"),
    "claims nest 8000 deep": (lambda i: i.token(payload="[" * 8000), "object"),
    "header nests 1500 deep": (lambda _: b64('{"alg":' + "[" * 1500) + ".e30.AA", "well-formed"),
    "header is a string": (lambda i: _unsigned(i, "alg"), "neither a JWT"),
    "header is not JSON": (lambda _: b64('{"alg') + ".e30.AA", "well-formed"),
    "encrypted token (five parts)": (lambda _: "eyJhbGciOiJkaXIifQ.a.b.c.d", "neither a JWT"),
    "larger than any token": (lambda i: i.token(note="x" * 20_000), "larger"),
    "subject missing": (lambda i: i.token(sub=None), "subject"),
    "subject is a number": (lambda i: i.token(sub=7), "sub"),
    "subject with a line break": (lambda i: i.token(sub="alice\nroot"), "subject"),
    "subject padded with spaces": (lambda i: i.token(sub=" alice"), "subject"),
    "subject too long": (lambda i: i.token(sub="a" * 257), "subject"),
    "tenant is a list": (lambda i: i.token(tenant=["acme"]), "tenant"),
    "tenant with a line break": (lambda i: i.token(tenant="acme\n"), "tenant"),
    "tenant is empty": (lambda i: i.token(tenant=""), "tenant"),
    "roles are an object": (lambda i: i.token(roles={"admin": True}), "roles"),
    "roles hold a number": (lambda i: i.token(roles=["a", 1]), "roles"),
    "roles hold an empty name": (lambda i: i.token(roles=["a", ""]), "roles"),
    "groups are true": (lambda i: i.token(groups=True), "groups"),
    "groups beyond the limit": (lambda i: i.token(groups=[str(n) for n in range(513)]), "groups"),
    "provider's key": (lambda _: "sk-proj-0123456789abcdefghij", "neither a JWT nor a known API key"),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack_is_refused(issuer: Issuer, authenticator: Make, name: str) -> None:
    """Each forged, foreign, stale or malformed token is refused with a sentence that says why."""
    forge, why = ATTACKS[name]
    with pytest.raises(CredentialRefused) as refused:
        await authenticator().authenticate(bearer(forge(issuer)))
    assert why in str(refused.value)
    assert "alice" not in str(refused.value)


async def test_refused_token_stays_refused_beside_a_remembered_one(issuer: Issuer, authenticator: Make) -> None:
    """Remembering a good token does not help a token with the same claims and another signature."""
    made = authenticator()
    good = issuer.token()
    assert (await made.authenticate(bearer(good))).id == "alice"
    with pytest.raises(CredentialRefused):
        await made.authenticate(bearer(Issuer().token()))


async def test_remembered_token_expires_with_its_leeway(issuer: Issuer, authenticator: Make, clock: Clock) -> None:
    """A token that was verified once is refused as soon as a first look would refuse it."""
    made = authenticator()
    token = issuer.token()
    for moment in (NOW, NOW + 329.9):
        clock.now = moment
        assert (await made.authenticate(bearer(token))).id == "alice"
    clock.now = NOW + 330
    with pytest.raises(CredentialRefused, match="expired"):
        await made.authenticate(bearer(token))


async def test_memory_of_tokens_is_bounded(
    issuer: Issuer, authenticator: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many tokens are shown, only the most recently used stay in memory."""
    monkeypatch.setattr("guard.identity.tokens.VERIFIED_REMEMBERED", 2)
    made = authenticator()
    for subject in ("a", "b", "c"):
        await made.authenticate(bearer(issuer.token("ed", "EdDSA", sub=subject)))
    assert made._tokens is not None
    assert [kept.principal.id for kept in made._tokens._verified.values()] == ["b", "c"]


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "bearer a b", "Bearer \x7f", b"Bearer \xff\xfe"])
async def test_malformed_bearer_is_refused(authenticator: Make, value: str | bytes) -> None:
    """A bearer scheme without one visible token is a credential that is not valid."""
    with pytest.raises(CredentialRefused):
        await authenticator().authenticate(scope(("authorization", value)))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(min_value=0), byte=st.integers(min_value=0x21, max_value=0x7E))
async def test_one_changed_character_is_refused_or_says_the_same(
    issuer: Issuer, authenticator: Make, position: int, byte: int
) -> None:
    """No change of one character of a token changes who it names: it is refused, or the characters encode the same."""
    token = issuer.token("ed", "EdDSA")
    index = position % len(token)
    changed = token[:index] + chr(byte) + token[index + 1 :]
    try:
        principal = await authenticator().authenticate(bearer(changed))
    except CredentialRefused:
        return
    assert changed == token
    assert principal.id == "alice"
