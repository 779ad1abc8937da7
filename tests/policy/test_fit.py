"""How policies fit: what loads, runs, and never does what its author meant. And no alarm over what works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard import rego
from guard.cli.checking.policies import plain_setting, setting_of
from guard.config import GuardConfig, Provider, Route
from guard.policy.bundle import bundle_data, load_bundle, shipped_directory
from guard.policy.fit import check_fit
from guard.policy.inference import Inference, resolved
from guard.policy.references import References
from guard.policy.remarks import Remark
from guard.policy.shapes import document_shape
from guard.types import DetectorInfo
from tests.policy.documents import varied

HEAD = """package guard.rules.own

import data.guard.lib
import input.subject as who

# METADATA
# title: A rule
# custom:
#   id: OWN-001
#   severity: low
#   remediation: Do something.
deny contains {"id": "OWN-001", "message": "no"} if {
"""
ROW = HEAD.count("\n") + 1
OBLIGATION = HEAD[: HEAD.index("deny")]


class Eyes:
    """A detector, as far as a policy can know it."""

    info = DetectorInfo("eyes", "1", "")
    entities = frozenset({"EMAIL_ADDRESS", "CREDIT_CARD"})

    def detect(self, segments: Any, context: Any) -> list[Any]:
        """Nothing."""
        return []


CONFIG = GuardConfig(
    routes=(Route(path="/v1/**", provider="eu"), Route(path="/health", inspect=False)),
    providers={"eu": Provider(pci=True)},
    networks={"office": ("10.0.0.0/8",)},
    tenants={"acme": {"models": ["m"]}},
)


def remarks(directory: Path, text: str, *, config: GuardConfig | None = CONFIG) -> list[Remark]:
    """The remarks on one module beside the shipped ones."""
    (directory / "own.rego").write_text(text)
    bundle = load_bundle(directories=[directory], data=bundle_data(config) if config else None)
    rego.compile({"own.rego": text})  # valid Rego, all of it
    return check_fit(bundle, setting_of(config, [Eyes()]) if config else plain_setting())


def body(*lines: str) -> str:
    return HEAD + "".join(f"\t{line}\n" for line in lines) + "}\n"


MISTAKES = [  # line(s) of a body; level, column in the last line, message, mend
    ('input.subjet.tenant == "a"', "error", 8, "input.subjet does not exist", "did you mean input.subject?"),
    ('input.tenant == "a"', "error", 8, "input.tenant does not exist", "did you mean input.subject.tenant?"),
    ('input["stge"] == "request"', "error", 8, "input.stge does not exist", "did you mean input.stage?"),
    ('input.findings[_].typ == "X"', "error", 20, "input.findings[].typ does not exist", "input.findings[].type?"),
    ('some f in input.findings\n\tf.typ == "X"', "error", 4, "input.findings[].typ does not exist", "[].type?"),
    ("some i\n\tinput.findings[i].scor > 0", "error", 20, "input.findings[].scor does not exist", "[].score?"),
    ("fs := input.findings\n\tf := fs[0]\n\tf.typ", "error", 4, "input.findings[].typ does not exist", "[].type?"),
    ("who.tennant", "error", 6, "input.subject.tennant does not exist", "did you mean input.subject.tenant?"),
    ("some f in lib.confident\n\tf.cuont > 1", "error", 4, "input.findings[].cuont does not exist", "[].count?"),
    ("lib.confident[f]\n\tf.cuont > 1", "error", 4, "input.findings[].cuont does not exist", "[].count?"),
    ("not input.ai.toolz", "error", 15, "input.ai.toolz does not exist", "did you mean input.ai.tools?"),
    ("every s in input.coverage.skipped { s.reson }", "error", 40, "input.coverage.skipped[].reson", "[].reason?"),
    ("count([f.ponter | some f in input.findings]) > 0", "error", 11, "input.findings[].ponter", "[].pointer?"),
    ('$"{input.context.tme}" != ""', "error", 19, "input.context.tme does not exist", "input.context.time?"),
    ("input.findings.type", "error", 17, "input.findings is a list and has no field 'type'", "some each in input.fi"),
    ("input.subject.tenant.name", "error", 23, "input.subject.tenant is a single value", "policy-document.md"),
    ("input.messages[0].text", "error", 8, "input.messages does not exist", "did you mean input.ai.messages?"),
    ("input.prompt", "error", 8, "input.prompt does not exist", "it has: version, stage, subject"),
    ("data.guard.providers[input.resource.provider].pcii", "error", 48, "data.guard.providers[].pcii", "[].pci?"),
    ('input.stage == "reqest"', "error", 17, 'input.stage is never "reqest": this is never true', '"request"?'),
    ('"responce" != input.stage', "error", 2, 'never "responce": this is always true', 'did you mean "response"?'),
    ('s := input.stage\n\ts in {"request", "answer"}', "error", 19, 'never "answer": this never holds', '"request" or'),
    ('input.action.name == "chta"', "error", 23, 'input.action.name is never "chta"', 'did you mean "chat"?'),
    ("input.action.name == null", "error", 23, "input.action.name is never null", '"chat"'),
    (
        'some f in input.findings\n\tf.type == "EMIAL_ADDRESS"', "warning", 12,
        'no enabled detector finds "EMIAL_ADDRESS": this is never true', 'did you mean "EMAIL_ADDRESS"?',
    ),
    ('input.findings[_].detector == "pii"', "warning", 32, 'no enabled detector is called "pii"', "enabled: eyes"),
    ('"offcie" in input.context.networks', "warning", 2, 'no entry of [networks] is called "offcie"', '"office"?'),
    ('input.resource.route == "/v1/chat"', "warning", 26, 'no inspected route has the pattern "/v1/chat"', "never"),
    ('input.resource.provider == "us"', "warning", 29, 'no route leads to a provider "us"', "name it in a route"),
    ("data.guard.providers.us.pci", "warning", 23, "the configuration has no providers.us", "add [providers.us]"),
    ("data.guard.tenants.acm.models", "warning", 21, "the configuration has no tenants.acm", "did you mean acme?"),
    ('not lib.region in ["eu"]', "warning", 6, "data.guard.lib.region is undefined, so is `not", "negate that rule"),
    (
        'not data.guard.providers[input.resource.provider].region in ["eu"]', "warning", 6,
        "where data.guard.providers[input.resource.provider].region is undefined", "into a rule of its own",
    ),
    ('not input.findings[0].type in ["EMAIL_ADDRESS"]', "warning", 6, "where input.findings[0].type is undef", "rule"),
    ('not input.subject.attributes.dept in ["x"]', "warning", 6, "input.subject.attributes.dept is undefined", "rule"),
    ("lib.exernal", "warning", 6, "data.guard.lib.exernal is defined nowhere", "did you mean external?"),
    ("data.guard.provider.eu.pci", "warning", 13, "data.guard.provider is defined nowhere", "mean providers?"),
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake[0].splitlines()[-1].strip())
def test_what_can_never_hold_is_told_with_its_place_and_its_mend(
    tmp_path: Path, mistake: tuple[str, str, int, str, str]
) -> None:
    """A misspelled field is undefined on every engine: the rule would be silent, and nobody would hear that."""
    line, level, col, message, mend = mistake
    (found,) = remarks(tmp_path, body(line))
    assert (found.level, found.row, found.col) == (level, ROW + line.count("\n"), col)
    assert found.file.endswith("own.rego")
    assert message in found.message
    assert mend in found.mend


QUIET = [
    'lib.region\n\tnot lib.region in ["eu"]',
    "not lib.destination in [\"a\"]",
    'not input.resource.model in ["a"]',
    'some f in input.findings\n\tnot f.type in ["EMAIL_ADDRESS"]',
    'input.subject.attributes.anything == "x"',
    'input.subject.attributes["dept"] == "x"',
    "some key in object.keys(input.subject)\n\tinput.subject[key]",
    'object.get(input, ["subject", "nickname"], "") != ""',
    "some part in input\n\tpart.score > 0",
    'walk(input, [path, value])\n\tvalue == "x"\n\tcount(path) > 0',
    "f := input.findings[0]\n\tother := json.patch(f, [])\n\tother.anything",
    "some x in array.concat(input.findings, [])\n\tx.anything",
    "by_type := {f.type: f | some f in input.findings}\n\tby_type.EMAIL_ADDRESS.score > 0",
    'some f in input.findings\n\tf.type == "TERM:project"',
    'startswith(input.findings[_].type, "NOVEL_")',
    'some {"type": t} in input.findings\n\tt.anything',
    "[first, _] := [input.subject, 1]\n\tfirst.anything",
    'data.acme.exceptions["x"].until > 0',
    "data.guard.settings.my_own > 1",
    "data.guard.rules.own.allowed_later",
    "data.guard.providers[input.resource.provider].region == null",
    'input.ai.operation == null',
    'input.resource.route == "/**"',
    'input.coverage.incomplete[_].detector == "document"',
    'not input.stage == "response"',
    "helper(input.findings[_])",
    "input.context.networks[0] == data.acme.office",
    "count(input.anomaly.features) > 1\n\tinput.anomaly.features[_].share > 0.5",
]  # fmt: skip


@pytest.mark.parametrize("line", QUIET, ids=lambda line: line.splitlines()[-1].strip())
def test_what_could_hold_is_not_remarked_on(tmp_path: Path, line: str) -> None:
    """What cannot be followed, or is open by its nature, is left alone: a false alarm would teach to ignore alarms."""
    text = body(line) + "\nhelper(f) if f.anything\n"
    assert remarks(tmp_path, text) == []


def test_the_shipped_policies_give_no_remark() -> None:
    """Our own rules pass their own check, as an author's, and with everything switched off."""
    bundle = load_bundle(directories=[shipped_directory()], shipped=False)
    assert check_fit(bundle, plain_setting()) == []
    assert check_fit(bundle, setting_of(GuardConfig(), None)) == []


def references(value: Any, path: str) -> Iterator[str]:
    """Every place of a document as a reference, members of lists and of open objects by any index."""
    yield path
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from references(inner, f'{path}["{key}"]')
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner, f"{path}[_]")


