"""What a person reads who wrote a wrong configuration: the key, its line, what it must be; and never a value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.config import load_config
from guard.config.explain import ConfigInvalid, row_of
from guard.errors import ConfigError

DIGEST = "sha256:" + "0" * 64
PAGE = "see docs/configuration.md"
TOML = "see https://toml.io/en/v1.0.0"

WRONG = [  # guard.toml; row (and column) in it, what, mend where it is more than a page
    ("[limits]\nmax_body_byte = 5\n", ":2", "unknown key 'limits.max_body_byte'", "did you mean 'max_body_bytes'?"),
    ("[limit]\n", ":1", "unknown key 'limit'", "did you mean 'limits'?"),
    ('[limits]\nmax_body_bytes = "5 MB"\n', ":2", "limits.max_body_bytes: must be a whole number", ""),
    ("[limits]\nmax_body_bytes = -1\n", ":2", "limits.max_body_bytes: must be at least 0", ""),
    ("[limits]\nmax_body_bytes = 1.5\n", ":2", "limits.max_body_bytes: must be a whole number", ""),
    ("[limits]\nmax_json_depth = 1000\n", ":2", "limits.max_json_depth: must be at most 500", ""),
    ("[limits]\nbody_timeout_seconds = 0\n", ":2", "limits.body_timeout_seconds: must be greater than 0.0", ""),
    ("limits = 5\n", ":1", "limits: must be a table", ""),
    ("[limits\n", ":1:8", "is not valid TOML: Expected ']' at the end of a table declaration", ""),
    ("[limits]\nmax_fields = 1\nmax_fields = 2\n", ":3:15", "is not valid TOML: this key stands twice", ""),
    ("[limits]\n[limits]\n", ":2:8", "is not valid TOML: this table stands twice", ""),
    ('[[routes]]\npath = "a"\n', ":2", "routes[0].path: must begin with /", ""),
    ("[[routes]]\ninspect = false\n", ":1", "routes[0].path: is missing", ""),
    ('[routes]\npath = "/a"\n', ":1", "routes: must be a list of tables", "write [[routes]]"),
    ('[[routes]]\npath = "/a"\nmethods = "POST"\n', ":3", 'routes[0].methods: must be a list: ["..."]', ""),
    (
        '[[routes]]\npath = "/a"\nshape = "openai"\n',
        ":3",
        'routes[0].shape: must be "auto", "openai.chat", "openai.responses", "anthropic.messages" or "generic"',
        "did you mean 'openai.chat'?",
    ),
    (
        '[[routes]]\npath = "/a"\nprovider = "my provider"\n',
        ":3",
        "routes[0].provider: must be a name: 1 to 64 of A-Z a-z 0-9 . _ : -",
        "",
    ),
    (
        '[providers."my provider"]\n',
        ":1",
        "providers.my provider: this name must be a name: 1 to 64 of A-Z a-z 0-9 . _ : -",
        "",
    ),
    ("[providers]\neu = true\n", ":2", "providers.eu: must be a table", ""),
    ("[providers.eu]\npcii = true\n", ":2", "unknown key 'providers.eu.pcii'", "did you mean 'pci'?"),
    ('fail = "open"\n', ":1", 'fail: must be "closed"', ""),
    (
        "fail = open\n",
        ":1:8",
        "is not valid TOML: this value is none of TOML's: text stands in quotes, true and false in small letters",
        "",
    ),
    ('[identity.jwt]\nissuer = "i"\n', ":1", "identity.jwt.audience: is missing", ""),
    (
        '[identity.jwt]\nissuer="i"\naudience="a"\n',
        ":1",
        "identity.jwt: name exactly one of jwks_file and jwks_url",
        "",
    ),
    (
        '[identity.jwt]\nissuer = "i"\naudience = "a"\njwks_file = "k"\nalgorithms = ["HS256"]\n',
        ":5",
        (
            'identity.jwt.algorithms[0]: must be "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", '
            '"ES384" or "EdDSA"'
        ),
        "did you mean 'RS256'?",
    ),
    (
        '[[identity.api_keys]]\nid = "ci"\nhash = "sk-live-hunter2"\n',
        ":3",
        "identity.api_keys[0].hash: must be sha256: and 64 hex digits, the hash of the key and not the key",
        "",
    ),
    (f'[[identity.api_keys]]\nhash = "{DIGEST}"\n', ":1", "identity.api_keys[0].id: is missing", ""),
    ("[identity.trusted_header]\npeers = []\n", ":2", "identity.trusted_header.peers: must hold at least 1", ""),
    (
        '[identity.trusted_header]\npeers = ["10.0.0.0/33"]\n',
        ":2",
        "identity.trusted_header.peers[0]: must be an address or a CIDR block, like 10.0.0.0/8",
        "",
    ),
    ('[networks]\noffice = "10.0.0.0/8"\n', ":2", 'networks.office: must be a list: ["..."]', ""),
    (
        '[networks]\noffice = ["office.example"]\n',
        ":2",
        "networks.office[0]: must be an address or a CIDR block, like 10.0.0.0/8",
        "",
    ),
    ('[detectors]\nenabled = "pii"\n', ":2", 'detectors.enabled: must be a list: ["..."]', ""),
    ("[detectors]\nbehaviour = 5\n", ":2", "detectors.behaviour: must be text, in quotes", ""),
    (
        '[detectors]\nbehaviour = "a b"\n',
        ":2",
        "detectors.behaviour: must be a name: 1 to 64 of A-Z a-z 0-9 . _ : -",
        "",
    ),
    ("[detectors.options]\npii = 1\n", ":2", "detectors.options.pii: must be a table", ""),
    ('[policy]\nengine = "opaa"\n', ":2", 'policy.engine: must be "embedded" or "opa"', "did you mean 'opa'?"),
    (
        '[policy]\nentrypoint = "guard.decision"\n',
        ":2",
        "policy.entrypoint: must be a reference below data, like data.guard.decision",
        "",
    ),
    ('[policy]\ndirectories = "policies"\n', ":2", 'policy.directories: must be a list: ["..."]', ""),
    (
        '[policy.opa]\nurl = "localhost:8181/v1"\n',
        ":2",
        "policy.opa.url: must be http:// or https:// with host and port, without a path, or unix:///path/of/socket",
        "",
    ),
    ('[policy.opa]\ntoken = "s3cr3t"\n', ":2", "unknown key 'policy.opa.token'", "did you mean 'token_file'?"),
    (
        '[record]\nname = "My Log"\n',
        ":2",
        "record.name: must be 1 to 63 of a-z 0-9 . -, beginning with a letter or digit",
        "",
    ),
    ('[record]\nmode = "Strict"\n', ":2", 'record.mode: must be "strict" or "buffered"', "did you mean 'strict'?"),
    ('[tenants.acme]\nmodels = "m"\n', ":2", 'tenants.acme.models: must be a list: ["..."]', ""),
    (
        "a = \n",
        ":1:5",
        "is not valid TOML: this value is none of TOML's: text stands in quotes, true and false in small letters",
        "",
    ),
    (
        "x = yes\n",
        ":1:5",
        "is not valid TOML: this value is none of TOML's: text stands in quotes, true and false in small letters",
        "",
    ),
    ("[limits]\nmax_body_bytes = 1 MB\n", ":2:20", "is not valid TOML: something follows the value on its line", ""),
    ("state_directory = 5\n", ":1", "state_directory: must be a path, in quotes", ""),
    ("[policy]\nsettings = 1\n", ":2", "policy.settings: must be a table", ""),
    ('routes = [{path = "/a", inspekt = false}]\n', ":1", "unknown key 'routes[0].inspekt'", "did you mean 'inspect'?"),
    ('limits.max_body_bytes = "x"\n', ":1", "limits.max_body_bytes: must be a whole number", ""),
    ('[[tenants]]\nname="a"\n', ":1", "tenants: must be a table of tables", "write [tenants.NAME]"),
]


def problems(file: Path, environ: dict[str, str] | None = None, **keywords: Any) -> list[ConfigError]:
    """What is wrong with a configuration."""
    with pytest.raises(ConfigError) as caught:
        load_config(file, environ=environ or {}, **keywords)
    error = caught.value
    return list(error.problems) if isinstance(error, ConfigInvalid) else [error]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case[2])
def test_a_wrong_file_is_told_in_one_sentence_with_its_line(
    case: tuple[str, str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key as the page writes it, the line, what it must be, and the word that was meant."""
    monkeypatch.chdir(tmp_path)
    text, place, what, mend = case
    Path("guard.toml").write_text(text)
    (problem,) = problems(Path("guard.toml"))
    assert (problem.where, problem.what) == (f"guard.toml{place}", what)
    assert problem.mend == mend or (not mend and problem.mend.startswith((PAGE, TOML, "known here: ")))


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """One run, every mistake; and the exception says the same in one text, for logs."""
    file = tmp_path / "guard.toml"
    file.write_text('[record]\nmode = "Strict"\n[limits]\nmax_jsn_depth = 1\nmax_fields = 0\n')
    assert [problem.where.rpartition(":")[2] for problem in problems(file)] == ["2", "4", "5"]
    with pytest.raises(ConfigInvalid) as caught:
        load_config(file, environ={})
    assert str(caught.value).splitlines()[1] == (
        f"{file}:4: unknown key 'limits.max_jsn_depth'; did you mean 'max_json_depth'?"
    )


