"""``guard demo``: a mock model, the guard in front of it, a script of requests and attacks, and the log they leave.

One process, no key, no network beyond the loopback interface.
"""

from __future__ import annotations

import logging
import shlex
import shutil
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console

from guard.cli.complaints import unusable
from guard.cli.demo_script import ACME_KEY, ALLOWED_MODEL, ANOMALY_THRESHOLD, BURST_KEY, SCENES
from guard.cli.demo_wire import Played, play
from guard.cli.terminal import console, hanging, verdict_stands
from guard.errors import ConfigError, GuardError

_COLOURS: Final = {"ALLOW": "green", "DENY": "red", "REFUSE": "red", "OUTAGE": "bold red"}
_INDENT: Final = 4
_LABEL_WIDTH: Final = 10


def demo(
    once: Annotated[bool, typer.Option("--once", help="Ask nothing; so it is, too, where no terminal is.")] = False,
    directory: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Where keys and the signed log are left.")
    ] = Path("demo-log"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; asks nothing.")] = False,
) -> None:
    """Play requests and attacks through the guard, then verify the log.

    A mock model on this machine: no key, no network. Exits 1 if the log that was left does not verify.
    """
    out = console()
    heard = _Heard()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(error, what="the directory cannot be made") from None
    with verdict_stands():
        if not as_json:
            hanging(out, "[bold]policy-guard[/]", ": a mock model, and the guard in front of it.", indent=12)
            out.print()
        played = _perform(directory, heard, None if as_json else out)
        if as_json:
            whole = _tell_json(directory, played)
        else:
            whole = _after(out, directory, interactive=not once and sys.stdout.isatty() and sys.stdin.isatty())
        if heard.lines:
            raise GuardError(heard.summary(), where=str(directory), mend="mend what is said here, and play it again")
        if not whole:
            raise typer.Exit(1)


def _perform(directory: Path, heard: _Heard, out: Console | None) -> list[Played]:
    """Play all scenes, each shown on ``out`` when it is over."""
    from guard.config import load_config
    from guard.middleware import GuardMiddleware
    from guard.testing.mock_model import mock_model
    from guard.testing.server import serve

    model = mock_model()
    middleware = GuardMiddleware(model, load_config(environ={}, **_configuration(directory)))
    played: list[Played] = []
    try:
        with serve(middleware) as url:
            for number, scene in enumerate(SCENES, start=1):
                played.append(play(scene, url, model.state.received))
                if out is not None:
                    _show(out, number, played[-1])
    except RuntimeError as error:
        mend = "mend what is said here, or choose another --dir"
        raise ConfigError(heard.summary() or str(error), where=str(directory), mend=mend) from None
    return played


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
        "policy": {"settings": {"anomaly_threshold": ANOMALY_THRESHOLD}},
    }


class _Heard(logging.Handler):
    """The errors of this process's logs: told once at the end, instead of between the scenes."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: Counter[str] = Counter()
        root = logging.getLogger()
        root.handlers = [self]
        root.setLevel(logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = getattr(record, "guard", {})
        if fields.get("error"):
            self.lines[str(fields["error"])] += 1

    def summary(self) -> str:
        """Each error once, with how often it was heard."""
        return "; ".join(f"{line} ({times} times)" if times > 1 else line for line, times in self.lines.items())


# One scene ------------------------------------------------------------------------------------------------------------


def _show(out: Console, number: int, played: Played) -> None:
    verdict = f"{played.verdict} {played.status}"
    head = f"[bold]{number:2}[/]  [{_COLOURS[played.verdict]}]{verdict:<12}[/]"
    hanging(out, head, played.title, indent=16)
    if played.requests > 1:
        _line(out, "passed", f"{played.passed} of {played.requests}")
    else:
        _line(out, "sent", played.sent)
        _line(out, "provider", "received nothing" if played.provider is None else f"received: {played.provider}")
    for reason in played.reasons:
        rule = f"{reason['rule']}: " if reason["rule"] else ""
        _line(out, "why", f"{rule}{reason['title']}")
        _line(out, "", reason["message"])
        if reason["pointers"]:
            _line(out, "where", ", ".join(reason["pointers"]))
        if reason["remediation"]:
            _line(out, "remedy", reason["remediation"])
    if played.client is not None:
        _line(out, "client", f"received: {played.client}")
    out.print()


def _line(out: Console, label: str, text: str) -> None:
    head = f"{' ' * _INDENT}[dim]{label:<{_LABEL_WIDTH}}[/]"
    hanging(out, head, text, indent=_INDENT + _LABEL_WIDTH)


# The log --------------------------------------------------------------------------------------------------------------


def _tell_json(directory: Path, played: list[Played]) -> bool:
    from guard.record.verify import verify

    report = verify(directory / "log")
    scenes = [msgspec.to_builtins(each) for each in played]
    document = {"scenes": scenes, "log": str(directory / "log"), "verification": msgspec.Raw(report.to_json())}
    typer.echo(msgspec.json.encode(document))
    return report.exit_code == 0


def _after(out: Console, directory: Path, *, interactive: bool) -> bool:
    """Verify the log, and one that was changed; returns whether the log is whole."""
    from guard.cli.log_verify import print_verification

    log = directory / "log"
    hanging(out, "", f"The decisions above are in the log {log}, signed by the key in {directory / 'keys'}.", indent=0)
    if interactive:
        _wait(out, "Press Enter to verify it. ")
    _command(out, f"guard log verify {shlex.quote(str(log))}")
    whole = print_verification(log) == 0
    if interactive:
        _wait(out, "Press Enter to change one byte of a copy, and verify that. ")
        copy, segment, offset = _tampered(log)
        hanging(out, "", f'{segment}, byte {offset}: "deny" is now "eeny".', indent=0)
        _command(out, f"guard log verify {shlex.quote(str(copy))}")
        print_verification(copy)
    out.print("\nGo on with:")
    place = shlex.quote(str(directory))
    for command, purpose in (
        (f"guard log tail --dir {place}", "the decisions, a line each"),
        (f"guard log show last --dir {place}", "one decision in plain sentences"),
        ("guard init", "a configuration and a policy of your own"),
    ):
        hanging(out, f"  {command}".replace("[", r"\[").ljust(42), purpose, indent=42)
    return whole


def _wait(out: Console, question: str) -> None:
    with suppress(EOFError):
        out.input(f"\n{question}")


def _command(out: Console, text: str) -> None:
    hanging(out, "\n[dim]$ [/]", text, indent=2)


def _tampered(log: Path) -> tuple[Path, Path, int]:
    """A copy of the log with one byte of its first segment changed; that segment, and where."""
    copy = log.with_name("log-tampered")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(log, copy)
    segment = min(copy.glob("*/seg/*.jsonl"))
    data = bytearray(segment.read_bytes())
    offset = data.index(b'"effect":"deny"') + len(b'"effect":"')
    data[offset] ^= 0x01
    segment.chmod(0o600)
    segment.write_bytes(data)
    return copy, segment, offset
