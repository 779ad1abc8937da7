"""Bodies as texts with positions, and back.

``parse_head`` reads what the headers say, ``decode`` undoes the content encoding, ``read`` gives a ``Content`` and
``write`` the body again with texts edited. Streamed answers: ``EventReader`` reads events from bytes in any chunks,
``assemble`` reads them as one ``Content``, ``deltas`` gives the texts of one event as it passes. Beside the body:
``read_query`` and ``write_query``, and the same for ``headers`` and ``path``. No I/O.
"""

from __future__ import annotations

from guard.content.beginnings import read_beginning
from guard.content.coverage import SKIP_REASONS
from guard.content.edits import Edit, Edits, apply_edits, apply_to_pieces
from guard.content.encodings import decode
from guard.content.forms import read_query, write_query
from guard.content.framing import FrameReader, begins, framing_of, goes_on, reader_of, shape_of
from guard.content.header_values import read_headers, write_headers
from guard.content.headers import Head, parse_head
from guard.content.media_types import is_opaque
from guard.content.members import member
from guard.content.passing import Arguments, PassingEvent, is_document, read_arguments, read_event, value_at
from guard.content.paths import is_wordless, read_path, write_path
from guard.content.reader import assemble, read, write
from guard.content.shapes import SHAPES, Shape, ShapeName, choose
from guard.content.sse import Event, EventReader, Framing
from guard.content.streams import Delta, Deltas, deltas
from guard.content.usage import Usage, usage_of
from guard.content.walk import At, ReadLimits, is_data_url, is_number_text

__all__ = [
    "SHAPES",
    "SKIP_REASONS",
    "Arguments",
    "At",
    "Delta",
    "Deltas",
    "Edit",
    "Edits",
    "Event",
    "EventReader",
    "FrameReader",
    "Framing",
    "Head",
    "PassingEvent",
    "ReadLimits",
    "Shape",
    "ShapeName",
    "Usage",
    "apply_edits",
    "apply_to_pieces",
    "assemble",
    "begins",
    "choose",
    "decode",
    "deltas",
    "framing_of",
    "goes_on",
    "is_data_url",
    "is_document",
    "is_number_text",
    "is_opaque",
    "is_wordless",
    "member",
    "parse_head",
    "read",
    "read_arguments",
    "read_beginning",
    "read_event",
    "read_headers",
    "read_path",
    "read_query",
    "reader_of",
    "shape_of",
    "usage_of",
    "value_at",
    "write",
    "write_headers",
    "write_path",
    "write_query",
]
