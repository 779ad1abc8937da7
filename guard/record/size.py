"""The size cap of a record: 65,535 bytes, kept by dropping named parts, never in silence."""

from __future__ import annotations

from typing import Any, Final

from guard.record.canonical import NotCanonical, canonical
from guard.record.segment import MAX_RECORD_BYTES

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
)


def bounded(record: dict[str, Any]) -> bytes:
    """The canonical bytes of ``record``, at most 65,535.

    A longer record loses its largest droppable parts (lists their second half first) and says so: ``truncated`` is true
    and ``dropped`` lists their paths. Raises ``NotCanonical`` if it has no canonical form or is too long even so.
    """
    line = canonical(record)
    if len(line) <= MAX_RECORD_BYTES:
        return line
    record = {key: dict(value) if isinstance(value, dict) else value for key, value in record.items()}
    dropped: set[str] = set()
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
