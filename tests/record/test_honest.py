"""No false alarm: logs of honest writers, with crashes, are never called tampered."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.record.honest import false_alarms

LOGS = int(os.environ.get("GUARD_HONEST_LOGS", "1000"))


def test_a_few_honest_logs_with_crashes_raise_no_alarm(tmp_path: Path) -> None:
    """Several writers, crashes at every stage, torn, zeroed and garbled tails: whole, or torn by name."""
    assert false_alarms(30, 1, tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_honest_logs_with_crashes_raise_no_alarm(tmp_path: Path) -> None:
    """The same a thousand times; ``GUARD_HONEST_LOGS`` for more."""
    assert false_alarms(LOGS, 1000, tmp_path) == []
