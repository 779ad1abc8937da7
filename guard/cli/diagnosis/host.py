"""What the machine does with what the guard entrusts to it: does a file survive, and is the clock set by anybody."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

from guard.cli.diagnosis.check import Check

_MOUNTS: Final = Path("/proc/self/mountinfo")
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs", "devtmpfs"})
_LAYERS: Final = frozenset({"overlay", "aufs"})
# Over a network, a lock and a flush are worth what the server makes of them.
_REMOTE: Final = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "ceph",
    "glusterfs",
    "lustre",
    "afs",
    "fuse.sshfs",
    "fuse.s3fs",
    "virtiofs",
)
_ESCAPES: Final = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}
_UNSYNCHRONISED: Final = 0x40
"""``STA_UNSYNC`` of adjtimex(2)."""


def file_system(directory: Path) -> str:
    """The type of the file system under a directory, as the kernel calls it; empty where it does not say."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    place = directory.resolve()
    found = (0, "")
    for line in lines:
        # proc_pid_mountinfo(5): fields up to a lone hyphen, then the type.
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        mount = fields[4]
        for escape, character in _ESCAPES.items():
            mount = mount.replace(escape, character)
        # Later mounts cover earlier ones at the same place.
        if place.is_relative_to(mount) and len(mount) >= found[0]:
            found = (len(mount), after.split()[0])
    return found[1]


def durable(directory: Path, kind: str) -> Iterator[Check]:
    """Whether what is written there is there after a restart, and written by one machine only."""
    name, where = "durability", str(directory)
    mend = "set state_directory to a disk or a volume of this machine"
    if kind in _IN_MEMORY:
        what = f"{kind} lies in memory: log and keys are gone after a restart, whatever was called durable"
        yield Check(name, "warning", what, where, mend)
    elif kind in _LAYERS:
        what = f"{kind} is a container's own layer: log and keys go with the container"
        yield Check(name, "warning", what, where, mend)
    elif kind.startswith(_REMOTE):
        what = f"{kind} is shared over a network: locks that keep two hosts apart, and flushes, depend on the server"
        yield Check(name, "warning", what, where, f"{mend}, one for each host")
    elif kind:
        yield Check(name, "ok", f"{kind}, on this machine", where)


class _Timex(ctypes.Structure):
    """``struct timex`` of adjtimex(2), up to ``status``; the kernel writes beyond it into ``rest``."""

    _fields_: ClassVar = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    ]


def kernel_clock() -> int | None:
    """The status word of the kernel's clock; ``None`` where the system does not tell. Reads only."""
    if sys.platform != "linux":
        return None
    state = _Timex()
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.byref(state))
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else int(state.status)


def synchronised(status: int | None) -> Iterator[Check]:
    """Whether somebody sets the clock. Nothing is said where that cannot be known."""
    if status is None:
        return
    if status & _UNSYNCHRONISED:
        what = "nothing on this machine keeps the clock synchronised: times in the log and of tokens may drift"
        mend = "let chrony or systemd-timesyncd run; in a container or a guest the host may do it, then leave it"
        yield Check("time synchronisation", "warning", what, mend=mend)
    else:
        yield Check("time synchronisation", "ok", "the kernel's clock is kept synchronised")
