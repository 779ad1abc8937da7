"""The JSON Schema for editors says what the configuration's model says, in words that TOML tools understand."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from guard.cli import main
from guard.config import load_config
from guard.config.schema import DIRECTIVE, build_schema, schema_text
from guard.errors import ConfigError
from tests.house import config_schema

SCHEMA: dict[str, Any] = json.loads(schema_text())
KINDS: Mapping[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
}  # fmt: skip
WORDS = {
    "$schema", "title", "description", "default", "type", "properties", "patternProperties", "additionalProperties",
    "required", "items", "minItems", "enum", "const", "pattern", "minimum", "maximum", "exclusiveMinimum", "anyOf",
    "oneOf",
}  # fmt: skip
DIGEST = "sha256:" + "0" * 64


def errors(value: Any, schema: Any, path: str = "") -> Iterator[str]:
    """Where a value breaks a schema: the assertions of draft 2020-12 that ours uses."""
    if schema is True:
        return
    if schema is False:
        yield f"{path} is not allowed"
        return
    kind = schema.get("type")
    if kind and (not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean")):
        yield f"{path} is no {kind}"
        return
    if ("enum" in schema and value not in schema["enum"]) or ("const" in schema and value != schema["const"]):
        yield f"{path} is none of its values"
    for word, count in (("anyOf", None), ("oneOf", 1)):
        if word in schema:
            fitting = sum(not list(errors(value, choice, path)) for choice in schema[word])
            if not fitting or (count is not None and fitting != count):
                yield f"{path} fits {fitting} choices of {word}"
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path} does not match"
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high, above = schema.get("minimum"), schema.get("maximum"), schema.get("exclusiveMinimum")
        if (low is not None and value < low) or (high is not None and value > high):
            yield f"{path} is out of bounds"
        if above is not None and value <= above:
            yield f"{path} is out of bounds"
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            yield f"{path} is too short"
        for number, item in enumerate(value):
            yield from errors(item, schema.get("items", True), f"{path}[{number}]")
    if isinstance(value, dict):
        yield from _members(value, schema, path)


def _members(value: dict[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    yield from (f"{path} lacks {key}" for key in schema.get("required", ()) if key not in value)
    for key, member in value.items():
        below = [properties[key]] if key in properties else []
        below += [inner for pattern, inner in patterns.items() if re.search(pattern, key)]
        for inner in below or [schema.get("additionalProperties", True)]:
            yield from errors(member, inner, f"{path}.{key}".lstrip("."))


def nodes(schema: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every schema in a schema, with its path."""
    if not isinstance(schema, Mapping):
        return
    yield path, schema
    for word in ("properties", "patternProperties"):
        for key, inner in schema.get(word, {}).items():
            yield from nodes(inner, f"{path}/{key}")
    for word in ("items", "additionalProperties"):
        yield from nodes(schema.get(word), f"{path}/{word}")
    for word in ("anyOf", "oneOf"):
        for number, inner in enumerate(schema.get(word, ())):
            yield from nodes(inner, f"{path}/{word}/{number}")


GOOD = {
    "nothing": "",
    "a route": '[[routes]]\npath = "/v1/**"\nmethods = ["POST"]\ninspect = true\nshape = "openai.chat"\n',
    "every limit at its bound": "[limits]\nmax_body_bytes = 0\nmax_json_depth = 500\nbody_timeout_seconds = 0.1\n",
    "tokens": '[identity.jwt]\njwks_file = "keys.json"\nissuer = "i"\naudience = "a"\nalgorithms = ["EdDSA"]\n',
    "an API key": f'[[identity.api_keys]]\nid = "ci"\nhash = "{DIGEST}"\nroles = ["robot"]\n',
    "a proxy": '[identity.trusted_header]\npeers = ["10.0.0.0/8"]\n',
    "no behaviour": '[detectors]\nenabled = ["pii"]\nbehaviour = ""\n',
    "an option of a detector": "[detectors.options.pii]\nthreshold = 0.5\n",
    "a detector of others": "[detectors.options.theirs]\nanything = [1, 2]\n",
    "named tables": '[providers.eu]\npci = true\n[tenants."acme.eu"]\nmodels = ["m"]\n[networks]\noffice = ["::1"]\n',
    "settings": '[policy.settings]\nmax_tokens = 10\nmodes = { "PII-001" = "shadow" }\nof_my_own = true\n',
    "another engine": '[policy]\nengine = "opa"\n[policy.opa]\nurl = "https://opa:8181"\n',
}
BAD = {
    "an unknown section": "[limit]\nmax_body_bytes = 1\n",
    "an unknown key": "[limits]\nmax_body_byte = 1\n",
    "a value of another type": '[limits]\nmax_body_bytes = "many"\n',
    "a bound that is passed": "[limits]\nmax_json_depth = 501\n",
    "zero where something is due": "[limits]\nbody_timeout_seconds = 0\n",
    "a route without a path": "[[routes]]\ninspect = false\n",
    "a path without a slash": '[[routes]]\npath = "v1"\n',
    "a shape that is none": '[[routes]]\npath = "/v1"\nshape = "grpc"\n',
    "failing open": 'fail = "open"\n',
    "an algorithm without a key": '[identity.jwt]\njwks_file="k"\nissuer="i"\naudience="a"\nalgorithms=["none"]\n',
    "tokens from nowhere": '[identity.jwt]\nissuer = "i"\naudience = "a"\n',
    "tokens from two places": '[identity.jwt]\njwks_file = "k"\njwks_url = "https://k"\nissuer = "i"\naudience = "a"\n',
    "an API key in clear": '[[identity.api_keys]]\nid = "ci"\nhash = "hunter2"\n',
    "a proxy without peers": "[identity.trusted_header]\npeers = []\n",
    "a provider's name with a space": '[providers."my provider"]\npci = true\n',
    "an unknown fact about a provider": "[providers.eu]\npci_dss = true\n",
    "an entrypoint outside of data": '[policy]\nentrypoint = "guard.decision"\n',
}


