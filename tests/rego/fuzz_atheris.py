"""Coverage-guided fuzzing of modules, queries and inputs: ``python -m tests.rego.fuzz_atheris [--seconds N] [CORPUS]``.

Libfuzzer (https://github.com/google/atheris) mutates bytes towards new lines of ``guard.rego``. Each input is read as
one of four things: the text of a module with a document, a query, text for the built-ins that read text, or the choices
of the generator of sound modules (`differential`). The engine must answer or raise an error of its own, within the
deadline, and in less than ``RSS_MEGABYTES``; anything else ends the run with the input that caused it.

Atheris is in no lock: where it is missing, one line says so and how to get it, and the exit code is 3. It needs CPython
3.11 to 3.13: ``python3.11 -m venv V && V/bin/pip install atheris pyyaml google-re2 cryptography hypothesis``.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.rego.differential.dice import Dice

RSS_MEGABYTES = 2048
SECONDS_PER_INPUT = 20
DEADLINE_SECONDS = 2.0
MAX_STEPS = 100_000
MISSING = "atheris is not installed: python3.11 -m venv V && V/bin/pip install atheris pyyaml google-re2 cryptography"
READERS = (
    "json.unmarshal(input.t)", "yaml.unmarshal(input.t)", "io.jwt.decode(input.t)", "rego.parse_module(`m`, input.t)",
    "graphql.parse_query(input.t)", "graphql.parse_schema(input.t)", "crypto.x509.parse_certificates(input.t)",
    "crypto.parse_private_keys(input.t)", "time.parse_duration_ns(input.t)", "time.parse_rfc3339_ns(input.t)",
    "units.parse(input.t)", "units.parse_bytes(input.t)", "uri.parse(input.t)", "urlquery.decode_object(input.t)",
    "regex.match(input.t, `abc`)", "regex.globs_match(input.t, `a.*`)", "glob.match(input.t, [], `abc`)",
    "sprintf(input.t, [1, `a`, 1.5, [2]])", "strings.render_template(input.t, {`x`: [1, {`y`: `z`}]})",
    "semver.compare(input.t, `1.0.0-a`)", "net.cidr_expand(input.t)", "uuid.parse(input.t)", "hex.decode(input.t)",
    "base64url.decode(input.t)", "json.match_schema({`a`: [1]}, input.t)", "json.verify_schema(input.t)",
    "time.parse_ns(input.t, `2020-01-01`)", "regex.replace(input.t, `(a)`, `$1`)", "to_number(input.t)",
    "regex.template_match(input.t, `a`, `{`, `}`)", "json.patch({`a`: 1}, json.unmarshal(input.t))",
)  # fmt: skip


class Choices:
    """Numbers below a bound, taken from bytes; zero when they are used up."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def below(self, sides: int) -> int:
        """The next choice."""
        at = self.position
        self.position += 2
        return int.from_bytes(self.data[at : at + 2]) % sides


