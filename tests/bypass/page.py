"""``docs/positions.md``: every position and disguise, and what became of it. Run as a module it writes the page."""

from __future__ import annotations

import asyncio
import random
import string
import tempfile
from pathlib import Path

from tests.bypass.disguises import DISGUISES, OF_ADDRESSES, OF_CARDS
from tests.bypass.harness import Harness, Message, Outcome
from tests.bypass.positions import CHAT, POSITIONS, Position, hidden_in, message_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "positions.md"
MAIL = "leak.me@example-bank.com"
CARD = "4111 1111 1111 1111"
SECRET = "glp" + "at-" + "".join(random.Random(4).choices(string.ascii_letters, k=20))
VALUES = {"e-mail address": MAIL, "card number": CARD, "secret": SECRET}
USER = Position(
    "", "", Message(path=CHAT), {"model": "m", "messages": [{"role": "user", "content": "note: {P} (thanks)"}]}
)
ANSWER = Position(
    "",
    "",
    Message(path=CHAT, reply=True),
    {"choices": [{"index": 0, "message": {"role": "assistant", "content": "note: {P} (thanks)"}}]},
)

_HEAD = """# Positions and disguises

Where text lives in a request and an answer, and how it can be spelled. An e-mail address, a card number and a secret
are planted in each place, and go through the whole guard with its defaults: the shipped policies, the detectors `pii`
and `secrets`, a provider outside of the tenant. Each cell is a test (`tests/bypass/`), which also holds this page.

- **redacted**: the app, or the client, got the text without the value.
- **denied**: a rule refused the exchange.
- **refused**: the guard could not read the request in one way only ([malformed bodies](malformed-bodies.md)).
- **named**: it was not inspected, and `coverage.skipped` says so with this reason ([coverage](coverage.md)). A rule may
  deny that: GUARD-010 does, once it is enforced.

Nothing is silent. Named attacks stand in `tests/bypass/cases/`, a file each with its verdict: `pytest tests/bypass`.
"""
_READINGS = """
## How spelled text is read

Each text is folded (NFKC, what shows nothing removed). Then every line that spells something is read once more, and
the reading is put behind the text, for the detectors only. Each character of a reading knows the characters that spell
it: a finding there is hidden where it is spelled, and nothing else is changed. In base64, hexadecimal and the like the
whole run is replaced, since a part of it cannot be.

- Read: percent-encoding, character references of HTML, backslash escapes (`\\u0040`, `\\x40`, `\\U00000040`, `\\u{40}`,
  `\\100`, `\\N{...}`), also one in the other, three layers deep; "(at)" and "(dot)" in any brackets, and
  `jane at corp dot com`; letters of other scripts that look like Latin ones, in words that hold Latin letters, digits
  or an `@`; digits in the groups of a card number, whatever parts them; addresses glued to a URL or a file extension.
- Decoded: base64 of 24 characters and more (both alphabets, wrapped or not, at any alignment), and hexadecimal of 24
  digits and more, where they hold text in UTF-8 or UTF-16, two layers deep; tag characters and variation selectors.
- Read on: a value that begins in one text part of a message and ends in the next.
- The plain text is looked at in any case: a reading only adds.

A text of ordinary words has no reading. The cost grows with the length of the text only.

## Out of reach

What a model can undo and a guard does not try: other ciphers and codes (ROT13, Morse, base32, base85), text written
backwards, digits in words ("four one one one"), letters for digits (`O` for `0`), letters parted by spaces, compressed
data in base64, quoted-printable, descriptions ("the street I told you about"), and a value
told over several messages or fields.
Text in images, audio and video is not read: that is named. In a stream that flows, disguises are
hidden as in a whole text ([streams](streams.md)); a word of more than 16,384 characters leaves as `<TOO_LONG>`.
"""


def _cell(outcome: Outcome) -> str:
    return outcome.how if outcome.result == "caught" else f"{outcome.result} ({outcome.how})"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"


async def outcomes(harness: Harness) -> dict[tuple[str, str, str, str], Outcome]:
    """``(group, side, where, value)`` -> what became of it."""
    found = {}
    for position in POSITIONS:
        for name, value in VALUES.items():
            outcome = await harness.send(message_of(position, value), hidden_in(position, value))
            found[position.group, position.side, position.where, name] = outcome
    return found


async def disguised(harness: Harness) -> dict[tuple[str, str, str], Outcome]:
    """``(disguise, value, side)`` -> what became of it in a message of a user, and in an answer."""
    rows = [(name, kind, spell(value)) for name, spell in DISGUISES.items() for kind, value in VALUES.items()]
    rows += [(f"address: {name}", "e-mail address", spelling) for name, spelling in OF_ADDRESSES.items()]
    rows += [(f"card: {name}", "card number", spelling) for name, spelling in OF_CARDS.items()]
    found = {}
    for position in (USER, ANSWER):
        for name, kind, spelling in rows:
            outcome = await harness.send(message_of(position, spelling), (spelling,))
            found[name, kind, position.side] = outcome
    return found


def render(places: dict[tuple[str, str, str, str], Outcome], spelled: dict[tuple[str, str, str], Outcome]) -> str:
    """The page."""
    text = _HEAD
    for group in dict.fromkeys(key[0] for key in places):
        text += f"\n## {group}\n\n" + _row("side", "where", *VALUES) + _row(*["---"] * (2 + len(VALUES)))
        for side, where in dict.fromkeys((key[1], key[2]) for key in places if key[0] == group):
            text += _row(side, where, *(_cell(places[group, side, where, value]) for value in VALUES))
    text += "\n## Disguises\n\nIn the message of a user / in the answer.\n\n"
    text += _row("spelled", *VALUES) + _row(*["---"] * (1 + len(VALUES)))
    for name in dict.fromkeys(key[0] for key in spelled):
        cells = []
        for value in VALUES:
            sides = [
                _cell(spelled[name, value, side]) for side in ("request", "answer") if (name, value, side) in spelled
            ]
            cells.append(" / ".join(sides))
        text += _row(name, *cells)
    return text + _READINGS


async def measured(directory: Path) -> str:
    """The page as the guard earns it now."""
    harness = Harness(directory)
    return render(await outcomes(harness), await disguised(harness))


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as directory:
        PAGE.write_text(asyncio.run(measured(Path(directory))), encoding="utf-8")


if __name__ == "__main__":
    main()
