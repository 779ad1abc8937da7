"""Routes that do not do what they say: shadowed, misspelled, or open."""

from __future__ import annotations

from collections.abc import Iterator

from guard.cli.checking.keys import Keys
from guard.config import GuardConfig, Route
from guard.policy.remarks import Remark, nearest

_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE", "WEBSOCKET"}
)
_EVERY_PATH = "/**"


def check_routes(config: GuardConfig, keys: Keys) -> Iterator[Remark]:
    """All that is to be said of ``[[routes]]``."""
    for number, route in enumerate(config.routes):
        yield from _pattern(route, number, keys)
        if takers := covering(config.routes, number):
            named = ", ".join(f"routes[{taker}] {config.routes[taker].path}" for taker in takers)
            what = f"{route.path} is never reached: {named} takes its requests before"
            yield keys.remark("warning", ("routes", number, "path"), what, "put the narrower entry first")
        if route.provider is not None and route.provider not in config.providers:
            near = nearest(route.provider, config.providers)
            mend = f"did you mean {near!r}?" if near else f"add [providers.{route.provider}]"
            what = f"the provider {route.provider!r} is not described: rules take it for external, and not for PCI"
            yield keys.remark("warning", ("routes", number, "provider"), what, mend)
        yield from _openings(route, number, keys)


def _openings(route: Route, number: int, keys: Keys) -> Iterator[Remark]:
    key = ("routes", number)
    if route.unsafe_fail_open:
        what = f"{route.path} goes on uninspected when the guard cannot decide; each use is recorded"
        yield keys.remark("warning", (*key, "unsafe_fail_open"), what, "remove unsafe_fail_open")
    if route.inspect and route.large_bodies == "pass":
        what = (
            f"on {route.path} a body past limits.max_body_bytes goes on with its beginning inspected, if a rule lets it"
        )
        yield keys.remark("info", (*key, "large_bodies"), what)
    if route.inspect:
        return
    if route.path == _EVERY_PATH and not route.methods:
        what = "everything is excluded from inspection" + (" that matched no entry before" if number else "")
        yield keys.remark("warning", (*key, "inspect"), what, "exclude single paths only")
    else:
        what = f"{route.path} passes uninspected and undecided; it is counted in the heartbeats of the log"
        yield keys.remark("info", (*key, "inspect"), what)


def _pattern(route: Route, number: int, keys: Keys) -> Iterator[Remark]:
    """Signs that mean something elsewhere and are plain characters here."""
    key = ("routes", number, "path")
    head = route.path.removesuffix(_EVERY_PATH)
    if any("*" in part and part != "*" for part in head.split("/")):
        what = f"in {route.path} a * beside other characters is a plain character"
        yield keys.remark("warning", key, what, "* stands for one whole segment, /** at the end for any rest")
    if any(sign in route.path for sign in "?#%{"):
        what = f"{route.path} is compared with the decoded path alone: ?, #, % and {{}} are plain characters in it"
        yield keys.remark("warning", key, what, "write the path without query and escapes; * for one segment")
    for method in route.methods:
        near = nearest(method.upper(), _METHODS)
        if near and method.upper() not in _METHODS:
            where = ("routes", number, "methods")
            yield keys.remark("warning", where, f"{method!r} is no HTTP method", f"did you mean {near!r}?")


def covering(routes: tuple[Route, ...], number: int) -> list[int]:
    """The entries before this one that together take every request it could match; empty if some requests reach it."""
    route = routes[number]
    missing = {method.upper() for method in route.methods}
    takers: list[int] = []
    for index, before in enumerate(routes[:number]):
        if not includes(before.path, route.path):
            continue
        methods = {method.upper() for method in before.methods}
        if not methods:
            return [index]
        if missing & methods:
            takers.append(index)
            missing -= methods
            if not missing:
                return takers
    return []


def includes(wide: str, narrow: str) -> bool:
    """Whether every path that the pattern ``narrow`` matches is matched by ``wide``, too."""
    ours, open_end = _segments(wide)
    theirs, also_open = _segments(narrow)
    if not open_end and (also_open or len(ours) != len(theirs)):
        return False
    return len(ours) <= len(theirs) and all(mine in ("*", other) for mine, other in zip(ours, theirs, strict=False))


def _segments(path: str) -> tuple[list[str], bool]:
    rest = path.endswith(_EVERY_PATH)
    return (path[: -len(_EVERY_PATH)] if rest else path).split("/"), rest
