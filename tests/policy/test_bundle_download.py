"""Downloads of bundles: conditional, bounded in size and time, and from nobody but the server that is configured."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guard.config import BundleConfig, GuardConfig
from guard.errors import BundleUnavailable, ConfigError
from guard.policy.bundles.download import Downloader, fetch_once
from guard.policy.bundles.loading import bundle_for
from guard.policy.bundles.remote import Remote
from guard.policy.bundles.remotes import Remotes
from guard.policy.bundles.store import Archive, Store
from tests.policy.bundling import BundleServer, archive, bundle_server
from tests.policy.certificates import Authority

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[BundleServer]:
    """A bundle server."""
    with bundle_server() as server:
        server.put(archive(), '"1"')
        yield server


def configured(server: BundleServer, **options: Any) -> BundleConfig:
    """A configuration for that server, with a short deadline."""
    return BundleConfig(source=server.url, **{"download_deadline_seconds": 5.0, **options})


async def test_what_has_not_changed_is_not_sent_again(server: BundleServer) -> None:
    """The ETag of the answer makes the next request conditional."""
    async with Downloader(configured(server)) as downloader:
        first = await downloader.fetch()
        assert (first.data, first.etag, first.long_poll) == (server.data, '"1"', False)
        second = await downloader.fetch(etag=first.etag)
        assert (second.data, second.etag, second.long_poll) == (None, '"1"', None)
        server.put(archive("other"), '"2"')
        assert (await downloader.fetch(etag=first.etag)).data == server.data


async def test_the_request_says_what_is_wanted(server: BundleServer, tmp_path: Path) -> None:
    """Snapshots only, since deltas are not supported; the token from its file, as it is now."""
    token = tmp_path / "token"
    token.write_text("one\n")
    async with Downloader(configured(server, token_file=token)) as downloader:
        await downloader.fetch()
        token.write_text("two")
        await downloader.fetch(etag='"1"', wait_seconds=7)
    assert [request["authorization"] for request in server.requests] == ["Bearer one", "Bearer two"]
    assert [request["prefer"] for request in server.requests] == ["modes=snapshot", "modes=snapshot;wait=7"]
    assert server.requests[1]["if-none-match"] == '"1"'
    assert server.requests[0]["accept-encoding"] == "identity"


async def test_no_proxy_is_taken_from_the_environment(server: BundleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing reaches the network that the configuration does not name."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:9")
    assert (await fetch_once(configured(server))).data == server.data


async def test_a_private_authority_is_believed_and_no_other(tmp_path: Path) -> None:
    """Over TLS the server is known by ``ca_file``; without it, or with another authority, nothing is taken."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    with bundle_server(certificate=authority.sign("server")) as server:
        server.put(archive(), '"1"')
        assert (await fetch_once(configured(server, ca_file=authority.file))).data == server.data
        for believed in ({}, {"ca_file": other.file}):
            with pytest.raises(BundleUnavailable, match="certificate is not trusted"):
                await fetch_once(configured(server, **believed))
    assert len(server.requests) == 1


async def test_a_full_disk_keeps_the_last_good_bundle_whole(tmp_path: Path) -> None:
    """What cannot be written leaves what was there before, and nothing half written. In a process whose files may not
    grow past one kilobyte, as on a disk that is full."""
    store = Store(tmp_path, BundleConfig(source="https://bundles.example/b.tar.gz"))
    before = Archive.of(b"good", '"1"')
    store.write(before)
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from guard.config import BundleConfig\n"
        "from guard.policy.bundles.store import Archive, Store\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        "store = Store(Path(sys.argv[1]), BundleConfig(source='https://bundles.example/b.tar.gz'))\n"
        "try:\n"
        "    store.write(Archive.of(b'x' * 4096, 'new'))\n"
        "except OSError as error:\n"
        "    print(error.errno)\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert int(told) == errno.EFBIG
    assert store.read() == before
    assert sorted(path.name for path in store.directory.iterdir()) == ["bundle.tar.gz", "download.json"]


