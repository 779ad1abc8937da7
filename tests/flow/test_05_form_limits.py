"""The bounds of forms are the owner's: ``limits.max_fields`` and ``limits.max_field_bytes`` reach the request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.flow.rig import Rig, ScriptedEngine, answering

pytestmark = pytest.mark.anyio

FORM = [("content-type", "application/x-www-form-urlencoded")]
MULTIPART = [("content-type", "multipart/form-data; boundary=x")]


def parts(*sizes: int) -> bytes:
    """A multipart body with text fields of these sizes."""
    each = b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n%s\r\n'
    return b"".join(each % (number, b"a" * size) for number, size in enumerate(sizes)) + b"--x--\r\n"


@pytest.mark.parametrize(
    ("limits", "headers", "good", "bad"),
    [
        ({"max_fields": 2}, FORM, b"a=1&b=2", b"a=1&b=2&c=3"),
        ({"max_fields": 2}, MULTIPART, parts(1, 1), parts(1, 1, 1)),
        ({"max_field_bytes": 10}, FORM, b"a=" + b"x" * 8, b"a=" + b"x" * 9),
        ({"max_field_bytes": 10}, MULTIPART, parts(10), parts(11)),
    ],
    ids=["fields", "parts", "size of a field", "size of a part"],
)
async def test_a_form_past_the_configured_bound_is_refused(
    limits: dict[str, Any], headers: list[tuple[str, str]], good: bytes, bad: bytes, tmp_path: Path
) -> None:
    """At the bound it passes, one past it is 413 ``form_limit``, and the app is not called."""
    seen: list[Any] = []
    rig = Rig(tmp_path, answering(b"{}", seen=seen), limits=limits)
    assert (await rig.call(path="/form", body=good, headers=headers)).status == 200
    answer = await rig.call(path="/form", body=bad, headers=headers)
    assert (answer.status, answer.json["error"]["code"]) == (413, "form_limit")
    assert len(seen) == 1


async def test_a_query_past_the_configured_bound_is_a_gap_that_the_policy_sees(tmp_path: Path) -> None:
    """A query string is no form to every app: what is not read is told, and a rule decides."""
    engine = ScriptedEngine()
    rig = Rig(tmp_path, answering(b"{}"), engine=engine, limits={"max_fields": 2})
    for query, gaps in ((b"a=1&b=2", []), (b"a=1&b=2&c=3", ["form_limit"])):
        assert (await rig.call("GET", "/form", query_string=query)).status == 200
        asked = [document for document in engine.documents if document["stage"] == "request"][-1]
        skipped = asked["coverage"]["skipped"]
        assert [each["reason"] for each in skipped if each["pointer"].startswith("query")] == gaps
