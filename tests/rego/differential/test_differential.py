"""The embedded engine and a real OPA answer the same: values, undefined, and classes of errors."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.policy.bundle import load_bundle
from guard.policy.document import recorded, restore
from guard.policy.embedded import compile_bundle
from guard.rego.builtins import BUILTINS
from guard.rego.capabilities import LATER_BUILTINS
from tests.policy.documents import CONFIG_DATA, varied

from .coverage import touched
from .dice import Dice
from .engines import Ours, opa
from .job import Case, Job, case
from .judge import KNOWN, same
from .signatures import SIGNATURES, UNCALLED

EVALUATIONS = int(os.environ.get("REGO_DIFFERENTIAL_EVALUATIONS", "2000"))
_PER_MODULE = 6
PAGE = Path(__file__).parents[3] / "docs" / "rego-differences.md"


@pytest.fixture(name="job", scope="module")
def running() -> Iterator[Job]:
    """A job on a server of its own."""
    with opa() as server:
        yield Job(server)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Generated cases, which Hypothesis can shrink."""
    return case(Dice(lambda sides: draw(st.integers(0, sides - 1))))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_generated_modules_answer_as_on_opa(job: Job) -> None:
    """Two thousand evaluations (more on demand), each difference known, and every kind of answer among them."""

    @settings(max_examples=EVALUATIONS // _PER_MODULE, suppress_health_check=list(HealthCheck), database=None)
    @given(cases())
    def compare(made: Case) -> None:
        assert list(map(str, job.differences(made))) == []

    compare()
    assert job.tally.evaluations >= EVALUATIONS
    assert {"value", "undefined", "error", "refused"} <= set(job.tally.kinds)
    assert sum(job.tally.known.values()) < job.tally.evaluations / 20


@pytest.mark.slow
def test_every_document_of_the_shipped_policies_answers_as_on_opa(job: Job) -> None:
    """All rules of all shipped packages, not the decision alone, over documents of both stages."""
    bundle = load_bundle(data=CONFIG_DATA)
    ours = Ours()
    ours.program = compile_bundle(bundle.modules, bundle.data)
    job.opa.load("package g")
    assert job.opa.send("PUT", "/v1/data", json.dumps(bundle.data).encode())[0] == 204
    for number, (_, source) in enumerate(sorted(bundle.modules.items())):
        assert job.opa.send("PUT", f"/v1/policies/shipped{number}", source.encode())[0] == 200
    for document in varied(40):
        value = restore(recorded(document))
        for ref in ("guard/decision", "guard/main", "guard/rules"):
            assert same(ours.ask(ref, value, strict=True), job.opa.ask(ref, value, strict=True)), ref


def test_the_page_of_differences_names_what_the_job_knows() -> None:
    """Each difference that the job lets pass has a section with its name."""
    assert set(KNOWN) <= set(re.findall(r"^### `([a-z-]+)`$", PAGE.read_text(), re.MULTILINE))


WRITTEN = {"walk", "print", "rego.metadata.chain", "rego.metadata.rule"}
KINDS = {
    "Const", "Var", "Ref", "Call", "Array", "Object", "SetLit", "Template", "With", "SomeDecl", "SomeIn", "Every",
    "CallExpr",
    "TermExpr", "Expr", "Head", "Rule", "array comprehension", "set comprehension", "object comprehension",
    "Every with a key", "SomeIn with a key", "not", "several with", "with input", "with data", "else",
    "else of an else",
    "default",
}  # fmt: skip


def test_the_generators_know_every_built_in() -> None:
    """A built-in without a signature here would never be compared with OPA."""
    assert set(BUILTINS) - UNCALLED - LATER_BUILTINS - WRITTEN - set(SIGNATURES) == set()
    assert set(SIGNATURES) <= set(BUILTINS)


@pytest.mark.slow
def test_generated_modules_touch_every_built_in_and_construct() -> None:
    """All that the job claims to compare occurs in what it generates."""
    found = touched(1200, seed=1)
    missing = (set(SIGNATURES) | WRITTEN | KINDS) - set(found)
    assert missing == set()
