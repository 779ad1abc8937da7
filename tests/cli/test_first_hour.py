"""An author's first hour: from ``guard init`` in an empty folder to a rule that is enforced, with the mistakes of a
newcomer on the way. Each message says where and leads to its mend; the author does what it says, and goes on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from guard.cli import main
from tests.policy.schema import violations

README = Path(__file__).parents[2] / "policies" / "README.md"
RULE, TESTS = Path("policies/night/night.rego"), Path("policies/night/night_test.rego")
DECISION = ["policy", "eval", "-d", "policies", "-i", "input.json", "-f", "raw", "data.guard.decision"]


class Author:
    """Types commands in one folder, and reads what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.out = self.err = ""

    def types(self, *words: str) -> int:
        """One command; its output is kept."""
        code = main(words)
        self.out, self.err = self.capsys.readouterr()
        return code

    def errors(self) -> list[tuple[str, str, str]]:
        """(what, where, mend) of each error on the screen; a mend keeps its lines."""
        found = re.findall(r"error: (.+)\nwhere: (.+)\nmend:  (.+(?:\n       .+)*)", self.err)
        return [(what, where, mend.replace("\n       ", "\n")) for what, where, mend in found]


def mistake(old: str, new: str) -> None:
    """The author writes something else than the example says."""
    text = RULE.read_text()
    assert old in text
    RULE.write_text(text.replace(old, new))