def test_no_place_of_any_document_is_called_missing(tmp_path: Path) -> None:
    """Soundness: whatever a reference finds in a document that the guard builds, the check does not object to."""
    places = sorted({place for document in varied(300) for place in references(document, "input")})
    assert len(places) > 60
    rules = "".join(f"r{number} if {place}\n" for number, place in enumerate(places))
    assert remarks(tmp_path, body("true") + rules, config=None) == []


WORDS = ["subject", "tenant", "findings", "type", "score", "tpye", "ai", "tools", "coverage", "stage", "x"]
OPERANDS = st.lists(st.sampled_from([*WORDS, 0, "_"]), min_size=1, max_size=4)


@given(operands=OPERANDS)
def test_what_is_called_missing_is_undefined_for_every_document(operands: list[str | int]) -> None:
    """An error is a promise: evaluated over hundreds of documents, the reference never has a value."""
    path = "".join("[_]" if each == "_" else f"[{each}]" if each == 0 else f'["{each}"]' for each in operands)
    modules = {"own.rego": f"package own\n\nhit if input{path} != 1\n"}
    rules = resolved(modules)
    if References(Inference(rules, SHAPE, {}), {}).remarks(rules):
        program = rego.compile(modules)
        assert all(program.eval("data.own.hit", document) is rego.UNDEFINED for document in DOCUMENTS)


