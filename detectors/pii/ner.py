"""Names by a model, through presidio's engines. Nothing is downloaded: a model that is not installed is refused.

A model cannot be interrupted. It runs in a thread of its own, and a call waits for it no longer than its deadline: what
came too late is ``Unfinished``, never "nothing found". One text is read at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from detectors.common.budget import Budget, Unfinished
from detectors.common.resolve import Candidate
from detectors.pii.options import NerOptions
from guard.errors import ConfigError

_WHERE: Final = "detectors.options.pii.ner"
# A tokenizer that strips punctuation sign by sign takes quadratic time on a long run of it.
_LONG_WORD: Final = re.compile(r"\S{200,}")
_SIGN: Final = re.compile(r"[^\w\s]|_")

Spans = Iterable[tuple[str, int, int, float]]
"""Type, start, end and score of what a model found."""
Reader = Callable[[str], Spans]


class Ner:
    """A loaded model. ``entities``: what it is asked for. Thread-safe.

    Raises ``ConfigError`` if its package or the model is not installed, or cannot be loaded.
    """

    def __init__(self, options: NerOptions) -> None:
        self.entities: Final = frozenset(options.entities)
        self.identity: Final = [options.engine, options.model, _version(options)]
        self._characters = options.characters
        self._evidence = f"{options.engine} model"
        try:
            self._read = _READERS[options.engine](options)
        except ConfigError:
            raise
        except Exception as error:
            raise _refused(
                f"the model {options.model!r} cannot be loaded: {type(error).__name__}: {error}", "check the model"
            ) from error
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="guard-ner")

    def find(self, text: str, budget: Budget) -> Iterator[Candidate]:
        """What the model finds in a text. Raises ``Unfinished``: ``limit`` for a long text, ``deadline``."""
        if len(text) > self._characters:
            raise Unfinished("limit")
        running = self._thread.submit(self._listed, text)
        try:
            found = running.result(budget.remaining_s())
        except TimeoutError:
            raise Unfinished("deadline") from None
        finally:
            running.cancel()
        for entity, start, end, score in found:
            if entity in self.entities and 0 <= start < end <= len(text):
                yield Candidate(entity, start, end, min(1.0, max(0.0, score)), self._evidence)

    def _listed(self, text: str) -> list[tuple[str, int, int, float]]:
        return list(self._read(_without_long_signs(text)))


def _without_long_signs(text: str) -> str:
    """The text, of equal length, with spaces for the punctuation within very long words."""
    return _LONG_WORD.sub(lambda word: _SIGN.sub(" ", word.group()), text)


def _refused(what: str, mend: str) -> ConfigError:
    return ConfigError(what, where=_WHERE, mend=mend)


def _needs(module: str, mend: str) -> None:
    if find_spec(module) is None:
        raise _refused(f"the engine needs {module}, which is not installed", mend)


def _directory(options: NerOptions) -> str:
    path = Path(options.model)
    if not path.is_dir():
        raise _refused(
            f"there is no directory {options.model!r}",
            f"download the model beforehand and name its directory: {options.engine} models are never downloaded here",
        )
    return str(path.resolve())


def _version(options: NerOptions) -> str:
    try:
        return version(options.model.replace("_", "-")) if options.engine == "spacy" else ""
    except (PackageNotFoundError, ValueError):
        return ""


def _spacy(options: NerOptions) -> Reader:
    from spacy.util import is_package

    if not is_package(options.model) and not (Path(options.model) / "config.cfg").is_file():
        raise _refused(
            f"the spaCy model {options.model!r} is not installed",
            f"python -m spacy download {options.model}, or name the directory of a saved model",
        )
    return _nlp_engine(options, "SpacyNlpEngine")


def _stanza(options: NerOptions) -> Reader:
    _needs("stanza", "pip install stanza")
    directory = Path(import_module("stanza.resources.common").DEFAULT_MODEL_DIR)
    if not (directory / options.model).is_dir():
        raise _refused(
            f"the Stanza model {options.model!r} is not in {str(directory)!r}",
            f"python -c \"import stanza; stanza.download('{options.model}')\"",
        )
    return _nlp_engine(options, "StanzaNlpEngine", download_if_missing=False)


def _nlp_engine(options: NerOptions, kind: str, **more: Any) -> Reader:
    """The reader of an engine whose pipeline is spaCy's. What spaCy remembers of words is forgotten after each text."""
    from presidio_analyzer import nlp_engine

    models = [{"lang_code": options.language, "model_name": options.model}]
    labels = nlp_engine.NerModelConfiguration(default_score=options.score)
    engine = getattr(nlp_engine, kind)(models=models, ner_model_configuration=labels, **more)
    engine.load()
    zone = engine.get_nlp(options.language).memory_zone

    def read(text: str) -> Spans:
        with zone():
            artifacts = engine.process_text(text, options.language)
            pairs = zip(artifacts.entities, artifacts.scores, strict=True)
            return [(span.label_, span.start_char, span.end_char, float(score)) for span, score in pairs]

    return read


def _transformers(options: NerOptions) -> Reader:
    _needs("transformers", "pip install transformers torch")
    _needs("torch", "pip install torch")
    from presidio_analyzer.predefined_recognizers.ner import HuggingFaceNerRecognizer

    return _recognizer(
        HuggingFaceNerRecognizer(model_name=_directory(options), supported_language=options.language), options
    )


def _gliner(options: NerOptions) -> Reader:
    _needs("gliner", "pip install gliner")
    from presidio_analyzer.predefined_recognizers.ner import GLiNERRecognizer

    labels = {entity.lower().replace("_", " "): entity for entity in options.entities}
    recognizer = GLiNERRecognizer(
        model_name=_directory(options),
        entity_mapping=labels,
        supported_language=options.language,
        local_files_only=True,
    )
    return _recognizer(recognizer, options)


def _recognizer(recognizer: Any, options: NerOptions) -> Reader:
    """The reader of a recognizer that needs no pipeline."""
    recognizer.load()
    wanted = list(options.entities)

    def read(text: str) -> Spans:
        found = recognizer.analyze(text, wanted, None)
        return [(result.entity_type, result.start, result.end, float(result.score)) for result in found]

    return read


_READERS: Final[dict[str, Callable[[NerOptions], Reader]]] = {
    "spacy": _spacy,
    "stanza": _stanza,
    "transformers": _transformers,
    "gliner": _gliner,
}
