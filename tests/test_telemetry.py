"""Logs for people: the library configures nothing, fields are listed, values are bounded, lines cannot be forged."""

from __future__ import annotations

import ast
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from guard import telemetry
from guard.telemetry import FIELDS, bound_values, get_logger, listed_fields
from tests.house.source import modules

IMPORT = """
import importlib, logging
before = list(logging.getLogger().handlers), logging.getLogger().level
for name in ("guard", "guard.telemetry", "guard.identity", "guard.config", "guard.testing.plugin"):
    importlib.import_module(name)
import structlog
from guard.telemetry import get_logger
get_logger().info("quiet", count=1)
assert not structlog.is_configured(), "structlog was configured"
assert (list(logging.getLogger().handlers), logging.getLogger().level) == before, "the root logger was touched"
assert logging.getLogger("guard").handlers == [], "our logger got a handler"
get_logger("guard.identity").warning("key set could not be read", address="file")
"""


@pytest.fixture
def process_logs() -> Iterator[io.StringIO]:
    """A stream for ``setup``, and the process's logging as it was afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def test_importing_the_library_configures_nothing() -> None:
    """In a fresh process our imports and our log calls leave structlog and the root logger as they were; a warning
    still reaches stderr through the standard library's last resort, and stdout stays clean."""
    ran = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "key set could not be read address=file\n")


def test_events_reach_the_standard_library_whole(caplog: pytest.LogCaptureFixture) -> None:
    """Any handler prints a readable line; one that knows our records finds the fields in ``record.guard``."""
    with caplog.at_level(logging.INFO, logger="guard"):
        get_logger("guard.identity").info("key set read 100%", address="keys.json", count=3)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("guard.identity", "INFO")
    assert record.getMessage() == "key set read 100% address=keys.json count=3"
    assert record.__dict__["guard"] == {"event": "key set read 100%", "address": "keys.json", "count": 3}


def test_level_below_the_loggers_is_not_made(caplog: pytest.LogCaptureFixture) -> None:
    """What nobody wants to read costs no record."""
    with caplog.at_level(logging.ERROR, logger="guard"):
        get_logger().info("quiet", count=1)
    assert caplog.records == []


def test_unlisted_field_is_named_but_its_value_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A prompt that slips into a log call stays out of the log."""
    with caplog.at_level(logging.INFO, logger="guard"):
        get_logger().info("refused", prompt="my card is 4111 1111 1111 1111", code="body_too_large")
    assert caplog.text.count("4111") == 0
    assert "code=body_too_large" in caplog.text
    assert "prompt=(not logged: unlisted field)" in caplog.text


def test_no_listed_field_invites_personal_data() -> None:
    """Names under which rooms might log what a client sent are not in the list."""
    assert FIELDS.isdisjoint(
        {"body", "text", "prompt", "headers", "path", "query", "user", "principal", "tenant", "ip"}
    )


def test_rooms_log_constant_sentences_and_listed_fields() -> None:
    """Every log call in the engine and the detectors has a constant sentence and keywords of ``FIELDS`` only."""
    levels = {"debug", "info", "warning", "error", "exception", "critical"}
    calls = [
        (module.at(node), node)
        for module in modules("guard", "detectors")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in levels
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"log", "_log", "logger", "_logger"}
    ]
    assert len(calls) > 3
    for place, call in calls:
        assert [type(argument) for argument in call.args] == [ast.Constant], f"{place}: one constant sentence"
        unlisted = {str(keyword.arg) for keyword in call.keywords} - FIELDS - {"exc_info"}
        assert not unlisted, f"{place}: {unlisted} not in guard.telemetry.FIELDS"


@given(
    st.dictionaries(
        st.sampled_from(sorted(FIELDS)), st.text() | st.binary() | st.lists(st.text(), max_size=3), max_size=3
    )
)
def test_values_print_on_one_line(fields: dict[str, object]) -> None:
    """Whatever a field holds, what is logged holds no control character."""
    event = bound_values(None, "info", listed_fields(None, "info", {"event": "x", **fields}))
    assert all(str(value).isprintable() for value in event.values())


def test_bounds_by_example() -> None:
    """Long text is cut with its length, bytes are told by their length, line breaks are escaped, numbers stay."""
    event = {"event": "a\nb", "what": "x" * 400, "where": b"secret", "count": 7, "mend": None, "error": "\x1b[2J"}
    assert bound_values(None, "info", event) == {
        "event": "a\\nb",
        "what": "x" * 300 + "… (400 code points)",
        "where": "(6 bytes)",
        "count": 7,
        "mend": None,
        "error": "\\x1b[2J",
    }


def test_setup_writes_json_lines_with_our_fields(process_logs: io.StringIO) -> None:
    """``setup(json=True)`` prints one object a line: ours, a foreign library's and structlog's own alike."""
    telemetry.setup("info", json=True, stream=process_logs)
    get_logger("guard.runtime").info("guard started", engine="embedded")
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.setLevel(logging.NOTSET)  # a server that ran in this process has set its own
    uvicorn.info("Started %s", "server", extra={"color_message": "\x1b[1mStarted"})
    structlog.get_logger("detector").warning("slow\nforged line", count=2)
    ours, foreign, native = [json.loads(line) for line in process_logs.getvalue().splitlines()]
    assert {**ours, "timestamp": ""} == {
        "event": "guard started",
        "engine": "embedded",
        "level": "info",
        "timestamp": "",
    }
    assert {**foreign, "timestamp": ""} == {"event": "Started server", "level": "info", "timestamp": ""}
    assert (native["event"], native["count"], native["level"]) == ("slow\\nforged line", 2, "warning")


def test_setup_writes_lines_for_people(process_logs: io.StringIO) -> None:
    """Without json a line reads as level, sentence and fields, without colours where the stream is no terminal."""
    telemetry.setup("warning", json=False, stream=process_logs)
    get_logger().info("quiet")
    get_logger().warning("key set could not be read", address="keys.json")
    (line,) = process_logs.getvalue().splitlines()
    assert "[warning  ] key set could not be read" in line
    assert "address=keys.json" in line
    assert "\x1b" not in line


def test_setup_keeps_tracebacks_of_failures(process_logs: io.StringIO) -> None:
    """A foreign library's traceback is in the JSON line, on one line."""
    telemetry.setup("error", json=True, stream=process_logs)
    try:
        raise LookupError("for the test")
    except LookupError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    (line,) = process_logs.getvalue().splitlines()
    assert "LookupError: for the test" in json.loads(line)["exception"]


def test_setup_refuses_an_unknown_level() -> None:
    """A mistyped level is an error that lists the levels, not silence."""
    with pytest.raises(ValueError, match="use debug, info"):
        telemetry.setup("loud")
