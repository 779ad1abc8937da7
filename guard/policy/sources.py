"""Policy and data files as they are read: from several directories, each file once, each name once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from guard.errors import Diagnostic
from guard.policy.metadata import CODE
from guard.policy.yaml_data import load_yaml

SHIPPED: Final = "shipped"
_DATA_FILES: Final = frozenset({"data.json", "data.yaml", "data.yml"})
_TESTS: Final = "_test.rego"
_LARGEST_BYTES: Final = 8 * 2**20


class Sources:
    """Gathers files. ``canonical`` has each module's machine-independent name beside its text, for the digest;
    ``added`` has what each data file adds to ``data``."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        """``data`` is what stands before any file is read; it is copied."""
        self.modules: dict[str, str] = {}
        self.tests: dict[str, str] = {}
        self.own: set[str] = set()
        self.canonical: list[tuple[str, str]] = []
        self.diagnostics: list[Diagnostic] = []
        self.added: list[tuple[str, Any]] = []
        self.data: dict[str, Any] = {"guard": {}}
        self._seen: set[Path] = set()
        self._roots = 0
        try:
            # Through JSON, so that every engine sees the same types.
            self.data = json.loads(json.dumps(data, allow_nan=False))
        except (TypeError, ValueError) as error:
            self.diagnostics.append(Diagnostic(CODE, f"the configuration holds what JSON cannot: {error}"))

    def read(self, root: Path, *, own: bool) -> None:
        """Take in a directory or a file; of what came with the guard (not ``own``), no tests."""
        number, self._roots = self._roots, self._roots + 1
        label = label_of(root) if own else SHIPPED
        for path, relative in self._files(root):
            test = is_test(relative.name)
            if path.resolve() in self._seen or (test and not own):
                continue
            self._seen.add(path.resolve())
            name = label if path == root else f"{label}/{relative}".removeprefix("./")
            if name in self.modules:
                self._wrong("another file has the same name; rename its directory", name)
                continue
            text = self._text(path, name)
            if text is not None:
                self._take(name, number, relative, text, own=own)

    def read_files(self, label: str, files: Mapping[str, bytes]) -> None:
        """Take in the policy and data files of a bundle, all of them its author's. ``label`` stands before their names
        in places and errors."""
        number, self._roots = self._roots, self._roots + 1
        for path in sorted(files):
            relative, name = PurePosixPath(path), f"{label}/{path}"
            if not is_policy(path):
                continue
            try:
                text = files[path].decode("utf-8")
            except UnicodeDecodeError:
                self._wrong("the file is not UTF-8", name)
                continue
            self._take(name, number, relative, text, own=True)

    def _take(self, name: str, number: int, relative: PurePosixPath, text: str, *, own: bool) -> None:
        if own:
            self.own.add(name)
        if relative.suffix != ".rego":
            value = _nested(relative.parent.parts, self._parsed(name, text))
            self._merge(self.data, value, name)
            self.added.append((name, value))
        elif is_test(relative.name):
            self.tests[name] = text
        else:
            self.modules[name] = text
            self.canonical.append((f"{number}/{relative}", text))

    def _wrong(self, what: str, file: str, row: int = 0) -> None:
        self.diagnostics.append(Diagnostic(CODE, what, file, row, 1 if row else 0))

    def _files(self, root: Path) -> Iterator[tuple[Path, PurePosixPath]]:
        """The policy and data files below a directory, or one file, in an order that does not depend on the machine."""
        if root.is_file():
            yield root, PurePosixPath(root.name)
            return
        if not root.is_dir():
            self._wrong("there is no such directory", str(root))
            return
        for path in sorted(root.rglob("*"), key=lambda path: path.relative_to(root).as_posix()):
            relative = PurePosixPath(path.relative_to(root).as_posix())
            hidden = any(part.startswith(".") for part in relative.parts)
            if not hidden and is_policy(path.name) and path.is_file():
                yield path, relative

    def _text(self, path: Path, name: str) -> str | None:
        try:
            if path.stat().st_size > _LARGEST_BYTES:
                self._wrong("the file is larger than 8 MiB", name)
                return None
            return path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self._wrong(f"the file cannot be read: {type(error).__name__}", name)
            return None

    def _parsed(self, name: str, text: str) -> Any:
        try:
            if name.endswith(".json"):
                return json.loads(text, parse_constant=_no_number)
            # Through JSON: a date or a key that is no string would be read differently by each engine.
            return json.loads(json.dumps(load_yaml(text), allow_nan=False))
        except (ValueError, TypeError, yaml.YAMLError, RecursionError) as error:
            row = getattr(error, "lineno", 0) or getattr(getattr(error, "problem_mark", None), "line", -1) + 1
            self._wrong(f"the data cannot be read: {type(error).__name__}", name, row)
            return {}

    def _merge(self, into: dict[str, Any], value: Any, name: str, path: str = "data") -> None:
        """Objects merge, anything else stands in one place only, as in OPA."""
        if not isinstance(value, dict):
            self._wrong("the data must be an object", name)
            return
        for key, member in value.items():
            if key not in into:
                into[key] = member
            elif isinstance(member, dict) and isinstance(into[key], dict):
                self._merge(into[key], member, name, f"{path}.{key}")
            else:
                self._wrong(f"{path}.{key} is set in two places", name)


def is_policy(name: str) -> bool:
    """Whether a file of this name is Rego or data."""
    return name.endswith(".rego") or PurePosixPath(name).name in _DATA_FILES


def is_test(name: str) -> bool:
    """Whether a file of this name holds tests."""
    return name.endswith(_TESTS)


def label_of(directory: Path) -> str:
    """How a directory is called in places and errors: from where the process runs, if it lies below."""
    absolute = directory.absolute()
    return (absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute).as_posix()


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _nested(path: Sequence[str], value: Any) -> Any:
    for part in reversed(path):
        value = {part: value}
    return value