def fail(status: int) -> Callable[[BundleServer], None]:
    """Answer with a status."""

    def change(server: BundleServer) -> None:
        server.mode, server.status = "refuse", status

    return change


def misbehave(mode: Any) -> Callable[[BundleServer], None]:
    """Answer otherwise."""
    return lambda server: setattr(server, "mode", mode)


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (fail(500), {}, "answered 500"),
        (fail(404), {}, "answered 404"),
        (fail(401), {}, "answered 401"),
        (fail(304), {}, "answered 304"),
        (fail(204), {}, "answered 204"),
        (misbehave("truncated"), {}, "could not be downloaded"),
        (misbehave("silent"), {"download_deadline_seconds": 0.2}, "in time"),
        (misbehave("drip"), {"download_deadline_seconds": 0.2}, "in time"),
        (misbehave("huge"), {"max_archive_bytes": 20_000}, "larger than 20000 bytes"),
        (lambda server: server.put(b"x" * 30_000, ""), {"max_archive_bytes": 20_000}, "larger than 20000 bytes"),
        (lambda _: None, {"token_file": Path("/nowhere")}, "token_file cannot be read"),
        (lambda _: None, {"token_file": Path(os.devnull)}, "holds no token"),
    ],
)
async def test_what_cannot_be_had_is_named(
    server: BundleServer, change: Callable[[BundleServer], None], options: dict[str, Any], said: str
) -> None:
    """Status, bounds and deadline; with the bundle's name, and without its address, which may hold a secret."""
    change(server)
    with pytest.raises(BundleUnavailable, match=said) as caught:
        await fetch_once(configured(server, **options))
    assert caught.value.where == "bundle.tar.gz"
    assert caught.value.mend
    assert "127.0.0.1" not in str(caught.value)


async def test_a_server_that_is_not_there_is_named() -> None:
    """Refused connections, and names that nobody knows."""
    with pytest.raises(BundleUnavailable, match="ClientConnector"):
        await fetch_once(BundleConfig(source="http://127.0.0.1:9/b.tar.gz"))


async def test_a_redirect_stays_with_its_server(server: BundleServer) -> None:
    """Elsewhere nobody is asked, and no token is shown."""
    server.mode, server.status = "refuse", 302
    with bundle_server() as other:
        for location in (other.url, server.url.replace("http:", "https:"), "//example.com/x", ""):
            server.location = location
            with pytest.raises(BundleUnavailable, match="another server"):
                await fetch_once(configured(server))
        assert other.requests == []
    server.location = "/elsewhere"
    with pytest.raises(BundleUnavailable, match="in circles"):
        await fetch_once(configured(server))
    assert len(server.requests) == 8


async def test_a_request_that_is_held_back_gets_the_change(server: BundleServer) -> None:
    """Long polling: the answer comes when there is something new, or with 304 when the time is over."""
    server.long_poll = True
    async with Downloader(configured(server, long_poll_seconds=1)) as downloader:
        assert (await downloader.fetch()).long_poll is True
        assert (await downloader.fetch(etag='"1"', wait_seconds=1)).data is None
        held = asyncio.create_task(downloader.fetch(etag='"1"', wait_seconds=60))
        await asyncio.to_thread(server.await_requests, 3)
        server.put(archive("m2"), '"2"')
        assert (await held).data == server.data


async def test_a_missing_client_is_a_start_error(server: BundleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(ConfigError, match="aiohttp") as caught:
        bundle_for(GuardConfig(policy={"bundle": {"source": server.url}}))
    assert "policy-guard[opa]" in caught.value.mend


async def test_a_bad_authority_is_a_start_error(server: BundleServer, tmp_path: Path) -> None:
    """Not a download that fails for ever."""
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ConfigError, match="authorities"):
        Downloader(configured(server, ca_file=tmp_path / "ca.pem"))


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_an_archive_is_kept_with_its_etag(tmp_path: Path, server: BundleServer) -> None:
    """The ETag counts for the bytes with which it came, and for no others."""
    store = Store(tmp_path, configured(server))
    assert store.read() is None
    kept = Archive.of(b"one", '"1"')
    store.write(kept)
    assert store.read() == kept
    (store.directory / "bundle.tar.gz").write_bytes(b"two")
    assert store.read() == Archive.of(b"two", "")
    assert sorted(path.name for path in store.directory.iterdir()) == ["bundle.tar.gz", "download.json"]
    assert Store(tmp_path, BundleConfig(source="https://elsewhere/b")).read() is None
    assert Store(tmp_path, configured(server, max_archive_bytes=1024)).read() is not None
    (store.directory / "bundle.tar.gz").write_bytes(b"x" * 2000)
    assert Store(tmp_path, configured(server, max_archive_bytes=1024)).read() is None


