"""Verification of a log by somebody who trusts nobody: ``python -m guard.record.verify DIR [--trust FILE]``.

Each origin (a directory ``<name>-<n>`` with ``seg/``) goes through the numbered steps of ``guard.record.steps``,
streaming; then all together through the last:

13. ``writers``: every origin that the signed list of writers names is here, and was in the states that it saw; every
    anchor that was given belongs to an origin that is here.

Exit codes: 0 whole; 1 tampered; 2 torn tail, or no anchor under ``--require-anchor``; 3 nothing was verified. Imports
no web framework, no detector and no configuration.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from guard.record.note import VerifierKey
from guard.record.report import EXIT_USAGE, STEPS, Damage, OriginReport, Report, Result, Step
from guard.record.segment import list_segments
from guard.record.steps import Given, OriginCheck, Progress
from guard.record.steps_anchors import Anchor, read_given
from guard.record.trust import Trust, UsageError, read_trust
from guard.record.writers import Listed, read_writers


def verify(
    directory: Path,
    *,
    trust: Trust | Iterable[VerifierKey] | None = None,
    anchors: Iterable[Path] = (),
    require_anchor: bool = False,
    now_us: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Verify all origins under ``directory``, which may also be the directory of one origin.

    ``anchors`` are notes kept elsewhere, or directories of them. ``now_us`` (microseconds since the Unix epoch, else
    the clock's) is held against the last sign of life of a log that is not closed. ``progress`` is told of every byte
    that was read; ``size_of`` tells of how many. Raises ``UsageError`` if there is no log or an anchor does not read,
    ``OSError`` if the log does not.
    """
    believed = trust if trust is None or isinstance(trust, Trust) else Trust.of(trust)
    origins = find_origins(directory)
    if not origins:
        raise UsageError("there is no log here", where=str(directory), mend="name the directory that holds <name>-0")
    given = Given(
        trust=believed,
        anchors=read_given(anchors),
        now_us=time.time_ns() // 1000 if now_us is None else now_us,
        progress=progress or (lambda _: None),
    )
    whole = origins != [directory]
    listed = read_writers(directory) if whole else None
    checks = [OriginCheck(origin, given, listed) for origin in origins]
    reports = [check.run() for check in checks]
    step, damages = _hold_together(directory, checks, given.anchors, listed)
    if listed is not None and not damages:
        reports = _fixed_through_lists(reports, listed)
    return Report(str(directory), reports, require_anchor, damages, bool(listed and listed.lists), [step])


def find_origins(directory: Path) -> list[Path]:
    """The directories of origins: ``directory`` itself, or those in it."""
    if not directory.is_dir():
        return []
    if _is_origin(directory):
        return [directory]
    return sorted(path for path in directory.iterdir() if path.is_dir() and _is_origin(path))


def size_of(directory: Path) -> int:
    """How many bytes a verification of ``directory`` reads from segments."""
    origins = find_origins(directory)
    return sum(segment.path.stat().st_size for origin in origins for segment in list_segments(origin / "seg"))


@contextmanager
def acyclic() -> Iterator[None]:
    """For a process that does nothing else: what verification makes holds no cycles, so the collector is only in the
    way (a quarter of the time)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _is_origin(path: Path) -> bool:
    return (path / "seg").is_dir() or (path / "log.vkey").is_file() or (path / "checkpoint").is_file()


def _hold_together(
    directory: Path, checks: Sequence[OriginCheck], anchors: Sequence[Anchor], listed: Listed | None
) -> tuple[Step, list[Damage]]:
    """Step 13. Without the signed list it looks at the anchors that were given alone."""
    found = {check.origin for check in checks}
    damages = [
        Damage(f"the anchor is of {anchor.stated.origin}, whose log is not here", anchor.file, step="writers")
        for anchor in anchors
        if anchor.stated.origin not in found
    ]
    result: Result = "passed"
    said = f"{len(found)} origins, every one that the signed list names among them"
    if listed is not None:
        # Also without a list: a boot may name one, and then it was removed.
        after = read_writers(directory)
        gone = "a list of writers names this origin, and its log is not here"
        damages += [Damage(gone, name, step="writers") for name in listed.missing(found)]
        for check in checks:
            flaws = [] if check.watch is None else check.watch.flaws(after)
            damages += [Damage(flaw, check.origin, step="writers") for flaw in flaws]
    if listed is None or not listed.lists:
        result = "skipped"
        said = "one origin alone was asked for" if listed is None else "there is no signed list of writers"
    if damages:
        result, said = "failed", "; ".join(damage.what for damage in damages)
    return Step(len(STEPS), "writers", result, said), damages


def _fixed_through_lists(reports: Sequence[OriginReport], listed: Listed) -> list[OriginReport]:
    """An anchored list of writers fixes what its entries say of other origins: size and root at their opening and
    closing."""
    fixed = {report.origin: report.anchored_size for report in reports if report.anchored}
    return [
        msgspec.structs.replace(report, anchored=True, anchored_size=size)
        if (size := _told_size(report, listed, fixed)) > report.anchored_size
        else report
        for report in reports
    ]


def _told_size(report: OriginReport, listed: Listed, fixed: dict[str, int]) -> int:
    entries = listed.entries(report.origin)
    return max((entry.size for entry in entries if entry.seq < fixed.get(entry.origin, 0)), default=0)


class _Told:
    """Progress for a person: one line on standard error, renewed with every hundredth."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._read = 0
        self._said = -1

    def __call__(self, count: int) -> None:
        self._read += count
        percent = 100 * self._read // max(self._total, 1)
        if percent > self._said:
            self._said = percent
            sys.stderr.write(f"\rverified {percent:>3} % of {self._total} bytes")
        if self._read >= self._total:
            sys.stderr.write("\r\033[K")


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m guard.record.verify", description="Verify a signed log.")
    parser.add_argument("directory", type=Path, help="the log, or one origin of it")
    parser.add_argument("--trust", type=Path, help="file of trusted keys: docs/keys.md")
    parser.add_argument(
        "--anchor", type=Path, action="append", default=[], help="a checkpoint kept elsewhere, or a directory of them"
    )
    parser.add_argument("--require-anchor", action="store_true", help="exit 2 if no anchor outside the log is known")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of sentences")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as leaving:
        return EXIT_USAGE if leaving.code else 0
    try:
        trust = None if options.trust is None else read_trust(options.trust)
        with acyclic():
            report = verify(
                options.directory,
                trust=trust,
                anchors=options.anchor,
                require_anchor=options.require_anchor,
                progress=_Told(size_of(options.directory)) if sys.stderr.isatty() else None,
            )
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    except OSError as error:
        sys.stderr.write(f"nothing was verified: {error}\n")
        return EXIT_USAGE
    sys.stdout.write(report.to_json().decode() if options.json else "\n".join(report.lines()))
    sys.stdout.write("\n")
    return report.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
