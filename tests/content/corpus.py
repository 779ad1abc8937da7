"""The malformed bodies: a file each in ``malformed/``, with the headers it is sent with and the answer.

The table in ``docs/malformed-bodies.md`` has a row for each; ``test_malformed.py`` holds the three together.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

DIRECTORY = Path(__file__).parent / "malformed"
JSON = "content-type: application/json"
FORM = "content-type: application/x-www-form-urlencoded"
MULTIPART = "content-type: multipart/form-data; boundary=b"
NDJSON = "content-type: application/x-ndjson"


class Case(NamedTuple):
    """A body. ``answer`` is ``<status> <refusal>``, ``read as <what>`` or ``skipped <reason>``."""

    name: str
    what: str
    headers: tuple[str, ...]
    answer: str

    @property
    def body(self) -> bytes:
        return (DIRECTORY / f"{self.name}.body").read_bytes()


CASES = (
    Case("json_truncated", "JSON that ends too early", (JSON,), "400 json_invalid"),
    Case("json_trailing_garbage", "text after the JSON value", (JSON,), "400 json_invalid"),
    Case("json_two_documents", "two JSON values in one body", (JSON,), "400 json_invalid"),
    Case("json_trailing_comma", "a comma before the closing brace", (JSON,), "400 json_invalid"),
    Case("json_single_quotes", "strings in single quotes", (JSON,), "400 json_invalid"),
    Case("json_comment", "a comment", (JSON,), "400 json_invalid"),
    Case("json_unquoted_key", "a key without quotes", (JSON,), "400 json_invalid"),
    Case("json_leading_zero", "a number with a leading zero", (JSON,), "400 json_invalid"),
    Case("json_plus_number", "a number with a plus sign", (JSON,), "400 json_invalid"),
    Case("json_hex_number", "a hexadecimal number", (JSON,), "400 json_invalid"),
    Case("json_control_character", "a raw line feed inside a string", (JSON,), "400 json_invalid"),
    Case("json_bad_escape", "an escape that JSON does not have", (JSON,), "400 json_invalid"),
    Case("json_short_escape", "a unicode escape with two digits", (JSON,), "400 json_invalid"),
    Case("json_whitespace_only", "white space and no value", (JSON,), "400 json_invalid"),
    Case("json_form_feed", "white space that is not JSON's", (JSON,), "400 json_invalid"),
    Case("json_double_bom", "two byte order marks", (JSON,), "400 json_invalid"),
    Case("duplicate_clean_then_mail", "a key twice, the second with personal data", (JSON,), "400 json_duplicate_key"),
    Case(
        "duplicate_mail_then_clean",
        "a nested key twice, the first with personal data",
        (JSON,),
        "400 json_duplicate_key",
    ),
    Case("duplicate_in_array", "a key twice, inside arrays", (JSON,), "400 json_duplicate_key"),
    Case("duplicate_by_escape", "two keys that are equal once escapes are read", (JSON,), "400 json_duplicate_key"),
    Case("duplicate_empty_key", "the empty key twice", (JSON,), "400 json_duplicate_key"),
    Case(
        "duplicate_in_text", "a key twice in JSON sent as text", ("content-type: text/plain",), "400 json_duplicate_key"
    ),
    Case(
        "duplicate_in_octet_stream",
        "a key twice in JSON sent as bytes",
        ("content-type: application/octet-stream",),
        "400 json_duplicate_key",
    ),
    Case("duplicate_undeclared", "a key twice in JSON sent without media type", (), "400 json_duplicate_key"),
    Case(
        "duplicate_in_json_suffix",
        "a key twice in a +json media type",
        ("content-type: application/vnd.api+json",),
        "400 json_duplicate_key",
    ),
    Case("number_nan", "NaN", (JSON,), "400 json_number_invalid"),
    Case("number_infinity", "Infinity", (JSON,), "400 json_number_invalid"),
    Case("number_minus_infinity", "-Infinity", (JSON,), "400 json_number_invalid"),
    Case("number_overflow", "a number past double precision", (JSON,), "400 json_number_invalid"),
    Case("number_negative_overflow", "a negative number past double precision", (JSON,), "400 json_number_invalid"),
    Case("number_400_digits", "an integer past double precision", (JSON,), "400 json_number_invalid"),
    Case("number_5000_digits", "a number of 5000 digits", (JSON,), "400 json_number_invalid"),
    Case("number_nan_in_text", "NaN in JSON sent as text", ("content-type: text/plain",), "400 json_number_invalid"),
    Case("utf8_invalid", "bytes that are not UTF-8", (JSON,), "400 text_invalid"),
    Case("utf8_overlong", "an overlong UTF-8 form", (JSON,), "400 text_invalid"),
    Case("utf8_surrogate", "a surrogate encoded in UTF-8", (JSON,), "400 text_invalid"),
    Case("utf8_truncated", "a UTF-8 character cut off", (JSON,), "400 text_invalid"),
    Case("utf8_invalid_text", "text that is not UTF-8", ("content-type: text/plain",), "400 text_invalid"),
    Case(
        "ascii_with_utf8",
        "non-ASCII bytes declared US-ASCII",
        ("content-type: application/json; charset=us-ascii",),
        "400 text_invalid",
    ),
    Case(
        "latin1_c1",
        "a byte of ISO-8859-1 that browsers read as windows-1252",
        ("content-type: text/plain; charset=iso-8859-1",),
        "400 text_invalid",
    ),
    Case(
        "cp1252_undefined",
        "a byte that windows-1252 does not define",
        ("content-type: text/plain; charset=windows-1252",),
        "400 text_invalid",
    ),
    Case("surrogate_high", "half of a surrogate pair, the first", (JSON,), "400 json_text_invalid"),
    Case("surrogate_low", "half of a surrogate pair, the second", (JSON,), "400 json_text_invalid"),
    Case("surrogates_reversed", "a surrogate pair in reverse order", (JSON,), "400 json_text_invalid"),
    Case("surrogate_in_key", "half of a surrogate pair in a key", (JSON,), "400 json_text_invalid"),
    Case("json_utf16_le", "JSON in UTF-16 without byte order mark", (JSON,), "415 charset_unsupported"),
    Case("json_utf16_bom", "JSON in UTF-16 with byte order mark", (JSON,), "415 charset_unsupported"),
    Case("json_utf16_be", "JSON in big-endian UTF-16", (JSON,), "415 charset_unsupported"),
    Case("json_utf32", "JSON in UTF-32", (JSON,), "415 charset_unsupported"),
    Case("text_utf16", "JSON in UTF-16 sent as text", ("content-type: text/plain",), "415 charset_unsupported"),
    Case(
        "octet_stream_utf16",
        "JSON in UTF-16 sent as bytes",
        ("content-type: application/octet-stream",),
        "415 charset_unsupported",
    ),
    Case("undeclared_utf32", "JSON in UTF-32 sent without media type", (), "415 charset_unsupported"),
    Case(
        "json_latin1",
        "JSON declared ISO-8859-1",
        ("content-type: application/json; charset=iso-8859-1",),
        "415 charset_unsupported",
    ),
    Case(
        "charset_utf7", "text declared UTF-7", ("content-type: text/plain; charset=utf-7",), "415 charset_unsupported"
    ),
    Case(
        "charset_unknown",
        "a charset that nobody knows",
        ("content-type: text/plain; charset=x-user-defined",),
        "415 charset_unsupported",
    ),
    Case(
        "xml_other_encoding",
        "an XML declaration that names another charset",
        ("content-type: application/xml",),
        "415 charset_unsupported",
    ),
    Case("depth_10000_arrays", "10,000 nested arrays", (JSON,), "400 json_too_deep"),
    Case("depth_10000_objects", "10,000 nested objects", (JSON,), "400 json_too_deep"),
    Case("depth_10000_unclosed", "10,000 arrays opened and never closed", (JSON,), "400 json_too_deep"),
    Case("depth_65", "one level more than the limit", (JSON,), "400 json_too_deep"),
    Case("depth_unused_key", "10,000 levels under a key that nobody reads", (JSON,), "400 json_too_deep"),
    Case("depth_in_text", "10,000 nested arrays sent as text", ("content-type: text/plain",), "400 json_too_deep"),
    Case("values_20001", "one value more than the limit (20,000 in this test)", (JSON,), "413 json_too_many_values"),
    Case("values_empty_arrays", "more empty arrays than the limit", (JSON,), "413 json_too_many_values"),
    Case("content_type_twice", "Content-Type twice", (JSON, "content-type: text/plain"), "400 content_type_invalid"),
    Case("content_type_twice_equal", "Content-Type twice, equal", (JSON, JSON), "400 content_type_invalid"),
    Case("content_type_no_slash", "Content-Type without a slash", ("content-type: json",), "400 content_type_invalid"),
    Case("content_type_empty", "an empty Content-Type", ("content-type: ",), "400 content_type_invalid"),
    Case(
        "content_type_list",
        "two media types in one Content-Type",
        ("content-type: application/json, text/plain",),
        "400 content_type_invalid",
    ),
    Case(
        "content_type_open_quote",
        "a parameter whose quotes do not close",
        ('content-type: application/json; charset="utf-8',),
        "400 content_type_invalid",
    ),
    Case(
        "content_type_two_charsets",
        "two charset parameters",
        ("content-type: application/json; charset=utf-8; charset=utf-16",),
        "400 content_type_invalid",
    ),
    Case(
        "content_length_twice",
        "Content-Length twice",
        (JSON, "content-length: 60", "content-length: 61"),
        "400 content_length_invalid",
    ),
    Case(
        "content_length_list",
        "two lengths in one Content-Length",
        (JSON, "content-length: 60, 60"),
        "400 content_length_invalid",
    ),
    Case(
        "content_length_negative",
        "a negative Content-Length",
        (JSON, "content-length: -1"),
        "400 content_length_invalid",
    ),
    Case(
        "content_length_plus",
        "a Content-Length with a plus sign",
        (JSON, "content-length: +60"),
        "400 content_length_invalid",
    ),
    Case(
        "content_length_and_chunked",
        "Content-Length and Transfer-Encoding together",
        (JSON, "content-length: 60", "transfer-encoding: chunked"),
        "400 content_length_invalid",
    ),
    Case(
        "encoding_br", "Brotli, without its library", (JSON, "content-encoding: br"), "415 content_encoding_unsupported"
    ),
    Case(
        "encoding_zstd",
        "Zstandard, without its library",
        (JSON, "content-encoding: zstd"),
        "415 content_encoding_unsupported",
    ),
    Case(
        "encoding_unknown",
        "an encoding that nobody knows",
        (JSON, "content-encoding: x-mine"),
        "415 content_encoding_unsupported",
    ),
    Case(
        "encoding_malformed",
        "a Content-Encoding that is no token",
        (JSON, "content-encoding: gz ip"),
        "415 content_encoding_unsupported",
    ),
    Case(
        "encoding_three_layers",
        "three layers of gzip",
        (JSON, "content-encoding: gzip, gzip", "content-encoding: gzip"),
        "415 content_encoding_unsupported",
    ),
    Case("gzip_damaged", "damaged gzip data", (JSON, "content-encoding: gzip"), "400 content_encoding_invalid"),
    Case(
        "gzip_wrong_checksum",
        "gzip with a wrong checksum",
        (JSON, "content-encoding: gzip"),
        "400 content_encoding_invalid",
    ),
    Case("gzip_truncated", "gzip cut off", (JSON, "content-encoding: gzip"), "400 content_encoding_invalid"),
    Case(
        "gzip_trailing_garbage",
        "bytes after the end of gzip",
        (JSON, "content-encoding: gzip"),
        "400 content_encoding_invalid",
    ),
    Case("gzip_not_gzip", "plain JSON declared gzip", (JSON, "content-encoding: gzip"), "400 content_encoding_invalid"),
    Case(
        "gzip_many_members", "300 empty gzip members", (JSON, "content-encoding: gzip"), "400 content_encoding_invalid"
    ),
    Case(
        "deflate_raw",
        "raw deflate, without the zlib wrapper of RFC 9110",
        (JSON, "content-encoding: deflate"),
        "400 content_encoding_invalid",
    ),
    Case(
        "deflate_trailing_garbage",
        "bytes after the end of deflate",
        (JSON, "content-encoding: deflate"),
        "400 content_encoding_invalid",
    ),
    Case("gzip_bomb", "gzip of 20 MB of spaces", (JSON, "content-encoding: gzip"), "413 decompression_limit"),
    Case(
        "gzip_bomb_twice", "the same, packed twice", (JSON, "content-encoding: gzip, gzip"), "413 decompression_limit"
    ),
    Case(
        "gzip_bomb_members",
        "20 gzip members that are harmless one by one",
        (JSON, "content-encoding: gzip"),
        "413 decompression_limit",
    ),
    Case("deflate_bomb", "deflate of 20 MB of spaces", (JSON, "content-encoding: deflate"), "413 decompression_limit"),
    Case("form_broken_escape", "a percent sign that begins no escape", (FORM,), "400 form_invalid"),
    Case("form_short_escape", "an escape that is cut off", (FORM,), "400 form_invalid"),
    Case("form_unicode_escape", "the escape %u0040 of old scripts", (FORM,), "400 form_invalid"),
    Case("form_invalid_utf8", "an escape that is no UTF-8", (FORM,), "400 text_invalid"),
    Case("form_overlong", "an overlong UTF-8 form in escapes", (FORM,), "400 text_invalid"),
    Case(
        "form_other_charset",
        "a form declared ISO-8859-1",
        ("content-type: application/x-www-form-urlencoded; charset=iso-8859-1",),
        "415 charset_unsupported",
    ),
    Case("form_json_with_escapes", "JSON declared as a form, with an escape", (FORM,), "400 form_invalid"),
    Case("form_json_duplicate", "JSON with a key twice, declared as a form", (FORM,), "400 json_duplicate_key"),
    Case("form_1001_fields", "one field more than the limit", (FORM,), "413 form_limit"),
    Case("form_only_ampersands", "ampersands without fields, past the limit", (FORM,), "413 form_limit"),
    Case(
        "multipart_no_boundary",
        "multipart without boundary",
        ("content-type: multipart/form-data",),
        "400 content_type_invalid",
    ),
    Case(
        "multipart_two_boundaries",
        "two boundary parameters",
        ("content-type: multipart/form-data; boundary=b; boundary=c",),
        "400 content_type_invalid",
    ),
    Case(
        "multipart_extended_boundary",
        "a boundary in the extended form of RFC 2231",
        ("content-type: multipart/form-data; boundary=b; boundary*=utf-8''c",),
        "400 content_type_invalid",
    ),
    Case(
        "multipart_escaped_boundary",
        "a boundary with a quoted pair",
        ('content-type: multipart/form-data; boundary="\\b"',),
        "400 content_type_invalid",
    ),
    Case(
        "multipart_long_boundary",
        "a boundary of 71 characters",
        (f"content-type: multipart/form-data; boundary={'b' * 71}",),
        "400 content_type_invalid",
    ),
    Case("multipart_preamble", "text before the first boundary", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_epilogue", "text after the last boundary", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_line_feeds", "line feeds without carriage returns", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_mixed_line_ends", "a delimiter after a bare line feed", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_padding", "spaces after a delimiter", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_boundary_inside", "the boundary inside a part", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_longer_boundary", "a line that begins like the boundary", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_unclosed", "no closing boundary", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_cut_off", "a part cut off", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_no_blank_line", "a part without blank line", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_no_headers", "a part of a form without headers", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_no_name", "a part of a form without name", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_disposition_twice", "Content-Disposition twice", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_name_twice", "two names in one part", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_extended_filename", "filename and filename*", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_escaped_name", "a name with a quoted pair", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_open_quote", "a name whose quotes do not close", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_folded_header", "a folded header line", (MULTIPART,), "400 multipart_invalid"),
    Case(
        "multipart_space_before_colon",
        "white space before the colon of a header",
        (MULTIPART,),
        "400 multipart_invalid",
    ),
    Case("multipart_nul_in_header", "a NUL in a name", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_encoded_word", "a name as an encoded word", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_length_lies", "a part whose Content-Length is wrong", (MULTIPART,), "400 multipart_invalid"),
    Case("multipart_invalid_utf8_name", "a name that is not UTF-8", (MULTIPART,), "400 text_invalid"),
    Case("multipart_invalid_utf8", "a field that is not UTF-8", (MULTIPART,), "400 text_invalid"),
    Case("multipart_utf16_field", "a field in UTF-16", (MULTIPART,), "415 charset_unsupported"),
    Case(
        "multipart_other_charset", "a form that names its charset in _charset_", (MULTIPART,), "415 charset_unsupported"
    ),
    Case("multipart_base64", "a part in base64", (MULTIPART,), "415 part_encoding_unsupported"),
    Case("multipart_quoted_printable", "a part in quoted-printable", (MULTIPART,), "415 part_encoding_unsupported"),
    Case("multipart_gzip_part", "a part with a content encoding", (MULTIPART,), "415 part_encoding_unsupported"),
    Case("multipart_nested", "a part that is multipart itself", (MULTIPART,), "415 media_type_unsupported"),
    Case("multipart_json_duplicate", "a JSON part with a key twice", (MULTIPART,), "400 json_duplicate_key"),
    Case("multipart_utf16_json_file", "a file that is JSON in UTF-16", (MULTIPART,), "415 charset_unsupported"),
    Case("multipart_1001_parts", "one part more than the limit", (MULTIPART,), "413 form_limit"),
    Case("multipart_many_headers", "17 header lines in one part", (MULTIPART,), "413 form_limit"),
    Case("multipart_large_header", "a header line of 9,000 characters", (MULTIPART,), "413 form_limit"),
    Case("ndjson_bad_line", "NDJSON with a line that is no JSON", (NDJSON,), "400 json_invalid"),
    Case("ndjson_two_on_a_line", "two values on one line of NDJSON", (NDJSON,), "400 json_invalid"),
    Case("ndjson_duplicate", "NDJSON with a key twice in one line", (NDJSON,), "400 json_duplicate_key"),
    Case(
        "ndjson_late_bom",
        "a byte order mark in the second line of NDJSON",
        ("content-type: application/jsonl",),
        "400 json_invalid",
    ),
    Case("ndjson_carriage_returns", "NDJSON parted by carriage returns alone", (NDJSON,), "400 json_invalid"),
    Case("ndjson_20001_lines", "more lines of NDJSON than values are allowed", (NDJSON,), "413 json_too_many_values"),
    Case(
        "json_seq_no_separator",
        "a JSON text sequence without RS",
        ("content-type: application/json-seq",),
        "400 json_invalid",
    ),
    Case(
        "json_seq_cut_off", "a JSON text sequence cut off", ("content-type: application/json-seq",), "400 json_invalid"
    ),
    Case("json_bom", "one UTF-8 byte order mark", (JSON,), "read as JSON"),
    Case("json_as_text", "JSON sent as text", ("content-type: text/plain",), "read as JSON"),
    Case("json_as_image", "JSON sent as an image", ("content-type: image/png",), "read as JSON"),
    Case("json_undeclared", "JSON sent without media type", (), "read as JSON"),
    Case("gzip_two_members", "JSON in two gzip members", (JSON, "content-encoding: gzip"), "read as JSON"),
    Case("gzip_twice", "JSON packed twice", (JSON, "content-encoding: gzip", "content-encoding: gzip"), "read as JSON"),
    Case("deflate_zlib", "JSON in deflate", (JSON, "content-encoding: deflate"), "read as JSON"),
    Case("depth_64", "nesting at the limit", (JSON,), "read as JSON"),
    Case("text_like_json", "text that only begins like JSON", ("content-type: text/plain",), "read as text"),
    Case(
        "text_like_json_twice",
        "text that begins with JSON with a key twice",
        ("content-type: text/plain",),
        "read as text",
    ),
    Case("text_undeclared", "text sent without media type", (), "read as text"),
    Case("bytes_undeclared", "bytes sent without media type", (), "skipped opaque_media_type"),
    Case("image", "an image", ("content-type: image/png",), "skipped opaque_media_type"),
    Case(
        "octet_stream_nul",
        "bytes that begin with NUL",
        ("content-type: application/octet-stream",),
        "skipped opaque_media_type",
    ),
    Case("form_urlencoded", "a form", (FORM,), "read as form"),
    Case("form_semicolon", "a form whose fields a few readers part at semicolons", (FORM,), "read as form"),
    Case("form_repeated", "a name that comes twice in a form", (FORM,), "read as form"),
    Case("form_raw_bytes", "a form without escapes", (FORM,), "read as form"),
    Case("form_multipart", "a multipart form", (MULTIPART,), "read as multipart"),
    Case("multipart_bare_name", "a name without quotes", (MULTIPART,), "read as multipart"),
    Case("multipart_json_as_file", "JSON uploaded as bytes", (MULTIPART,), "read as multipart"),
    Case("multipart_length", "a part with its Content-Length", (MULTIPART,), "read as multipart"),
    Case("multipart_mixed", "multipart/mixed", ("content-type: multipart/mixed; boundary=b",), "read as multipart"),
    Case("ndjson", "NDJSON", (NDJSON,), "read as records"),
    Case("json_seq", "a JSON text sequence", ("content-type: application/json-seq",), "read as records"),
    Case("form_with_json", "JSON declared as a form", (FORM,), "read as JSON"),
    Case("multipart_image", "an image in a form", (MULTIPART,), "skipped image"),
    Case("multipart_file", "a file in a form", (MULTIPART,), "skipped file"),
    Case(
        "xml_entities",
        "XML that declares entities of its own",
        ("content-type: application/xml",),
        "skipped xml_entities",
    ),
)
