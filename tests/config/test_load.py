"""Configuration: three sources, one validated object, and errors that lead to their mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.config import GuardConfig, load_config
from guard.errors import ConfigError


def written(directory: Path, text: str) -> Path:
    file = directory / "guard.toml"
    file.write_text(text)
    return file


def test_keywords_win_over_the_environment_and_the_environment_over_the_file(tmp_path: Path) -> None:
    """The order that every operator expects, key by key inside a section."""
    file = written(tmp_path, "[limits]\nmax_body_bytes = 1\nmax_json_depth = 1\nmax_json_values = 1\n")
    environ = {"GUARD_LIMITS__MAX_JSON_DEPTH": "2", "GUARD_LIMITS__MAX_JSON_VALUES": "2"}
    limits = load_config(file, environ=environ, limits={"max_json_values": 3}).limits
    assert (limits.max_body_bytes, limits.max_json_depth, limits.max_json_values) == (1, 2, 3)


def test_without_a_file_the_defaults_inspect_every_route(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First start: no guard.toml, and nothing passes uninspected."""
    monkeypatch.chdir(tmp_path)
    config = load_config(environ={})
    assert [(route.path, route.inspect) for route in config.routes] == [("/**", True)]
    assert config.policy.shipped
    assert config.fail == "closed"


def test_an_unknown_key_names_its_line_and_the_key_that_was_meant(tmp_path: Path) -> None:
    """A misspelt limit must not be a limit that is not there."""
    file = written(tmp_path, "# limits\n[limits]\nmax_body_byte = 5\n")
    with pytest.raises(ConfigError) as raised:
        load_config(file, environ={})
    assert f"{file}:3: unknown key 'limits.max_body_byte'; did you mean 'max_body_bytes'?" in str(raised.value)


def test_a_wrong_value_in_an_array_of_tables_names_its_line(tmp_path: Path) -> None:
    """The second route is at fault, not the first."""
    file = written(tmp_path, '[[routes]]\npath = "/a"\n\n[[routes]]\npath = "b"\n')
    with pytest.raises(ConfigError, match=r"guard\.toml:5: routes\[1\]\.path"):
        load_config(file, environ={})


def test_broken_toml_names_its_line(tmp_path: Path) -> None:
    """A syntax error is reported with the file."""
    with pytest.raises(ConfigError, match=r"guard\.toml:1:\d+: is not valid TOML"):
        load_config(written(tmp_path, "[limits\nx = 1\n"), environ={})


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    """Falling back to the defaults would run a guard that nobody configured."""
    with pytest.raises(ConfigError, match="there is no such file"):
        load_config(tmp_path / "missing.toml", environ={})
    with pytest.raises(ConfigError, match="there is no such file"):
        load_config(environ={"GUARD_CONFIG": str(tmp_path / "missing.toml")})


def test_paths_in_a_file_are_relative_to_the_file(tmp_path: Path) -> None:
    """A service that is started elsewhere finds its policies and keys all the same."""
    file = written(tmp_path, 'state_directory = "state"\n[policy]\ndirectories = ["policies", "/etc/policies"]\n')
    config = load_config(file, environ={})
    assert config.state_directory == tmp_path / "state"
    assert config.policy.directories == (tmp_path / "policies", Path("/etc/policies"))


def test_a_misspelt_section_in_the_environment_is_an_error() -> None:
    """GUARD_LIMTS__MAX_BODY_BYTES must not be ignored."""
    with pytest.raises(ConfigError, match="did you mean 'limits'"):
        load_config(environ={"GUARD_LIMTS__MAX_BODY_BYTES": "1"})


def test_variables_that_an_orchestrator_injects_are_ignored() -> None:
    """Kubernetes sets GUARD_SERVICE_HOST and GUARD_PORT for a service that is called guard."""
    assert load_config(environ={"GUARD_SERVICE_HOST": "10.0.0.1", "GUARD_PORT": "tcp://x"}).fail == "closed"


def test_a_jwt_section_names_exactly_one_source_of_keys() -> None:
    """No source would refuse every token, two would leave open which is believed."""
    jwt = {"issuer": "i", "audience": "a"}
    with pytest.raises(ConfigError, match="exactly one of jwks_file and jwks_url"):
        load_config(environ={}, identity={"jwt": jwt})


def test_failing_open_cannot_be_configured() -> None:
    """``fail`` has one value."""
    with pytest.raises(ConfigError, match="fail"):
        load_config(environ={}, fail="open")


def test_a_configuration_cannot_be_changed() -> None:
    """Frozen: what was validated is what runs."""
    config = GuardConfig()
    with pytest.raises(ValueError, match="frozen"):
        config.fail = "closed"  # type: ignore[misc]
