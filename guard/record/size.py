"""The bytes of a record as they stand in the log: allow-listed, canonical, at most 65,535.

What is taken out to get there is told in the record itself: ``truncated`` and ``dropped``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from guard.record.allow import allowed
from guard.record.canonical import NotCanonical, canonical
from guard.record.narrow import NARROW
from guard.record.schema import read_record
from guard.record.segment import MAX_RECORD_BYTES

_NARROW: Final[dict[Any, Any]] = {str(kind.__struct_config__.tag): narrow for kind, narrow in NARROW.items()}
_encode: Final = msgspec.json.Encoder(order="sorted").encode

# What may be dropped, as paths. Who, what, the effect and the identifiers always stay.
_DROPPABLE: Final[tuple[tuple[str, ...], ...]] = (
    ("policy_input",),
    ("coverage", "skipped"),
    ("coverage", "incomplete"),
    ("detectors",),
    ("before", "detectors"),
    ("after", "detectors"),
    ("decisions",),
    ("would_deny",),
    ("obligations",),
    ("why",),
    ("who", "roles"),
    ("redactions",),
    ("counters",),
    ("counterfactual",),
    ("evidence",),
)


def encoded(record: dict[str, Any]) -> bytes:
    """The line of ``record``, without its newline.

    Fields that the schema does not name are left out, and ``dropped`` says where (``who.*``). Raises ``NotCanonical``
    for a record that does not fit its schema, or has no canonical form within the bound.
    """
    try:
        # The common case. What is read is a copy in the schema's own structs, and that is what is written.
        line = _encode(msgspec.convert(record, _NARROW[record["kind"]]))
        if len(line) <= MAX_RECORD_BYTES and line.isascii():
            return line
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, RecursionError):
        pass  # another kind, or the checks one by one say what is wrong, or mend it
    try:
        line = bounded(record)
        read_record(line)
    except NotCanonical:
        known, lost = allowed(record)
        if not lost:
            raise
        line = bounded({**known, "dropped": lost})
        read_record(line)
    return line


def bounded(record: dict[str, Any]) -> bytes:
    """The canonical bytes of ``record``, at most 65,535.

    A longer record loses its largest droppable parts (lists their second half first) and says so: ``truncated`` is true
    and ``dropped`` lists their paths. Raises ``NotCanonical`` if it has no canonical form or is too long even so.
    """
    line = canonical(record)
    if len(line) <= MAX_RECORD_BYTES:
        return line
    record = {key: dict(value) if isinstance(value, dict) else value for key, value in record.items()}
    dropped: set[str] = set(record.get("dropped", ()))
    # What only watches goes first: it must not cost the verdict that holds a single part.
    if _without_shadow(record):
        dropped.add("shadow")
        line = canonical({**record, "truncated": True, "dropped": sorted(dropped)})
    while len(line) > MAX_RECORD_BYTES:
        holder, path = _largest(record)
        part = holder[path[-1]]
        # An empty part is cheap to keep: everything droppable is gone when the largest one is empty.
        if not part:
            raise NotCanonical(f"the record is longer than {MAX_RECORD_BYTES} bytes even without what may be dropped")
        holder[path[-1]] = part[: len(part) // 2] if isinstance(part, list) else {}
        dropped.add(".".join(path))
        line = canonical({**record, "truncated": True, "dropped": sorted(dropped)})
    return line


def _without_shadow(record: dict[str, Any]) -> bool:
    """Whether there was anything of the candidate policies in it; there is not any more."""
    found = record.pop("shadow", None) is not None
    if any("shadow" in verdict for verdict in record.get("decisions", ())):
        record["decisions"] = [
            {key: value for key, value in verdict.items() if key != "shadow"} for verdict in record["decisions"]
        ]
        found = True
    return found


def _largest(record: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    found: list[tuple[int, dict[str, Any], tuple[str, ...]]] = []
    for path in _DROPPABLE:
        holder = record if len(path) == 1 else record.get(path[0])
        if isinstance(holder, dict) and isinstance(part := holder.get(path[-1]), list | dict):
            found.append((len(canonical(part)) if part else 0, holder, path))
    if not found:
        raise NotCanonical(f"the record is longer than {MAX_RECORD_BYTES} bytes and holds nothing that may be dropped")
    _, holder, path = max(found, key=lambda entry: entry[0])
    return holder, path