SHAPE = document_shape(shipped_directory())
DOCUMENTS = varied(200)


def test_a_rule_that_replaces_the_document_is_not_judged(tmp_path: Path) -> None:
    """``with input as`` lets a helper see another document; that its fields were not checked is said."""
    text = body("helper with input as {}") + "\nhelper if not input.anything\n"
    (found,) = remarks(tmp_path, text)
    assert (found.level, found.row) == ("info", ROW)
    assert "fields were not checked" in found.message


def test_a_mistake_in_else_in_a_function_and_in_a_head_is_found(tmp_path: Path) -> None:
    """Every part of a rule is read, not its first body alone."""
    text = body("true") + (
        "\nplace := 1 if {\n\tinput.stagee\n} else := input.subject.idd if true\n"
        "\ntold(x) := input.findings[x].typ\n"
        "\nwords contains input.action.nam\n"
    )
    assert [remark.message.split()[0] for remark in remarks(tmp_path, text)] == [
        "input.stagee",
        "input.subject.idd",
        "input.findings[].typ",
        "input.action.nam",
    ]


# --- obligations ----------------------------------------------------------------------------------------------------


def obligation(literal: str, stage: str = "request") -> str:
    return OBLIGATION + f'obligations contains {{"id": "OWN-001", {literal}}} if input.stage == "{stage}"\n'


@pytest.mark.parametrize(
    ("literal", "stage", "said", "mend"),
    [
        ('"type": "redcat"', "request", 'no obligation "redcat"', 'did you mean "redact"?'),
        ('"entity": "X"', "request", "the obligation has no type", "annotate, limit, redact, route"),
        ('"type": "route", "models": ["m"]', "response", "cannot be performed at stage response", "annotate, redact"),
        ('"type": "redact", "entity": "X", "operator": "masc"', "request", 'no operator "masc"', '"mask"?'),
        ('"type": "redact", "entity": "X"', "request", "redact has no operator", 'add "operator"'),
        ('"type": "redact", "operator": "mask"', "request", "redact has no entity", 'add "entity"'),
        ('"type": "redact", "entity": "X", "operator": "pseudonym"', "response", "with pseudonyms", "use replace"),
    ],
)
def test_an_obligation_that_cannot_be_performed_is_an_error(
    tmp_path: Path, literal: str, stage: str, said: str, mend: str
) -> None:
    """It would deny every exchange that it is meant for; better known before the first of them."""
    (found,) = remarks(tmp_path, obligation(literal, stage))
    assert (found.level, found.row) == ("error", OBLIGATION.count("\n") + 1)
    assert said in found.message
    assert mend in found.mend


