"""One server process serves all cells of a framework x server pair; the page is written from what they saw."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeGuard

import pytest

from tests.compat import page
from tests.compat.fleet import AHEAD, Fleet, Running
from tests.compat.matrix import CELLS, PAIRS, Pair
from tests.components import require_package

_HERE: Final = Path(__file__).parent
WRITES = os.environ.get("GUARD_WRITE_COMPAT") == "1"
SEEN = pytest.StashKey[page.Seen]()
See = Callable[[str], None]


def pytest_configure(config: pytest.Config) -> None:
    """A place for what the cells saw."""
    config.stash[SEEN] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every cell is asked of every pair."""
    if "running" in metafunc.fixturenames:
        pairs = [pytest.param(pair, id=str(pair), marks=() if pair.core else pytest.mark.slow) for pair in PAIRS]
        metafunc.parametrize("running", pairs, indirect=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ask a pair for all its cells in a row, and for none that has no meaning for it."""
    order = {name: place for place, name in enumerate(CELLS)}
    cells: dict[pytest.Item, tuple[int, int]] = {}
    senseless = []
    for item in items:
        if _asks_a_pair(item):
            pair, cell = _pair(item), _cell(item)
            if pair.lacks(cell):
                senseless.append(item)
            cells[item] = PAIRS.index(pair), order[cell]
    places = [index for index, item in enumerate(items) if item in cells]
    for index, item in zip(places, sorted(cells, key=cells.__getitem__), strict=True):
        items[index] = item
    items[:] = [item for item in items if item not in senseless]


def _asks_a_pair(item: pytest.Item) -> TypeGuard[pytest.Function]:
    """The hook sees the tests of every folder, and one of another may use the word as well."""
    return isinstance(item, pytest.Function) and item.path.parent == _HERE and "running" in item.fixturenames


def _pair(item: pytest.Function) -> Pair:
    pair = item.callspec.params["running"]
    assert isinstance(pair, Pair)
    return pair


def _cell(item: pytest.Function) -> str:
    return item.originalname.removeprefix("test_")


@pytest.fixture(scope="session")
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The servers of the pairs that were selected."""
    pairs = dict.fromkeys(_pair(item) for item in request.session.items if _asks_a_pair(item))
    # Processes of xdist share the pairs among them: none starts what may be another's.
    ahead = 0 if hasattr(request.config, "workerinput") else AHEAD
    started = Fleet(list(pairs), tmp_path_factory.mktemp("compat"), ahead=ahead)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def running(request: pytest.FixtureRequest, fleet: Fleet) -> Iterator[Running]:
    """The server of one pair, until the last of its cells."""
    for name in request.param.distributions:
        require_package(name)
    server = fleet.take(request.param)
    yield server
    server.stop()


@pytest.fixture
def see(request: pytest.FixtureRequest) -> See:
    """Says what a cell saw: written into the page under ``GUARD_WRITE_COMPAT=1``, else held against it."""
    pair = _pair(request.node)
    return seeing(request.config, pair.server, pair.framework, _cell(request.node))


def seeing(config: pytest.Config, server: str, framework: str, cell: str) -> See:
    """``see`` for one cell."""
    key = (server, framework, cell)

    def see(outcome: str) -> None:
        config.stash[SEEN][key] = outcome
        if not WRITES:
            advice = "docs/compatibility.md says otherwise: GUARD_WRITE_COMPAT=1 python -m pytest tests/compat"
            assert page.written().get(key) == outcome, advice

    return see


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the page, if all of it was seen."""
    if not WRITES or hasattr(session.config, "workerinput"):
        return
    seen = session.config.stash[SEEN]
    missing = [key for key in page.expected() if key not in seen]
    if missing:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter:
            reporter.write_line(f"the page is not written: {len(missing)} cells were not seen: {missing[:9]}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return
    page.PAGE.write_text(page.render(seen), encoding="utf-8")
