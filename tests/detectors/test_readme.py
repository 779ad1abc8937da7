"""The example of ``detectors/README.md`` runs, is short, and passes the shared checks."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from guard.testing import check_detector

README = Path(__file__).parents[2] / "detectors" / "README.md"


def test_example_passes_the_battery(monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector of "write one in 20 lines" is a whole detector of at most 20 lines."""
    (source,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in source.splitlines() if line.strip()]) <= 20
    module: Any = ModuleType("your_package")
    monkeypatch.setitem(sys.modules, "your_package", module)
    exec(compile(source, str(README), "exec"), module.__dict__)
    check_detector(module.BadgeDetector(), "ask for BADGE-204817 at the door")
