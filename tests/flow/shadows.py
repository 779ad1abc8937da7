"""Candidate policies for tests, and guards that have one beside policies that decide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

DROP = '"type": "redact", "entity": "EMAIL_ADDRESS", "operator": "drop"'
LIMIT = '"type": "limit", "key": "tenant", "budget": {"requests": 1}, "window": "1h"'
PACKAGE = "package guard.rules.watched\n"


def rule(identifier: str, body: str, *, mode: str = "enforce", severity: str = "high") -> str:
    """A rule that denies under a condition, with its annotation."""
    return f"""
# METADATA
# title: A rule of a candidate
# custom:
#   id: {identifier}
#   severity: {severity}
#   remediation: none
#   mode: {mode}
deny contains {{"id": "{identifier}", "message": "a message", "pointers": set()}} if {{
	{body}
}}
"""


def obliging(identifier: str, obligation: str) -> str:
    """A rule that obliges; ``obligation`` are the members beside the id, in Rego."""
    return f"""
# METADATA
# title: An obligation of a candidate
# custom:
#   id: {identifier}
#   severity: low
#   remediation: none
obligations contains {{"id": "{identifier}", {obligation}}} if true
"""


CANDIDATES: Mapping[str, str] = {
    "denies everything": PACKAGE + rule("C-ALL", "true"),
    "denies every answer": PACKAGE + rule("C-ANSWER", 'input.stage == "response"'),
    "loops for ever": PACKAGE
    + rule(
        "C-LOOP",
        "some i in numbers.range(1, 5000)\n\tsome j in numbers.range(1, 5000)\n\tsome k in numbers.range(1, 5000)\n"
        "\ti + j + k == 0",
    ),
    "contradicts itself": PACKAGE + "both := 1\nboth := count(input.stage)\n" + rule("C-TWO", "both == 1"),
    "calls a function that fails": PACKAGE + rule("C-FAIL", 'to_number("none") == 1'),
    "is huge": PACKAGE + "".join(rule(f"C-{n}", f"input.context.size_bytes > {n}") for n in range(300)),
    "gives a thousand reasons": PACKAGE
    + rule("C-MANY", "some n in numbers.range(1, 1000)").replace('"a message"', 'sprintf("%d", [n])'),
    "obliges to what nobody knows": PACKAGE + obliging("C-ODD", '"type": "frobnicate"'),
    "redacts everything": PACKAGE + obliging("C-RED", DROP),
    "adds headers": PACKAGE + obliging("C-HEAD", '"type": "annotate", "headers": {"x-candidate": "1"}'),
    "limits everything": PACKAGE + obliging("C-LIMIT", LIMIT),
    "answers nonsense": 'package other\nanswer := {"allow": "perhaps", "reasons": 7}\n',
    "is undefined": "package other\nanswer := 1 if input.stage == 7\n",
}


def write(root: Path, text: str, name: str = "watched.rego") -> Path:
    """A directory with one policy."""
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    return root


def candidate(root: Path, text: str, **more: Any) -> dict[str, Any]:
    """The ``policy`` part of a configuration with this candidate in shadow. No test waits for its deadline: steps bound
    it."""
    entrypoint = {"entrypoint": "data.other.answer", "shipped": False} if text.startswith("package other") else {}
    return {"candidate": {"directories": [str(write(root, text))], "deadline_ms": 1000, **entrypoint, **more}}