def test_a_bundle_is_downloaded_once_for_a_start(server: BundleServer, tmp_path: Path) -> None:
    """However often it is built from; and nothing is written before it decides."""
    config = GuardConfig(policy={"bundle": {"source": server.url}}, state_directory=tmp_path)
    remotes = Remotes(tmp_path)
    first = bundle_for(config, remotes)
    assert bundle_for(config, remotes).digest == first.digest
    assert len(server.requests) == 1
    assert list(tmp_path.iterdir()) == []
    remotes.keep(config)
    assert len(list(tmp_path.rglob("bundle.tar.gz"))) == 1


def test_a_disk_that_is_full_does_not_stop_policies(
    server: BundleServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and the bundle decides; only a restart would lack it."""
    (tmp_path / "bundles").write_text("in the way")
    config = GuardConfig(policy={"bundle": {"source": server.url}}, state_directory=tmp_path)
    remotes = Remotes(tmp_path)
    bundle_for(config, remotes)
    remotes.keep(config)
    assert "cannot be kept" in caplog.text


def test_retries_back_off_and_are_spread(server: BundleServer) -> None:
    """Doubling from half a second up to poll_max_seconds, each shortened by chance; told once for a row of failures."""
    remote = Remote(configured(server, poll_max_seconds=4.0, poll_min_seconds=1.0), None)
    told: list[Exception] = []
    waits = [remote._retry(BundleUnavailable("no"), told.append) for _ in range(8)]
    for wait, longest in zip(waits, [0.5, 1, 2, 4, 4, 4, 4, 4], strict=True):
        assert longest / 2 <= wait <= longest
    assert (len(told), remote.state.failures, remote.state.last_error_code) == (1, 8, "bundle_unavailable")
    assert all(1.0 <= remote._pause() <= 4.0 for _ in range(50))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"source": "http://bundles.example.com/b"}, "unsigned bundle is fetched over https"),
        ({"source": "http://b.example/b", "public_key_file": "k", "token_file": "t"}, "token is sent over https"),
        ({"source": "https://user:secret@b.example/b"}, "no user and password"),
        ({"source": "ftp://b.example/b"}, "must be a path, or an address"),
        ({"source": "https:///b"}, "must be a path, or an address"),
        ({"source": "https://b.example:99999/b"}, "must be a path, or an address"),
        ({"source": "https://b.example/a b"}, "without spaces"),
        ({"source": "b", "token_file": "t"}, "are for http"),
        ({"source": "b", "scope": "x"}, "need public_key_file"),
        ({"source": "b", "public_key_file": "a", "hmac_secret_file": "b"}, "at most one"),
        ({"source": "b", "public_key_file": "a", "algorithm": "HS256"}, "kind of key"),
        ({"source": "b", "hmac_secret_file": "a", "algorithm": "RS256"}, "kind of key"),
        ({"source": "b", "poll_min_seconds": 10, "poll_max_seconds": 5}, "must not be above"),
    ],
)
def test_a_configuration_that_cannot_be_safe_is_refused(options: dict[str, Any], said: str) -> None:
    """Before anything is asked of anybody."""
    with pytest.raises(ValueError, match=said):
        BundleConfig(**options)


def test_a_signed_bundle_may_come_over_plain_http() -> None:
    """Its signature is what counts."""
    assert BundleConfig(source="http://bundles.default.svc/b", public_key_file=Path("k")).remote
