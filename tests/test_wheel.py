"""The wheel as a stranger gets it: built from the source distribution, installed without the checkout in sight."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import textwrap
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.house.source import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Installed(NamedTuple):
    """A built wheel, and the Python of the environment that it was installed into."""

    wheel: Path
    sdist: Path
    python: Path
    elsewhere: Path

    def run(self, *arguments: str) -> str:
        """What the environment's Python prints, far from the checkout and without its environment variables."""
        clean = {
            key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "GUARD_", "VIRTUAL_"))
        }
        done = subprocess.run(
            [self.python, *arguments], cwd=self.elsewhere, env=clean, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ask(self, code: str) -> Any:
        """The JSON that a piece of Python prints in the environment."""
        return json.loads(self.run("-c", textwrap.dedent(code)))


def without(ours: Distribution, outer: Path, farm: Path) -> None:
    """Fill ``farm`` with links to everything installed in ``outer`` except what the distribution put there.

    The new environment then sees the locked dependencies, and can see neither the editable install nor its metadata.
    """
    own = {Path(str(file)).parts[0] for file in ours.files or ()}
    farm.mkdir()
    for entry in outer.iterdir():
        if entry.name not in own and entry.name != "__pycache__":
            (farm / entry.name).symlink_to(entry)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Source distribution, wheel from it, and a fresh environment with the wheel and the locked dependencies."""
    base = tmp_path_factory.mktemp("wheel")
    dist, environment, elsewhere = base / "dist", base / "environment", base / "elsewhere"
    elsewhere.mkdir()

    def call(*command: str | Path) -> None:
        done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, ROOT)  # sdist, then the wheel from it
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    call(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    farm = base / "dependencies"
    without(distribution("policy-guard"), Path(sysconfig.get_path("purelib")), farm)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (environment / "lib" / version / "site-packages" / "dependencies.pth").write_text(f"{farm}\n", encoding="utf-8")
    return Installed(wheel, sdist, python, elsewhere)


def test_the_wheel_holds_both_packages_and_the_policies_and_nothing_else(installed: Installed) -> None:
    """Users get the engine, the detectors and the Rego; not our tests, benchmarks or documentation."""
    names = zipfile.ZipFile(installed.wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"guard", "detectors", f"policy_guard-{distribution('policy-guard').version}.dist-info"}
    shipped = {str(path.relative_to(ROOT / "policies")) for path in (ROOT / "policies").rglob("*") if path.is_file()}
    assert shipped
    assert {name.removeprefix("guard/_policies/") for name in names if name.startswith("guard/_policies/")} == shipped
    assert {"guard/py.typed", "detectors/py.typed"} <= set(names)
    assert not [name for name in names if name.endswith((".pyc", ".orig")) or "__pycache__" in name]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_environment_sees_the_wheel_and_not_the_checkout(installed: Installed) -> None:
    """The other tests of this file speak about the wheel: both packages come from the new environment."""
    found = installed.ask(
        """
        import json, sys, guard, detectors
        from importlib.metadata import distribution, packages_distributions
        owners = packages_distributions()
        print(json.dumps([guard.__file__, detectors.__file__, sys.path, owners["guard"], owners["detectors"]]))
        """
    )
    site = str(installed.python.parent.parent / "lib")
    assert found[0].startswith(site)
    assert found[1].startswith(site)
    assert str(ROOT) not in found[2]
    assert found[3] == found[4] == ["policy-guard"]


def test_declared_dependencies_are_all_in_the_lock(installed: Installed) -> None:
    """What the wheel's metadata asks for is what the locked environment has."""
    command = [sys.executable, "-m", "pip", "--python", installed.python, "check"]
    done = subprocess.run(command, cwd=installed.elsewhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_shipped_policies_are_found_and_load_from_the_wheel(installed: Installed) -> None:
    """The engine finds and compiles the Rego of the package where there is no checkout, shipped rules included."""
    rules = installed.ask(
        """
        import json
        from guard.policy.bundle import load_bundle
        from guard.policy.embedded import EmbeddedEngine
        engine = EmbeddedEngine(load_bundle(), entrypoint="data.guard.decision")
        print(json.dumps(sorted(engine.rules)))
        """
    )
    assert {"GUARD-001", "PII-001", "SEC-001", "MOD-001"} <= set(rules)


def test_command_line_runs_from_the_wheel(installed: Installed) -> None:
    """``guard --help`` works in an empty directory, through the script that the wheel installs."""
    script = installed.python.parent / "guard"
    done = subprocess.run([script, "--help"], cwd=installed.elsewhere, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("demo", "init", "check", "log", "policy"):
        assert command in done.stdout


def test_a_new_project_starts_from_the_wheel(installed: Installed, tmp_path: Path) -> None:
    """``guard init`` writes its starter files from the package, and ``guard check`` finds them sound."""
    script = installed.python.parent / "guard"
    for command in ("init", "check"):
        done = subprocess.run([script, command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"guard {command}\n{done.stdout}{done.stderr}"
    assert (tmp_path / "guard.toml").is_file()
    assert list(tmp_path.rglob("*_test.rego"))


def test_entry_points_of_the_wheel_load(installed: Installed) -> None:
    """Detectors, commands and the pytest plugin are announced by the wheel, and each loads."""
    found = installed.ask(
        """
        import json
        from importlib.metadata import distribution
        points = distribution("policy-guard").entry_points
        print(json.dumps({f"{p.group}:{p.name}": bool(p.load()) for p in points}))
        """
    )
    assert all(found.values())
    assert {
        "console_scripts:guard",
        "guard.detectors:pii",
        "guard.detectors:secrets",
        "guard.detectors:behaviour",
        "pytest11:policy_guard",
    } <= set(found)


def test_source_distribution_holds_what_a_packager_needs(installed: Installed) -> None:
    """Distributions build and test from the sdist: policies, tests, lock and licence are in it."""
    with tarfile.open(installed.sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {
        "LICENSE",
        "CHANGELOG.md",
        "Makefile",
        "pyproject.toml",
        "requirements/lock.txt",
        "requirements/install.py",
        "tests/test_house.py",
    } <= names
    assert any(name.startswith("policies/") and name.endswith("_test.rego") for name in names)
    assert not [name for name in names if name.startswith((".venv", ".ci/bin"))]
