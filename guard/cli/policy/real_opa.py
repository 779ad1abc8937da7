"""The ``opa`` command on PATH, for comparisons: it gets the same modules and data as the embedded engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from guard.errors import GuardError
from guard.policy.bundle import Bundle

_SECONDS: Final = 60.0
_SHOWN: Final = 300
_GET_IT: Final = (
    "install opa (https://www.openpolicyagent.org/docs#running-opa) and put it on PATH, or leave --with-opa"
)


class RealOpa:
    """The command, found and asked for its version. Raises ``GuardError`` if there is none, or it does not run."""

    def __init__(self) -> None:
        path = shutil.which("opa")
        if path is None:
            raise GuardError("there is no opa command on PATH", where="--with-opa", mend=_GET_IT)
        self.path = path
        first = self.run(["version"]).stdout.split("\n", 1)[0]
        self.version = first.removeprefix("Version:").strip()

    def run(self, arguments: Sequence[str], *, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """One call, bounded in time, without the caller's OPA settings. Raises ``GuardError`` if it does not end."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OPA_")}
        try:
            return subprocess.run(  # noqa: S603 - the author's own opa, no shell
                [self.path, *arguments],
                capture_output=True,
                encoding="utf-8",
                check=False,
                timeout=_SECONDS,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            what = f"opa {arguments[0]} did not end within {_SECONDS:g} s"
            raise GuardError(what, where=self.path, mend="try it by hand") from None
        except OSError as error:
            what = f"opa cannot be run: {error.strerror}"
            raise GuardError(what, where=self.path, mend=_GET_IT) from None

    def json(self, arguments: Sequence[str], *, cwd: Path | None = None) -> Any:
        """What a call prints as JSON (``opa check`` does so on stderr), ``None`` if it prints nothing. Raises
        ``GuardError`` for anything else."""
        done = self.run(arguments, cwd=cwd)
        text = done.stdout.strip() or done.stderr.strip()
        try:
            return json.loads(text) if text else None
        except ValueError:
            what = f"opa {arguments[0]} failed: {' '.join(text.split())[:_SHOWN]}"
            raise GuardError(what, where=self.path, mend="try it by hand, or leave --with-opa") from None


@contextmanager
def as_files(bundle: Bundle, *, tests: bool) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """A directory with the modules and data of a bundle as an engine gets them, and for each of its files the name by
    which the author knows it."""
    modules = {**bundle.modules, **(bundle.tests if tests else {})}
    with tempfile.TemporaryDirectory(prefix="guard-opa-") as name:
        directory = Path(name)
        names = {}
        for number, (file, text) in enumerate(sorted(modules.items())):
            names[f"{number:04}.rego"] = file
            (directory / f"{number:04}.rego").write_text(text, encoding="utf-8")
        (directory / "data.json").write_text(json.dumps(bundle.data), encoding="utf-8")
        yield directory, names
