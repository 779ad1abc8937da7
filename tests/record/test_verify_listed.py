"""The list of writers in verification: whole logs removed, and what an anchor of the list fixes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from guard.record.log import SignedLog
from guard.record.verify import verify
from guard.testing.adversary import attack
from guard.testing.adversary_log import Log
from tests.record.logs import KEY, NAME, ORIGIN, decision, outcome

pytestmark = pytest.mark.anyio
LIST = f"{NAME}-writers"


async def two_writers(directory: Path) -> None:
    """Two processes' logs, side by side, closed in order, and their list."""
    logs = [SignedLog(directory, name=NAME, signer=KEY.signer) for _ in range(2)]
    for log in logs:
        await log.start()
    for number, log in enumerate(logs):
        await log.append(decision(number))
        await log.append(outcome(number))
    for log in logs:
        await log.stop()


async def test_a_removed_origin_is_caught_by_the_adversary(tmp_path: Path) -> None:
    """Attack 12: with the signed list, a log that is gone is named, and the step says so."""
    await two_writers(tmp_path)
    found = attack(tmp_path, sign_as=KEY.signer, tries=3)
    (tried,) = [one for one in found.tried if one.name == "remove-origin"]
    assert (tried.worst, found.unnoticed) == ("caught", [])
    assert tried.where == f"{ORIGIN}: a list of writers names this origin, and its log is not here"
    shutil.rmtree(tmp_path / ORIGIN)
    report = verify(tmp_path)
    assert (report.exit_code, report.steps[0].result, report.steps[0].number) == (1, "failed", 13)
    assert f"TAMPERED: {tmp_path}" in report.lines()


async def test_an_anchored_list_fixes_the_other_origins(tmp_path: Path) -> None:
    """Its entries state size and root of each opening and closing; an origin is anchored as far as they tell."""
    await two_writers(tmp_path)
    anchor = tmp_path.parent / f"{tmp_path.name}.note"
    anchor.write_bytes((tmp_path / LIST / "checkpoint").read_bytes())
    assert verify(tmp_path, require_anchor=True).exit_code == 2
    report = verify(tmp_path, anchors=[anchor], require_anchor=True)
    assert (report.exit_code, report.unanchored) == (0, [])
    sizes = {origin.origin: origin.anchored_size for origin in report.origins}
    assert (sizes[ORIGIN], sizes[f"{NAME}-1"]) == (4, 4)
    state = Log.read(tmp_path / LIST)
    state.keep(2)
    anchor.write_text(state.checkpoint, encoding="utf-8")
    report = verify(tmp_path, anchors=[anchor], require_anchor=True)
    assert (report.exit_code, {origin.origin: origin.anchored_size for origin in report.origins}[ORIGIN]) == (0, 1)


async def test_a_rolled_back_origin_contradicts_the_list(tmp_path: Path) -> None:
    """Attack 7 on one origin: no anchor, and yet its own list saw more."""
    await two_writers(tmp_path)
    state = Log.read(tmp_path / ORIGIN)
    state.keep(2)
    shutil.rmtree(tmp_path / ORIGIN / "seg")
    for name, data in state.files().items():
        (tmp_path / ORIGIN / name).parent.mkdir(exist_ok=True)
        (tmp_path / ORIGIN / name).write_bytes(data)
    report = verify(tmp_path)
    assert (report.exit_code, [origin.status for origin in report.origins]) == (1, ["whole"] * 3)
    assert [damage.file for damage in report.damages] == [ORIGIN]
    assert verify(tmp_path / ORIGIN).exit_code == 0