@pytest.mark.parametrize(
    "literal",
    [
        '"type": "redact", "entity": "X", "operator": "mask", "keep_last": 4',
        '"type": "annotate", "headers": {}',
        '"type": lower("REDACT")',
        '"type": "limit", "key": ["tenant", "team:blue"], "budget": {"tokens": 200000}, "window": "1d"',
        '"type": "limit", "key": input.resource.route, "budget": {"requests": count("ab")}, "window": lower("1D")',
    ],
)
def test_an_obligation_that_can_be_performed_is_none(tmp_path: Path, literal: str) -> None:
    """Neither is one whose type is only known when it is evaluated."""
    assert remarks(tmp_path, obligation(literal)) == []


@pytest.mark.parametrize(
    ("literal", "said", "mend"),
    [
        ('"key": "tennant", "budget": {"requests": 1}, "window": "1m"', "no key 'tennant'", "subject, tenant"),
        ('"key": [], "budget": {"requests": 1}, "window": "1m"', "limit needs a key", "a word or a list"),
        ('"key": "tenant", "budget": {"requests": 0}, "window": "1m"', "no positive whole number", '{"requests": 100}'),
        ('"key": "tenant", "budget": {"calls": 9}, "window": "1m"', "no budget of requests or tokens", '"tokens"'),
        ('"key": "tenant", "budget": {"requests": 1}, "window": "1w"', "no window that it can keep", '"1d"'),
        ('"key": "tenant", "budget": {"requests": 1}', "limit has no window", 'add "window"'),
        ('"key": "tenant", "budget": {"requests": 1}, "window": "1m", "per": 1', "no member 'per'", "budget, key, win"),
        ('"key": lower("A"), "budget": 5, "window": "1m"', "no budget of requests or tokens", '{"requests": 100}'),
    ],
)
def test_a_limit_that_cannot_be_kept_is_an_error(tmp_path: Path, literal: str, said: str, mend: str) -> None:
    """Key, budget and window are held against what the counters can do, as far as they are written out."""
    (found,) = remarks(tmp_path, obligation(f'"type": "limit", {literal}'))
    assert (found.level, found.row) == ("error", OBLIGATION.count("\n") + 1)
    assert said in found.message
    assert mend in found.mend


def test_a_limit_without_a_stage_is_probably_not_meant(tmp_path: Path) -> None:
    """At stage response it could not be performed, and every answer would be denied."""
    written = '{"id": "OWN-001", "type": "limit", "key": "tenant", "budget": {"requests": 1}, "window": "1m"}'
    (found,) = remarks(tmp_path, OBLIGATION + f"obligations contains {written}\n")
    assert (found.level, found.row) == ("warning", OBLIGATION.count("\n") + 1)
    assert "at stage response it denies the answer" in found.message
    literal = '"type": "limit", "key": "tenant", "budget": {"requests": 1}, "window": "1m"'
    (found,) = remarks(tmp_path, obligation(literal, "response"))
    assert found.level == "error"
    assert '"limit" cannot be performed at stage response' in found.message


# --- rules that nobody asks -----------------------------------------------------------------------------------------

DENY = 'deny contains {"id": "A", "message": "no"} if input.stage == "request"\n'


def test_a_deny_that_nobody_collects_is_told(tmp_path: Path) -> None:
    """It compiles, its tests pass, and it denies nothing."""
    for package in ("acme", "guard.acme", "guard.rule.own"):
        (found,) = remarks(tmp_path, f"package {package}\n\n{DENY}")
        assert (found.level, found.row) == ("warning", 3)
        assert found.message == f"nobody asks deny of package {package}: it has no effect"


def test_a_deny_that_somebody_asks_is_left_alone(tmp_path: Path) -> None:
    """Asked by a rule of another package, of its own, or by the entrypoint."""
    asked = f"package acme\n\n{DENY}\nverdict := count(deny) == 0\n"
    assert remarks(tmp_path, asked) == []
    (tmp_path / "main.rego").write_text("package top\n\nverdict := count(data.acme.deny) == 0\n")
    assert remarks(tmp_path, f"package acme\n\n{DENY}") == []
    (tmp_path / "main.rego").unlink()
    policy = CONFIG.policy.model_copy(update={"entrypoint": "data.acme"})
    assert remarks(tmp_path, f"package acme\n\n{DENY}", config=CONFIG.model_copy(update={"policy": policy})) == []
