"""What the command hands to commands of other packages (``guard.types.CommandHost``): the log, verified, and the
options of detectors. They import the nouns and the errors alone, and never look for files of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from guard.cli.complaints import warn
from guard.cli.log_options import directory_of
from guard.cli.log_reads import recorded_reading
from guard.config import load_config
from guard.errors import LogTampered
from guard.record.verify import verify
from guard.review.filters import Filter
from guard.review.query import LogReader
from guard.types import DecisionRecord


class Host:
    """The ``CommandHost`` of the command line."""

    @property
    def options(self) -> Mapping[str, Mapping[str, Any]]:
        """``[detectors.options]``. Raises ``ConfigError`` for a configuration that does not load."""
        return load_config().detectors.options

    @contextmanager
    def records(self, directory: Path | None, kinds: Sequence[str], word: str) -> Iterator[Iterator[DecisionRecord]]:
        """Records of a log that verifies, oldest first, while the block lasts; the reading is recorded under ``word``.

        Raises ``LogTampered`` for one that does not verify, ``GuardError`` where there is none. A torn tail is said:
        what was not committed is not read.
        """
        log = directory_of(directory)
        report = verify(log)
        if report.status == "tampered":
            raise LogTampered("the log was tampered with, so nothing is learned from it", where=str(log),
                              mend="guard log verify says what is wrong")  # fmt: skip
        if report.status == "torn":
            warn("the log ends in the middle of a write; what was committed is read")
        reader = LogReader(log)
        wanted = reader.records(Filter(kind=kinds[0] if len(kinds) == 1 else None))
        with recorded_reading(log, word) as account:
            yield account.counted(record for record in wanted if record["kind"] in kinds)
            account.complete = True
