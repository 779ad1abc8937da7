"""Many evaluations leave nothing behind."""

from __future__ import annotations

import gc
import sys

import pytest

from guard import rego

MODULE = """package a

deny contains message if {
	input.kind == "k"
	some finding in input.findings
	regex.match(`^[A-Z_0-9]+$`, finding.type)
	message := sprintf("%s at %v", [finding.type, finding.score])
}

deny contains "too many" if count(input.findings) > 3

allow if count(deny) == 0

total := found if found := sum([f.score | some f in input.findings]) with input.kind as "other"
"""


@pytest.mark.slow
def test_two_hundred_thousand_evaluations_leave_memory_flat() -> None:
    """After a warm-up the interpreter holds as many blocks as before, inputs that fail included."""
    run = rego.compile({"a.rego": MODULE}).prepare("data.a")

    def turn(number: int) -> None:
        findings = [{"type": f"T_{number % 5}", "score": number + each} for each in range(number % 5)]
        found = run({"kind": "k", "findings": findings})
        assert found["total"] == sum(finding["score"] for finding in findings)
        assert found.get("allow") is (None if findings else True)
        with pytest.raises(rego.StepLimitError):
            run({"kind": "k", "findings": [{}] * 60}, max_steps=50)

    for number in range(2_000):
        turn(number)
    gc.collect()
    before = sys.getallocatedblocks()
    for number in range(100_000):
        turn(number)
    gc.collect()
    assert sys.getallocatedblocks() - before < 500
