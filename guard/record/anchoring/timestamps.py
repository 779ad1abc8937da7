"""Trusted time-stamps of checkpoints: RFC 3161 over HTTP (section 3.4), through the library ``rfc3161-client``.

What is stamped is the note with the log's signature alone: the first five lines of ``anchors/<size>.note``. So the
stamp also shows that the signature is older than a theft of the key that happened later.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography.x509 import load_pem_x509_certificates

from guard.errors import ConfigError
from guard.record.anchoring.failing import AnchorFailed
from guard.record.anchoring.sinks import Anchor
from guard.record.anchoring.store import AnchorStore
from guard.record.anchoring.web import Endpoint

_QUERY: Final = "application/timestamp-query"


class TimestampSink:
    """Asks a time-stamping authority, verifies what it answers and keeps that beside the note."""

    name = "timestamp"

    def __init__(self, endpoint: Endpoint, roots_file: Path, store: AnchorStore) -> None:
        """``roots_file`` has the authority's roots in PEM. Raises ``ConfigError`` if it does not read or the extra is
        not installed."""
        try:
            import rfc3161_client
        except ImportError:
            raise ConfigError(
                "time-stamps need the library rfc3161-client",
                where="record.anchors.timestamp_url",
                mend="pip install 'policy-guard[timestamps]'",
            ) from None
        try:
            self._roots = load_pem_x509_certificates(roots_file.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the authority's roots do not read: {error}",
                where=str(roots_file),
                mend="name a PEM file with the root certificates of the time-stamping authority",
            ) from None
        self._library = rfc3161_client
        self._endpoint = endpoint
        self._store = store

    def deliver(self, anchor: Anchor) -> None:
        """One query; an answer that does not verify is not kept."""
        library = self._library
        data = anchor.note.encode()
        query = library.TimestampRequestBuilder().data(data).hash_algorithm(library.HashAlgorithm.SHA256).build()
        answer = self._endpoint.post(query.as_bytes(), _QUERY)
        if answer.status != 200:
            raise AnchorFailed(f"answered with status {answer.status}", where=self._endpoint.host)
        builder = library.VerifierBuilder.from_request(query)
        for root in self._roots:
            builder = builder.add_root_certificate(root)
        try:
            builder.build().verify_message(library.decode_timestamp_response(answer.body), data)
        except (library.VerificationError, ValueError) as error:
            raise AnchorFailed(f"its time-stamp does not verify ({error})", where=self._endpoint.host) from None
        self._store.add(anchor.checkpoint, anchor.note)
        self._store.add_stamp(anchor.checkpoint, answer.body)
