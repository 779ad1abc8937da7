"""Is what is installed whole: who owns the import packages, do the versions fit, does the regular-expression engine
work."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distributions, packages_distributions, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from guard.cli.diagnosis.check import Check

OURS: Final = "policy-guard"
PACKAGES: Final = ("guard", "detectors")
OLDEST: Final = (3, 11)
NEWEST: Final = (3, 14)
_RE2: Final = "google-re2"


def check_installation() -> Iterator[Check]:
    """All checks that need no configuration."""
    yield from check_owners()
    yield from check_python(sys.version_info[:3], getattr(sys, "_is_gil_enabled", lambda: True)())
    yield from check_versions()
    yield check_re2()


def check_owners() -> Iterator[Check]:
    """Two distributions that install one import package overwrite each other's files, in silence."""
    owners = packages_distributions()
    root = Path(__file__).resolve().parents[3]
    for package in PACKAGES:
        name = f"package {package}"
        others = sorted({owner for owner in owners.get(package, ()) if _canonical(owner) != OURS})
        spec = find_spec(package)
        place = spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else ""
        if others:
            yield Check(
                name,
                "problem",
                f"{', '.join(others)} installs the import package {package} too; files of one lie over the other's",
                place,
                f"pip uninstall {' '.join(others)}, then pip install --force-reinstall {OURS}; "
                "keep the two in separate environments",
            )
        elif not place or Path(place).resolve().parent != root:
            found = place or (spec.origin if spec and spec.origin else "nowhere")
            yield Check(
                name,
                "problem",
                f"{package} is imported from elsewhere than the guard",
                str(found),
                f"remove or rename what stands there, or reinstall {OURS}",
            )
        else:
            yield Check(name, "ok", f"belongs to {OURS} alone", place)


def check_python(running: tuple[int, ...], gil: bool) -> Iterator[Check]:
    """The interpreter is one on which policy-guard is tested. Without the lock, its extension modules are not."""
    name, shown = "python", ".".join(map(str, running))
    if not OLDEST <= running[:2] <= NEWEST:
        tested = f"{'.'.join(map(str, OLDEST))} to {'.'.join(map(str, NEWEST))}"
        old = running[:2] < OLDEST
        what = f"Python {shown} is {'too old' if old else 'newer than what is tested'}"
        yield Check(name, "problem" if old else "warning", what, sys.executable, f"use Python {tested}")
    elif not gil:
        what = f"Python {shown} runs without its global lock, which is not tested"
        yield Check(name, "warning", what, sys.executable, "use the ordinary build of Python")
    else:
        yield Check(name, "ok", f"Python {shown}", sys.executable)


def check_versions() -> Iterator[Check]:
    """The requirements of policy-guard, and of what they require, are met."""
    name = "versions"
    try:
        own = version(OURS)
    except PackageNotFoundError:
        yield Check(
            name, "problem", f"{OURS} is not installed: its detectors and commands are not found",
            mend="pip install -e . in the checkout",
        )  # fmt: skip
        return
    try:
        unmet = sorted(_unmet())
    except ImportError:
        yield Check(name, "warning", "versions were not compared", mend="pip install packaging")
        return
    if unmet:
        mend = "pip install -U " + " ".join(f"'{wanted}'" for _, wanted, _ in unmet)
        for owner, wanted, found in unmet:
            yield Check(name, "problem", f"{owner} requires {wanted}, {found}", mend=mend)
        return
    python = f"Python {platform.python_version()}"
    yield Check(name, "ok", f"{OURS} {own} on {python}, every requirement met")


def _unmet() -> Iterator[tuple[str, str, str]]:
    """Who requires what, and what is there instead; over everything that policy-guard leads to."""
    from packaging.requirements import Requirement

    installed: dict[str, str] = {}
    for distribution in distributions():
        # The first on the path is the one that is imported.
        installed.setdefault(_canonical(distribution.metadata["Name"] or ""), distribution.version)
    seen: set[tuple[str, str]] = set()
    waiting: list[tuple[str, str]] = [(OURS, "")]
    while waiting:
        owner, extra = waiting.pop()
        for text in requires(owner) or ():
            wanted = Requirement(text)
            name = _canonical(wanted.name)
            applies = wanted.marker is None or wanted.marker.evaluate({"extra": extra})
            # An extra of ours that was not asked for is no requirement; what is there of it must fit all the same.
            optional = owner == OURS and "extra" in str(wanted.marker) and name in installed
            if name == OURS or not (applies or optional):
                continue
            found = installed.get(name)
            if found is None:
                yield owner, f"{wanted.name}{wanted.specifier}", "which is not installed"
                continue
            if not wanted.specifier.contains(found, prereleases=True):
                yield owner, f"{wanted.name}{wanted.specifier}", f"installed is {found}"
            for below in {"", *wanted.extras}:
                if (name, below) not in seen:
                    seen.add((name, below))
                    waiting.append((name, below))


def check_re2() -> Check:
    """Patterns of policies run on RE2: linear in time, and without what RE2 refuses."""
    name = _RE2
    try:
        import re2
    except ImportError as error:
        return Check(name, "problem", f"the module re2 cannot be imported: {error}", mend=f"pip install {_RE2}")
    place = str(getattr(re2, "__file__", ""))
    mend = f"pip uninstall re2 pyre2 fb-re2, then pip install --force-reinstall {_RE2}"
    try:
        quiet = re2.Options()
        quiet.log_errors = False
        refused = _refuses(re2, r"(a)\1", quiet)
        # A backtracking engine would not end here within a lifetime: it is asked only if it refuses like RE2.
        match = re2.compile(r"(?:a|aa)+$").search("é" + "a" * 5000) if refused else None
        right = match is not None and match.span() == (1, 5001)
        right = right and re2.compile(r"(?:a|aa)+$").search("a" * 5000 + "!") is None
    except Exception as error:  # noqa: BLE001 - another module of this name may raise anything
        return Check(name, "problem", f"the module re2 does not behave as RE2: {type(error).__name__}", place, mend)
    if not refused:
        return Check(name, "problem", "the module re2 takes back-references: it is not RE2", place, mend)
    if not right:
        return Check(name, "problem", "a search with re2 gives a wrong answer", place, mend)
    return Check(name, "ok", f"{_version(_RE2)} answers as RE2 does")


def _refuses(re2: Any, pattern: str, options: Any) -> bool:
    try:
        re2.compile(pattern, options)
    except re2.error:
        return True
    return False


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "of unknown version"


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
