"""``rediss://``: the way to the server is TLS, both ends prove who they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.config.sharing import SharingConfig
from guard.exchange.sharing.store import Store, StoreFailed
from tests.components import require_package
from tests.policy.certificates import Authority
from tests.sharing.server import running


def asked(url: str, ca_file: Path, client: tuple[Path, Path] | None = None) -> None:
    """One question over the way that a configuration names."""
    certificate, key = client or (None, None)
    store = Store(SharingConfig(url=url, ca_file=ca_file, client_cert_file=certificate, client_key_file=key))
    try:
        store.ping()
    finally:
        store.close()


def test_both_ends_prove_themselves(tmp_path: Path) -> None:
    """A server of another authority or under another name, and a client without a certificate of the server's own
    authority, get no answer."""
    require_package("redis")
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    certificate, key = ours.sign("server")
    client, stranger = ours.sign("client"), others.sign("stranger")
    options = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", ours.file)
    with running(*map(str, options), tls=True) as server:
        asked(server.url, ours.file, client)
        with pytest.raises(StoreFailed, match="certificate verify failed"):
            asked(server.url, others.file, client)
        with pytest.raises(StoreFailed, match="certificate verify failed"):
            asked(server.url.replace("127.0.0.1", "localhost"), ours.file, client)
        for credentials in (None, stranger):
            with pytest.raises(StoreFailed):
                asked(server.url, ours.file, credentials)
        with pytest.raises(StoreFailed):
            asked(server.url, tmp_path / "none.pem", client)
