"""How well findings fit labels: precision, recall and F2 for each type, leak and over-redaction in characters.

A finding and a label are a pair if their characters overlap by half of their union. F2 weighs recall four times as much
as precision: what is missed leaks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from benchmarks.pii_dataset import Sample, Span

OVERLAP: Final = 0.5
ANY: Final = "any"
_SAME: Final = {
    "ADDRESS": "STREET_ADDRESS",
    "FIRST_NAME": "PERSON",
    "LAST_NAME": "PERSON",
    "NAME": "PERSON",
    "GPE": "LOCATION",
    "CITY": "LOCATION",
    "PHONE": "PHONE_NUMBER",
    "EMAIL": "EMAIL_ADDRESS",
    "IBAN": "IBAN_CODE",
    "DATE": "DATE_TIME",
}
"""Labels of other datasets, by our names."""


class Row(msgspec.Struct, frozen=True):
    """One type. Shares are 0..1; ``None`` where nothing was labelled or found."""

    type: str
    labelled: int
    found: int
    precision: float | None
    recall: float | None
    f2: float | None


class Score(msgspec.Struct, frozen=True):
    """``leak``: share of labelled characters that no finding covers. ``over``: share of the others that one covers."""

    rows: tuple[Row, ...]
    leak: float
    over: float
    unseen_recall: float | None
    seen_recall: float | None

    def as_json(self) -> dict[str, Any]:
        """Plain types, shares rounded to thousandths."""
        return {
            "leak": round(self.leak, 3),
            "over_redaction": round(self.over, 3),
            "person_recall_listed": _rounded(self.seen_recall),
            "person_recall_unlisted": _rounded(self.unseen_recall),
            "types": {
                row.type: {
                    "labelled": row.labelled,
                    "found": row.found,
                    "precision": _rounded(row.precision),
                    "recall": _rounded(row.recall),
                    "f2": _rounded(row.f2),
                }
                for row in self.rows
            },
        }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 3)


def score(samples: Sequence[Sample], found: Sequence[Sequence[Span]]) -> Score:
    """Grades the findings of each sample against its labels; types are compared by our names."""
    labels = [[_named(span) for span in sample.spans] for sample in samples]
    known = {span.type for spans in labels for span in spans}
    given = [[_fitted(span, known) for span in spans] for spans in found]
    types = sorted(known | {span.type for spans in given for span in spans})
    rows = [_row(kind, labels, given) for kind in types]
    covered, labelled, wrong, others = _characters(samples, labels, given)
    return Score(
        (*rows, _row(ANY, labels, given)),
        1.0 - covered / labelled if labelled else 0.0,
        wrong / others if others else 0.0,
        _person_recall(labels, given, unseen=True),
        _person_recall(labels, given, unseen=False),
    )


def _named(span: Span) -> Span:
    return msgspec.structs.replace(span, type=_SAME.get(span.type, span.type))


def _fitted(span: Span, known: set[str]) -> Span:
    """A finding under the type that the dataset has for it: not every dataset tells a birth from another date."""
    if span.type == "DATE_OF_BIRTH" and span.type not in known and "DATE_TIME" in known:
        return msgspec.structs.replace(span, type="DATE_TIME")
    if span.type == "STREET_ADDRESS" and span.type not in known and "LOCATION" in known:
        return msgspec.structs.replace(span, type="LOCATION")
    return span


def _of(kind: str, spans: Iterable[Span]) -> list[Span]:
    return [span for span in spans if kind in (ANY, span.type)]


def _row(kind: str, labels: Sequence[Sequence[Span]], given: Sequence[Sequence[Span]]) -> Row:
    counted: Counter[str] = Counter()
    for wanted, got in zip(labels, given, strict=True):
        golden, findings = _of(kind, wanted), _of(kind, got)
        counted["labelled"] += len(golden)
        counted["found"] += len(findings)
        counted["met"] += sum(any(_is_pair(label, one) for one in findings) for label in golden)
        counted["right"] += sum(any(_is_pair(label, one) for label in golden) for one in findings)
    precision = counted["right"] / counted["found"] if counted["found"] else None
    recall = counted["met"] / counted["labelled"] if counted["labelled"] else None
    return Row(kind, counted["labelled"], counted["found"], precision, recall, _f2(precision, recall))


def _f2(precision: float | None, recall: float | None) -> float | None:
    if recall is None:
        return None
    if not precision or not recall:
        return 0.0
    return 5 * precision * recall / (4 * precision + recall)


def _is_pair(label: Span, one: Span) -> bool:
    shared = min(label.end, one.end) - max(label.start, one.start)
    return shared > 0 and shared / (max(label.end, one.end) - min(label.start, one.start)) >= OVERLAP


def _person_recall(labels: Sequence[Sequence[Span]], given: Sequence[Sequence[Span]], *, unseen: bool) -> float | None:
    met = total = 0
    for wanted, got in zip(labels, given, strict=True):
        findings = _of("PERSON", got)
        for label in _of("PERSON", wanted):
            if label.unseen is unseen:
                total += 1
                met += any(_is_pair(label, one) for one in findings)
    return met / total if total else None


def _characters(
    samples: Sequence[Sample], labels: Sequence[Sequence[Span]], given: Sequence[Sequence[Span]]
) -> tuple[int, int, int, int]:
    covered = labelled = wrong = others = 0
    for sample, wanted, got in zip(samples, labels, given, strict=True):
        personal = {place for span in wanted for place in range(span.start, span.end)}
        hidden = {place for span in got for place in range(span.start, span.end)}
        labelled += len(personal)
        covered += len(personal & hidden)
        others += len(sample.text) - len(personal)
        wrong += len(hidden - personal)
    return covered, labelled, wrong, others
