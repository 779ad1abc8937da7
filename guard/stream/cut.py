"""Where a text that still grows may be cut: no value that a detector by form can find spans the cut, and nothing that
comes later changes what is found before it.

What holds text back (offsets are those of the folded text):

- the last token, as long as no white space ended it;
- a token with a digit, until the chain of groups that it may be part of is over (``4111 1111 1111 1111``,
  ``GB82 WEST 1234``, ``AB 12 34 56 C``, ``x 55``), and three words or 40 characters stand behind it: context counts;
- a short token that such a group may follow;
- what may become an address whose signs are spelled (``jane (at) corp dot com``), and lines of base64;
- a private key in PEM, from its BEGIN line to its END line, 16,384 characters at most (RFC 7468).
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from typing import Final

from guard.confusables import EAST, FULL_STOP

WORDS_AFTER: Final = 3
CHARACTERS_AFTER: Final = 40
"""Context behind a value: so many words, or so many characters. The detectors look no further."""
_REST_OF_CHAIN: Final = 20
"""How far a value may go on behind its last digit: groups of letters."""
LONGEST_CHAIN: Final = 2048
_KEPT_OF_CHAIN: Final = 1400
"""A chain past ``LONGEST_CHAIN`` is cut this far from its end: no form of a value in it has more than 600."""
_SHORT: Final = 4
_SHORT_LEAD: Final = 3
_LEADS: Final = 2
_LOOK_BACK: Final = LONGEST_CHAIN + 256

SEPARATOR: Final = re.compile(rf"[\s、､「」｢｣『』【】]|[。｡](?=[{EAST}])|(?<=[{EAST}])[。｡]")
TOKEN: Final = re.compile(rf"(?:[^\s、､。｡「」｢｣『』【】]+|{FULL_STOP})+")
_WORD: Final = re.compile(r"[^\W_]")
_DIGIT: Final = re.compile(r"\d")
_EXTENSIONS: Final = ("ext", "xt", "x", "int", "anexo", "доб", "#", "~")
_EXTENSIONS_SO_FAR: Final = frozenset(word[:size] for word in _EXTENSIONS for size in range(1, len(word)))
_LINKS: Final = frozenset("-./()[]+*#~_:&\\")
"""Characters at which a chain goes on over white space; other punctuation ends it."""
_PARTS: Final = frozenset("._/:|,;*~+-")
_LONGEST_PART: Final = 3
_BEGIN: Final = "-----BEGIN "
_HEADER: Final = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_HEADER_SO_FAR: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{0,80}-{0,5}\Z")
_END: Final = "-----END "
_FOOTER: Final = re.compile(r"-----END [A-Z0-9 ]{0,64}PRIVATE KEY(?: BLOCK)?-----")
_LONGEST_FOOTER: Final = 100
LONGEST_PEM: Final = 16_384

Span = tuple[int, int]


def settled(text: str, start: int) -> int:
    """The greatest safe cut of ``text`` at or behind ``start``, which is one. Looks back a bounded way."""
    cut = _in_prose(text, start)
    return _settled(text, start) if cut is None else cut


def _in_prose(text: str, start: int) -> int | None:
    """The same where words and their punctuation are all there is: the last word is held back. ``None`` elsewhere."""
    if len(text) - start > _LOOK_BACK:
        return None
    fresh = text[start:]
    if not fresh.isascii() or fresh.encode().translate(None, _OF_PROSE):
        return None
    before, _, word = fresh.rpartition(" ")
    if not word[:1].isalpha() or word.lower() in _SIGNS_SO_FAR:
        return None
    return None if before.rstrip(" ").rpartition(" ")[2].lower() in _SIGNS else len(text) - len(word)


def _settled(text: str, start: int) -> int:
    first = max(start, len(text) - _LOOK_BACK)
    if first > start:
        separator = SEPARATOR.search(text, first)
        first = len(text) if separator is None else separator.start()
    tokens = [match.span() for match in TOKEN.finditer(text, first)]
    is_open = bool(tokens) and tokens[-1][1] == len(text)
    if first == len(text):  # one token from before the look back to the end
        return _before_pem(text, start, last_start(text, start, len(text)))
    at = _first_held(text, tokens, is_open=is_open)
    cut = len(text) if at == len(tokens) else tokens[at][0]
    return _before_pem(text, start, cut)


def last_start(text: str, start: int, end: int) -> int:
    """Where the last token before ``end`` begins, ``start`` at the least; ``end`` if white space ended it."""
    while end > start and not SEPARATOR.match(text, end - 1):
        end -= 1
    return end


def _first_held(text: str, tokens: list[Span], *, is_open: bool) -> int:
    """The index of the first token that is held back; their number if none is."""
    closed = len(tokens) - is_open
    at = closed
    words = behind = 0
    for index in range(closed - 1, -1, -1):
        start, end = tokens[index]
        if len(text) - end >= CHARACTERS_AFTER + _REST_OF_CHAIN:
            break
        if index + 1 < len(tokens) and _breaks(text, tokens[index], tokens[index + 1]):
            behind = words
        if behind < WORDS_AFTER and _DIGIT.search(text, start, end):
            at = index
        if _WORD.search(text, start, end):
            words += 1
    if at < closed or (is_open and _DIGIT.search(text, *tokens[at]) is not None):
        at = _chain_start(text, tokens, at)
    spelled = _spelled(text, tokens, _lead(text, tokens, at))
    # A spoken address may end in a group, and a group may follow one.
    return _spelled(text, tokens, _chain_start(text, tokens, spelled)) if spelled < at else spelled


def _spelled(text: str, tokens: list[Span], at: int) -> int:
    """With the tokens before ``at`` that an address may begin in whose signs are spelled: ``jane (at) corp dot com``,
    and with the lines of a text in base64 that goes on."""
    while at > 0 and _goes_on(text, tokens[at - 1], tokens[at] if at < len(tokens) else None):
        at -= 1
    return at


def _goes_on(text: str, left: Span, right: Span | None) -> bool:
    gap = text[left[1] : right[0]] if right else text[left[1] :]
    if "\n" in gap:
        runs = gap in ("\n", "\r\n") and _RUN.search(text, *left) is not None
        return runs and (right is None or _RUN_GOES_ON.match(text, *right) is not None)
    if right is None:
        return True
    before, after = text[left[0] : left[1]].lower(), text[right[0] : right[1]].lower()
    if before in _SIGNS or _SIGN_BEFORE.search(before):
        return True
    if right[1] == len(text):
        return (
            _SPELLS.search(after) is not None
            or any(sign.startswith(after) for sign in _SIGNS)
            or _SIGN_SO_FAR.match(after) is not None
        )
    return after in _SIGNS or _SIGN_AFTER.match(after) is not None


_SIGNS: Final = ("at", "dot")
_SIGNS_SO_FAR: Final = frozenset({"a", "at", "d", "do", "dot"})
_OF_PROSE: Final = b" ,.;:!?'" + string.ascii_letters.encode()
_SPELLS: Final = re.compile(r"[&%\\]")
_SIGN_BEFORE: Final = re.compile(r"[(\[{<](?:at|dot|@|\.)?[)\]}>]?\Z")
_SIGN_SO_FAR: Final = re.compile(r"[(\[{<](?:a|at|d|do|dot|@|\.)?(?:[)\]}>].*)?\Z|(?:a|at|d|do|dot|@|\.)?[)\]}>]?\Z")
_SIGN_AFTER: Final = re.compile(r"[(\[{<](?:\Z|(?:at|dot|@|\.)(?:\Z|[)\]}>]))|(?:at|dot|@|\.)?[)\]}>]")
_RUN: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}\Z")
_RUN_GOES_ON: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}\Z|[A-Za-z0-9+/_-]{16}")


def _chain_start(text: str, tokens: list[Span], at: int) -> int:
    """The index of the first token of the chain to which the token at ``at`` belongs."""
    first = at
    index = at - 1
    between = 0
    while index >= 0 and not _breaks(text, tokens[index], tokens[index + 1]):
        start, end = tokens[index]
        if len(text) - start > LONGEST_CHAIN:
            while first < at and len(text) - tokens[first][0] > _KEPT_OF_CHAIN:
                first += 1
            return first
        if _DIGIT.search(text, start, end):
            first, between = index, 0
        else:
            between += 1
            if between > 2 * _SHORT:
                break
        index -= 1
    return first


def _lead(text: str, tokens: list[Span], at: int) -> int:
    """With the short tokens before ``at`` that may begin a value of which ``at`` is a group."""
    if at < len(tokens) and text[tokens[at][0]].isalpha() and not _DIGIT.search(text, *tokens[at]):
        return at
    for _ in range(_LEADS):
        index = at - 1
        if index < 0 or (at < len(tokens) and _breaks(text, tokens[index], tokens[at])):
            return at
        start, end = tokens[index]
        gap = text[end : tokens[at][0]] if at < len(tokens) else text[end:]
        if "\n" in gap or not _links_after(text[end - 1]) or len(_last_word(text[start:end])) > _SHORT_LEAD:
            return at
        at = index
    return at


def _links_after(character: str) -> bool:
    return character.isalnum() or character in _LINKS


def _breaks(text: str, left: Span, right: Span) -> bool:
    """Whether no value goes on from one token to the next."""
    gap = text[left[1] : right[0]]
    if len(gap) > _SHORT:
        return True
    if _between_digits(text, left, right):
        return False
    if "\n" in gap or "\r" in gap:
        # Only a postcode may be written over two lines.
        mixed = left[1] - left[0] <= _SHORT and _DIGIT.search(text, *left) and len(gap) == 1
        return not mixed
    following = text[right[0] : right[1]].lower()
    if following.startswith(_EXTENSIONS) or following in _EXTENSIONS_SO_FAR:
        return False
    if not _links_after(text[left[1] - 1]) or not _links_after(text[right[0]]):
        return True
    return not _chains(text, left, _last_word) or not (right[1] == len(text) or _chains(text, right, _first_word))


def _between_digits(text: str, left: Span, right: Span) -> bool:
    """Whether there is nothing between two digits, or a digit and the end, that may not part the groups of a card."""
    begin = left[1]
    while begin > left[0] and text[begin - 1] in _PARTS:
        begin -= 1
    end = right[0]
    while end < right[1] and text[end] in _PARTS:
        end += 1
    return (
        end - begin <= _LONGEST_PART + (begin == left[0]) + (end == right[1])
        and (begin == left[0] or text[begin - 1].isdecimal())
        and (end == right[1] or text[end].isdecimal())
    )


def _chains(text: str, span: Span, word: Callable[[str], str]) -> bool:
    """Whether a token can be a group of a value: a digit in it, a short word at that end, or one for an extension."""
    token = text[span[0] : span[1]]
    if _DIGIT.search(token) or len(word(token)) <= _SHORT:
        return True
    return token.lower().rstrip(".:") in _EXTENSION_WORDS


def _first_word(token: str) -> str:
    return _PUNCTUATION.split(token, maxsplit=1)[0]


def _last_word(token: str) -> str:
    return _PUNCTUATION.split(token)[-1]


_PUNCTUATION: Final = re.compile(r"[\W_]+")
_EXTENSION_WORDS: Final = frozenset({"ext", "extn", "extension", "extensión", "anexo", "доб", "int"})


def _before_pem(text: str, start: int, cut: int) -> int:
    """The cut, or the BEGIN line before it of a private key that has not ended."""
    begin = text.find(_BEGIN, start, cut)
    while begin >= 0:
        header = _HEADER.match(text, begin)
        if header is None:
            if _HEADER_SO_FAR.match(text, begin):
                return begin
        elif not _pem_over(text, header.end()):
            return begin
        begin = text.find(_BEGIN, begin + len(_BEGIN), cut)
    return cut


def _pem_over(text: str, body: int) -> bool:
    """Whether the end of a key whose body begins at ``body`` is known."""
    mark = text.find(_END, body, body + LONGEST_PEM)
    if mark < 0:
        return len(text) >= body + LONGEST_PEM + len(_END)
    return _FOOTER.match(text, mark) is not None or len(text) >= mark + _LONGEST_FOOTER
