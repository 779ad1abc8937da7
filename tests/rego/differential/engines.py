"""Both engines behind one face: load a module, then ask for documents."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from guard import rego
from tests.components import require
from tests.policy.servers import opa_server

DEADLINE_SECONDS = 20.0
MAX_STEPS = 2_000_000


@dataclass(frozen=True)
class Answer:
    """What an engine said: ``kind`` is loaded, refused, value, undefined, error, crash (an exception that is not ours)
    or panic (OPA hung up, or gave no answer). ``value`` has exact numbers, ``codes`` and ``message`` are those of a
    refusal or an error, ``row`` is where it stands."""

    kind: str
    value: Any = None
    codes: frozenset[str] = frozenset()
    message: str = ""
    row: int = 0


def exact(text: str) -> Any:
    """JSON with numbers as Decimal."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


class Ours:
    """The embedded engine. ``crash`` is the kind of an answer that is an exception of no class of its own."""

    def __init__(self) -> None:
        self.program = rego.compile({})

    def load(self, source: str) -> Answer:
        """Compile one module."""
        try:
            self.program = rego.compile({"g.rego": source})
        except rego.CompileError as error:
            return Answer("refused", codes=frozenset(each.code for each in error.errors), message=str(error))
        except Exception as error:  # noqa: BLE001 - what it is stands in the answer
            return Answer("crash", message=f"{type(error).__name__}: {error}")
        return Answer("loaded")

    def ask(self, ref: str, value: Any, *, strict: bool) -> Answer:
        """The value of a document, asked as ``eval`` and as ``query``, which have to agree."""
        name = "data." + ref.replace("/", ".")
        options: dict[str, Any] = {"max_steps": MAX_STEPS, "strict_builtin_errors": strict}
        try:
            options["deadline"] = time.monotonic() + DEADLINE_SECONDS
            found = self.program.eval(name, value, **options)
            rows = self.program.query(name, value, exact=True, **options)
        except rego.EvalError as error:
            return Answer("error", codes=frozenset({error.code}), message=str(error), row=error.location.row)
        except Exception as error:  # noqa: BLE001 - what it is stands in the answer
            return Answer("crash", message=f"{type(error).__name__}: {error}")
        if (found is rego.UNDEFINED) != (rows == []):
            return Answer("crash", message=f"eval answers {found!r}, query {rows!r}")
        return Answer("value", exact(rego.render(rows[0]["expressions"][0]["value"]))) if rows else Answer("undefined")


class Opa:
    """A real OPA server on one kept connection. A request that makes OPA panic ends the connection and may leave a
    transaction open for ever, so the server is started anew then; likewise where it works without an end."""

    def __init__(self) -> None:
        self.running = contextlib.ExitStack()
        self.start()

    def start(self) -> None:
        """A new server, without modules."""
        self.stop()
        parts = urlsplit(self.running.enter_context(opa_server("--skip-version-check")))
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=DEADLINE_SECONDS * 2)
        self.running.callback(self.connection.close)

    def stop(self) -> None:
        """End the server."""
        self.running.close()

    def load(self, source: str) -> Answer:
        """Put one module in the place of the one before."""
        status, body = self.send("PUT", "/v1/policies/g", source.encode())
        return Answer("loaded") if status == 200 else self.failed("refused", body)

    def ask(self, ref: str, value: Any, *, strict: bool) -> Answer:
        """The value of a document."""
        path = f"/v1/data/{ref}" + ("?strict-builtin-errors=true" if strict else "")
        status, body = self.send("POST", path, json.dumps({"input": value}).encode())
        if status != 200:
            return self.failed("error", body)
        found = exact(body)
        return Answer("value", found["result"]) if "result" in found else Answer("undefined")

    @staticmethod
    def ask_unindexed(source: str, ref: str, value: Any, *, strict: bool) -> Answer:
        """The value of a document of one module where OPA tries every rule: ``opa eval --disable-indexing``."""
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "g.rego").write_text(source, encoding="utf-8")
            Path(folder, "input.json").write_text(json.dumps(value), encoding="utf-8")
            command = [require("opa"), "eval", "--disable-indexing", "--format", "json", "-d", "g.rego"]
            command += ["-i", "input.json", *["--strict-builtin-errors"] * strict, "data." + ref.replace("/", ".")]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        found = exact(done.stdout)
        if "errors" in found:
            return Opa.failed("error", done.stdout)
        rows = found.get("result")
        return Answer("value", rows[0]["expressions"][0]["value"]) if rows else Answer("undefined")

    def send(self, method: str, path: str, body: bytes) -> tuple[int, str]:
        """One request; status 0 where OPA hung up, or had no answer in time."""
        try:
            self.connection.request(method, path, body, {"content-type": "application/json"})
            answer = self.connection.getresponse()
        except (http.client.RemoteDisconnected, TimeoutError):
            self.start()
            return 0, ""
        return answer.status, answer.read().decode()

    @staticmethod
    def failed(kind: str, body: str) -> Answer:
        """A refusal or an error, with the codes of all that went wrong."""
        if not body:
            return Answer("panic")
        found = json.loads(body)
        errors = found.get("errors") or [found]
        message = "; ".join(f"{each.get('code')}: {each.get('message')}" for each in errors)
        row = (errors[0].get("location") or {}).get("row", 0)
        return Answer(kind, codes=frozenset(str(each.get("code")) for each in errors), message=message, row=row)


@contextlib.contextmanager
def opa() -> Iterator[Opa]:
    """A server of its own for the block."""
    server = Opa()
    try:
        yield server
    finally:
        server.stop()
