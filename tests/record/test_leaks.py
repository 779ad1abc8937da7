"""Nothing raw is in the log: a run of 10,000 requests, and a search of every file for every value in every form."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from guard.cli import main
from guard.config import GuardConfig, load_config
from guard.middleware import GuardMiddleware
from guard.record.segment import COMMIT_PREFIX, list_segments, segment_path
from guard.record.verify import verify
from guard.runtime import Runtime
from guard.testing.records import read_records
from tests.record.leaky_app import Asked, app, request_of
from tests.record.planted import Person, Search, person

pytestmark = pytest.mark.anyio

REQUESTS = 10_000
PEOPLE = 1_200
AT_ONCE = 48
CONFIG: dict[str, Any] = {
    "providers": {"model": {"external": True}},
    "routes": [{"path": "/v1/**", "provider": "model"}, {"path": "/**"}],
    "identity": {
        "trusted_header": {
            "peers": ["0.0.0.0/0", "::/0"], "subject": "x-forwarded-user", "tenant": "x-tenant", "roles": "x-roles"
        },
        "api_keys": [{"id": "service", "hash": f"sha256:{hashlib.sha256(b'no key that anybody sends').hexdigest()}"}],
    },
    "vault": {"scope": "conversation", "conversation_header": "x-conversation-id"},
    "record": {"segment_records": 4096},
    "limits": {"detect_deadline_ms": 20_000, "policy_deadline_ms": 20_000},
    # What is unusual is not the matter here, and would deny the whole run.
    "detectors": {"behaviour": ""},
}  # fmt: skip


async def drive(directory: Path, people: list[Person], count: int, seed: int) -> Counter[int]:
    """Send requests through the whole guard, in this process; returns how often each status was answered."""
    config = load_config(environ={}, state_directory=directory, **CONFIG)
    runtime = Runtime(config)
    guard = GuardMiddleware(app, runtime=runtime)
    await runtime.start()
    chance = random.Random(seed)
    statuses: Counter[int] = Counter()
    asked = iter([(who := chance.choice(people), request_of(who, chance), chance.random()) for _ in range(count)])

    async def visitor() -> None:
        for who, request, dice in asked:
            statuses[await send_one(guard, who, request, leaves=dice < 0.03)] += 1

    try:
        await asyncio.gather(*[visitor() for _ in range(AT_ONCE)])
    finally:
        await runtime.stop()
    return statuses


async def send_one(guard: Any, who: Person, asked: Asked, *, leaves: bool) -> int:
    """One request, from its person's address; a client that ``leaves`` is gone in the middle of its body."""
    half = len(asked.body) // 2 if leaves else len(asked.body)
    incoming: list[dict[str, Any]] = [{"type": "http.request", "body": asked.body[:half], "more_body": leaves}]
    status = 0

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "https",
        "method": asked.method,
        "path": asked.path,
        "raw_path": asked.path.encode(),
        "query_string": asked.query.encode(),
        "headers": [
            (b"content-type", asked.media_type.encode()),
            *[(name.encode(), value.encode()) for name, value in asked.headers],
        ],
        "client": (who.ipv4 if hash(who.ipv4) % 2 else who.ipv6, 4711),
        "extensions": {},
        "say": asked.say,
        "way": asked.way,
    }
    try:
        await guard(scope, receive, send)
    except RuntimeError as error:
        assert "cannot serve" in str(error) or "broke off" in str(error)  # noqa: PT017 - the app's own, passed on
    return status


def tear(state: Path) -> None:
    """Leave the log as a crash in the middle of a write leaves it: records without the commit over them."""
    (origin,) = (state / "log").glob("*-0")
    segments = list_segments(origin / "seg")
    lines = [line for line in segments[0].path.read_bytes().splitlines() if not line.startswith(COMMIT_PREFIX)]
    torn = segment_path(origin / "seg", len(segments))
    torn.write_bytes(b"\n".join([*lines[1:4], lines[4][:200]]))
    torn.chmod(0o600)


@pytest.mark.parametrize(
    "form",
    [
        lambda value: value,
        lambda value: value.upper(),
        lambda value: value.swapcase(),
        json.dumps,
        lambda value: value[::-1],
        quote,
        lambda value: value.encode().hex(),
        lambda value: base64.b64encode(value.encode()).decode(),
        lambda value: base64.b64encode(f"x{value}yz".encode()).decode(),
        lambda value: base64.urlsafe_b64encode(f"xy{value}z".encode()).decode(),
        lambda value: hashlib.sha256(value.encode()).hexdigest(),
        lambda value: hashlib.sha1(value.encode(), usedforsecurity=False).hexdigest()[:20],
        lambda value: hashlib.md5(value.encode(), usedforsecurity=False).hexdigest(),
        lambda value: base64.b64encode(hashlib.sha256(value.encode()).digest()).decode(),
    ],
)
def test_the_search_finds_what_is_there(form: Any) -> None:
    """Every kind of value in every form is found in the middle of a record; nothing is found in one without."""
    who = person(random.Random(7))
    search = Search(who.values())
    for value in who.values():
        data = ('{"id":"0198c0de","x":"' + form(value) + '"}').encode()
        assert value in [found for found, _ in search.found(data)], (value, data)
    assert search.found(b'{"id":"0198c0de-0000-7000-8000-000000000001","ts_us":1760000000000000}') == []


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_no_raw_value_is_in_any_file_of_the_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Identities, addresses, texts, names of files, tools and members, paths, queries and headers of 10,000 requests:
    none is in the log, its quarantine or the vault, in clear, encoded or hashed; nor after somebody looked for them."""
    chance = random.Random(11)
    people = [person(chance) for _ in range(PEOPLE)]
    state = tmp_path / "state"
    statuses = await drive(state, people, REQUESTS, seed=12)
    records = Counter(record["kind"] for record in read_records(state))
    assert records["decision"] == REQUESTS
    assert records["outcome"] > REQUESTS // 3
    assert all(statuses[status] > 500 for status in (200, 400, 401, 403, 500)), statuses
    assert any((state / "vault").rglob("*.sqlite3"))

    look_for(people[:3], state, capsys)
    tear(state)
    await drive(state, people, 50, seed=13)
    assert list(state.rglob("*.torn"))
    assert verify(state / "log").exit_code == 0

    search = Search(value for who in people for value in who.values())
    assert search.found_below(state) == {}


def look_for(people: list[Person], state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An analyst types raw values everywhere: the records of that hold none, either."""
    for who in people:
        for arguments in (
            ["query", "--subject", who.user, "--tenant", who.tenant, "--request-id", who.request_id],
            ["query", "--ip", who.ipv4, "--rule", who.name, "--code", who.secret, "--finding", who.ssn, "--limit", "1"],
            ["query", "--model", who.card, "--provider", who.path, "--route", who.query],
            ["tail", "--rule", who.prompt, "--id", who.email],
            ["hash", who.email],
            ["shadow", "--revision", who.cookie],
        ):
            assert main(["log", *arguments, "--dir", str(state)]) == 0
        assert main(["log", "show", who.email, "--dir", str(state)]) == 1
    capsys.readouterr()


def test_the_configuration_of_the_run_is_valid() -> None:
    """The run's configuration is one that a deployment could have."""
    assert GuardConfig(**CONFIG).vault.scope == "conversation"
