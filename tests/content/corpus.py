"""The malformed bodies: a file each in ``malformed/``, with the headers it is sent with and the answer.

The table in ``docs/malformed-bodies.md`` has a row for each; ``test_malformed.py`` holds the three together.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

DIRECTORY = Path(__file__).parent / "malformed"
JSON = "content-type: application/json"


class Case(NamedTuple):
    """A body. ``answer`` is ``<status> <refusal>``, ``read as JSON``, ``read as text`` or ``skipped <reason>``."""

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
    Case("encoding_br", "Brotli", (JSON, "content-encoding: br"), "415 content_encoding_unsupported"),
    Case("encoding_zstd", "Zstandard", (JSON, "content-encoding: zstd"), "415 content_encoding_unsupported"),
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
    Case(
        "form_urlencoded", "a form", ("content-type: application/x-www-form-urlencoded",), "415 media_type_unsupported"
    ),
    Case(
        "form_multipart", "multipart", ("content-type: multipart/form-data; boundary=b",), "415 media_type_unsupported"
    ),
    Case(
        "form_with_json",
        "JSON declared as a form",
        ("content-type: application/x-www-form-urlencoded",),
        "415 media_type_unsupported",
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
)
