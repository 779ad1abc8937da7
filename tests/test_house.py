"""The house keeps its shape: sizes, directions, light imports, and pages that say what the code says.

Each failure names a file and a line.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import pages
from tests.house.source import ROOT, FunctionNode, Module, functions, modules
from tests.house.table import MISSING, Table, cells, row_of

MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 60

# What is longer for a reason, and how long it may be. This list may only shrink.
LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}

GRAB_BAGS = {"base", "common", "core", "helper", "helpers", "misc", "shared", "tools", "util", "utilities", "utils"}
NOT_FOR_THE_ENGINE = {"detectors", "numpy", "presidio_analyzer", "scipy", "sklearn", "spacy"}
SEES_ONLY = {
    "guard.rego": {"guard.rego"},
    "detectors": {"detectors", "guard.types", "guard.errors"},
}
LIGHT = {
    "guard": ["starlette", "presidio_analyzer", "sklearn", "numpy", "pydantic", "cryptography", "structlog"],
    "guard.types": ["starlette", "presidio_analyzer", "sklearn", "numpy", "pydantic"],
    "guard.rego": ["starlette", "presidio_analyzer", "sklearn", "numpy", "pydantic", "guard.types", "guard.config"],
    "guard.record.verify": ["starlette", "presidio_analyzer", "sklearn", "numpy", "pydantic", "guard.config"],
    "guard.testing.plugin": ["starlette", "presidio_analyzer", "sklearn", "numpy", "pydantic"],
}


def ours() -> tuple[Module, ...]:
    """Every module that the distribution installs."""
    return modules("guard", "detectors")


def lines_of(function: FunctionNode) -> int:
    """Lines from ``def`` to the end, the docstring left out."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None and first.end_lineno:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def long_files() -> dict[str, int]:
    """Files past the bound, by path."""
    lengths = {str(module.path.relative_to(ROOT)): module.text.count("\n") for module in ours()}
    return {path: length for path, length in lengths.items() if length > MAX_FILE_LINES}


def long_functions() -> dict[str, tuple[int, str]]:
    """Functions past the bound: ``module:name`` -> (lines, place)."""
    return {
        f"{module.name}:{function.name}": (length, module.at(function))
        for module in ours()
        for function in functions(module.tree)
        if (length := lines_of(function)) > MAX_FUNCTION_LINES
    }


