"""What policies leave behind when they are compiled and dropped: nothing that waits for a full collection, which holds
up every thread of the process."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from guard import rego

MODULE = """package a

ok if { input.x == 1 }

names contains name if {
	some name in input.names
	name != "root"
}

set_of_one if {1} == input.set

total := sum([n | some n in input.numbers])

double(x) := x * 2

twice := double(input.x)
"""


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    """Only reference counts free anything during a test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_compiling_leaves_no_cyclic_garbage() -> None:
    """Rules in braces are tried as an expression first; the errors of these trials hold no frame."""
    program = rego.compile({"a.rego": MODULE})
    assert gc.collect() == 0
    assert program.eval("data.a.twice", {"x": 21}) == 42


def test_a_dropped_program_is_freed_at_once() -> None:
    """Its generated functions refer to one namespace and it to them; a reload must not keep the old policies."""
    program = rego.compile({"a.rego": MODULE})
    ask = program.prepare("data.a.names")
    assert ask({"names": ["root", "jane"]}) == ["jane"]
    function = weakref.ref(next(iter(program._image.documents.values())))
    del program
    assert function() is not None, "what was prepared goes on"
    assert ask({"names": ["root", "joe"]}) == ["joe"]
    del ask
    assert function() is None
