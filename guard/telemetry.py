"""Logs for people, on structlog. Decision records are a stream of their own (``guard.record``).

The library configures nothing: its loggers hand each event to the standard library's logger ``guard``, where the host
decides. ``setup`` is for programs that own their process, such as the command line.

No personal data: an event carries only fields named in ``FIELDS``. The value of any other field is not logged, so a
slip in one room cannot put a prompt, a header or a name into a log file.
"""

from __future__ import annotations

import logging
import secrets
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any, Final, TextIO, cast

import structlog

FIELDS: Final[frozenset[str]] = frozenset(
    {
        # which exchange, and what was decided: pseudonyms, codes and rule ids only
        "decision_id", "request_id", "stage", "effect", "code", "rule", "reason", "route", "method", "status",
        # which part of the guard
        "detector", "engine", "provider", "origin", "key_id", "revision", "version", "digest", "state",
        # sizes, counts and durations
        "seq", "size", "size_bytes", "count", "limit", "attempt", "duration_us", "duration_ms", "seconds",
        # what the owner wrote: configured files, directories and addresses, never a request's path
        "file", "directory", "address", "host", "port",
        # failures: a class name, or the sentences of a GuardError, which are free of personal data
        "exception", "error", "what", "where", "mend",
    }
)  # fmt: skip
"""The names that an event's fields may have; each holds what its group above says and nothing that a client chose."""

_trace: ContextVar[tuple[str, bool] | None] = ContextVar("guard.trace", default=None)


def join_trace(trace_id: str | None, *, sampled: bool = False) -> None:
    """From here on in this task: part of the caller's trace (32 lower-case hex digits), or of none."""
    _trace.set(None if trace_id is None else (trace_id, sampled))


def child_traceparent() -> str:
    """The ``traceparent`` of a call that is made for the caller, as a new span of its trace (W3C Trace Context, section
    3.2); ``""`` where the caller has none. ``tracestate`` is not passed on."""
    trace = _trace.get()
    if trace is None:
        return ""
    span = secrets.token_hex(8)
    while not int(span, 16):  # an invalid id, once in 2**64
        span = secrets.token_hex(8)
    return f"00-{trace[0]}-{span}-{'01' if trace[1] else '00'}"


MAX_VALUE_CODE_POINTS: Final = 300
_OWN: Final = frozenset({"event", "level", "timestamp", "logger", "exc_info", "stack_info"})
_UNLISTED: Final = "(not logged: unlisted field)"

_Event = MutableMapping[str, Any]


def _bounded(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"({len(value)} bytes)"
    text = value if isinstance(value, str) else repr(value)
    if len(text) > MAX_VALUE_CODE_POINTS:
        text = f"{text[:MAX_VALUE_CODE_POINTS]}… ({len(text)} code points)"
    # A line break in a value would forge a line of the log, an escape sequence would drive the reader's terminal.
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def bound_values(_logger: object, _method: str, event: _Event) -> _Event:
    """A structlog processor: long values are cut and control characters escaped; bytes are told by their length."""
    for name, value in event.items():
        if name not in {"exc_info", "stack_info"}:
            event[name] = _bounded(value)
    return event


def listed_fields(_logger: object, _method: str, event: _Event) -> _Event:
    """A structlog processor: the value of a field that ``FIELDS`` does not name is not logged."""
    for name in event:
        if name not in FIELDS and name not in _OWN:
            event[name] = _UNLISTED
    return event


def _to_stdlib(_logger: object, _method: str, event: _Event) -> tuple[tuple[str], dict[str, Any]]:
    """A readable line for any formatter, and the fields in ``record.guard`` for one that knows them."""
    keywords = {name: event.pop(name) for name in ("exc_info", "stack_info") if name in event}
    message = str(event.pop("event", ""))
    fields = dict(event)
    line = " ".join([message, *(f"{name}={value}" for name, value in fields.items())])
    # The logging module formats with ``%`` only if there are arguments, so the line is passed whole.
    return (line,), {**keywords, "extra": {"guard": {"event": message, **fields}}}


def get_logger(name: str = "guard") -> structlog.stdlib.BoundLogger:
    """A structlog logger over the standard library's logger ``name``, the same whether structlog is configured or not.

    Usage: ``log.warning("key set could not be fetched", address=…, error=…)``: a constant sentence, and fields of
    ``FIELDS``.
    """
    return cast(
        "structlog.stdlib.BoundLogger",
        structlog.wrap_logger(
            logging.getLogger(name),
            processors=[structlog.stdlib.filter_by_level, listed_fields, bound_values, _to_stdlib],
            wrapper_class=structlog.stdlib.BoundLogger,
            context_class=dict,
        ),
    )


def _unpack(_logger: object, _method: str, event: _Event) -> _Event:
    """Our own events get their fields back; those of others lose uvicorn's second, coloured copy of the message."""
    record: logging.LogRecord = event["_record"]
    fields: Mapping[str, Any] | None = getattr(record, "guard", None)
    if fields is not None:
        event.update(fields)
    event.pop("color_message", None)
    return event


def setup(level: str = "info", json: bool = False, stream: TextIO | None = None) -> None:
    """Configure this process's logs: one handler on the root logger that writes lines to ``stream`` (stderr).

    For programs that own their process; the library never calls it. ``level`` is a name of the logging module, in any
    case; ``json`` writes one object a line. Raises ``ValueError`` for an unknown level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"unknown log level {level!r}: use debug, info, warning, error or critical")
    out = sys.stderr if stream is None else stream
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    foreign = [structlog.stdlib.ExtraAdder(allow={"color_message"}), _unpack, *shared, bound_values]
    final: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if json:
        final += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    else:
        final += [structlog.dev.ConsoleRenderer(colors=out.isatty())]
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=foreign, processors=final))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            bound_values,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
