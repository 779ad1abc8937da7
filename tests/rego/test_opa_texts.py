"""Texts and edges of numbers, each as OPA 1.18.1 answers. Most were found by the differential job."""

from __future__ import annotations

import pytest

from guard import rego

ANSWERS = {
    'sprintf("%v", [123456789.5])': "1.234567895e+08",
    'sprintf("%v", [-1234567.5])': "-1.2345675e+06",
    'sprintf("%v", [100000.5])': "100000.5",
    'sprintf("%d", [1.0])': "%!d(float64=1)",
    'sprintf("%8.3d|", [2.5])': "%!d(float64=     2.5)|",
    'sprintf("%.3f", ["abcdef"])': "%!f(string=abc)",
    'sprintf("%05d", ["ab"])': "%!d(string=000ab)",
    'sprintf("%g", [10000000000000000000000000])': "%!g(big.Int=10000000000000000000000000)",
    'sprintf("%b", [1.5])': "6755399441055744p-52",
    'sprintf("%b", [1e-320])': "2024p-1074",
    'sprintf("%x", [255.5])': "0x1.ffp+07",
    'sprintf("%.2x", [1.999999999999])': "0x1.00p+01",
    'sprintf("%q %q %q", [0, -1, 39])': "'\\x00' '\ufffd' '\\''",
    'sprintf("%v", [["\\u0000", "é\\n"]])': '["\\x00", "é\\n"]',
    "sum([18446744073709551617])": 18446744073709551616,
    "round(18446744073709551617)": 18446744073709551616,
    "product([2, 18446744073709551617])": 36893488147419103230,
    "bits.and(18446744073709551617, 18446744073709551617)": 18446744073709551616,
    "bits.and(1e3, 1000)": 1000,
    "format_int(18446744073709551617, 10)": "18446744073709551616",
    "numbers.range(1.0, 2)": [1, 2],
    'substring("abc", 3 / 3, 1)': "b",
    'min({null, true, "a"})': True,
    "min([null, 3])": None,
    '{1: "number", "1": "text"}': {"1": "text"},
    'yaml.marshal(["07", "true", "", "a: b", "x", "~", "on", "1:30"])': (
        '- "07"\n- "true"\n- ""\n- \'a: b\'\n- x\n- "~"\n- "on"\n- "1:30"\n'
    ),
    "yaml.marshal([1000000.5, 100000000000000000000, 18446744073709551615, 1e-7])": (
        "- 1.0000005e+06\n- 1e+20\n- 18446744073709551615\n- 1e-07\n"
    ),
    'yaml.marshal("a\\nb")': "|-\n  a\n  b\n",
    'yaml.marshal({"": "😀"})': '"": "\\U0001F600"\n',
    "yaml.marshal(null)": "null\n",
}
UNDEFINED = (
    'substring("abc", 1.0, 1)',
    'substring("abc", 0, 18446744073709551617)',
    "array.slice([1, 2], 1.0, 2)",
    'regex.find_n("a", "aaa", 1e0)',
    'yaml.unmarshal("\\u0000")',
    "bits.and(1.5, 1)",
)
REFUSED = {
    "p if { some x in -1 }": "rego_type_error",
    "p if { v := input.x == 1 with input.n as v }": "rego_compile_error",
    "p if { some x in [1]; some x in [2] }": "rego_compile_error",
}
LOADED = ("p := [x | some x, x in input]", 'p := object.remove({"a": 1}, ["a"]) - 1 if input.x')


@pytest.mark.parametrize("query", ANSWERS)
def test_a_value_is_that_of_opa(query: str) -> None:
    """Byte for byte, digit for digit."""
    found = rego.compile({"a.rego": f"package a\np := {query}"}).eval("data.a.p")
    assert (type(found), found) == (type(ANSWERS[query]), ANSWERS[query])


@pytest.mark.parametrize("query", UNDEFINED)
def test_an_operand_that_opa_refuses_is_undefined(query: str) -> None:
    """An integer spelled with a point or an exponent is none for most built-ins."""
    assert rego.compile({"a.rego": f"package a\np := {query}"}).eval("data.a.p") is rego.UNDEFINED


@pytest.mark.parametrize("rule", REFUSED)
def test_a_module_that_opa_refuses_is_refused(rule: str) -> None:
    """A faulty module is an error at load, with the code that OPA gives it."""
    with pytest.raises(rego.CompileError) as refused:
        rego.compile({"a.rego": f"package a\n{rule}"})
    assert {error.code for error in refused.value.errors} == {REFUSED[rule]}


@pytest.mark.parametrize("rule", LOADED)
def test_a_module_that_opa_loads_is_loaded(rule: str) -> None:
    """Key and value of ``some`` may be one variable; what has any type may stand in any place."""
    assert rego.compile({"a.rego": f"package a\n{rule}"}).eval("data.a.p", [0, 5, 2]) in ([0, 2], rego.UNDEFINED)
