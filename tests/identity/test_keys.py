"""Where keys come from: rotation, outages and hostile key sets, over a real file and a real loopback HTTP server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwk

from guard.errors import ConfigError, CredentialRefused
from guard.identity import Authenticator
from guard.identity import jwks as key_sets
from tests.identity.issuer import NOW, Clock, Issuer, bearer

pytestmark = pytest.mark.anyio
Make = Callable[..., Authenticator]


class KeyServer:
    """A loopback HTTP server whose next answers a test decides."""

    def __init__(self) -> None:
        self.body = b"{}"
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked = 0
        self.release = threading.Event()
        self.release.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                outer.release.wait(10)
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks.json"

    def publish(self, key_set: object) -> None:
        """Answers with this set from now on."""
        self.body = json.dumps(key_set).encode()

    def close(self) -> None:
        """Ends the thread and frees the port."""
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def server(issuer: Issuer) -> Iterator[KeyServer]:
    """A server that publishes the issuer's keys."""
    made = KeyServer()
    made.publish(issuer.key_set())
    yield made
    made.close()


def write(path: Path, text: str) -> None:
    path.write_text(text)


def is_fetching(authenticator: Authenticator) -> bool:
    assert authenticator._tokens is not None
    return authenticator._tokens._keyring._is_reading()


async def refused(authenticator: Authenticator, token: str) -> str:
    with pytest.raises(CredentialRefused) as error:
        await authenticator.authenticate(bearer(token))
    return str(error.value)


# --- a file ---------------------------------------------------------------------------------------------------------


async def test_rotated_file_is_read_again(issuer: Issuer, authenticator: Make, jwks_file: Path, clock: Clock) -> None:
    """A key that is added to the file verifies, and one that is taken out stops, a second later at the latest."""
    issuer.publish(jwks_file, "rsa")
    made = authenticator()
    await made.start()
    old, new = issuer.token("rsa"), issuer.token("ec", "ES256")
    assert (await made.authenticate(bearer(old))).id == "alice"
    assert "key set" in await refused(made, new)
    issuer.publish(jwks_file, "ec")
    clock.now += 1
    assert (await made.authenticate(bearer(new))).id == "alice"
    # The old token was verified and remembered; its key is gone, so it is refused all the same.
    assert "key set" in await refused(made, old)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"keys": []}', '{"keys": {}}', '{"keys": [7, {"kty": "oct"}]}'])
async def test_unusable_file_stops_the_start(authenticator: Make, jwks_file: Path, content: str) -> None:
    """A key file that is named and cannot be used is a start error that names the file."""
    write(jwks_file, content)
    with pytest.raises(ConfigError, match=str(jwks_file)):
        await authenticator().start()


async def test_missing_file_stops_the_start(authenticator: Make, tmp_path: Path) -> None:
    """A key file that does not exist is a start error with the system's reason."""
    with pytest.raises(ConfigError, match="No such file"):
        await authenticator(jwks_file=tmp_path / "none.json").start()


async def test_file_broken_later_keeps_old_keys_until_they_are_stale(
    issuer: Issuer, authenticator: Make, jwks_file: Path, clock: Clock
) -> None:
    """A half-written file does not log everybody out; keys older than twelve refresh periods do."""
    made = authenticator(jwks_refresh_seconds=300)
    await made.start()
    token = issuer.token(exp=NOW + 10_000)
    write(jwks_file, '{"keys": [')
    for age in (1, 2, 3600):
        clock.now = NOW + age
        assert (await made.authenticate(bearer(token))).id == "alice"
    clock.now = NOW + 3601
    assert "could not be read for too long" in await refused(made, token)
    issuer.publish(jwks_file)
    clock.now += 1
    assert (await made.authenticate(bearer(token))).id == "alice"


# --- an address -----------------------------------------------------------------------------------------------------


async def test_address_is_fetched_once_for_many_requests(
    issuer: Issuer, authenticator: Make, server: KeyServer
) -> None:
    """Requests that arrive before the keys wait for one common fetch."""
    made = authenticator(jwks_url=server.url)
    tokens = [issuer.token("ed", "EdDSA", sub=f"user-{n}") for n in range(20)]
    principals = await asyncio.gather(*(made.authenticate(bearer(token)) for token in tokens))
    assert [principal.id for principal in principals] == [f"user-{n}" for n in range(20)]
    assert server.asked == 1
    await made.stop()