def test_a_file_that_is_no_utf_8(tmp_path: Path) -> None:
    """The byte, and the mend."""
    (tmp_path / "guard.toml").write_bytes(b"# caf\xe9\n")
    (problem,) = problems(tmp_path / "guard.toml")
    assert (problem.what, problem.mend) == ("is not UTF-8 at byte 5", "save it as UTF-8")


VARIABLES = [
    ({"GUARD_LIMITS__MAX_BODY_BYTES": "5 MB"}, "limits.max_body_bytes: must be a whole number", PAGE),
    ({"GUARD_LIMITS__MAX_BODY_BYTE": "1"}, "unknown key 'limits.max_body_byte'", "did you mean 'max_body_bytes'?"),
    ({"GUARD_LIMTS__MAX_BODY_BYTES": "1"}, "there is no section 'limts'", "did you mean 'limits'?"),
    ({"GUARD_LIMITS__MAX_FIELDS__X": "1"}, "limits.max_fields: must be a whole number", PAGE),
    ({"GUARD_FAIL": "open"}, 'fail: must be "closed"', PAGE),
    ({"GUARD_ROUTES": "[{}]"}, "routes[0].path: is missing", PAGE),
    ({"GUARD_PROVIDERS__EU__PCI": "maybe"}, "providers.eu.pci: must be true or false", PAGE),
    ({"guard_limits__max_json_depth": "x"}, "limits.max_json_depth: must be a whole number", PAGE),
    (
        {"GUARD_DETECTORS__ENABLED": "pii"},
        "the value is no JSON, which a list or a table must be",
        "lists and tables are JSON, for example GUARD_DETECTORS__ENABLED='[\"pii\"]'",
    ),
]


