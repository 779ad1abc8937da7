"""The verification of one origin's log in numbered steps, streaming.

1. ``key``: whose signature it bears: from the trust file, or named by the log itself (then integrity is proven, not
   origin); where keys change, each is endorsed by the one before.
2. ``checkpoint``: the file is signed by the key of its size.
3. ``segments``: numbered from 0 without a gap.
4. ``records``: each line: framing, canonical form (RFC 8785), schema, ``seq``, ``prev``, origin, ``boot``, ``mono_us``.
5. ``commits``: each: origin, size, root over all records so far (RFC 6962), Ed25519 signature (C2SP signed note).
6. ``end``: a commit covers every record; the ``checkpoint`` file states one of the log's own states.
7. ``anchors``: the log had the root of each anchor at that anchor's size.
8. ``ids``: no two records share one.
9. ``configurations``: each decision names one, and policies, that an ``open`` or ``config`` record before it names.
10. ``pairs``: allowed decisions and their outcomes.
11. ``boots``: opens and closes; bytes that recovery moved aside.
12. ``clocks``: silences longer than three heartbeats, a wall clock that stepped back.

Damage at or below the size of the ``checkpoint`` file or of an anchor, after a ``close``, or before a commit that
verifies is tampering: no crash does that. So is a record that contradicts those before it. Other bytes after the last
commit are a torn tail. Steps 10 to 12 find what is said and is no tampering.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from guard.record.accounts import Ledger
from guard.record.chain import Chain, Flaw
from guard.record.report import AnchorSeen, Damage, OriginReport, Status
from guard.record.segment import Batch, Segment, list_segments, read_batches
from guard.record.steps_anchors import Anchor, Anchors
from guard.record.steps_published import OwnKey, Published
from guard.record.steps_told import steps_of
from guard.record.trust import Trust
from guard.record.writers import Listed

Progress = Callable[[int], None]
"""Called with the number of bytes that were read since the last call."""


class Given(msgspec.Struct, frozen=True):
    """What the auditor brings. ``now_us`` is the wall clock, microseconds since the Unix epoch."""

    trust: Trust | None
    anchors: Sequence[Anchor]
    now_us: int
    progress: Progress


class OriginCheck:
    """One origin, checked once. ``watch`` is what the list of writers says of it."""

    def __init__(self, directory: Path, given: Given, listed: Listed | None = None) -> None:
        self._directory = directory
        self._given = given
        self._own = OwnKey.read(directory)
        self._published = Published(directory / "checkpoint")
        self._key, self._damages = self._own.beginning(given.trust, directory.name)
        self._torn = False
        """Whether the first damage, if there is one, is what a crash leaves."""
        self.origin = directory.name if self._key is None else self._key.name
        self.watch = None if listed is None else listed.watch(self.origin)
        self._anchors = Anchors(directory, [one for one in given.anchors if one.stated.origin == self.origin])
        self._seen: list[AnchorSeen] = []
        self._ledger = Ledger(directory)

    def run(self) -> OriginReport:
        """All steps. Raises ``OSError`` if a file cannot be read."""
        if self._key is None:
            return self._report(None)
        stated = self._published.stated
        chain = Chain(self._key, self._anchors.sizes | ({stated.size} if stated else set()), self._given.trust)
        segments = list_segments(self._directory / "seg")
        self._read_segments(chain, segments)
        self._hold_published(chain)
        self._seen = self._anchors.judge(chain, self._given.trust, chain.epochs.key_at, broken=self._tampered)
        self._damages += self._anchors.damages
        if not self._damages:
            self._search_ids(chain, segments)
        self._damages += self._ledger.contradictions
        return self._report(chain)

    @property
    def _tampered(self) -> bool:
        return len(self._damages) > self._torn

    def _read_segments(self, chain: Chain, segments: Sequence[Segment]) -> None:
        """Steps 3 to 5."""
        for number, segment in enumerate(segments):
            if segment.number != number:
                file = f"seg/{number:06}.jsonl"
                self._damages.append(Damage(f"segment {number} is missing", file, seq=chain.size, step="segments"))
                return
            if not self._read_segment(chain, segment, last=segment is segments[-1]):
                return
        if not chain.size and not (self._published.stated and self._published.stated.size):
            self._torn = not self._damages
            self._damages.append(Damage("the log was begun and holds no record", "seg", step="segments"))

    def _read_segment(self, chain: Chain, segment: Segment, *, last: bool) -> bool:
        """Take a segment in; whether it verifies."""
        file = f"seg/{segment.path.name}"
        self._ledger.accounts.segments += 1
        batches = read_batches(segment.path)
        for batch in batches:
            closed, before = chain.closed, chain.size
            try:
                records = chain.accept(batch)
            except Flaw as flaw:
                place = len(batch.records) if flaw.index is None else flaw.index
                seq = before if flaw.index is None else before + flaw.index
                damage = Damage(flaw.what, file, batch.first_line + place, seq, flaw.step)
                after_close = closed and batch.start > 0
                self._published.verify(chain.epochs)
                published = self._published.stated.size if self._published.stated else 0
                torn = last and not after_close and before >= published and not _signed(chain, batch, batches)
                self._torn = torn and not self._damages
                self._damages.append(damage)
                return False
            self._ledger.take(records, file)
            self._anchors.passed(chain, batch)
            if self.watch is not None:
                self.watch.take(records, chain.size, chain.tree.root())
            self._given.progress(batch.end - batch.start)
        return True

    def _hold_published(self, chain: Chain) -> None:
        """Steps 2 and 6, and ``log.vkey``."""
        self._published.verify(chain.epochs)
        told = any(damage.seq is not None for damage in self._damages)
        accounts = self._ledger.accounts
        self._published.hold(chain, accounts.commits, accounts.boots, told=told)
        self._damages += self._published.damages
        if chain.size and not self._own.damages:
            self._damages += self._own.held(chain.epochs)

    def _search_ids(self, chain: Chain, segments: Iterable[Segment]) -> None:
        """Step 8, for those that the first reading could not tell."""
        twice = chain.ids.search((segment.path for segment in segments), chain.size)
        if twice is not None:
            what = f"the id {twice.id} stands in the log already, in record {twice.first}"
            self._damages.append(Damage(what, twice.file, twice.line, twice.seq, "ids"))

    def _report(self, chain: Chain | None) -> OriginReport:
        status: Status = "tampered" if self._tampered else "torn" if self._torn else "whole"
        accounts = self._ledger.close(self._given.now_us)
        fixed = max((one.size for one in self._seen if one.outside), default=0)
        report = OriginReport(
            origin=self.origin,
            directory=str(self._directory),
            status=status,
            damages=self._damages,
            anchored=fixed > 0,
            anchored_size=fixed,
            anchors=self._seen,
            evidence=self._anchors.evidence,
            accounts=accounts,
            notices=[notice.said for notice in self._ledger.notices],
        )
        if chain is not None:
            report = msgspec.structs.replace(
                report,
                size=chain.size,
                root=chain.tree.root().hex(),
                key=chain.key.encode(),
                trusted=self._given.trust is not None and not any(one.step == "key" for one in self._damages),
                grounds=[epoch.grounds for epoch in chain.epochs.history if epoch.grounds],
                keys=len(chain.epochs.history),
                ids_unproven=chain.ids.unproven,
            )
        return msgspec.structs.replace(report, steps=steps_of(report, self._ledger.notices))


def _signed(chain: Chain, batch: Batch, rest: Iterable[Batch]) -> bool:
    """Whether a commit that verifies follows the damage. A write that never ended may hold unwritten (NUL) blocks and
    yet its own commit, but nothing after it."""
    later = any(chain.signed(other) for other in rest)
    return later or (chain.signed(batch) and not any(b"\x00" in line for line in batch.records))
