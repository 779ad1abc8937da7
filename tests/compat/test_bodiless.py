"""Answers that have no content: RFC 9110 sections 9.3.2, 15.3.5, 15.3.6 and 15.4.5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.flow.rig import Rig, answering

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 205), ("GET", 304)])
async def test_bytes_after_an_answer_without_content_do_not_leave(tmp_path: Path, method: str, status: int) -> None:
    """An app that sends a body with HEAD, 204, 205 or 304 sends what nobody inspected: granian passes it to an HTTP/2
    client as it is. The guard passes none of it, and the outcome counts none."""
    secret = b'{"mail": "jane@corp.com"}'
    rig = Rig(tmp_path, answering(secret, status=status))
    answer: Any = await rig.call(method, "/v1/models")
    assert (answer.status, answer.body) == (status, b"")
    assert rig.log.records[-1]["size_bytes"] == 0
    assert answer.messages[-1].get("more_body", False) is False
