"""What a shape says about one place of a JSON body. Shapes are data made of places; one walker reads them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from guard.types import Provenance

Kind = Literal["text", "open", "json", "url", "media", "number", "measure", "fragments"]
"""How a value is read. ``text``: as it stands. ``open``: as JSON if it is JSON. ``json``: JSON in a string is the
normal case (tool-call arguments). ``url``: a ``data:`` URL is skipped by its media type. ``media``: base64 is skipped.
``number``: short numbers are no text. ``measure``: a number of the provider's own making (a time, a log probability).
``fragments``: a list of tokens that spells the answer again; skipped, and emptied when the answer is rewritten."""

FactName = Literal["model", "tool", "tool_call"]


@dataclass(slots=True, eq=False)
class Place:
    """One place and what may stand below it. Immutable once its shape is built; compared by identity.

    ``provenance`` ``None`` means as around. ``members`` are the recognised keys; other keys lead to ``rest`` (default:
    a place of no recognised shape), under a hashed token. ``items`` is where the elements of an array stand (default:
    here). ``words`` are values that say nothing but what the shape says (``"type": "text"``): no segments. ``roles``
    gives the provenance of an object by its ``role``. ``token`` replaces the key in pointers; ``{index}`` in it is the
    ``index`` member of the object around, and so for other names. ``indexed`` arrays count by the ``index`` member of
    their elements. ``joined``: the strings at one pointer of a stream are pieces of one text. ``again``: a string says
    whole what such pieces said.
    """

    kind: Kind = "text"
    provenance: Provenance | None = None
    members: Mapping[str, Place] = field(default_factory=dict)
    rest: Place | None = None
    items: Place | None = None
    words: frozenset[str] = frozenset()
    roles: Mapping[str, Provenance] | None = None
    fact: FactName | None = None
    reason: str = ""
    token: str | None = None
    indexed: bool = False
    joined: bool = False
    again: bool = False


UNKNOWN: Final = Place(kind="open", provenance="unknown")
"""A place of no recognised shape, and all below it."""

LOOSE: Final = Place(kind="open")
"""Free JSON whose provenance is that of the place around: tool-call arguments, metadata values."""
LOOSE.rest = LOOSE

TEXT: Final = Place()
NUMBER: Final = Place(kind="number")
MEASURE: Final = Place(kind="measure")
METADATA: Final = Place(kind="open", provenance="metadata", rest=LOOSE)
ARGUMENTS: Final = Place(kind="json", provenance="assistant", rest=LOOSE, items=LOOSE)


def words(*values: str) -> Place:
    """A place for one of the shape's own words; anything else there is text."""
    return Place(provenance="metadata", words=frozenset(values))


def numbers(*keys: str) -> dict[str, Place]:
    """Members that are numbers or switches."""
    return dict.fromkeys(keys, NUMBER)


def _json_schema() -> Place:
    schema: dict[str, Place] = {}
    place = Place(kind="open", provenance="definition", members=schema)
    place.rest = place
    named = Place(kind="open", provenance="definition", rest=place)
    plain = Place(kind="open", provenance="definition", rest=place)
    for key in (
        "title",
        "description",
        "enum",
        "const",
        "default",
        "examples",
        "required",
        "format",
        "pattern",
        "$ref",
    ):
        schema[key] = plain
    for key in ("items", "prefixItems", "additionalProperties", "anyOf", "oneOf", "allOf", "not"):
        schema[key] = place
    for key in ("properties", "$defs", "definitions", "patternProperties"):
        schema[key] = named
    for key in ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "multipleOf"):
        schema[key] = Place(kind="number", provenance="definition")
    schema["type"] = Place(
        provenance="definition",
        words=frozenset({"object", "string", "number", "integer", "boolean", "array", "null"}),
    )
    return place


SCHEMA: Final = _json_schema()
"""A JSON Schema: the keywords are recognised, the names of properties are not."""
