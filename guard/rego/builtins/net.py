"""net.cidr_*: networks as Go's net package reads them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from guard.rego.runtime import BuiltinFailure, Context
from guard.rego.values import Set, key_of, sorted_keys, value_of

from .registry import builtin

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_MAPPED_BITS = 96
_SUFFIX = re.compile(r"[0-9]{1,3}\Z")


def network(text: str) -> Network:
    """A network from ``address/bits``; host bits are cleared; one of IPv4 addresses inside IPv6 is an IPv4 network.
    Raises BuiltinFailure."""
    address, _, bits = text.partition("/")
    if not _SUFFIX.match(bits) or "%" in address:
        raise BuiltinFailure(f"invalid CIDR address: {text}")
    try:
        found = ipaddress.ip_network(f"{address}/{int(bits)}", strict=False)
    except ValueError:
        raise BuiltinFailure(f"invalid CIDR address: {text}") from None
    inner = found.network_address.ipv4_mapped if isinstance(found, ipaddress.IPv6Network) else None
    return ipaddress.IPv4Network((inner, found.prefixlen - _MAPPED_BITS)) if inner is not None else found


def address(text: str) -> Address | None:
    """An address, or None; an IPv4 address inside IPv6 is the IPv4 address, as in Go."""
    if "%" in text:
        return None
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def contains(cidr: str, other: str) -> bool:
    """Whether a network contains an address or a network."""
    outer = network(cidr)
    ip = address(other)
    if ip is not None:
        return ip.version == outer.version and ip in outer
    try:
        inner = network(other)
    except BuiltinFailure:
        message = f"not a valid textual representation of an IP address or CIDR: {other}"
        raise BuiltinFailure(message) from None
    same = inner.version == outer.version
    return same and inner[0] in outer and inner[-1] in outer


@builtin("net.cidr_contains", "string, string -> boolean")
def _cidr_contains(cidr: str, other: str) -> bool:
    return contains(cidr, other)


@builtin("net.cidr_intersects", "string, string -> boolean")
def _cidr_intersects(left: str, right: str) -> bool:
    one, two = network(left), network(right)
    return one.version == two.version and (two[0] in one or one[0] in two)


@builtin("net.cidr_is_valid", "any -> boolean")
def _cidr_is_valid(text: Any) -> bool:
    if type(text) is not str:
        return False
    try:
        network(text)
    except BuiltinFailure:
        return False
    return True


@builtin("net.cidr_expand", "string -> set", context=True)
def _cidr_expand(ctx: Context, text: str) -> Set:
    found = network(text)
    ctx.budget.charge(found.num_addresses)
    return Set({str(each) for each in found})


def _elements(value: Any, position: int) -> Iterator[tuple[str, Any]]:
    """(network or address, what names it) of a string, an array, a set or an object; nothing of anything else."""
    if type(value) is str:
        yield value, value
        return
    if type(value) is list:
        pairs: list[tuple[Any, Any]] = [(item, at) for at, item in enumerate(value)]
    elif type(value) is Set:
        pairs = [(item, item) for item in value.sorted()]
    elif type(value) is dict:
        pairs = [(value[key], value_of(key)) for key in sorted_keys(value)]
    else:
        return
    for item, name in pairs:
        text = item[0] if type(item) is list and item else item
        if type(text) is not str:
            raise BuiltinFailure(f"operand {position}: element must be string or non-empty array")
        yield text, name


_MATCHED = "string | array | set | object"


@builtin("net.cidr_contains_matches", f"{_MATCHED}, {_MATCHED} -> set", context=True, lenient=True)
def _cidr_contains_matches(ctx: Context, cidrs: Any, others: Any) -> Set:
    found: set[Any] = set()
    for cidr, name in _elements(cidrs, 1):
        for other, other_name in _elements(others, 2):
            ctx.budget.charge(1)
            if contains(cidr, other):
                found.add(key_of([name, other_name]))
    return Set(found)


def _mergeable(text: Any) -> Network:
    if type(text) is not str:
        raise BuiltinFailure("element must be string")
    ip = address(text)
    if ip is None:
        return network(text)
    if ip.version == 6:
        raise BuiltinFailure("IPv6 invalid: needs prefix length")
    first = int(ip) >> 24
    bits = 8 if first < 128 else 16 if first < 192 else 24
    return ipaddress.ip_network(f"{ip}/{bits}", strict=False)


_MERGE_COST = 32


@builtin("net.cidr_merge", "array | set -> set", context=True, lenient=True)
def _cidr_merge(ctx: Context, values: Any) -> Set:
    if type(values) not in {list, Set}:
        raise BuiltinFailure("operand must be an array")
    ctx.budget.charge(len(values) * _MERGE_COST)
    networks = [_mergeable(value) for value in (values if type(values) is list else values.sorted())]
    fours = [each for each in networks if isinstance(each, ipaddress.IPv4Network)]
    sixes = [each for each in networks if isinstance(each, ipaddress.IPv6Network)]
    merged = [*ipaddress.collapse_addresses(fours), *ipaddress.collapse_addresses(sixes)]
    return Set({str(each) for each in merged})
