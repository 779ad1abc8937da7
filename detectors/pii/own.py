"""Recognizers of the user's: presidio's objects by name, its YAML files, and tables of guard.toml.

What is made of patterns joins the gate where RE2 can hold them, else it always runs. A recognizer with an ``analyze``
of its own always runs, in a thread, until the deadline.
"""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import regex  # type: ignore[import-untyped]
import yaml
from presidio_analyzer import EntityRecognizer, Pattern, PatternRecognizer

from detectors.common.budget import Budget, Unfinished
from detectors.pii.claims import Claims
from detectors.pii.options import OwnEntity, PiiOptions
from detectors.pii.patterns import EVERYTHING, Match
from detectors.pii.projection import View
from guard.errors import ConfigError
from guard.types import Segment

_WHERE: Final = "detectors.options.pii"
_NAMES: Final = f"{_WHERE}.recognizers"
_ENTITY: Final = re.compile(r"[A-Z][A-Z0-9_]{1,63}")
_SHIPPED: Final = "presidio_analyzer.predefined_recognizers"
_THREADS: Final = 4
"""Calls of one recognizer that may run at once; one that hangs occupies its thread for ever."""
_IGNORED_KEYS: Final = frozenset({"type", "enabled", "supported_language", "supported_languages"})


def own_recognizers(options: PiiOptions) -> list[Any]:
    """The recognizers that ``options.recognizers`` and ``options.own`` describe.

    Raises ``ConfigError``: a name that leads nowhere, a file that is none, an entity name that no policy could use, a
    recognizer of presidio's own (``entities`` chooses those, offline).
    """
    found: list[Any] = []
    for name in options.recognizers:
        made = _from_yaml(name) if name.endswith((".yaml", ".yml")) else _from_module(name)
        for recognizer in made:
            _examine(recognizer, name)
            found.append(recognizer)
    found += [_from_table(entity, table) for entity, table in options.own.items()]
    return found


def is_patterns_only(recognizer: Any) -> bool:
    """Whether presidio's own loop over ``patterns`` is all that the recognizer does."""
    kind = type(recognizer)
    loop = "_PatternRecognizer__analyze_patterns"
    return (
        isinstance(recognizer, PatternRecognizer)
        and kind.analyze is PatternRecognizer.analyze
        and getattr(kind, loop) is getattr(PatternRecognizer, loop)
    )


def identity(recognizer: Any) -> str:
    """Kind, version, types and expressions of a recognizer, for the detector's digest."""
    kind = type(recognizer)
    parts = [f"{kind.__module__}.{kind.__qualname__}", recognizer.name, str(recognizer.version)]
    parts += recognizer.supported_entities
    for pattern in getattr(recognizer, "patterns", ()):
        parts += [pattern.regex, str(pattern.score), str(recognizer.global_regex_flags)]
    return "\n".join([*parts, *(recognizer.context or ())])


def _from_module(name: str) -> list[Any]:
    module_name, colon, path = name.partition(":")
    if not colon or not path:
        raise ConfigError(
            f"{name!r} names no recognizer", where=_NAMES, mend='write "package.module:Recognizer" or a .yaml file'
        )
    try:
        value: Any = importlib.import_module(module_name)
        for attribute in path.split("."):
            value = getattr(value, attribute)
        if not isinstance(value, (EntityRecognizer, list, tuple)):
            value = value()
    except Exception as error:  # a module of the user's may raise anything
        raise ConfigError(
            f"{name!r} cannot be loaded: {type(error).__name__}: {error}",
            where=_NAMES,
            mend="it must be importable: a recognizer, a list of them, or what makes one without arguments",
        ) from error
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _from_yaml(name: str) -> list[Any]:
    mend = "see presidio's no-code recognizers: a list under 'recognizers', each with patterns or a deny_list"
    try:
        read = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{name} cannot be read: {error}", where=_NAMES, mend="check the path and the YAML") from None
    entries = read.get("recognizers") if isinstance(read, Mapping) else None
    if not isinstance(entries, list):
        raise ConfigError(f"{name} has no list 'recognizers'", where=_NAMES, mend=mend)
    flags = {"global_regex_flags": read["global_regex_flags"]} if "global_regex_flags" in read else {}
    made = []
    for at, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or entry.get("type", "custom") != "custom":
            raise ConfigError(
                f"{name}: recognizer {at + 1} is one of presidio's own",
                where=_NAMES,
                mend="leave it out: 'entities' and 'countries' choose those",
            )
        if entry.get("enabled") is False:
            continue
        wanted = {key: value for key, value in entry.items() if key not in _IGNORED_KEYS}
        try:
            made.append(PatternRecognizer.from_dict({**flags, **wanted}))
        except Exception as error:  # presidio raises what its constructor happens to meet
            raise ConfigError(f"{name}: recognizer {at + 1}: {error}", where=_NAMES, mend=mend) from error
    return made


