"""The README's promises that a program can check: its snippets run, its links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from guard.testing.app import GuardedApp
from guard.testing.server import serve

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no {language} block"
    return found[1]


def test_the_mount_snippet_guards_an_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines as they stand there mount a guard that answers over a real socket."""
    import httpx2

    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.toml").write_text('state_directory = "state"\n')
    names = {"routes": [Route("/", lambda _request: PlainTextResponse("hello"))]}
    exec(compile(block("python"), "README.md", "exec"), names)
    with serve(names["app"]) as url:
        answer = httpx2.get(url)
    assert answer.text == "hello"
    assert "x-guard-decision-id" in answer.headers


def test_the_rule_of_the_readme_denies_as_it_says(tmp_path: Path, guard_app: Callable[..., GuardedApp]) -> None:
    """A reader who copies the rule gets what its title promises."""
    rule = tmp_path / "policies" / "guard" / "rules" / "models" / "acme.rego"
    rule.parent.mkdir(parents=True)
    rule.write_text(block("rego"))
    app = guard_app(policy={"directories": (tmp_path / "policies",)})
    body = {"model": "large-1", "messages": [{"role": "user", "content": "hi"}]}
    answer = app.client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 403
    assert answer.json()["reasons"][0]["rule"] == "ACME-001"


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_every_link_of_the_readme_leads_to_a_file(link: str) -> None:
    """A page that is promised is there."""
    assert (ROOT / link).is_file()