async def test_address_down_at_start_refuses_tokens_and_recovers(
    issuer: Issuer, authenticator: Make, server: KeyServer, clock: Clock
) -> None:
    """Without keys each token is refused, without a fetch for each; thirty seconds later the next one tries again."""
    server.status = 503
    made = authenticator(jwks_url=server.url)
    await made.start()
    for _ in range(5):
        assert "could not be read" in await refused(made, issuer.token())
    assert server.asked == 1
    server.status = 200
    clock.now += 30
    assert (await made.authenticate(bearer(issuer.token()))).id == "alice"
    assert server.asked == 2


async def test_nothing_listening_is_an_outage_not_a_crash(issuer: Issuer, authenticator: Make) -> None:
    """A refused connection leaves the start intact and the tokens refused."""
    made = authenticator(jwks_url="http://127.0.0.1:9/jwks.json")
    await made.start()
    assert "could not be read" in await refused(made, issuer.token())


async def test_address_down_later_keeps_keys_for_a_bounded_time(
    issuer: Issuer, authenticator: Make, server: KeyServer, clock: Clock
) -> None:
    """Keys outlive an outage of the issuer for twelve refresh periods, not longer."""
    made = authenticator(jwks_url=server.url, jwks_refresh_seconds=100)
    await made.start()
    server.status = 500
    token = issuer.token(exp=NOW + 10_000)
    for age in (250, 900, 1200):
        clock.now = NOW + age
        assert (await made.authenticate(bearer(token))).id == "alice"
    clock.now = NOW + 1201
    assert "could not be read for too long" in await refused(made, token)
    await made.stop()


async def test_due_refresh_does_not_make_requests_wait(
    issuer: Issuer, authenticator: Make, server: KeyServer, clock: Clock
) -> None:
    """After the refresh time a request is answered with the keys at hand while the server still hesitates."""
    made = authenticator(jwks_url=server.url, jwks_refresh_seconds=100)
    await made.start()
    server.release.clear()
    clock.now += 100
    assert (await made.authenticate(bearer(issuer.token()))).id == "alice"
    assert is_fetching(made)
    server.release.set()
    await made.stop()


async def test_long_idle_guard_asks_before_it_believes_old_keys(
    issuer: Issuer, authenticator: Make, server: KeyServer, clock: Clock
) -> None:
    """After twice the refresh time a request waits for the fetch, so a key that was withdrawn meanwhile is refused."""
    made = authenticator(jwks_url=server.url, jwks_refresh_seconds=100)
    await made.start()
    server.publish(issuer.key_set("ec"))
    clock.now += 200
    assert "key set" in await refused(made, issuer.token("rsa"))


async def test_known_outage_does_not_make_requests_wait(
    issuer: Issuer, authenticator: Make, server: KeyServer, clock: Clock
) -> None:
    """Once a fetch has failed, further attempts go on behind the requests while the keys are not stale."""
    made = authenticator(jwks_url=server.url, jwks_refresh_seconds=100)
    await made.start()
    server.status = 500
    clock.now += 200
    await made.authenticate(bearer(issuer.token()))
    server.release.clear()
    clock.now += 30
    await made.authenticate(bearer(issuer.token()))
    assert is_fetching(made)
    server.release.set()
    await made.stop()


async def test_unchanged_set_forgets_no_token(
    issuer: Issuer, authenticator: Make, server: KeyServer, clock: Clock
) -> None:
    """A refresh that brings the same set leaves the remembered tokens, one that brings another drops them."""
    made = authenticator(jwks_url=server.url, jwks_refresh_seconds=100)
    await made.start()
    assert made._tokens is not None
    keyring = made._tokens._keyring
    clock.now += 200
    await made.authenticate(bearer(issuer.token()))
    assert (server.asked, keyring.generation) == (2, 1)
    server.publish(issuer.key_set("rsa"))
    clock.now += 200
    with pytest.raises(CredentialRefused, match="expired"):
        await made.authenticate(bearer(issuer.token()))
    assert (server.asked, keyring.generation) == (3, 2)


async def test_unknown_key_id_causes_one_fetch_then_waits_its_interval(
    issuer: Issuer, authenticator: Make, server: KeyServer, clock: Clock
) -> None:
    """A rotated key verifies at once; tokens with invented key ids cannot make the guard flood the issuer."""
    server.publish(issuer.key_set("rsa"))
    made = authenticator(jwks_url=server.url, jwks_refresh_seconds=300)
    await made.start()
    server.publish(issuer.key_set("rsa", "ec"))
    clock.now += 30
    assert (await made.authenticate(bearer(issuer.token("ec", "ES256")))).id == "alice"
    assert server.asked == 2
    for n in range(20):
        await refused(made, issuer.token(header={"kid": f"invented-{n}"}))
    assert server.asked == 2
    clock.now += 30
    await refused(made, issuer.token(header={"kid": "invented"}))
    assert server.asked == 3


