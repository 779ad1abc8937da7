"""The words of ``Skipped.reason`` that reading a body gives. Each stands in ``docs/coverage.md``; a test holds them
together."""

from __future__ import annotations

from typing import Final

OPAQUE_MEDIA_TYPE: Final = "opaque_media_type"
INSPECT_LIMIT: Final = "inspect_limit"
BODY_LIMIT: Final = "body_limit"
IMAGE: Final = "image"
AUDIO: Final = "audio"
VIDEO: Final = "video"
FILE: Final = "file"
OPAQUE_VALUE: Final = "opaque_value"
DATA_URL: Final = "data_url"
EMBEDDED_JSON: Final = "embedded_json"
TOKEN_FRAGMENTS: Final = "token_fragments"  # noqa: S105
UNJOINED_STREAM: Final = "unjoined_stream"
XML_ENTITIES: Final = "xml_entities"
CREDENTIAL: Final = "credential"

SKIP_REASONS: Final = frozenset(
    {
        OPAQUE_MEDIA_TYPE,
        INSPECT_LIMIT,
        BODY_LIMIT,
        IMAGE,
        AUDIO,
        VIDEO,
        FILE,
        OPAQUE_VALUE,
        DATA_URL,
        EMBEDDED_JSON,
        TOKEN_FRAGMENTS,
        UNJOINED_STREAM,
        XML_ENTITIES,
        CREDENTIAL,
    }
)