@pytest.fixture
def author(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Author:
    """In a folder that ``guard init`` has filled, with the rule and the test of policies/README.md typed in."""
    monkeypatch.chdir(tmp_path)
    author = Author(capsys)
    assert author.types("init") == 0
    rule, tests = (block.split("```")[0] for block in README.read_text("utf-8").split("```rego\n")[1:3])
    RULE.parent.mkdir()
    RULE.write_text(rule)
    TESTS.write_text(tests)
    return author


def test_init_leaves_something_that_works(author: Author) -> None:
    """What it says comes next succeeds as it is said, and the input is a whole policy document."""
    TESTS.unlink()
    RULE.unlink()
    author.types("init", "--force")
    steps = re.findall(r"^(?:next|then): (.+)$", author.out, re.MULTILINE)
    assert len(steps) == 2
    for command in " && ".join(steps).split(" && "):
        assert command.startswith("guard ")
        assert author.types(*command.split()[1:]) == 0, author.err
    assert json.loads(author.out)["allow"] is True
    assert violations(json.loads(Path("input.json").read_text("utf-8"))) == []


def test_a_typo_in_a_field(author: Author) -> None:
    """``check`` knows the fields; and a test that fails shows the line, and that its operand is undefined."""
    mistake("input.subject.type", "input.subject.tpye")
    assert author.types("policy", "check", "policies") == 1
    ((what, where, mend),) = author.errors()
    assert what.startswith("input.subject.tpye does not exist: the policy document has no such field")
    assert where == "policies/night/night.rego:12:16"
    assert mend == "did you mean input.subject.type?"
    assert author.types("policy", "test", "policies") == 1
    assert '    policies/night/night.rego:12: undefined: input.subject.tpye == "service"' in author.out.splitlines()
    mistake("input.subject.tpye", mend.removeprefix("did you mean ").removesuffix("?"))
    assert author.types("policy", "check", "policies") == 0


def test_a_rule_without_metadata(author: Author) -> None:
    """The mend is the comment to write, with the rule's own id; filled in, it is accepted."""
    text = RULE.read_text()
    RULE.write_text(re.sub(r"# METADATA\n(#.*\n)+", "", text))
    assert author.types("policy", "check", "policies") == 1
    ((what, where, mend),) = author.errors()
    assert what.startswith("the rule has no # METADATA comment with title, custom.id, severity and remediation")
    assert where == "policies/night/night.rego:3:1"
    block = (
        mend.partition("\n")[2].replace("low | medium | high | critical", "low").replace("shadow | enforce", "shadow")
    )
    assert "#   id: NIGHT-001" in block.splitlines()
    RULE.write_text(RULE.read_text().replace("deny contains", f"{block}\ndeny contains"))
    assert author.types("policy", "check", "policies") == 0, author.err


@pytest.mark.parametrize(
    ("old", "new", "words", "mend"),
    [
        ("# title: Services rest at night\n", "", "title is missing", "add a line to the METADATA comment: # title: …"),
        ("#   remediation: ", "#   remedy: ", "custom.remediation is missing", "#   remediation: …"),
        ("severity: low", "severity: lo", "custom.severity must be one of low, medium, high, critical", "one of them"),
        ("#   id: ", "# id: ", "yaml: ", "two spaces further in than custom:"),
        ("id: NIGHT", "id: NIHGT", "custom.id is ", "make both the same"),
        ("deny contains {", "deny := {", "this must be a set of objects", "write: deny contains {"),
        (" if {\n\tinput.stage", " {\n\tinput.stage", "`if` keyword is required", "write it as Rego v1"),
        ("package guard.rules.night", "package guard.rules.acme.night", "guard.main collects", "guard.rules.NAME"),
        ("deny contains", "denied contains", "has neither deny nor obligations", "name the rule deny or obligations"),
        ('.", [hour])\n}', '.", [hour])\n', "unexpected eof token: expected }", "a } is missing"),
        ("time.clock", "time.clok", "undefined function time.clok", "did you mean time.clock?"),
    ],
)
def test_other_slips(author: Author, old: str, new: str, words: str, mend: str) -> None:
    """Each is found by ``check``, in the author's file, with a mend of its own."""
    mistake(old, new)
    assert author.types("policy", "check", "policies") == 1
    errors = author.errors()
    what, where, told = errors[0]
    assert words in what
    assert where.startswith("policies/night/night.rego:")
    assert mend in told


def test_an_unsafe_variable(author: Author) -> None:
    """The name that was meant is proposed; what only follows from it says so."""
    mistake("[hour, _, _] :=", "[hours, _, _] :=")
    assert author.types("policy", "check", "policies") == 1
    errors = author.errors()
    assert [(what, where) for what, where, _ in errors] == [
        ("var hour is unsafe (rego_unsafe_var_error)", "policies/night/night.rego:14:2"),
        ("var message is unsafe (rego_unsafe_var_error)", "policies/night/night.rego:15:2"),
        ("var hour is unsafe (rego_unsafe_var_error)", "policies/night/night.rego:15:13"),
    ]
    assert errors[0][2].startswith("did you mean hours?")
    assert "mend that one first" in errors[1][2]
    mistake("[hours, _, _] :=", "[hour, _, _] :=")
    assert author.types("policy", "check", "policies") == 0


def test_a_test_that_forgot_its_import(author: Author) -> None:
    """The package's name looks like a variable; the mend says that it wants an import."""
    TESTS.write_text(TESTS.read_text().replace("import data.guard.rules.night\n", ""))
    assert author.types("policy", "test", "policies") == 1
    what, where, mend = author.errors()[0]
    assert what.startswith("var night is unsafe")
    assert where.startswith("policies/night/night_test.rego:")
    assert mend.endswith("if it is a package, import it: import data.….night")


def test_a_wrong_obligation(author: Author) -> None:
    """An obligation that nobody performs would deny every exchange; it is an error before that."""
    mistake(
        'deny contains {"id": "NIGHT-001", "message": message, "pointers": []}',
        'obligations contains {"id": "NIGHT-001", "type": "redcat", "entity": "PERSON", "operator": message}',
    )
    assert author.types("policy", "check", "policies") == 1
    what, where, mend = author.errors()[0]
    assert what.startswith('there is no obligation "redcat"')
    assert where == "policies/night/night.rego:10:50"
    assert mend == 'did you mean "redact"?'


def test_test_cover_shadow_enforce(author: Author) -> None:
    """The rest of the hour: green tests, full coverage, a shadow that denies nothing, and the rule in force."""
    assert author.types("policy", "test", "policies", "--threshold", "100") == 0
    assert author.out.splitlines()[-2:] == ["PASS: 4/4", "coverage: 100.0 %"]
    TESTS.write_text("".join(TESTS.read_text("utf-8").partition("test_a_job_at_midnight")[:1]))
    assert author.types("policy", "test", "policies", "--threshold", "100") == 1
    assert "policies/night/night.rego: 66.7 %, not reached: 10, 15" in author.out
    assert author.types("check") == 0
    assert re.search(r"^rule +NIGHT-001 .+\(shadow\)$", author.out, re.MULTILINE)
    assert author.types(*DECISION) == 0
    shadowed = json.loads(author.out)
    assert (shadowed["allow"], shadowed["reasons"]) == (True, [])
    assert [reason["id"] for reason in shadowed["would_deny"]] == ["NIGHT-001"]
    mistake("mode: shadow", "mode: enforce")
    assert author.types(*DECISION) == 0
    enforced = json.loads(author.out)
    assert (enforced["allow"], enforced["would_deny"]) == (False, [])
    assert enforced["reasons"] == shadowed["would_deny"]
