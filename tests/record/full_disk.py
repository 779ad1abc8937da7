"""A process whose log lies on a disk that is full: ``python -m tests.record.full_disk DIRECTORY``.

``DIRECTORY`` is a small file system of its own. Says how many records were acknowledged until there was no room, that
the log stays closed, and that it opens by itself when there is room again.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from guard.errors import LogUnavailable
from guard.record.log import SignedLog
from guard.record.verify import verify
from tests.record.killed_writer import wait_for_recovery
from tests.record.logs import KEY, NAME, decision


async def main(directory: Path) -> None:
    """Fill, fail, make room, go on."""
    ballast = directory / "ballast"
    ballast.write_bytes(b"x" * 65_536)
    log = SignedLog(directory / "log", name=NAME, signer=KEY.signer)
    await log.start()
    written = 0
    try:
        while True:
            await log.append(decision(written))
            written += 1
    except LogUnavailable as error:
        sys.stdout.write(f"{error.code} {error.what}\n")
    try:
        await log.append(decision(written))
    except LogUnavailable:
        sys.stdout.write("still closed\n")
    ballast.unlink()
    await asyncio.to_thread(wait_for_recovery, log)
    await log.append(decision(written))
    await log.stop()
    report = verify(directory / "log")
    decisions = sum(origin.accounts.records.get("decision", 0) for origin in report.origins)
    sys.stdout.write(f"exit {report.exit_code}, {decisions == written + 1}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
