"""The state directory: can it be written, who may read the keys, is there room, does the log end well, and do the
clocks agree with it."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from guard.cli.diagnosis.check import Check, of_error
from guard.cli.diagnosis.host import durable, file_system, kernel_clock, synchronised
from guard.cli.diagnosis.log_tail import Tail, TailBad, read_tail
from guard.config import GuardConfig
from guard.errors import KeyInvalid, LogUnavailable
from guard.record.deployment import DeploymentKeys
from guard.record.keys import PSEUDONYM_KEY, SIGNING_KEY, load_pseudonym_key
from guard.record.verify import find_origins
from guard.starting import deployment_keys, elsewhere

_MIB: Final = 2**20
LITTLE_BYTES: Final = 64 * _MIB
SCARCE_BYTES: Final = 1024 * _MIB
_FEW_INODES: Final = 1000
# A clock may lead by what time synchronisation leaves; past the largest JWT leeway, tokens and records disagree.
_AHEAD_US: Final = 2_000_000
_FAR_AHEAD_US: Final = 300_000_000
_DAY_US: Final = 86_400_000_000
_EARLIEST_US: Final = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp() * 1e6)


def check_state(directory: Path, config: GuardConfig | None = None) -> Iterator[Check]:
    """Everything below ``state_directory``. ``config`` says where the signing key is, if not in a file there."""
    base = _nearest(directory)
    usable = _usable(directory, base)
    yield usable
    yield _room(base)
    yield from durable(base, file_system(base))
    if usable.verdict == "problem":
        return
    origins = find_origins(directory / "log")
    away = config if config is not None and elsewhere(config) else None
    keys, checks = _keys(directory / "keys", away, begun=bool(origins))
    yield from checks
    tails = []
    for origin in origins:
        tail, check = _log(origin, keys)
        yield check
        tails += [tail] if tail else []
    if not origins:
        yield Check("log", "ok", "none yet; it begins with the first start", str(directory / "log"))
    yield clock(tails, wall_us=time.time_ns() // 1000, mono_us=time.monotonic_ns() // 1000)
    yield from synchronised(kernel_clock())


def _nearest(directory: Path) -> Path:
    """The directory itself, or the nearest one above it that exists."""
    for place in (directory, *directory.absolute().parents):
        if place.exists() or place.is_symlink():
            return place
    return Path("/")


def _usable(directory: Path, base: Path) -> Check:
    name = "state directory"
    if not base.is_dir():
        return Check(name, "problem", "it cannot be made: this is no directory", str(base), "correct state_directory")
    if not os.access(base, os.W_OK | os.X_OK):
        what = "it cannot be written by this user" if base == directory else "it cannot be made by this user"
        mend = f"give user {os.geteuid()} the directory, or set state_directory"
        return Check(name, "problem", what, str(base), mend)
    if base != directory:
        return Check(name, "ok", "does not exist yet; the first start makes it", str(directory))
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & stat.S_IWOTH:
        what = f"every user may write it (mode {mode:04o}), and so replace keys and log"
        return Check(name, "problem", what, str(directory), f"chmod 700 {directory}")
    log = directory / "log"
    if log.is_dir() and stat.S_IMODE(log.stat().st_mode) & 0o077:
        what = f"others may look into the log (mode {stat.S_IMODE(log.stat().st_mode):04o})"
        return Check(name, "warning", what, str(log), f"chmod 700 {log}")
    return Check(name, "ok", "can be written", str(directory))


def _room(base: Path) -> Check:
    name, where = "disk space", str(base)
    usage = shutil.disk_usage(base)
    free = f"{usage.free / _MIB:,.0f} MiB free"
    mend = "make room: a full disk refuses every request, since nothing is let through unrecorded"
    system = os.statvfs(base)
    if system.f_flag & os.ST_RDONLY:
        return Check(name, "problem", "the file system is read-only", where, "mount it for writing")
    # Some file systems count no inodes and state 0 of 0.
    few = system.f_files > 0 and system.f_favail < _FEW_INODES
    if usage.free < LITTLE_BYTES or few:
        what = f"{free}, {system.f_favail} inodes free" if few else free
        return Check(name, "problem", what, where, mend)
    if usage.free < SCARCE_BYTES:
        return Check(name, "warning", free, where, mend)
    return Check(name, "ok", free, where)


def _keys(directory: Path, away: GuardConfig | None, *, begun: bool) -> tuple[DeploymentKeys | None, list[Check]]:
    name = "keys"
    files = [directory / PSEUDONYM_KEY] if away else [directory / SIGNING_KEY, directory / PSEUDONYM_KEY]
    there = [path for path in files if path.exists()]
    if not there and not begun:
        return None, [Check(name, "ok", "none yet; the first start makes them, for its owner only", str(directory))]
    if len(there) < len(files):
        missing = ", ".join(path.name for path in files if path not in there)
        what = f"{missing} is missing" + (", and there is a log that was written with it" if begun else "")
        mend = "restore it from your backup; a new one would not continue the log" if begun else "the start makes it"
        return None, [Check(name, "problem" if begun else "warning", what, str(directory), mend)]
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & 0o077:
        mend = f"chmod 700 {directory}, and consider its keys known"
        return None, [Check(name, "problem", f"the directory is open to others ({mode:04o})", str(directory), mend)]
    try:
        load_pseudonym_key(directory / PSEUDONYM_KEY)
        keys = deployment_keys(away) if away else DeploymentKeys(directory)
        keys.present()
    except (KeyInvalid, LogUnavailable) as error:
        return None, [of_error(name, error)]
    checks = [Check(name, "ok", "whole, and for their owner only", str(directory))]
    for path in files:
        if path.stat().st_uid != os.geteuid():
            what = f"it belongs to user {path.stat().st_uid}, and this is user {os.geteuid()}"
            checks.append(Check(name, "warning", what, str(path), "run the guard and this command as the same user"))
    return keys, checks


def _log(origin: Path, keys: DeploymentKeys | None) -> tuple[Tail | None, Check]:
    name, where = "log", str(origin)
    try:
        tail = read_tail(origin)
    except TailBad as error:
        mend = f"guard log verify {origin}; keep the directory as evidence"
        return None, Check(name, "problem", str(error), where, mend)
    except OSError as error:
        return None, Check(name, "problem", f"it cannot be read: {error.strerror}", where, "check its permissions")
    if keys is not None and not keys.holds(tail.origin, tail.key.public_key):
        what = "it was signed with another key than those in the key directory, and cannot be continued"
        return tail, Check(name, "problem", what, where, "restore that key, or set another record.name")
    used = "; a process writes it now" if tail.in_use else ""
    if tail.torn and not tail.in_use:
        what = f"{tail.torn} bytes after the last commit were never acknowledged"
        return tail, Check(name, "warning", what, where, "the next start moves them aside and records that")
    return tail, Check(name, "ok", f"{tail.size} records, the last commit verifies{used}", where)


def clock(tails: Sequence[Tail], *, wall_us: int, mono_us: int) -> Check:
    """The wall clock against the newest record: records in the future, and steps since it was written."""
    name = "clock"
    mend = "let time synchronisation run (chrony, systemd-timesyncd); a log shows steps of the clock for ever"
    now = datetime.fromtimestamp(wall_us / 1e6, UTC).isoformat(" ", "seconds").removesuffix("+00:00") + " UTC"
    if wall_us < _EARLIEST_US:
        return Check(name, "problem", f"it says {now}, which is long past", mend=mend)
    newest = max((tail.newest for tail in tails if tail.newest), key=lambda record: record.ts_us, default=None)
    if newest is None:
        return Check(name, "ok", f"{now}; no record to compare it with")
    ahead = newest.ts_us - wall_us
    if ahead > _AHEAD_US:
        what = f"the newest record of {newest.origin} is {_seconds(ahead)} in the future of {now}"
        return Check(name, "problem" if ahead > _FAR_AHEAD_US else "warning", what, mend=mend)
    # Both clocks since that record; beyond a day the machine was restarted since, and the two cannot be compared.
    step = (wall_us - newest.ts_us) - (mono_us - newest.mono_us)
    if mono_us >= newest.mono_us and _AHEAD_US < abs(step) < _DAY_US:
        way = "forward" if step > 0 else "back"
        what = f"it went {_seconds(abs(step))} {way} against the monotonic clock since the newest record"
        reason = "a step of the clock, a suspended or a restarted machine; if it was a step: " + mend
        return Check(name, "warning", what, mend=reason)
    return Check(name, "ok", f"{now}; the newest record is {_seconds(-ahead)} old")


def _seconds(us: int) -> str:
    seconds = max(us, 0) / 1e6
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:,.0f} s"