class Harness:
    """Runs one input. ``rego`` and ``generated`` are modules that were instrumented when they were imported."""

    def __init__(self, rego: Any, rules: Any, inputs: Any) -> None:
        self.rego = rego
        self.rules = rules
        self.inputs = inputs
        lines = "\n".join(f"p{at} := {call}" for at, call in enumerate(READERS))
        self.readers = rego.compile({"a.rego": f"package a\n{lines}"})
        self.plain = rego.compile({"a.rego": "package a\np := {1, 2}\nq[x] := y if some x, y in input"})

    def bounds(self) -> dict[str, Any]:
        """The limits of one evaluation."""
        return {"max_steps": MAX_STEPS, "deadline": time.monotonic() + DEADLINE_SECONDS}

    def run(self, data: bytes) -> None:
        """One input; its first byte says what it is."""
        if not data:
            return
        kind, rest = data[0] % 4, data[1:]
        text = rest.decode("utf-8", "replace")
        with contextlib.suppress(self.rego.RegoError):
            if kind == 0:
                self.module(text)
            elif kind == 1:
                self.plain.query(text, {"x": [1, {"a": None}]}, **self.bounds())
            elif kind == 2:
                self.read(text)
            else:
                self.generated(rest)

    def module(self, text: str) -> None:
        """A module, and after a line ``---`` the JSON text of its input."""
        source, _, document = text.partition("\n---\n")
        value: Any = {"a": [1, "x"], "b": {"c": None}}
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(document)
        self.rego.compile({"m.rego": source}, {"base": [1]}).query("data", value, **self.bounds())

    def read(self, text: str) -> None:
        """A text for one of the built-ins that read text; its first character says which."""
        number = ord(text[0]) % len(READERS) if text else 0
        options = self.bounds()
        self.readers.eval(f"data.a.p{number}", {"t": text[1:]}, strict_builtin_errors=True, **options)

    def generated(self, data: bytes) -> None:
        """A sound module whose choices are the bytes, with one document."""
        dice = Dice(Choices(data).below)
        document = self.inputs.document(dice)
        made = self.rules.module(dice)
        program = self.rego.compile({"g.rego": made.source})
        for ref in made.refs:
            with contextlib.suppress(self.rego.EvalError):
                program.eval("data." + ref.replace("/", "."), document, **self.bounds())


def seeds() -> Iterator[bytes]:
    """What mutation begins with: the shipped policies, texts for the readers, and generated modules."""
    for path in sorted(Path(__file__).parents[2].joinpath("policies").rglob("*.rego")):
        yield b"\0" + path.read_bytes() + b'\n---\n{"a": [1]}'
    for query in (
        "x := data.a.p",
        "some i; input.x[i] = y",
        'every k, v in input { k != "a" }',
        "data.a.q[z] with input as {1}",
    ):
        yield b"\1" + query.encode()
    for text in ('{"a": [1, -2.5e3, "\\u00e9"]}', "a: &x [1, {b: *x}]",
        "query($x: Int = 1) { a(b: {c: [$x]}) ... on T { d } }",
                 "type Q implements I { a(b: [In!]): U! }", "%[2]*.3f %#x %+q",
                 "{{range $k, $v := .x}}{{$v | printf \"%d\"}}{{end}}",
                 "eyJhbGciOiJIUzI1NiJ9.e30.AA", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
                 "1h2m3.5s", "10.0.0.0/30",
                 "2024-02-29T12:00:00.5+05:30", '[{"op": "add", "path": "/a/-", "value": {"b": 1}}]',
                 "[a-c]{x,y*}?\\*"):  # fmt: skip
        for number in range(len(READERS)):
            yield b"\2" + bytes([number]) + text.encode()
    for number in range(40):
        yield b"\3" + bytes((number * 37 + at * at * 11) % 256 for at in range(600))


def main() -> int:
    """Fuzz for so many seconds, from the seeds or a corpus of before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="how long to run")
    parser.add_argument("corpus", nargs="?", help="a directory of inputs, which the run adds to")
    options = parser.parse_args()
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        print(MISSING)
        return 3
    with atheris.instrument_imports(include=["guard.rego"]):
        rego = importlib.import_module("guard.rego")
    rules = importlib.import_module("tests.rego.differential.rules")
    inputs = importlib.import_module("tests.rego.differential.inputs")
    harness = Harness(rego, rules, inputs)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(options.corpus or folder)
        corpus.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(seeds()):
            corpus.joinpath(f"seed-{number}").write_bytes(data)
        flags = [
            f"-max_total_time={options.seconds}",
            f"-timeout={SECONDS_PER_INPUT}",
            f"-rss_limit_mb={RSS_MEGABYTES}",
        ]
        atheris.Setup([sys.argv[0], *flags, "-max_len=8192", "-print_final_stats=1", str(corpus)], harness.run)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
