"""Putting policies and data onto an OPA server through its REST API, as one bundle that has a name.

OPA's REST API changes one policy at a time, and compiles all of them after each. A push is therefore a list of steps in
whatever order the server accepts, between two writings of the manifest that each answer's provenance tells: first as
unfinished, at last with revision and digest. Whoever was answered in between has that in the record.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from guard.errors import PolicyEvaluationError
from guard.policy.bundle import Bundle
from guard.policy.opa.errors import Refused
from guard.policy.opa.served import PUSHED, manifest_of

_MANIFEST: Final = f"system/bundles/{PUSHED}"
_SYSTEM: Final = "system"


class Pushed(msgspec.Struct, frozen=True):
    """What a push did: ids of policies that were put and taken away, and top-level members of ``data`` taken away."""

    modules: tuple[str, ...]
    removed_modules: tuple[str, ...]
    removed_data: tuple[str, ...]


async def push(client: Any, bundle: Bundle, *, where: str) -> Pushed:
    """Make the server hold this bundle in place of the one that was pushed before.

    A push that OPA refuses leaves everything as it was, and raises ``PolicyEvaluationError`` with OPA's own words. One
    that breaks off stays marked as unfinished. Connection errors come as the library's.
    """
    if _SYSTEM in bundle.data:
        raise PolicyEvaluationError("data.system belongs to OPA itself.", where=where, mend="rename that data")
    modules = _ids(bundle.modules)
    before = await _pushed_before(client, where)
    gone = sorted(before.modules - modules.keys())
    gone_data = sorted(before.data - bundle.data.keys() - {_SYSTEM})
    every = sorted(before.modules | modules.keys())
    texts = {name: await _text_of(client, name) for name in every}
    put = [{"op": "add", "path": "/" + _token(name), "value": value} for name, value in bundle.data.items()]
    try:
        # Whatever becomes of this push, the next one knows what there may be to remove.
        data = sorted(before.data | bundle.data.keys())
        await _write(client, manifest_of(bundle, finished=False, modules=every, data=data))
        await _turn_into(client, {**dict.fromkeys(gone), **modules})
        await client.patch_data("", put)
    except Refused as error:
        if error.status != 400:
            raise
        await _turn_into(client, texts)
        await _write(client, before.manifest)
        raise _refusal(error, where) from error
    for name in gone_data:
        await _unless_missing(client.delete_data(quote(name, safe="")))
    await _write(client, manifest_of(bundle, finished=True, modules=sorted(modules), data=sorted(bundle.data)))
    return Pushed(tuple(sorted(modules)), tuple(gone), tuple(gone_data))


async def _turn_into(client: Any, wanted: Mapping[str, str | None]) -> None:
    """Put these policies, and delete those whose text is ``None``. Raises ``Refused`` if the server takes it in no
    order.

    OPA compiles after every step: a module may need one that comes later, or clash with one that must go first, so what
    is refused is tried again after the others. Two changes that each need the other first have no such order; then
    everything goes before anything comes.
    """
    if await _as_far_as_possible(client, wanted) is None:
        return
    await _as_far_as_possible(client, dict.fromkeys(wanted))
    if refusal := await _as_far_as_possible(client, wanted):
        raise refusal


async def _as_far_as_possible(client: Any, steps: Mapping[str, str | None]) -> Refused | None:
    """Why the server goes on refusing some of the steps; ``None`` if all are done."""
    while steps:
        refused: dict[str, str | None] = {}
        refusal: Refused | None = None
        for name, text in steps.items():
            try:
                await _step(client, name, text)
            except Refused as error:
                if error.status != 400:
                    raise
                refused[name], refusal = text, refusal or error
        if len(refused) == len(steps):
            return refusal
        steps = refused
    return None


async def _step(client: Any, name: str, text: str | None) -> None:
    where = quote(name, safe="/")
    if text is None:
        await _unless_missing(client.delete_policy(where))
    else:
        await client.update_policy_from_string(text, where, rego_compat=False)


async def _text_of(client: Any, name: str) -> str | None:
    """A policy on the server, ``None`` for none."""
    found = await _unless_missing(client.get_policy(quote(name, safe="/")))
    text = found["result"].get("raw") if found else None
    return text if isinstance(text, str) and text else None


async def _unless_missing(asked: Awaitable[Any]) -> Any:
    """What was asked for, ``None`` where the server has no such thing."""
    try:
        return await asked
    except Refused as error:
        if error.status != 404:
            raise
        return None


async def _write(client: Any, manifest: dict[str, Any] | None) -> None:
    """The manifest of what is pushed, ``None`` for none."""
    if manifest is None:
        await _unless_missing(client.delete_data(_MANIFEST))
    else:
        await client.update_or_create_data(manifest, _MANIFEST)


class _Before(msgspec.Struct, frozen=True):
    """What an earlier push left, finished or not: its manifest, and what that names."""

    manifest: dict[str, Any] | None = None
    modules: frozenset[str] = frozenset()
    data: frozenset[str] = frozenset()


async def _pushed_before(client: Any, where: str) -> _Before:
    from opa_client.errors import PolicyNotFoundError

    try:
        answer = await client.get_data(_MANIFEST)
    except PolicyNotFoundError:
        return _Before()
    held = answer["result"]
    metadata = held.get("manifest", {}).get("metadata") if isinstance(held, dict) else None
    if not isinstance(metadata, dict) or not {"modules", "data"} <= metadata.keys():
        raise PolicyEvaluationError(
            f"OPA loads a bundle named {PUSHED!r} by itself.",
            where=where,
            mend="change the policies where that bundle is built, or give it another name",
        )
    return _Before(held, frozenset(map(str, metadata["modules"])), frozenset(map(str, metadata["data"])))


def _ids(modules: Mapping[str, str]) -> dict[str, str]:
    """Each module by the id that it has on the server: its name without what a URL's path would lose."""
    found: dict[str, str] = {}
    for name, text in modules.items():
        identifier = "/".join(part for part in name.split("/") if part not in {"", ".", ".."})
        while identifier in found:
            identifier = f"~{identifier}"
        found[identifier] = text
    return found


def _refusal(error: Refused, where: str) -> PolicyEvaluationError:
    return PolicyEvaluationError(
        f"OPA refuses the policies: {error.messages()}",
        where=where,
        mend="correct them; what was there before decides on",
    )


def _token(name: str) -> str:
    """A member's name as a token of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
