"""What a command needs beside the core: said by name where it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from guard.errors import DetectorMissing


@contextmanager
def needs_ml(what: str) -> Iterator[None]:
    """Around imports of the extra ``ml``. Raises ``DetectorMissing`` where it is not installed."""
    try:
        yield
    except ImportError as error:
        raise DetectorMissing(
            f"{what} needs {error.name or 'a library'}, which is not installed", mend="pip install 'policy-guard[ml]'"
        ) from None