def loads(text: str, directory: Path) -> bool:
    """Whether the configuration's model takes the document."""
    file = directory / "guard.toml"
    file.write_text(text)
    try:
        load_config(file, environ={})
    except ConfigError:
        return False
    return True


def test_the_checked_in_schema_is_current() -> None:
    """A key, a bound or a meaning that changes is in the editors' schema in the same commit."""
    advice = "run: python -m tests.house.config_schema"
    assert schema_text() == config_schema.generated(), advice


def test_a_key_without_a_meaning_is_no_schema() -> None:
    """An editor never offers a key that nobody described."""
    told = config_schema.meanings()
    del told["limits.max_body_bytes"]
    with pytest.raises(KeyError, match=r"limits\.max_body_bytes"):
        build_schema(told)


@pytest.mark.parametrize("name", GOOD)
def test_good_documents_fit_the_schema_and_the_model(name: str, tmp_path: Path) -> None:
    """An editor underlines nothing that the guard would take."""
    assert list(errors(tomllib.loads(GOOD[name]), SCHEMA)) == []
    assert loads(GOOD[name], tmp_path)


@pytest.mark.parametrize("name", BAD)
def test_bad_documents_fit_neither_schema_nor_model(name: str, tmp_path: Path) -> None:
    """An editor shows the mistake before the guard refuses to start over it."""
    assert list(errors(tomllib.loads(BAD[name]), SCHEMA))
    assert not loads(BAD[name], tmp_path)


def test_the_starter_and_the_page_s_examples_fit_the_schema() -> None:
    """What the project itself shows as a guard.toml is one."""
    starter = (config_schema.ROOT / "guard/cli/starter/guard.toml").read_text()
    page = (config_schema.ROOT / "docs/configuration.md").read_text()
    examples = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(examples) >= 1
    for text in (starter, *examples):
        assert list(errors(tomllib.loads(text), SCHEMA)) == []


def test_the_schema_keeps_to_what_toml_editors_understand() -> None:
    """No reference, no null and no keyword beyond the plain ones: Taplo shows every description where it stands."""
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for path, node in nodes(SCHEMA):
        assert not node.keys() - WORDS, path
        assert node.get("type") in {None, *KINDS}, path
        assert node.get("default", "") is not None, path


def test_every_key_is_described_and_every_default_fits() -> None:
    """A description for whoever types a key, and a default that is itself valid."""
    for path, node in nodes(SCHEMA):
        for key, inner in node.get("properties", {}).items():
            assert inner.get("description"), f"{path}/{key}"
        if "default" in node:
            assert list(errors(node["default"], {k: v for k, v in node.items() if k != "default"})) == [], path


def test_tables_that_the_model_closes_are_closed() -> None:
    """A misspelt key is an error in the editor, except where a table is the owner's own."""
    opened = {path for path, node in nodes(SCHEMA) if node.get("additionalProperties") is True}
    own = {"/policy/settings", "/policy/candidate/settings"}
    assert all(path in own or path.startswith("/detectors/options/") for path in opened)


def test_the_command_prints_or_writes_the_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One command gives the file, and says the line that makes an editor use it."""
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == schema_text()
    assert main(["schema", "--output", str(tmp_path)]) == 0
    assert f"{DIRECTIVE} ./guard.schema.json" in capsys.readouterr().out
    assert (tmp_path / "guard.schema.json").read_text() == schema_text()
    assert main(["schema", "--output", str(tmp_path / "missing" / "x.json")]) == 1
    assert "cannot be written" in capsys.readouterr().err
