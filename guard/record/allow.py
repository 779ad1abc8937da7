"""The allow-list at work: what the schema of a record does not name is taken out, before the record has any bytes.

Builders name their fields one by one, so this happens only to a record of somebody else, or to a mistake.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import inspect

from guard.record.schema import AnyRecord

_TAG: Final = "kind"


def allowed(record: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The record without the fields that its schema does not name, and the places that lost some: ``*`` or ``who.*``.

    The names of what was lost are not told: they may hold anything. Values, and fields that are missing, are not
    looked at.
    """
    kinds = inspect.type_info(AnyRecord)
    structs = kinds.types if isinstance(kinds, inspect.UnionType) else (kinds,)
    lost: set[str] = set()
    for struct in structs:
        if isinstance(struct, inspect.StructType) and struct.tag == record.get(_TAG):
            return _named(record, struct, "", lost), sorted(lost)
    return record, []


def _named(value: dict[str, Any], struct: inspect.StructType, path: str, lost: set[str]) -> dict[str, Any]:
    fields = {field.encode_name: field.type for field in struct.fields}
    if struct.tag_field is not None:
        fields[struct.tag_field] = inspect.AnyType()
    if not value.keys() <= fields.keys():
        lost.add(f"{path}*")
    return {name: _inside(item, fields[name], f"{path}{name}.", lost) for name, item in value.items() if name in fields}


def _inside(value: Any, kind: inspect.Type, path: str, lost: set[str]) -> Any:
    if isinstance(kind, inspect.Metadata):
        return _inside(value, kind.type, path, lost)
    if isinstance(kind, inspect.UnionType):
        # No union of ours has two members of one JSON type, so at most one of them takes the value in.
        for member in kind.types:
            value = _inside(value, member, path, lost)
        return value
    if isinstance(kind, inspect.ListType) and isinstance(value, list):
        return [_inside(item, kind.item_type, path, lost) for item in value]
    if isinstance(kind, inspect.StructType) and isinstance(value, dict):
        return _named(value, kind, path, lost)
    return value