def _from_table(entity: str, table: OwnEntity) -> Any:
    where = f"{_WHERE}.own.{entity}"
    if not table.patterns and not any(word.strip() for word in table.words):
        raise ConfigError("neither patterns nor words", where=where, mend="give one of them")
    flags = regex.DOTALL | regex.MULTILINE | (0 if table.case_sensitive else regex.IGNORECASE)
    patterns = []
    for at, source in enumerate(table.patterns, 1):
        try:
            regex.compile(source, flags)
        except regex.error as error:
            raise ConfigError(
                f"pattern {at} is no regular expression: {error}", where=where, mend="mend the expression"
            ) from None
        patterns.append(Pattern(f"pattern {at}", source, table.score))
    return PatternRecognizer(
        entity,
        name=f"own {entity}",
        patterns=patterns,
        # Detectors read folded text: a word that folding changes would never be met.
        deny_list=[Segment.of(word).folded.text for word in table.words if word.strip()],
        deny_list_score=table.score,
        context=list(table.context),
        global_regex_flags=flags,
    )


def _examine(recognizer: Any, name: str) -> None:
    if not isinstance(recognizer, EntityRecognizer):
        raise ConfigError(
            f"{name!r} gives a {type(recognizer).__name__}, which is no recognizer",
            where=_NAMES,
            mend="derive it from presidio_analyzer.EntityRecognizer",
        )
    if type(recognizer).__module__.startswith(_SHIPPED) and isinstance(recognizer, PatternRecognizer):
        raise ConfigError(
            f"{name!r} is one of presidio's own", where=_NAMES, mend="'entities' and 'countries' choose those"
        )
    for entity in recognizer.supported_entities:
        if not _ENTITY.fullmatch(entity):
            raise ConfigError(
                f"{name!r} finds {entity!r}, which is no name of a type",
                where=_NAMES,
                mend="capital letters, digits and _, as EMPLOYEE_ID",
            )
    if is_patterns_only(recognizer):
        return
    try:
        _analyze(recognizer, "")
    except Exception as error:  # the same at every request would deny them all
        raise ConfigError(
            f"{name!r} fails on an empty text without NLP artifacts: {type(error).__name__}: {error}",
            where=_NAMES,
            mend="let analyze() work when nlp_artifacts is None; 'ner' configures models of language",
        ) from error


def _analyze(recognizer: Any, text: str) -> list[Any]:
    return list(recognizer.analyze(text, list(recognizer.supported_entities), None))


class OwnMatcher:
    """A recognizer with an ``analyze`` of its own. Thread-safe if that is."""

    gate_source = EVERYTHING

    def __init__(self, recognizer: Any) -> None:
        self._recognizer = recognizer
        self._room = threading.BoundedSemaphore(_THREADS)

    def find(self, view: View, budget: Budget, claims: Claims) -> Iterator[Match]:  # noqa: ARG002 - Matcher's
        """What ``analyze`` returns. Raises ``Unfinished``: ``deadline``, or ``error`` if it fails or answers nonsense.

        The thread of a call that does not end is given up; behind four such threads others wait for the deadline.
        """
        text = view.canonical
        for result in self._analyzed(text, budget):
            start, end, score = int(result.start), int(result.end), float(result.score)
            known = result.entity_type in self._recognizer.supported_entities
            if not (known and 0 <= start <= end <= len(text) and 0.0 <= score <= 1.0):
                raise Unfinished("error")
            if start < end and score > 0.0:
                yield Match(start, end, score, score, self._recognizer.name, entity=result.entity_type)

    def _analyzed(self, text: str, budget: Budget) -> list[Any]:
        if not self._room.acquire(timeout=budget.remaining_s()):
            raise Unfinished("deadline")
        answer: list[list[Any]] = []
        done = threading.Event()

        def call() -> None:
            try:
                answer.append(_analyze(self._recognizer, text))
            except Exception:  # noqa: BLE001 - no answer is the answer: it may hold the text
                answer.clear()
            finally:
                self._room.release()
                done.set()

        try:
            threading.Thread(target=call, name="guard-own-recognizer", daemon=True).start()
        except RuntimeError:
            self._room.release()
            raise Unfinished("error") from None
        if not done.wait(budget.remaining_s()):
            raise Unfinished("deadline")
        if not answer:
            raise Unfinished("error")
        return answer[0]
