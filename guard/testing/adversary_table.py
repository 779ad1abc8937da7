"""The command line of the adversary, and the table that it prints."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from guard.errors import GuardError
from guard.record.keys import load_signing_key
from guard.record.sign import Ed25519Signer
from guard.record.trust import read_trust
from guard.record.verify import acyclic
from guard.testing.adversary import Attacked, attack
from guard.testing.adversary_log import KEPT_RECORDS
from guard.types import Signer

EXIT_NOTICED = 0
EXIT_UNNOTICED = 1
EXIT_USAGE = 3


def table(found: Attacked) -> list[str]:
    """What was tried, a line each: attack, anchor, what is owed, what was found, where."""
    resigned = ", signed anew under a throw-away key" if found.resigned else ""
    said = [f"a copy of {found.origin}, {found.records} records{resigned}"]
    said.append(f"{'attack':<44} {'anchor':<8} {'owed':<8} {'found':<8} first damage")
    for one in found.tried:
        tries = f" ({one.tries} times)" if one.tries > 1 else ""
        title = f"{one.number:>2} {one.title}{tries}"
        found_word = f"{one.worst or 'skipped'}{'!' if one.unnoticed else ''}"
        anchor = "with" if one.anchored else "without"
        said.append(f"{title:<44} {anchor:<8} {one.owed:<8} {found_word:<8} {one.skipped or one.where}".rstrip())
    return said


def verdict(found: Attacked) -> str:
    """One sentence."""
    skipped = sum(bool(one.skipped) for one in found.tried)
    rest = f"; skipped: {skipped}" if skipped else ""
    if found.unnoticed:
        return f"UNNOTICED: {len(found.unnoticed)} attacks that verification owes to find went through{rest}"
    tries = sum(one.tries for one in found.tried if not one.skipped)
    return f"NOTICED: {tries} verifications found what they owe{rest}"


def as_json(found: Attacked) -> bytes:
    """One JSON object for programs."""
    tried = [{**msgspec.to_builtins(one), "unnoticed": one.unnoticed} for one in found.tried]
    return msgspec.json.encode({**msgspec.to_builtins(found), "tried": tried, "unnoticed": len(found.unnoticed)})


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m guard.testing.adversary", description="Attack a copy of a signed log, and verify it each time."
    )
    parser.add_argument("directory", type=Path, help="the log, or one origin of it; it is only read")
    parser.add_argument("--trust", type=Path, help="file of trusted keys; else the log's own key is believed")
    parser.add_argument(
        "--anchor", type=Path, action="append", default=[], help="a checkpoint kept elsewhere, or a directory of them"
    )
    parser.add_argument("--key", type=Path, help="the PEM file of the key that signs the log now")
    parser.add_argument(
        "--records", type=_natural, default=KEPT_RECORDS, help=f"attack the first N records ({KEPT_RECORDS})"
    )
    parser.add_argument("--tries", type=_natural, default=100, help="bytes to change, and cuts to make; 0: every one")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as leaving:
        return EXIT_USAGE if leaving.code else EXIT_NOTICED
    try:
        with acyclic():
            found = attack(
                options.directory,
                trust=None if options.trust is None else read_trust(options.trust),
                anchors=options.anchor,
                sign_as=None if options.key is None else _signers(options.key),
                records=options.records,
                tries=options.tries,
                seed=options.seed,
            )
    except (GuardError, OSError) as error:
        sys.stderr.write(f"nothing was tried: {error}\n")
        return EXIT_USAGE
    if options.json:
        sys.stdout.write(as_json(found).decode() + "\n")
    else:
        sys.stdout.write("\n".join((*table(found), verdict(found))) + "\n")
    return EXIT_UNNOTICED if found.unnoticed else EXIT_NOTICED


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("not below 0")
    return number


def _signers(path: Path) -> Callable[[str], Signer]:
    key = load_signing_key(path)
    return lambda name: Ed25519Signer(name, key)