async def test_redirect_is_not_followed(issuer: Issuer, authenticator: Make, server: KeyServer) -> None:
    """The configuration names one address: an issuer that points elsewhere is an outage."""
    server.status, server.headers = 302, {"Location": server.url}
    made = authenticator(jwks_url=server.url)
    await made.start()
    await refused(made, issuer.token())
    assert server.asked == 1


async def test_oversized_set_is_refused(issuer: Issuer, authenticator: Make, server: KeyServer) -> None:
    """An answer past the size bound is not kept."""
    server.body = b" " * key_sets.MAX_SET_BYTES + json.dumps(issuer.key_set()).encode()
    made = authenticator(jwks_url=server.url)
    await made.start()
    assert "could not be read" in await refused(made, issuer.token())


async def test_silent_server_costs_a_bounded_wait(
    issuer: Issuer, authenticator: Make, server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that accepts and says nothing makes a token wait for the deadline, then refuses it."""
    monkeypatch.setattr("guard.identity.keyring.FETCH_DEADLINE_SECONDS", 0.05)
    server.release.clear()
    made = authenticator(jwks_url=server.url)
    assert "could not be read" in await refused(made, issuer.token())
    server.release.set()
    await made.stop()


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/jwks.json",
        "file:///etc/passwd",
        "ftp://127.0.0.1/jwks",
        "https://user:secret@issuer.example/jwks.json",
        "https:///jwks.json",
        "http://127.0.0.1.issuer.example/jwks.json",
    ],
)
def test_unsafe_address_is_a_configuration_error(authenticator: Make, url: str) -> None:
    """Keys come over TLS or from this machine; any other address stops the start."""
    with pytest.raises(ConfigError, match="jwks_url"):
        authenticator(jwks_url=url)


# --- a set ----------------------------------------------------------------------------------------------------------


def test_set_with_a_private_key_is_refused(issuer: Issuer) -> None:
    """A published private key means that anybody can sign: no key of that set is trusted."""
    published = issuer.key_set() | {"keys": [issuer.keys["ec"].as_dict(private=True), issuer.keys["rsa"].as_dict()]}
    with pytest.raises(key_sets.KeySetUnreadable, match="private key"):
        key_sets.parse(json.dumps(published).encode(), where="test")


def test_keys_that_cannot_verify_are_left_out(issuer: Issuer) -> None:
    """Symmetric, encryption, short RSA and malformed keys are passed over; the usable one stays (RFC 7517, 5)."""
    good = issuer.keys["rsa"].as_dict(private=False)
    short = {"kty": "RSA", "n": "0" * 100, "e": "AQAB", "kid": "short"}
    others: list[dict[str, Any]] = [
        {"kty": "oct", "k": "c2VjcmV0"},
        good | {"use": "enc", "kid": "encryption"},
        short,
        {"kty": "RSA", "n": 7, "e": "AQAB"},
        {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "future"},
        {"kty": ["RSA"]},
    ]
    keys = key_sets.parse(json.dumps({"keys": [*others, good]}).encode(), where="test")
    assert [key.kid for key in keys] == ["rsa"]


async def test_token_without_key_id_needs_one_fitting_key(issuer: Issuer, authenticator: Make, jwks_file: Path) -> None:
    """Without a key id the only key of its kind verifies; between two of a kind nobody chooses."""
    token = issuer.token("ec", "ES256", header={"kid": None})
    assert (await authenticator().authenticate(bearer(token))).id == "alice"
    second = jwk.ECKey.generate_key("P-256", {"kid": "ec2"}).as_dict(private=False)
    write(jwks_file, json.dumps({"keys": [*issuer.key_set()["keys"], second]}))
    assert "key set" in await refused(authenticator(), token)


async def test_key_pinned_to_another_algorithm_does_not_verify(
    issuer: Issuer, authenticator: Make, jwks_file: Path
) -> None:
    """The ``alg`` and ``key_ops`` of a published key bind: a PS256 key verifies no RS256 token."""
    published = issuer.keys["rsa"].as_dict(private=False)
    for restriction in ({"alg": "PS256"}, {"key_ops": ["wrapKey"], "use": None}):
        entry = {name: value for name, value in (published | restriction).items() if value is not None}
        write(jwks_file, json.dumps({"keys": [entry]}))
        assert "key set" in await refused(authenticator(), issuer.token())