@pytest.mark.parametrize(("environ", "what", "mend"), VARIABLES, ids=lambda value: str(value)[:40])
def test_a_wrong_variable_is_named(environ: dict[str, str], what: str, mend: str, tmp_path: Path) -> None:
    """The variable stands where a file's line would stand."""
    (tmp_path / "guard.toml").write_text("[limits]\nmax_body_bytes = 1\n")
    (problem,) = problems(tmp_path / "guard.toml", environ)
    assert (problem.where, problem.what) == (f"environment variable {next(iter(environ))}", what)
    assert problem.mend == mend


@pytest.mark.parametrize(
    ("keywords", "where", "what"),
    [
        ({"limits": {"max_body": 1}}, "keyword limits", "unknown key 'limits.max_body'"),
        ({"limit": {}}, "keyword limit", "unknown key 'limit'"),
        ({"routes": [{"path": "a"}]}, "keyword routes", "routes[0].path: must begin with /"),
        ({"record": {"mode": "lax"}}, "keyword record", 'record.mode: must be "strict" or "buffered"'),
    ],
)
def test_a_wrong_keyword_is_named(keywords: dict[str, Any], where: str, what: str, tmp_path: Path) -> None:
    """A keyword that overrides a good line of the file is at fault, and the line is not."""
    (tmp_path / "guard.toml").write_text('[record]\nmode = "strict"\n[limits]\nmax_fields = 5\n')
    (problem,) = problems(tmp_path / "guard.toml", **keywords)
    assert (problem.where, problem.what) == (where, what)


SECRET = "hunter2-s3cr3t"
PLACES = [
    '[identity.jwt]\nissuer = ["{}"]\naudience = 1\n',
    '[[identity.api_keys]]\nid = "ci"\nhash = "{}"\n',
    '[policy.opa]\ntoken = "{}"\n',
    '[policy.opa]\nurl = "opa {}"\n',
    '[providers."{} x"]\n',
    '[networks]\noffice = ["{}"]\n',
    '[record]\nmode = "{}"\n',
    '[limits]\nmax_fields = "{}"\n',
    '[detectors]\nenabled = ["{} {}"]\n',
    'fail = "{}"\n',
    '[policy]\nentrypoint = "{}"\n',
    'state_directory = ["{}"]\n',
]


@pytest.mark.parametrize("text", PLACES)
def test_no_value_is_ever_told(text: str, tmp_path: Path) -> None:
    """What landed under a wrong key may be a secret, and errors end in logs. A name that somebody chose for a table is
    no value."""
    (tmp_path / "guard.toml").write_text(text.replace("{}", SECRET))
    told = [str(problem) for problem in problems(tmp_path / "guard.toml")]
    assert told
    if not text.startswith("[providers"):
        assert SECRET not in json.dumps(told)


@pytest.mark.parametrize(
    "name",
    [
        "GUARD_IDENTITY__JWT__ISSUER",
        "GUARD_LIMITS__MAX_FIELDS",
        "GUARD_NETWORKS",
        "GUARD_IDENTITY__API_KEYS",
        "GUARD_RECORD__MODE",
        "GUARD_POLICY__OPA__URL",
    ],
)
def test_no_value_of_a_variable_is_told(name: str, tmp_path: Path) -> None:
    """Nor in the exceptions beneath, which a traceback would print."""
    (tmp_path / "guard.toml").write_text("")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "guard.toml", environ={name: SECRET})
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


NAMES = st.sampled_from(["limits", "routes", "policy", "opa", "a"])


@given(
    st.lists(st.one_of(NAMES, st.integers(0, 3)), min_size=1, max_size=4),
    st.lists(
        st.sampled_from(
            ["[limits]", "[[routes]]", "[policy.opa]", "a = 1", "limits.a = 2", "# x", "", '"policy" = 1', "[a", "= 3"]
        ),
        max_size=9,
    ),
)
def test_a_row_is_always_one_of_the_file(location: list[str | int], lines: list[str]) -> None:
    """Whatever the text, even one that is no TOML: no error while telling an error."""
    row = row_of("\n".join(lines), tuple(location))
    assert row is None or 1 <= row <= len(lines)
