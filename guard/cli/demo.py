"""``guard demo``: a mock model, the guard in front of it, a script of requests and attacks, and the log they leave.

One process, no key, no network beyond the loopback interface.
"""

from __future__ import annotations

import http.client
import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from guard.cli.demo_script import ACME_KEY, ALLOWED_MODEL, BURST_KEY, SCENES, Scene
from guard.errors import ConfigError
from guard.telemetry import setup

_TIMEOUT_SECONDS: Final = 30
_SHOWN_CHARACTERS: Final = 96


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Play the script and exit; the rule where no terminal is.")
    ] = False,
    directory: Annotated[Path, typer.Option("--dir", help="Where keys and the signed log are left.")] = Path(
        "demo-log"
    ),
) -> None:
    """Play requests and attacks through the guard, then verify the signed log that they leave."""
    from guard.config import load_config
    from guard.middleware import GuardMiddleware
    from guard.testing.mock_model import mock_model
    from guard.testing.server import serve

    setup("error")
    console = Console(highlight=False, soft_wrap=True)
    config = load_config(environ={}, **_configuration(directory))
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{error.strerror}", where=str(directory), mend="choose another --dir") from None
    model = mock_model()
    middleware = GuardMiddleware(model, config)
    console.print("[bold]policy-guard[/]: a mock model, the guard in front of it, and what passes between them.\n")
    with serve(middleware) as url:
        for number, scene in enumerate(SCENES, start=1):
            _play(console, number, scene, url, model.state.received)
    _after(console, directory, interactive=not once and sys.stdout.isatty() and sys.stdin.isatty())


def _configuration(directory: Path) -> dict[str, Any]:
    from guard.identity import hash_api_key

    keys = ({"id": "acme-app", "tenant": "acme", "hash": hash_api_key(ACME_KEY)},
            {"id": "batch-job", "tenant": "acme", "hash": hash_api_key(BURST_KEY)})  # fmt: skip
    return {
        "state_directory": directory,
        "routes": ({"path": "/v1/**", "provider": "mock"},),
        "providers": {"mock": {"external": True, "pci": False}},
        "tenants": {"acme": {"models": (ALLOWED_MODEL,)}},
        "identity": {"api_keys": keys},
    }


# One scene ------------------------------------------------------------------------------------------------------------


class _Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    streamed: bool


def _play(console: Console, number: int, scene: Scene, url: str, received: list[Any]) -> None:
    before = len(received)
    answers = [_send(url, scene) for _ in range(scene.repeat)]
    refused = [a for a in answers if a.status >= 400]
    shown = refused[0] if refused else answers[-1]
    verdict = "[green]ALLOW[/]" if not refused else f"[red]{'REFUSE' if shown.status in {400, 401, 413} else 'DENY'}[/]"
    console.print(f"[bold]{number:2}  {escape(scene.title)}[/]  {verdict} {shown.status}")
    if scene.repeat > 1:
        _line(console, "passed", f"{len(answers) - len(refused)} of {len(answers)}")
    else:
        _line(console, "sent", _said(scene.body))
    if len(received) == before:
        _line(console, "provider", "received nothing")
    elif scene.repeat == 1:
        _line(console, "provider", _said(received[-1].body))
    if shown.status >= 400:
        for reason in _reasons(shown.body):
            rule = f"{reason['rule']}: " if reason["rule"] else ""
            _line(console, "why", f"{rule}{reason['title']}")
            _line(console, "", reason["message"])
            if reason["pointers"]:
                _line(console, "where", ", ".join(reason["pointers"]))
            if reason["remediation"]:
                _line(console, "remedy", reason["remediation"])
    else:
        _line(console, "client", _spoken(shown))
    console.print()


def _line(console: Console, label: str, text: str) -> None:
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    console.print(f"    [dim]{label:<9}[/]{escape(cut)}")


def _send(url: str, scene: Scene) -> _Answer:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_SECONDS)
    try:
        body = scene.body if isinstance(scene.body, bytes) else json.dumps(scene.body).encode()
        headers = {"content-type": "application/json", "authorization": f"Bearer {scene.key}"}
        connection.request("POST", scene.path, body, headers)
        answer = connection.getresponse()
        streamed = (answer.getheader("content-type") or "").startswith("text/event-stream")
        return _Answer(answer.status, answer.read(), streamed)
    finally:
        connection.close()


def _said(body: dict[str, Any] | bytes) -> str:
    """What a request asks, for people: its texts, or the raw body where it is not to be trusted."""
    try:
        document = json.loads(body, object_pairs_hook=_unambiguous) if isinstance(body, bytes) else body
    except ValueError:
        return body.decode(errors="replace") if isinstance(body, bytes) else ""
    texts = []
    for message in document["messages"]:
        texts += [message["content"]] if message.get("content") else []
        texts += [call["function"]["arguments"] for call in message.get("tool_calls", ())]
    return " | ".join(texts)


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice")
    return document


def _reasons(body: bytes) -> list[dict[str, Any]]:
    document = json.loads(body)
    reasons: list[dict[str, Any]] = document.get("reasons") or document["error"]["details"]["reasons"]
    return reasons


def _spoken(answer: _Answer) -> str:
    """The text of an answer; the concatenated deltas of a stream."""
    if not answer.streamed:
        document = json.loads(answer.body)
        if "choices" in document:
            return str(document["choices"][0]["message"]["content"])
        return "".join(block.get("text", "") for block in document["content"])
    pieces = []
    for line in answer.body.decode().splitlines():
        if line.startswith("data: {"):
            event = json.loads(line.removeprefix("data: "))
            if event.get("type") == "content_block_delta":
                pieces.append(event["delta"].get("text", ""))
    return "".join(pieces)


# The log --------------------------------------------------------------------------------------------------------------


def _after(console: Console, directory: Path, *, interactive: bool) -> None:
    from guard.cli.log import print_verification

    log = directory / "log"
    console.print(f"Every decision above is in the signed log in [bold]{escape(str(log))}[/],")
    console.print(f"signed by the key in [bold]{escape(str(directory / 'keys'))}[/].\n")
    if interactive:
        console.input("Press Enter to verify it. ")
    console.print(f"[dim]$ guard log verify {escape(str(log))}[/]")
    print_verification(log)
    if not interactive:
        console.print("\nTry: guard log tail --dir", escape(str(log)))
        return
    console.input("\nPress Enter to change one byte of a copy and verify that. ")
    copy, changed = _tampered(log)
    console.print(f"[dim]changed byte {changed[1]} of {escape(str(changed[0]))}[/]")
    console.print(f"[dim]$ guard log verify {escape(str(copy))}[/]")
    print_verification(copy)


def _tampered(log: Path) -> tuple[Path, tuple[Path, int]]:
    """A copy of the log with one byte of its first segment changed."""
    copy = log.with_name("log-tampered")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(log, copy)
    segment = min(copy.glob("*/seg/*.jsonl"))
    data = bytearray(segment.read_bytes())
    offset = data.index(b'"effect":"deny"') + len(b'"effect":"')
    data[offset] ^= 0x01
    segment.chmod(0o600)
    segment.write_bytes(data)
    return copy, (segment, offset)
