"""The pytest plugin as its users meet it: a guarded app on a real socket, its decisions, its log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from guard.config import GuardConfig
from guard.errors import ConfigError
from guard.testing import GuardedApp, Reply, assert_denied, assert_redacted, assert_verified, guarded, script
from guard.testing.mock_model import mock_model

MakeApp = Callable[..., GuardedApp]
EMAIL = "jane.roe@northwind-traders.com"


def chat(app: GuardedApp, text: str) -> Any:
    return app.client.post("/v1/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": text}]})


def said(answer: Any) -> str:
    text = answer.json()["choices"][0]["message"]["content"]
    assert isinstance(text, str)
    return text


def test_clean_request_passes_and_is_recorded(guard_app: MakeApp, decisions: Callable[..., Any]) -> None:
    """A request that nothing speaks against reaches the model, and its decision stands in a log that verifies."""
    app = guard_app()
    answer = chat(app, "Why is the sky blue?")
    assert (answer.status_code, said(answer)) == (200, "You said: Why is the sky blue? That is all I know.")
    (record,) = decisions(app)
    assert (record["decision"]["effect"], record["stage"]) == ("allow", "request")
    assert decisions(app.directory) == decisions(app.directory / "log") == app.decisions()
    app.stop()
    assert [outcome["upstream_status"] for outcome in app.outcomes()] == [200]
    report = assert_verified(app)
    assert report.origins[0].accounts.unanswered_total == 0


def test_personal_data_is_redacted_and_restored(guard_app: MakeApp) -> None:
    """The provider sees a pseudonym, the client its own data."""
    app = guard_app()
    answer = chat(app, f"Write to {EMAIL}.")
    assert said(answer) == f"You said: Write to {EMAIL}. That is all I know."
    (received,) = app.received
    assert_redacted(received, EMAIL)
    with pytest.raises(AssertionError, match="in clear"):
        assert_redacted(received, "Write to")


def test_denied_request_names_its_rule_and_reaches_nobody(guard_app: MakeApp) -> None:
    """A secret is denied by SEC-001 before the model hears of it."""
    app = guard_app()
    reasons = assert_denied(chat(app, f"aws_access_key_id = {script.LEAKED_SECRET}"), rule="SEC-001")
    assert reasons[0]["pointers"] == ["/messages/0/content"]
    assert app.received == []
    assert [record["decision"]["effect"] for record in app.decisions()] == ["deny"]


def test_leaking_answer_is_hidden(guard_app: MakeApp) -> None:
    """What the model brings in by itself does not reach the client."""
    answer = chat(guard_app(), f"Please {script.ASKS_FOR_CONTACT}.")
    assert_redacted(answer.content, script.LEAKED_EMAIL)
    assert_redacted(answer.content, script.LEAKED_CARD)


def test_any_asgi_app_and_configuration(guard_app: MakeApp) -> None:
    """An app of one's own runs behind the guard with top-level keys of the configuration as keywords."""

    async def home(request: Request) -> JSONResponse:
        return JSONResponse({"effect": request.scope["guard"].effect, "who": request.scope["guard"].principal.type})

    own = Starlette(routes=[Route("/", home)])
    app = guard_app(own, detectors={"enabled": (), "behaviour": None})
    assert app.client.get("/").json() == {"effect": "allow", "who": "anonymous"}
    assert app.received == []


def test_apps_of_one_test_keep_their_state_apart(guard_app: MakeApp) -> None:
    """Two guarded apps have two addresses, two directories and two logs."""
    one, other = guard_app(), guard_app(mock_model(lambda _: Reply(text="No.")))
    assert (said(chat(one, "Yes?")), said(chat(other, "Yes?"))) == ("You said: Yes? That is all I know.", "No.")
    assert one.url != other.url
    assert (len(one.decisions()), len(other.decisions())) == (1, 1)
    assert one.decisions() != other.decisions()


def test_configuration_by_file_object_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guard_app: MakeApp
) -> None:
    """A named file and a GuardConfig are used with the test's state directory; without either, nothing of the machine
    is read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GUARD_DETECTORS__ENABLED", '["none of these"]')
    file = tmp_path / "guard.toml"
    file.write_text('state_directory = "elsewhere"\n[detectors]\nenabled = []\n')
    default, by_file = guard_app(), guard_app(config=file)
    by_object = guard_app(config=GuardConfig(state_directory=Path("elsewhere"), detectors={"enabled": ()}))
    for app in (default, by_file, by_object):
        assert chat(app, "hi").status_code == 200
        assert len(app.decisions()) == 1
    assert not (tmp_path / "elsewhere").exists()


def test_mistaken_configuration_fails_before_anything_runs(tmp_path: Path) -> None:
    """A detector that does not exist and keywords beside a whole configuration fail with what to do instead."""
    with (
        pytest.raises(ConfigError, match="no detector is called"),
        guarded(directory=tmp_path, detectors={"enabled": ("x",)}),
    ):
        pytest.fail("served without its detector")
    with (
        pytest.raises(TypeError, match="keywords override"),
        guarded(directory=tmp_path, config=GuardConfig(), fail="closed"),
    ):
        pytest.fail("served with ignored keywords")


def test_guard_that_cannot_start_serves_nobody(tmp_path: Path) -> None:
    """A state directory that cannot be written is an error of the test, not an app that answers 500 or 503."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeError, match="did not start"), guarded(directory=tmp_path / "file" / "state"):
        pytest.fail("served without a log")


@pytest.mark.slow
def test_plugin_is_loaded_by_a_plain_pytest_and_stays_light(tmp_path: Path) -> None:
    """In a project of its own pytest knows our fixtures, and no test that does not use them loads the guard."""
    (tmp_path / "test_own.py").write_text(
        "import sys\n"
        "def test_light():\n"
        "    heavy = {'starlette', 'pydantic', 'uvicorn', 'structlog', 'guard.config'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
        "def test_fixtures(guard_app, decisions):\n"
        "    assert callable(guard_app)\n"
        "    assert callable(decisions)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:anyio", "-p", "no:cacheprovider", str(tmp_path)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "2 passed" in ran.stdout, ran.stdout + ran.stderr
