"""The ``guard`` command. Exit codes: 0 done, 1 failed, 2 as a command documents it, 3 usage, 130 interrupted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

EXIT_INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. Errors go to stderr as what, where and mend."""
    try:
        # Imported here, so that an interrupt while everything loads is no traceback either.
        from guard.cli.command import run

        code = run(arguments)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    if code == EXIT_INTERRUPTED:
        sys.stderr.write("interrupted\n")
    return code
