"""Write the gazetteer of ``detectors/pii`` anew: ``python -m benchmarks.pii_gazetteer [FILE]``.

Names: the lists of Faker (MIT; it must be installed), single words only. Ordinary words: those that the documentation
of the Python packages installed here writes in lower case, four packages at least. More of each from ``pii_words.txt``
beside. Facts, without text of their source.
"""

from __future__ import annotations

import importlib
import re
import sys
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from detectors.pii.gazetteer import SHIPPED, load, plain

LOCALES: Final[Sequence[str]] = (
    "en", "en_US", "en_GB", "en_IE", "en_IN", "en_NZ", "en_KE", "en_NG", "en_PK", "de_DE", "de_AT", "de_CH",
    "fr_FR", "fr_CH", "fr_CA", "es", "es_ES", "es_MX", "es_AR", "es_CO", "it_IT", "nl_NL", "nl_BE", "pt_BR",
    "pt_PT", "pl_PL", "sv_SE", "da_DK", "no_NO", "fi_FI", "tr_TR", "cs_CZ", "ro_RO", "hr_HR", "hu_HU", "id_ID"
)  # fmt: skip
MORE: Final = load(Path(__file__).with_name("pii_words.txt"))
_WORD: Final = re.compile(r"(?<![\w.@/\-'\"_])[a-z]{2,16}(?![\w@/_\"'])")
_DOCSTRING: Final = re.compile(r'"""(.*?)"""', re.DOTALL)
_NAME: Final = re.compile(r"(?:[dmo]'|mc)?[^\W\d_]{2,20}(?:-[^\W\d_]{2,20})?", re.IGNORECASE)
_HEAD: Final = """\
# Names and ordinary words for detectors/pii (see gazetteer.py); written by benchmarks/pii_gazetteer.py.
#
# The names are taken from Faker, under the following notice. Its lists of the United States go back to the Census
# Bureau and the Social Security Administration, works of the United States Government in the public domain.
#
"""


def names() -> tuple[set[str], set[str]]:
    """First names and surnames of Faker's lists, single words, ``plain``."""
    first, last = set(MORE.first), set(MORE.last)
    for locale in LOCALES:
        provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
        for attribute in dir(provider):
            listed = getattr(provider, attribute)
            if not isinstance(listed, (list, tuple, dict)):
                continue
            if attribute.startswith("first_name"):
                first |= set(_words(listed))
            elif attribute.startswith("last_name"):
                last |= set(_words(listed))
    return first, last


def _words(listed: Iterable[object]) -> Iterator[str]:
    for name in listed:
        if isinstance(name, str) and _NAME.fullmatch(name) and name[0].isupper():
            yield plain(name)


def ordinary() -> set[str]:
    """Words of ordinary text, from the documentation of installed packages and the list above."""
    counted: Counter[str] = Counter()
    seen: defaultdict[str, set[str]] = defaultdict(set)
    root = Path(sysconfig.get_path("purelib"))
    for path in root.rglob("*"):
        if path.suffix not in {".md", ".rst", ".txt", ".py"} and path.name != "METADATA":
            continue
        package = path.relative_to(root).parts[0]
        if package.startswith(("faker", "phonenumbers")) or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")[:400_000]
        if path.suffix == ".py":
            text = "\n".join(_DOCSTRING.findall(text))
        for word in _WORD.findall(text):
            counted[word] += 1
            seen[word].add(package)
    return {word for word, count in counted.items() if count >= 6 and len(seen[word]) >= 4} | MORE.ordinary


def _licence() -> str:
    from importlib.metadata import files

    for file in files("Faker") or ():
        if file.name.startswith("LICENSE"):
            return "".join(f"# {line}".rstrip() + "\n" for line in file.read_text().splitlines())
    raise SystemExit("Faker has no licence file: install it anew")


def _section(name: str, words: Collection[str]) -> Iterator[str]:
    yield f"\n[{name}]\n"
    line = ""
    for word in sorted(words):
        if len(line) + len(word) > 118:
            yield line + "\n"
            line = ""
        line += (" " if line else "") + word
    yield line + "\n"


def main() -> None:
    """Write the file that is named, or the one of the package."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED
    first, last = names()
    words = ordinary()
    listed = {
        "first": first,
        "last": last,
        "ordinary": words - {"alice", "john"},
        "never": MORE.never,
        "phrase": MORE.phrase,
    }
    text = _HEAD + _licence()
    for name, section in listed.items():
        text += "".join(_section(name, section))
    target.write_text(text, encoding="utf-8")
    print(f"{target}: {len(first)} first names, {len(last)} surnames, {len(words)} ordinary words")


if __name__ == "__main__":
    main()
