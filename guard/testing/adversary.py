"""The adversary: attacks a copy of a signed log, and shows what its verification notices.

``python -m guard.testing.adversary LOG_DIR`` copies the log (a long one: its first commits), applies each attack of
``docs/verify.md``, changes and cuts bytes, and verifies each time, without an anchor and with one. It prints what was
owed and what was found, and exits 0 if all is as promised, 1 if something went unnoticed, 3 if nothing was tried. The
log itself is only read. In tests: ``attack`` and ``assert_noticed``.

Attacks by a holder of the signing key need that key (``--key``, a PEM file). Without it the copy is first signed anew
under a throw-away key, so that they can be shown all the same.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from guard.record.note import VerifierKey
from guard.record.report import Report
from guard.record.segment import commit_note
from guard.record.steps_anchors import Anchor, read_given
from guard.record.trust import Trust
from guard.record.verify import find_origins, verify
from guard.record.writers import is_list, read_writers
from guard.testing.adversary_cases import CASES, Case, NotHere, Scene, Verdict
from guard.testing.adversary_log import KEPT_RECORDS, Log, NotAttacked, stranger, write_files
from guard.types import Signer

_RANK: Final[dict[Verdict, int]] = {"missed": 0, "said": 1, "torn": 2, "caught": 3}


class Tried(msgspec.Struct, frozen=True):
    """One attack, or many bytes of one kind, and what came of it. ``where`` names the first damage; ``skipped`` says
    why it was not tried; ``tries`` counts the verifications, ``worst`` is the least that one of them found."""

    number: str
    name: str
    title: str
    anchored: bool
    owed: Verdict
    worst: Verdict | None = None
    where: str = ""
    skipped: str = ""
    tries: int = 1

    @property
    def unnoticed(self) -> bool:
        """Whether less was found than is owed."""
        return self.worst is not None and _RANK[self.worst] < _RANK[self.owed]


class Attacked(msgspec.Struct, frozen=True):
    """What was attacked: the first ``records`` records of ``origin``; ``resigned``: signed anew by a throw-away key."""

    origin: str
    records: int
    resigned: bool
    tried: list[Tried]

    @property
    def unnoticed(self) -> list[Tried]:
        """Those of which less was found than is owed."""
        return [one for one in self.tried if one.unnoticed]


class Bench:
    """The honest copy, what the auditor believes of it, and a directory to damage copies in."""

    def __init__(
        self, log: Log, trust: Trust, sign_as: Callable[[str], Signer] | None, directory: Path, anchor: str = ""
    ) -> None:
        """``anchor`` is a note that was kept elsewhere, else the copy's own last one. Raises ``NotAttacked`` if the
        copy does not verify as it is."""
        self.log = log
        self.trust = trust
        self.sign_as = sign_as
        self.directory = directory
        self._now_us = log.record(log.size - 1)["ts_us"]
        self.anchor = directory / "anchor.note"
        self.anchor.write_text(anchor or log.checkpoint, encoding="utf-8")
        honest = self.verify(log.files(), trust, anchored=True)
        if honest.exit_code:
            mend = "run guard log verify; with --trust and --key, see that they fit this log"
            raise NotAttacked(f"the log is not whole: {honest.origins[0].damages[0]}", where=log.origin, mend=mend)
        self._said = set(honest.origins[0].notices)

    def verify(self, files: dict[str, bytes], trust: Trust, *, anchored: bool) -> Report:
        """Verify a damaged copy."""
        place = self.directory / "copy"
        try:
            copy = write_files(place / self.log.origin, files)
            return verify(copy, trust=trust, anchors=[self.anchor] if anchored else [], now_us=self._now_us)
        finally:
            shutil.rmtree(place)

    def judge(self, report: Report) -> Verdict:
        """What a verification found."""
        if report.exit_code:
            return "caught" if report.status == "tampered" else "torn"
        return "said" if set(report.origins[0].notices) - self._said else "missed"

    def run(self, case: Case, *, anchored: bool) -> Tried:
        """One attack."""
        owed = case.anchored if anchored else case.alone
        tried = Tried(case.number, case.name, case.title, anchored, owed)
        scene = Scene(self.log.copy(), self.sign_as, self.trust)
        try:
            files = case.apply(scene)
        except NotHere as error:
            return msgspec.structs.replace(tried, skipped=str(error))
        report = self.verify(files, scene.trust, anchored=anchored)
        return msgspec.structs.replace(tried, worst=self.judge(report), where=_place(report))

    def many(self, tried: Tried, copies: Iterable[dict[str, bytes]]) -> Tried:
        """Many copies of one kind: the least that was found of one of them."""
        worst: tuple[Verdict, str] | None = None
        count = 0
        for files in copies:
            report = self.verify(files, self.trust, anchored=tried.anchored)
            found = self.judge(report)
            count += 1
            if worst is None or _RANK[found] < _RANK[worst[0]]:
                worst = found, _place(report)
        if worst is None:
            return msgspec.structs.replace(tried, skipped="no bytes of this kind", tries=0)
        return msgspec.structs.replace(tried, worst=worst[0], where=worst[1], tries=count)


def attack(
    directory: Path,
    *,
    trust: Trust | None = None,
    anchors: Iterable[Path] = (),
    sign_as: Callable[[str], Signer] | None = None,
    records: int = KEPT_RECORDS,
    tries: int = 100,
    seed: int = 0,
) -> Attacked:
    """Try every attack on a copy of the log in ``directory``: an origin's, or a log directory (then on the first origin
    in it).

    ``trust`` is what the auditor believes, else the log's own key. ``anchors`` are those that were kept elsewhere: then
    the log is attacked as it stood at the newest of them. ``sign_as`` makes a signer of the log's key under a name. Of
    a log with more than ``records`` records the first are taken. ``tries`` bytes are changed, and as many cuts
    made, chosen by ``seed``; 0 means every byte of what is copied. Raises ``NotAttacked`` or ``OSError``.
    """
    origins = find_origins(directory)
    chosen = next((path for path in origins if not is_list(path.name)), None)
    if chosen is None:
        raise NotAttacked("there is no log here", where=str(directory), mend="name the directory that holds <name>-0")
    anchor = _newest(anchors, chosen.name, records)
    log = Log.read(chosen, records) if anchor is None else _at(chosen, anchor)
    resigned = sign_as is None and anchor is None and "key" not in log.kinds()
    if resigned:
        sign_as = stranger()
        log.under(sign_as(log.origin))
        trust = None
    with tempfile.TemporaryDirectory(prefix="guard-adversary-") as scratch:
        believed = trust or Trust.of([VerifierKey.parse(log.vkey)])
        bench = Bench(log, believed, sign_as, Path(scratch), anchor.note if anchor else "")
        found = [bench.run(case, anchored=anchored) for case in CASES for anchored in (False, True)]
        found += _remove_origin(directory, origins, chosen, Path(scratch))
        found += _bytes(bench, tries, Random(seed))  # noqa: S311 - to be repeated, not to be secret
    return Attacked(log.origin, log.size, resigned, found)


def assert_noticed(directory: Path, **options: Any) -> Attacked:
    """``attack`` with its options, and an ``AssertionError`` that names what went unnoticed although it is owed."""
    found = attack(directory, **options)
    if found.unnoticed:
        names = ", ".join(f"{one.name} ({'with' if one.anchored else 'without'} anchor)" for one in found.unnoticed)
        raise AssertionError(f"verification did not notice: {names}")
    return found


def _newest(anchors: Iterable[Path], origin: str, records: int) -> Anchor | None:
    """The newest anchor of the first ``records`` records; ``None`` if there are no anchors at all."""
    given = read_given(anchors)
    fit = [one for one in given if one.stated.origin == origin and 1 < one.stated.size <= records]
    if given and not fit:
        what = f"no anchor is of 2 to {records} records of {origin}"
        raise NotAttacked(what, where=given[0].file, mend="give another anchor, or more --records")
    return max(fit, key=lambda one: one.stated.size, default=None)


def _at(origin: Path, anchor: Anchor) -> Log:
    """The log as it stood at an anchor."""
    size = anchor.stated.size
    log = Log.read(origin, size)
    if log.size != size:
        what = f"the log has no commit of {size} records, where its anchor is"
        raise NotAttacked(what, where=anchor.file, mend="run guard log verify with --anchor")
    return log


def _remove_origin(directory: Path, origins: list[Path], gone: Path, scratch: Path) -> list[Tried]:
    """The twelfth attack: a whole log is removed, and the others stay."""
    tried = Tried("12", "remove-origin", "a whole origin's log removed", False, "caught")
    listed = read_writers(directory)
    if gone.name not in listed.origins:
        return [msgspec.structs.replace(tried, skipped="needs a log directory with the signed list of writers")]
    place = scratch / "removed"
    place.mkdir()
    for path in origins:
        if path != gone:
            (place / path.name).symlink_to(path.resolve(), target_is_directory=True)
    report = verify(place)
    where = str(report.damages[0]) if report.damages else ""
    return [msgspec.structs.replace(tried, worst="caught" if report.damages else "missed", where=where)]


def _bytes(bench: Bench, tries: int, random: Random) -> Iterator[Tried]:
    log = bench.log
    files = log.files()
    places = [(name, at) for name, data in files.items() for at in range(len(data))]
    flips = places if not tries else random.sample(places, min(tries, len(places)))
    cuts = [place for place in places if place[0].startswith("seg/")]
    cuts = cuts if not tries else random.sample(cuts, min(tries, len(cuts)))
    for anchored in (False, True):
        flipped = Tried("1", "flip", "one byte changed, anywhere", anchored, "caught")
        yield bench.many(flipped, (_flipped(files, name, at, random) for name, at in flips))
        cut = Tried("4", "cut", "a segment cut, anywhere", anchored, "caught")
        yield bench.many(cut, ({**files, name: files[name][:at]} for name, at in cuts))
        yield tear(bench, tries, random, anchored=anchored)


def tear(bench: Bench, tries: int, random: Random, *, anchored: bool) -> Tried:
    """Writes torn by a crash, at ``tries`` bytes of the last commit, or (0) at every one: a torn tail each time; with
    an anchor over that commit, which only a durable one gets, tampering."""
    torn = Tried("-", "torn-write", "a write torn by a crash", anchored, "caught" if anchored else "torn")
    return bench.many(torn, _torn(bench.log, tries, random))


def _flipped(files: dict[str, bytes], name: str, at: int, random: Random) -> dict[str, bytes]:
    data = files[name]
    return {**files, name: data[:at] + bytes((data[at] ^ random.randrange(1, 256),)) + data[at + 1 :]}


def _torn(log: Log, tries: int, random: Random) -> Iterator[dict[str, bytes]]:
    """The last commit was being written, and published nothing: every beginning of it, but all and nothing."""
    files = log.files()
    name = max(name for name in files if name.startswith("seg/"))
    last, before = log.groups[-1], log.groups[-2]
    published = commit_note(before.commit).encode()
    end = len(files[name])
    start = end - sum(len(line) + 1 for line in (*last.records, last.commit))
    places = range(start + 1, end)
    for at in places if not tries else sorted(random.sample(places, min(tries, len(places)))):
        yield {**files, name: files[name][:at], "checkpoint": published}


def _place(report: Report) -> str:
    damages = report.origins[0].damages or report.damages
    return str(damages[0]) if damages else ""


if __name__ == "__main__":
    from guard.testing.adversary_table import main

    raise SystemExit(main())
