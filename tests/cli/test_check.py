"""``guard check``: what loads and does not fit, each with its place and its mend, and what the exit code says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from guard.cli import main
from guard.cli.checking.routes import covering, includes
from guard.config import Route
from guard.middleware import Routes
from guard.record.keys import load_or_create_keys

DIGEST = "sha256:" + "0" * 64


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, no GUARD_* of the machine, and a detector that loads in no time."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GUARD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GUARD_DETECTORS__ENABLED", '["secrets"]')


def checked(capsys: pytest.CaptureFixture[str], text: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the report on a guard.toml."""
    Path("guard.toml").write_text(text)
    code = main(["check", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


UNFIT = [  # guard.toml; level, where, what, mend
    (
        '[[routes]]\npath = "/v1/**"\n\n[[routes]]\npath = "/v1/chat"\n', "warnings", "guard.toml:5 (routes[1].path)",
        "/v1/chat is never reached: routes[0] /v1/** takes its requests before", "put the narrower entry first",
    ),
    (
        '[[routes]]\npath = "/**"\nprovider = "openay"\n[providers.openai]\n', "warnings",
        "guard.toml:3 (routes[0].provider)", "the provider 'openay' is not described", "did you mean 'openai'?",
    ),
    (
        '[[routes]]\npath = "/v1/**/chat"\n', "warnings", "guard.toml:2 (routes[0].path)",
        "a * beside other characters is a plain character", "/** at the end for any rest",
    ),
    (
        '[[routes]]\npath = "/v1/{id}"\n', "warnings", "guard.toml:2 (routes[0].path)",
        "compared with the decoded path alone", "* for one segment",
    ),
    (
        '[[routes]]\npath = "/v1"\nmethods = ["PSOT"]\n', "warnings", "guard.toml:3 (routes[0].methods)",
        "'PSOT' is no HTTP method", "did you mean 'POST'?",
    ),
    (
        '[[routes]]\npath = "/v1"\nunsafe_fail_open = true\n', "warnings", "guard.toml:3 (routes[0].unsafe_fail_open)",
        "/v1 goes on uninspected when the guard cannot decide", "remove unsafe_fail_open",
    ),
    (
        '[[routes]]\npath = "/**"\ninspect = false\n', "warnings", "guard.toml:3 (routes[0].inspect)",
        "everything is excluded from inspection", "exclude single paths only",
    ),
    (
        '[[routes]]\npath = "/healthz"\ninspect = false\n', "notes", "guard.toml:3 (routes[0].inspect)",
        "/healthz passes uninspected and undecided", "",
    ),
    (
        '[[routes]]\npath = "/up"\nlarge_bodies = "pass"\n', "notes", "guard.toml:3 (routes[0].large_bodies)",
        "on /up a body past limits.max_body_bytes goes on", "",
    ),
    (
        f'[[identity.api_keys]]\nid = "ci"\nhash = "{DIGEST}"\ntenant = "acme"\n', "warnings",
        "guard.toml:4 (identity.api_keys[0].tenant)", "the tenant 'acme' of API key 'ci' is not described",
        "add [tenants.acme]",
    ),
    (
        f'[[identity.api_keys]]\nid = "a"\nhash = "{DIGEST}"\n[[identity.api_keys]]\nid = "b"\nhash = "{DIGEST}"\n',
        "errors", "identity.api_keys", "the hash of API key 'b' is also that of 'a'", "give each entry a key",
    ),
    (
        '[identity.jwt]\nissuer = "i"\naudience = "a"\njwks_file = "missing.json"\n', "errors",
        "guard.toml:4 (identity.jwt.jwks_file)", "missing.json: the key set cannot be read", "JWK Set",
    ),
    (
        '[identity.jwt]\nissuer = "i"\naudience = "a"\njwks_url = "http://keys.example/"\n', "errors",
        "identity.jwt.jwks_url", "neither https nor on this machine", "use https",
    ),
    (
        '[policy]\nengine = "opa"\n[policy.opa]\ntoken_file = "missing"\n', "errors",
        "guard.toml:4 (policy.opa.token_file)", "missing cannot be read: No such file", "write the token there",
    ),
    (
        '[policy]\nengine = "opa"\n[policy.opa]\nca_file = "guard.toml"\n', "errors",
        "guard.toml:4 (policy.opa.ca_file)", "guard.toml holds no certificates in PEM", "in PEM",
    ),
    (
        '[policy]\nengine = "opa"\n[policy.opa]\nclient_cert_file = "missing"\nurl = "https://opa"\n', "errors",
        "guard.toml:4 (policy.opa.client_cert_file)", "missing cannot be read: No such file", "in PEM",
    ),
    (
        '[policy]\nengine = "opa"\n[policy.opa]\nurl = "http://user:hunter2@opa"\n', "warnings",
        "guard.toml:4 (policy.opa.url)", "the address holds credentials", "token_file",
    ),
    (
        "[limits]\ninspect_limit_bytes = 99000000\n", "warnings", "guard.toml:2 (limits.inspect_limit_bytes)",
        "99000000 is never reached: max_body_bytes and answer_buffer_bytes ends at 10485760", "lower it",
    ),
    (
        "[limits]\nmax_field_bytes = 99000000\n", "warnings", "guard.toml:2 (limits.max_field_bytes)",
        "99000000 is never reached: max_body_bytes ends at 10485760", "raise max_body_bytes",
    ),
    (
        "[limits]\nstream_buffer_bytes = 0\n", "warnings", "guard.toml:2 (limits.stream_buffer_bytes)",
        "0: no streamed answer can be kept back", "remove the key for its default",
    ),
    (
        "[policy.settings]\nmax_request_bytes = 99000000\n", "warnings",
        "guard.toml:2 (policy.settings.max_request_bytes)", "99000000 is never reached", "lower it",
    ),
    (
        '[policy]\nentrypoint = "data.guard.decisions"\n', "errors", "", "names no rule", "correct policy.entrypoint",
    ),
    ("[policy.settings]\nmax_token = 1\n", "errors", "", "no policy reads policy.settings.max_token", "configuration"),
    (
        '[policy]\ndirectories = ["nowhere"]\n', "errors", "nowhere", "there is no such directory",
        "name a directory or a file",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", UNFIT, ids=lambda case: case[3][:50])
def test_what_loads_and_does_not_fit(case: tuple[str, str, str, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """What, where with file and line, and mend; an error is 1, a warning 0, and 1 under --strict."""
    text, level, where, what, mend = case
    code, report = checked(capsys, text)
    (found,) = [remark for remark in report[level] if what in remark["message"]]
    assert where in found["where"]
    assert mend in found["mend"]
    assert (code, report["ok"]) == ((1, False) if level == "errors" else (0, True))
    if level != "errors":
        assert report["errors"] == []
        assert checked(capsys, text, "--strict")[0] == (1 if level == "warnings" else 0)


def test_files_of_tokens_and_keys_that_others_may_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A token that others read is theirs; a key that others read stops the start, and so is an error."""
    (tmp_path / "token").write_text("s3cr3t")
    (tmp_path / "token").chmod(0o644)
    text = '[policy]\nengine = "opa"\n[policy.opa]\ntoken_file = "token"\n'
    code, report = checked(capsys, text)
    assert code == 0
    (warning,) = report["warnings"]
    assert warning["message"] == "token is open to others (mode 0644)"
    (tmp_path / "token").chmod(0o600)
    assert checked(capsys, text)[1]["warnings"] == []
    load_or_create_keys(tmp_path / ".guard" / "keys")
    assert checked(capsys, text)[0] == 0
    (tmp_path / ".guard/keys/pseudonym.key").chmod(0o640)
    code, report = checked(capsys, text)
    assert (code, report["errors"][0]["code"]) == (1, "key_invalid")


def test_a_key_set_that_holds_a_private_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reads it can sign: the start refuses it, and check says so before."""
    del tmp_path
    secret = Ed25519PrivateKey.generate().private_bytes_raw().hex()
    Path("keys.json").write_text(json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "", "d": secret}]}))
    text = '[identity.jwt]\nissuer = "i"\naudience = "a"\njwks_file = "keys.json"\n'
    code, report = checked(capsys, text)
    assert code == 1
    assert "the key set holds a private key" in report["errors"][0]["message"]
    assert secret not in json.dumps(report)


def test_one_mistake_hides_no_other(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Detectors, files and policies are told in one run, each once."""
    monkeypatch.setenv("GUARD_DETECTORS__ENABLED", '["telepathy", "secrets", "smell"]')
    text = '[policy]\nentrypoint = "data.nothing"\n[identity.jwt]\nissuer="i"\naudience="a"\njwks_file="missing"\n'
    code, report = checked(capsys, text)
    said = [error["message"] for error in report["errors"]]
    assert code == 1
    assert [message for message in said if "no detector is called" in message] == [
        "no detector is called 'telepathy'", "no detector is called 'smell'",
    ]  # fmt: skip
    assert len(said) == 4


def test_a_variable_that_is_nearly_a_key_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GUARD_STATE_DIRECTRY would be ignored in silence; GUARD_PORT of an orchestrator is none of ours."""
    monkeypatch.setenv("GUARD_STATE_DIRECTRY", "/var/lib/guard")
    monkeypatch.setenv("GUARD_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("GUARD_PORT", "tcp://10.0.0.1:80")
    (warning,) = checked(capsys, "")[1]["warnings"]
    assert warning["message"] == "GUARD_STATE_DIRECTRY is not read"
    assert warning["mend"] == "did you mean GUARD_STATE_DIRECTORY?"


def test_a_misspelled_field_of_a_rule_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rule compiles and its tests pass with a document of the same mistake; check alone knows the schema."""
    assert main(["init"]) == 0
    rule = tmp_path / "policies/guard/rules/example/example.rego"
    rule.write_text(rule.read_text().replace("input.ai.operation", "input.ai.operashun"))
    capsys.readouterr()
    for command in (["check"], ["policy", "check", "policies"]):
        assert main(command) == 1
        assert "where: policies/guard/rules/example/example.rego:12:11\nmend:  did you mean" in capsys.readouterr().err


def test_people_read_the_table_then_what_is_wrong_then_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Warnings leave the table standing and the verdict at ok; errors leave the verdict alone."""
    (tmp_path / "guard.toml").write_text('[[routes]]\npath = "/**"\nunsafe_fail_open = true\n')
    assert main(["check"]) == 0
    shown = capsys.readouterr()
    assert "route      /**  inspected, FAILS OPEN; no provider" in shown.out
    assert shown.out.endswith("\nok, 1 warning\n")
    assert shown.err.startswith("warning: /** goes on uninspected")
    assert main(["check", "--strict"]) == 1
    assert capsys.readouterr().out.endswith("\nnot ok: 1 warning\n")
    (tmp_path / "guard.toml").write_text("[limit]\n[record]\nmode = 'Strict'\n")
    assert main(["check"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "not ok: 2 errors\n"
    assert shown.err == (
        "error: unknown key 'limit'\nwhere: guard.toml:1\nmend:  did you mean 'limits'?\n"
        'error: record.mode: must be "strict" or "buffered"\nwhere: guard.toml:3\nmend:  did you mean \'strict\'?\n'
    )


# --- routes that hide others ----------------------------------------------------------------------------------------

SEGMENT = st.sampled_from(["", "a", "b", "*"])
PATTERN = st.builds(
    lambda parts, rest: "/" + "/".join(parts) + ("/**" if rest else ""), st.lists(SEGMENT, max_size=3), st.booleans()
)
PATH = st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=4).map(lambda parts: "/" + "/".join(parts))


def matches(pattern: str, path: str) -> bool:
    """Whether the door itself takes a path for this pattern."""
    return Routes([Route(path=pattern, provider="x")]).match(path, "GET").route.provider == "x"


@given(wide=PATTERN, narrow=PATTERN, path=PATH)
def test_a_pattern_that_includes_another_matches_whatever_that_matches(wide: str, narrow: str, path: str) -> None:
    """Held against the door's own matching: a route called unreachable is unreachable."""
    if includes(wide, narrow) and matches(narrow, path):
        assert matches(wide, path)


@given(pattern=PATTERN)
def test_a_pattern_includes_itself_and_everything_includes_it(pattern: str) -> None:
    """Reflexive, and ``/**`` is the top."""
    assert includes(pattern, pattern)
    assert includes("/**", pattern)


@pytest.mark.parametrize(
    ("before", "last", "takers"),
    [
        ([("/a", ())], ("/a", ("GET",)), [0]),
        ([("/a", ("GET",))], ("/a", ()), []),
        ([("/a", ("get",)), ("/*", ("POST",))], ("/a", ("GET", "POST")), [0, 1]),
        ([("/a", ("GET",))], ("/a", ("GET", "POST")), []),
        ([("/a/*", ())], ("/a/**", ()), []),
        ([("/a/**", ())], ("/a", ()), [0]),
    ],
)
def test_entries_hide_a_later_one_together(
    before: list[tuple[str, tuple[str, ...]]], last: tuple[str, tuple[str, ...]], takers: list[int]
) -> None:
    """By path and method: one entry alone, or several that between them take all methods."""
    routes = tuple(Route(path=path, methods=methods) for path, methods in [*before, last])
    assert covering(routes, len(before)) == takers
