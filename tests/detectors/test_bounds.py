"""Bounds of the PII detector: on texts, lines and findings, on the work that a text costs, and on what stays behind."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detectors.common import budget as budgets
from detectors.common import gate as gates
from detectors.common.automata import Refused
from detectors.common.budget import SECONDS_OF_A_FINDING, Budget, Unfinished
from detectors.common.gate import Gate, shape
from detectors.pii import PiiDetector
from detectors.pii import phone as phones
from detectors.pii.patterns import PatternMatcher
from guard.errors import DetectionIncomplete
from guard.types import DetectContext, Segment

ROOT = Path(__file__).resolve().parents[2]
MAIL = "victim@corp-mail.com"


def stopped(detector: PiiDetector, *texts: str) -> DetectionIncomplete:
    """How a detection ends that must not finish."""
    with pytest.raises(DetectionIncomplete) as caught:
        detector.detect([Segment.of(text) for text in texts], DetectContext("request", time.monotonic() + 60))
    return caught.value


@pytest.mark.parametrize(
    ("options", "texts", "bound"),
    [
        ({"max_characters": 100}, ["a" * 60, "b" * 60], "max_characters"),
        ({"max_line": 100}, ["short\n" * 50 + "c" * 101], "max_line"),
        ({"max_findings": 3}, [f"{MAIL} " * 4], "max_findings"),
        ({"phone_tries": 2}, ["030 901820, 030 901821, 030 901822, 030 901823"], "phone_tries"),
    ],
)
def test_each_bound_is_incomplete_with_its_reason(options: dict[str, Any], texts: list[str], bound: str) -> None:
    """Past a bound the reason is ``limit`` and the message names the option; up to it the detection is whole."""
    error = stopped(PiiDetector(**options, names="off"), *texts)
    assert error.reason == "limit"
    assert bound in str(error)
    wider = {name: value * 100 for name, value in options.items()}
    context = DetectContext("request", time.monotonic() + 60)
    PiiDetector(**wider, names="off").detect([Segment.of(text) for text in texts], context)


def test_findings_up_to_the_bound_stay() -> None:
    """What was found before the bound comes with the error."""
    error = stopped(PiiDetector(max_findings=3, entities=["EMAIL_ADDRESS"]), f"{MAIL} " * 10)
    assert len(error.findings) == 3


def test_time_is_kept_back_for_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each finding moves the deadline forward by what is still to be done with it, and back once it is done."""
    now = [100.0]
    monkeypatch.setattr(budgets, "monotonic", lambda: now[0])
    budget = Budget(101.0)
    for _ in range(1000):
        budget.found()
    assert budget.remaining_s() == pytest.approx(1.0 - 1000 * SECONDS_OF_A_FINDING)
    now[0] = 101.0 - 500 * SECONDS_OF_A_FINDING
    with pytest.raises(Unfinished, match="deadline"):
        budget.check()
    budget.settled(1000)
    budget.check()


UNITS = {
    "plain": "word and ",
    "accented": "wörd ünd ",
    "e-mail": "a.b@corp-mail.com ",
    "accented e-mail": "é-é@corp-mail.com ",
    "hyphens": "a-",
    "accented hyphens": "é-",
    "phone numbers": "030 901#, ",
    "accented phone numbers": "ä 030 901#, ",
    "fractions": "1/#/",
    "one number": "415 555 2671 ",
    "colons": "::1 ",
    "cards": "4111-1111 ",
    "Arabic digits": "٤١١١ ",
}
SIZE = 4000


class Work:
    """Counts steps: looks at the clock, tries of an original expression and the characters that they may read, parsed
    numbers, and the characters that RE2 is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = 0
        self._count(monkeypatch, Budget, "check", lambda *_: 1)
        self._count(monkeypatch, Budget, "spend", lambda *_: 1)
        self._count(monkeypatch, PatternMatcher, "_try", lambda *_: 1)
        self._count(monkeypatch, Gate, "_open", lambda _, data: len(data) // 100)
        self._count(monkeypatch, phones._Walk, "_parse_and_verify", lambda *_: 10)
        self._count(monkeypatch, phones._Walk, "_accepts", lambda *_: 50)

    def _count(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, cost: Callable[..., int]) -> None:
        original = getattr(owner, name)

        def counted(*arguments: Any) -> Any:
            self.steps += cost(*arguments)
            return original(*arguments)

        monkeypatch.setattr(owner, name, counted)


def _text(unit: str, size: int) -> str:
    made, length = [], 0
    for number in itertools.count():
        if length >= size:
            return "".join(made)
        made.append(unit.replace("#", str(100 + number)))
        length += len(made[-1])
    raise AssertionError


@pytest.mark.parametrize("name", UNITS)
def test_work_is_linear(pii: PiiDetector, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the text is at most some twice the steps, twice over, whatever the text is made of."""
    work = Work(monkeypatch)
    steps = []
    for size in (SIZE, 2 * SIZE, 4 * SIZE):
        work.steps = 0
        pii.detect([Segment.of(_text(UNITS[name], size))], DetectContext("request", time.monotonic() + 60))
        steps.append(work.steps)
    assert steps[0] > 0
    assert steps[1] <= 2.3 * steps[0] + 50
    assert steps[2] <= 2.3 * steps[1] + 50