def imported(node: ast.AST) -> list[str]:
    """What one node of a syntax tree imports: ``guard.types`` for both spellings of its import."""
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom(module="guard" | "detectors" as package, level=0):
            return [f"{package}.{alias.name}" for alias in node.names]
        case ast.ImportFrom(module=str(name), level=0):
            return [name]
        case ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__")):
            return [a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return []


def report(problems: list[str], advice: str) -> None:
    """Fail with one line for each problem, then what to do."""
    if problems:
        pytest.fail("\n".join([*problems, advice]), pytrace=False)


# --- sizes ----------------------------------------------------------------------------------------------------------


def test_files_stay_short() -> None:
    """A file past the bound is a concept waiting for its own name, unless the list of exceptions says why."""
    report(
        [
            f"{path}:{MAX_FILE_LINES + 1}: {length} lines, at most {LONG_FILES.get(path, MAX_FILE_LINES)}"
            for path, length in long_files().items()
            if length > LONG_FILES.get(path, MAX_FILE_LINES)
        ],
        "Give a part of the file its own name and its own file.",
    )


def test_functions_stay_short() -> None:
    """A function past the bound hides a step that has no name yet."""
    report(
        [
            f"{place}: {name} has {length} lines, at most {LONG_FUNCTIONS.get(name, MAX_FUNCTION_LINES)}"
            for name, (length, place) in long_functions().items()
            if length > LONG_FUNCTIONS.get(name, MAX_FUNCTION_LINES)
        ],
        "Name the steps: each becomes a function.",
    )


def test_exceptions_to_the_sizes_only_shrink() -> None:
    """An exception that is no longer needed, or is wider than needed by a tenth, is taken back."""
    files, found = long_files(), long_functions()
    lengths = {name: length for name, (length, _) in found.items()}
    report(
        [
            f"tests/test_house.py:1: {name} may have {allowed} lines and has {actual.get(name, 'a normal length')}"
            for allowance, actual in ((LONG_FILES, files), (LONG_FUNCTIONS, lengths))
            for name, allowed in allowance.items()
            if allowed > 1.1 * actual.get(name, 0)
        ],
        "Lower the figure in LONG_FILES or LONG_FUNCTIONS, or remove the entry.",
    )


# --- names and directions -------------------------------------------------------------------------------------------


def test_no_module_is_a_grab_bag() -> None:
    """A module is named for what it holds; ``utils`` and its cousins hold anything."""
    report(
        [f"{module.at(1)}: {module.name}" for module in ours() if module.path.stem.strip("_") in GRAB_BAGS],
        "Name the module for the one concept that it holds.",
    )


def test_every_folder_of_code_is_a_package() -> None:
    """A folder without ``__init__.py`` would be importable here and missing from type checks."""
    folders = {module.path.parent for module in ours()}
    report(
        [
            f"{folder.relative_to(ROOT)}:1: no __init__.py"
            for folder in folders
            if not (folder / "__init__.py").exists()
        ],
        "Add an __init__.py whose docstring says what the room is for.",
    )


def test_the_engine_imports_no_detector_and_none_of_their_libraries() -> None:
    """Detectors reach the engine as objects or entry points, never by import, not even inside a function."""
    problems = [
        f"{module.at(node)}: imports {name}"
        for module in modules("guard")
        for node in ast.walk(module.tree)
        for name in imported(node)
        if name.split(".")[0] in NOT_FOR_THE_ENGINE
    ]
    report(problems, "Hand the thing in as an object that meets a Protocol of guard.types.")


@pytest.mark.parametrize("room", SEES_ONLY)
def test_a_room_with_one_window_looks_through_no_other(room: str) -> None:
    """The Rego engine imports nothing of ours, and detectors the nouns and the errors; rooms yet to be built, too."""
    allowed = SEES_ONLY[room]
    problems = [
        f"{module.at(node)}: imports {name}"
        for module in modules(room.replace(".", "/"))
        for node in ast.walk(module.tree)
        for name in imported(node)
        if name.split(".")[0] in {"guard", "detectors"} and not any(f"{name}.".startswith(f"{a}.") for a in allowed)
    ]
    report(problems, f"{room} may import {', '.join(sorted(allowed))} only.")


def test_import_contracts_hold() -> None:
    """Imports run downwards only, siblings do not meet, the Rego engine stands alone (pyproject.toml)."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", done.stdout), done.stdout[-2000:]


@pytest.mark.parametrize("name", LIGHT)
def test_light_imports_stay_light(name: str) -> None:
    """An auditor runs the verifier without a web framework, and a type is imported without a model library."""
    code = f"import json, sys, {name}; print(json.dumps([m for m in {LIGHT[name]!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    if loaded:
        trace = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", f"import {name}"],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        order = [line.split("|")[-1].rstrip() for line in trace.stderr.splitlines()]
        pytest.fail(
            f"importing {name} loads {loaded}; modules in order of loading:\n" + "\n".join(order), pytrace=False
        )


# --- words ----------------------------------------------------------------------------------------------------------


def test_every_module_and_public_name_has_a_docstring() -> None:
    """A reader learns from the first line what a module, a public class or a public function is for."""
    problems = []
    for module in ours():
        if not ast.get_docstring(module.tree):
            problems.append(f"{module.at(1)}: the module has no docstring")
        problems += [
            f"{module.at(node)}: {node.name} has no docstring"
            for node in module.tree.body
            if isinstance(node, FunctionNode | ast.ClassDef)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
        ]
    report(problems, "Say in one sentence what it is for.")


def test_every_test_says_which_behaviour_it_holds() -> None:
    """A failing test tells, in the field's language, what no longer holds."""
    problems = [
        f"{module.at(function)}: {function.name} " + ("has no docstring" if not said else f"says only {said!r}")
        for module in modules("tests")
        for function in functions(module.tree)
        if function.name.startswith("test_") and module.path.name.startswith("test_")
        if len((said := ast.get_docstring(function) or "").split()) < 4
    ]
    report(problems, "Name the behaviour in a sentence.")


def test_every_test_file_is_collected() -> None:
    """A file that holds tests under another name than test_*.py would never run."""
    problems = [
        f"{module.at(function)}: {function.name} is not collected"
        for module in modules("tests")
        if not module.path.name.startswith("test_")
        for function in module.tree.body
        if isinstance(function, FunctionNode) and function.name.startswith("test_")
    ]
    report(problems, "Rename the file to test_*.py, or the function.")


# --- pages ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    """Every table that the pages must hold, as the code has it now."""
    return {table.name: table for table in pages.tables()}


@pytest.mark.parametrize("page", ["docs/configuration.md", "docs/errors.md"])
def test_every_key_and_code_is_documented(page: str, tables: dict[str, Table]) -> None:
    """Every configuration key, error code, reason code and shipped rule stands in its page as the code has it, with
    its meaning; nothing else stands there."""
    standing = pages.written(page)
    expected = {name: table for name, table in tables.items() if table.page == page}
    problems = [
        f"{page}:{line}: no such table in the code: {name}"
        for name, (line, _) in standing.items()
        if name not in expected
    ]
    for name, table in expected.items():
        line, rows = standing.get(name, (1, []))
        mechanical = len(table.header) - table.prose
        wanted = {tuple(cells(row_of(row))) for row in table.rows}
        found = {tuple(row[:mechanical]): row for row in rows}
        problems += [
            f"{page}:{line}: table {name!r} lacks {row[0]}, or says otherwise of it"
            for row in sorted(wanted - set(found))
        ]
        problems += [
            f"{page}:{line}: table {name!r} has {row[0]}, which the code has not so"
            for row in sorted(set(found) - wanted)
        ]
        problems += [
            f"{page}:{line}: table {name!r} does not explain {row[0]}"
            for row in found.values()
            for cell in row[mechanical:]
            if not cell or cell == MISSING
        ]
    report(problems, "Run `make docs`, then write what is marked as missing.")


def markdown() -> list[Path]:
    """Every page of the project."""
    folders = ["docs", "policies", "detectors", "benchmarks", "deploy", "tests"]
    return sorted([*ROOT.glob("*.md"), *(page for folder in folders for page in (ROOT / folder).rglob("*.md"))])


def test_links_between_pages_lead_somewhere() -> None:
    """A relative link in a page names a file of the checkout, and its anchor a heading of that file."""
    problems = []
    for page in markdown():
        text = re.sub(
            r"```.*?```", lambda m: "\n" * m[0].count("\n"), page.read_text(encoding="utf-8"), flags=re.DOTALL
        )
        for number, line in enumerate(text.splitlines(), start=1):
            for target in re.findall(r"\]\(([^)\s]+)\)", line):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, anchor = target.partition("#")
                file = (page.parent / path) if path else page
                if not file.exists():
                    problems.append(f"{page.relative_to(ROOT)}:{number}: {target} does not exist")
                elif anchor and anchor not in anchors(file):
                    problems.append(f"{page.relative_to(ROOT)}:{number}: {target} has no such heading")
    report(problems, "Mend the link.")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_decisions_are_numbered_and_whole() -> None:
    """Architecture decisions have consecutive numbers and tell context, decision, options rejected, consequences."""
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    problems = []
    for number, page in enumerate(decisions, start=1):
        where = page.relative_to(ROOT)
        text = page.read_text(encoding="utf-8")
        if not page.name.startswith(f"{number:04}-") or not text.startswith(f"# {number}. "):
            problems.append(f"{where}:1: expected the number {number} in name and title")
        missing = [
            heading
            for heading in ("Status", "Context", "Decision", "Options rejected", "Consequences")
            if f"\n## {heading}\n" not in text
        ]
        problems += [f"{where}:1: no heading {heading!r}" for heading in missing]
    report(problems or ([] if decisions else ["docs/adr:1: no decision is recorded"]), "See docs/adr/0001.")


def test_every_module_page_name_in_the_code_exists() -> None:
    """A page that a docstring or a message names (``docs/errors.md``) is there for the reader who follows it."""
    problems = [
        f"{module.at(number)}: {name} does not exist"
        for module in ours()
        for number, line in enumerate(module.text.splitlines(), start=1)
        for name in re.findall(r"\bdocs/[\w/.-]+\.md\b", line)
        if not (ROOT / name).is_file()
    ]
    report(problems, "Write the page, or name another.")
