"""People who do not exist, and every form in which a value of theirs could stand in a file."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import msgspec
import numpy

_WINDOW = 8
"""Bytes of each form that are looked for at every place; shorter forms would be found by chance."""
_PIECE = 1 << 20
_HASH_BITS = 24
_DIGITS = 14
"""Shorter runs of digits stand in time stamps by chance."""
_FIRST = ("Zsófia", "Wolfgang", "Aoife", "Thandiwe", "Björn", "Xiomara", "Oluwaseun", "Ekaterina", "Jean-Luc", "Priya")
_LAST = ("Quarrington", "Überhausen", "McElhatton", "Nkosi-Dube", "Vandersloot", "Ibarrondo", "Szczepański", "Okonkwo")


class Person(msgspec.Struct, frozen=True):
    """One caller with everything that must not be found. Each value is another person's for no other."""

    name: str
    email: str
    phone: str
    ssn: str
    card: str
    ipv4: str
    ipv6: str
    tenant: str
    role: str
    user: str
    api_key: str
    secret: str
    header: str
    cookie: str
    file_name: str
    file_text: str
    member: str
    path: str
    query: str
    tool: str
    conversation: str
    request_id: str
    prompt: str
    answer: str

    def values(self) -> Iterator[str]:
        """Everything that was planted."""
        return iter(msgspec.structs.astuple(self))


def person(chance: random.Random) -> Person:
    """A person, all of whose values are drawn from ``chance``."""
    first, last, word = chance.choice(_FIRST), chance.choice(_LAST), _word(chance)
    return Person(
        name=f"{first} {last}-{word.title()}",
        email=f"{word}.{_word(chance)}@northwind-traders.com",
        phone=f"+49 30 {chance.randrange(10**7, 10**8)} {chance.randrange(1000, 9999)}",
        ssn=f"{chance.randrange(100, 665)}-{chance.randrange(10, 99)}-{chance.randrange(1000, 9999)}",
        card=_card(chance),
        ipv4=".".join(str(chance.randrange(11, 223)) for _ in range(4)),
        ipv6="2001:db8:" + ":".join(f"{chance.randrange(0x1000, 0xFFFF):x}" for _ in range(6)),
        tenant=f"{word.title()} & Töchter GmbH",
        role=f"Head of {_word(chance)}",
        user=f"{first}.{_word(chance)}@corp",
        api_key=f"sk_{_word(chance)}{_word(chance)}{_word(chance)}",
        secret="AKIA" + "".join(chance.choices("ABCDEFGHJKLMNPQRSTUVWXYZ234567", k=16)),
        header=f"badge {_word(chance)} of {word}",
        cookie=f"session={_word(chance)}{_word(chance)}",
        file_name=f"payslip {_word(chance)} {last}.txt",
        file_text=f"The salary of {_word(chance)} is confidential.",
        member=f"salary of {_word(chance)}",
        path=f"patient-{_word(chance)}",
        query=f"diagnosis-{_word(chance)}",
        tool=f"look up {_word(chance)}@clinic.example.org",
        conversation=f"talk with {_word(chance)}",
        request_id=f"order-for-{_word(chance)}",
        prompt=f"Tell nobody that {_word(chance)} will leave in spring \"{_word(chance)}\".",
        answer=f"The patient {_word(chance)} has recovered.",
    )  # fmt: skip


def forms(value: str) -> Iterator[bytes]:
    """A value in clear, escaped, encoded, reversed and hashed; all in lower case, as the search is."""
    raw = value.encode()
    spelled = {value, value.upper(), value.swapcase(), value[::-1]}
    spelled |= {json.dumps(value)[1:-1], html.escape(value), quote(value), quote_plus(value), in_header(value)}
    digits = "".join(c for c in value if c.isdigit())
    if len(digits) >= _DIGITS:
        spelled.add(digits)
    encoded = {raw.hex(), raw[::-1].hex(), raw.decode().encode("utf-16-le").hex()}
    for alphabet in (None, b"-_"):
        for shift in range(3):
            # The characters at both ends depend on what stands beside the value.
            text = base64.b64encode(bytes(shift) + raw, alphabet).decode().rstrip("=")
            encoded.add(text[(0, 2, 3)[shift] :][:-1])
    for algorithm in ("sha256", "sha1", "md5"):
        digest = hashlib.new(algorithm, raw, usedforsecurity=False).digest()
        # A plain hash of a short value can be guessed, cut or not.
        encoded |= {digest.hex()[:16], base64.b64encode(digest).decode()[:14]}
    for text in spelled | encoded:
        form = text.encode().lower()
        if len(form) >= _WINDOW and not (form.isdigit() and len(form) < _DIGITS):
            yield form


def _hashed(windows: numpy.typing.NDArray[numpy.uint64]) -> numpy.typing.NDArray[numpy.uint64]:
    """Fibonacci hashing: the upper bits of the product with 2**64 divided by the golden ratio."""
    return (windows * numpy.uint64(0x9E3779B97F4A7C15)) >> numpy.uint64(64 - _HASH_BITS)


def in_header(value: str) -> str:
    """A value as a client may write it into a header, which holds ASCII."""
    return value.encode("ascii", "backslashreplace").decode()


class Search:
    """Looks for every form of many values in one pass over each file: at each place eight bytes are held against the
    beginnings of all forms, then the whole form."""

    def __init__(self, values: Iterable[str]) -> None:
        self._by_window: dict[int, list[tuple[bytes, str]]] = {}
        for value in dict.fromkeys(values):
            for form in set(forms(value)):
                self._by_window.setdefault(int.from_bytes(form[:_WINDOW], "little"), []).append((form, value))
        self._windows = numpy.array(sorted(self._by_window), dtype=numpy.uint64)
        # Most places are no beginning of anything: a table by hash tells so at once.
        self._table = numpy.zeros(1 << _HASH_BITS, dtype=bool)
        self._table[_hashed(self._windows)] = True

    def found(self, data: bytes) -> list[tuple[str, bytes]]:
        """The values that stand in ``data``, and in which form."""
        data = data.lower()
        hits = []
        for start in range(0, len(data), _PIECE):
            piece = numpy.frombuffer(data[start : start + _PIECE + _WINDOW - 1], dtype=numpy.uint8)
            if len(piece) < _WINDOW:
                break
            windows = numpy.lib.stride_tricks.sliding_window_view(piece, _WINDOW).copy().view("<u8").ravel()
            (places,) = numpy.nonzero(self._table[_hashed(windows)])
            places = places[numpy.isin(windows[places], self._windows)]
            for at in map(int, places):
                known = self._by_window[int(windows[at])]
                hits += [(value, form) for form, value in known if data.startswith(form, start + at)]
        return hits

    def found_below(self, directory: Path) -> dict[str, list[tuple[str, bytes]]]:
        """The same for the content and the name of every file: the path, and what was found."""
        hits = {}
        for path in sorted(path for path in directory.rglob("*") if path.is_file()):
            name = str(path.relative_to(directory))
            if found := self.found(name.encode() + b"\n" + path.read_bytes()):
                hits[name] = found[:5]
        return hits


def _word(chance: random.Random) -> str:
    return "".join(chance.choices("abcdefghijklmnoprstuvwz", k=11))


def _card(chance: random.Random) -> str:
    """A Visa number whose last digit is right (Luhn)."""
    digits = [4, *(chance.randrange(10) for _ in range(14))]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[::-2])
    check = -(doubled + sum(digits[-2::-2])) % 10
    text = "".join(map(str, [*digits, check]))
    return " ".join(text[at : at + 4] for at in range(0, 16, 4))