def test_long_texts_are_gated_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text past a slice opens what it opens whole: at newlines, across windows, for long and for multi-line matches;
    the deadline is looked at between the slices."""
    monkeypatch.setattr(gates, "_SLICE", 4096)
    sources = ["[0-9]{3}-[0-9]{2}", "a[b]*c", "x\ny", "q{5}", "z[^z]{3}", *(f"never{at}" for at in range(30))]
    assert [shape(source)[0] for source in sources[:5]] == [True, True, False, True, False]
    gate = Gate(sources)
    looks: list[None] = []
    for place in (0, 1000, 4090, 4094, 5000, 12_285):
        for filler in (".", ".......\n"):
            for at, value in enumerate(("123-45", "ab" + "b" * 3000 + "c", "x\ny", "qqqqq", "z\n\n\n")):
                text = ((filler * 20_000)[:place] + value + filler * 2500).encode()
                assert at in gate.open(text, lambda: looks.append(None))
    assert len(looks) > 100
    assert set(gate.open(b"." * 20_000)) == {1, 2, 4}


def test_a_set_that_does_not_fit_is_refused_when_it_is_made() -> None:
    """Too little memory for the automaton is an error at the start, not a gate that never opens."""
    with pytest.raises(Refused):
        Gate(["a[ab]{12}c"], max_mem=2000)


def test_a_set_that_hardly_fits_misses_nothing() -> None:
    """With the least memory that RE2 takes, on a text of ever new states, what matches is open."""
    source, rng = "a[ab]{12}c", random.Random(4)
    gate = next(gate for size in range(2000, 20_000, 50) if (gate := _gate_of(source, size)) is not None)
    noise = bytes(rng.choice(b"ab") for _ in range(20_000))
    assert 0 in gate.open(noise + b"a" + b"b" * 12 + b"c")
    assert gate.open(noise) in ((), gate.all)


def _gate_of(source: str, size: int) -> Gate | None:
    try:
        return Gate([source], max_mem=size)
    except Refused:
        return None


def _run(program: str, given: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, input=given, check=False, capture_output=True, text=True, timeout=60, cwd=ROOT)


def test_no_socket_is_opened() -> None:
    """A process that may not connect, send or resolve a name finds addresses, numbers and keys like any other."""
    program = (
        "import sys\n"
        "def refuse(event, arguments):\n"
        "    if event.startswith(('socket.connect', 'socket.send', 'socket.get')): raise SystemExit(event)\n"
        "sys.addaudithook(refuse)\n"
        "from detectors.pii import PiiDetector\n"
        "from detectors.secrets import SecretsDetector\n"
        "text = sys.stdin.read()\n"
        "print(*(f.type for d in (PiiDetector(), SecretsDetector()) for f in d.detect_text(text)))"
    )
    done = _run(program, "first@some-firm.museum +44 20 7946 1958 AKIAQ3EGR5TZLVW7KD2M")
    assert (done.stdout.split(), done.stderr) == (["EMAIL_ADDRESS", "PHONE_NUMBER", "AWS_ACCESS_KEY"], "")


def test_nothing_of_a_text_stays_in_memory() -> None:
    """After a detection, when its text is dropped, no object holds any of its personal data or secrets.

    The last line shows that the search finds them while the text is kept.
    """
    done = _run("from tests.detectors.left_behind import main; main()", "")
    types = "AWS_ACCESS_KEY EMAIL_ADDRESS PERSON PHONE_NUMBER"
    assert (done.stdout.splitlines(), done.stderr) == ([types, "0", "4"], "")
