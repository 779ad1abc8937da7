"""A process that appends as fast as it can until it is killed; it says which decisions it was told are durable.

``python -m tests.record.killed_writer DIRECTORY [FILE_SIZE_LIMIT]``
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from itertools import count
from pathlib import Path

from guard.errors import LogUnavailable
from guard.record.log import SignedLog
from tests.record.logs import KEY, NAME, decision, outcome


async def kill_me(directory: Path) -> None:
    """Eight tasks append decisions and outcomes; each acknowledged record is a line ``origin seq id`` on stdout."""
    log = SignedLog(directory, name=NAME, signer=KEY.signer, segment_records=64)
    await log.start()
    assert log.directory is not None
    origin = log.directory.name
    numbers = count()

    async def append() -> None:
        while True:
            record = decision(next(numbers), policy_input=None)
            del record["id"]
            receipt = await log.append(record)
            sys.stdout.write(f"{origin} {receipt.seq} {receipt.id}\n")
            sys.stdout.flush()
            receipt = await log.append({**outcome(0, policy_input=None), "decision_ref": receipt.id})
            sys.stdout.write(f"{origin} {receipt.seq} {receipt.id}\n")
            sys.stdout.flush()

    await asyncio.gather(*(append() for _ in range(8)))


def wait_for_recovery(log: SignedLog) -> None:
    """Returns once the log has opened itself again."""
    while log.failure is not None:
        time.sleep(0.02)


async def fill_up(directory: Path, limit: int) -> None:
    """Append until the file-size limit stops it, see that it stays stopped, lift the limit, see that it goes on."""
    log = SignedLog(directory, name=NAME, signer=KEY.signer)
    await log.start()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    durable = 0
    try:
        while True:
            await log.append(decision(durable))
            durable += 1
    except LogUnavailable as error:
        sys.stdout.write(f"{durable} {error.what}\n")
    try:
        await log.append(decision(durable))
    except LogUnavailable:
        sys.stdout.write("still closed\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await asyncio.to_thread(wait_for_recovery, log)
    await log.append(decision(durable))
    sys.stdout.write("open again\n")
    await log.stop()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        asyncio.run(fill_up(Path(sys.argv[1]), int(sys.argv[2])))
    else:
        asyncio.run(kill_me(Path(sys.argv[1])))
