"""Placeholders come back: exact in identity, tolerant of spelling, alike in one piece and in any pieces."""

from __future__ import annotations

import html
import json
import random
from itertools import pairwise
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guard.obligations.standing import Standing
from guard.obligations.vault import LONGEST_PLACEHOLDER, Vault

VALUES = {"EMAIL_ADDRESS": 'o"neil@corp.example', "PERSON": "Jane Roe", "ADDRESS": "1 Main St", "ID_1": "X\n7"}


def filled(seed: int = 0) -> tuple[Vault, dict[str, str]]:
    """A vault with one value for each entity and its placeholder."""
    del seed
    vault = Vault()
    return vault, {entity: vault.placeholder(entity, value) for entity, value in VALUES.items()}


def restored(vault: Vault, text: str) -> str:
    for start, end, new in reversed(vault.spans(text)):
        text = text[:start] + new + text[end:]
    return text


def streamed(vault: Vault, pieces: list[str]) -> str:
    """A text restored as it flows: what may still become a placeholder waits, all else leaves at once."""
    out, text, done = "", "", 0
    for number, piece in enumerate(pieces):
        text += piece
        last = number == len(pieces) - 1
        settled = len(text) - (0 if last else vault.could_begin(text[-LONGEST_PLACEHOLDER - 40 :]))
        for start, end, new in vault.spans(text):
            if start >= done and end <= settled:
                out += text[done:start] + new
                done = end
        if settled > done:
            out += text[done:settled]
            done = settled
    return out


def cut(text: str, places: list[int]) -> list[str]:
    """The text, cut at these places."""
    bounds = [0, *sorted({place % (len(text) + 1) for place in places}), len(text)]
    return [text[a:b] for a, b in pairwise(bounds)]


SPELLINGS = {
    "as it was given": "<{0}_1_{1}>",
    "lower case": "<{2}_1_{1}>",
    "no brackets": "{0}_1_{1}",
    "upper case": "<{0}_1_{3}>",
    "square brackets": "[{0}_1_{1}]",
    "escaped square brackets": "\\[{0}_1_{1}\\]",
    "braces": "{{{0}_1_{1}}}",
    "a template": "{{{{{0}_1_{1}}}}}",
    "escaped for Markdown": "\\<{4}\\_1\\_{1}\\>",
    "a tag that ends itself": "<{0}_1_{1} />",
    "spaces in the brackets": "< {0}_1_{1} >",
    "spaces for underscores": "<{5} 1 {1}>",
    "hyphens for underscores": "<{6}-1-{1}>",
    "non-breaking hyphens": "<{0}\u20111\u2011{1}>",
    "a line break inside": "<{0}_1_\n{1}>",
    "full-width brackets": "\uff1c{0}_1_{1}\uff1e",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("entity", VALUES)
def test_a_placeholder_comes_back_however_a_model_spells_it(spelling: str, entity: str) -> None:
    """Case, brackets, escaping and word breaks are the model's; entity, number and suffix are ours and all there."""
    vault, given_out = filled()
    suffix = given_out[entity][-7:-1]
    form = SPELLINGS[spelling].format(
        entity, suffix, entity.lower(), suffix.upper(), entity.replace("_", "\\_"), entity.replace("_", " "),
        entity.replace("_", "-"),
    )  # fmt: skip
    for before, after in (
        ("", ""),
        ("**", "**"),
        ("`", "`"),
        ('"', '"'),
        ("(", ")"),
        ("Dear ", ", hello"),
        ("は", "は"),
    ):
        assert restored(vault, before + form + after) == before + VALUES[entity] + after


@pytest.mark.parametrize("ending", ["'s", "’s", "s", "es", "-like", ":", ".", "?", "_", "_2"])
def test_what_is_joined_to_a_placeholder_stays(ending: str) -> None:
    """A possessive, a plural and punctuation belong to the model's sentence."""
    vault, given_out = filled()
    placeholder = given_out["PERSON"]
    assert restored(vault, f"{placeholder}{ending} car") == f"Jane Roe{ending} car"
    assert restored(vault, f"{placeholder[1:-1]}{ending} car") == f"Jane Roe{ending} car"


@pytest.mark.parametrize(
    ("opened", "closed", "read"),
    [
        ("&lt;", "&gt;", html.unescape),
        ("&#60;", "&#62;", html.unescape),
        ("&#x3C;", "&#x3E;", html.unescape),
        ("&amp;lt;", "&amp;gt;", lambda text: html.unescape(html.unescape(text))),
        ("%3C", "%3E", unquote),
        ("%253c", "%253e", lambda text: unquote(unquote(text))),
        ("\\u003c", "\\u003e", lambda text: json.loads(f'"{text}"')),
        ("\\\\u003c", "\\\\u003e", lambda text: json.loads(f'"{json.loads(chr(34) + text + chr(34))}"')),
    ],
)
def test_a_value_is_spelled_as_its_placeholder_was(opened: str, closed: str, read: object) -> None:
    """Where the brackets are escaped for HTML, a URL or JSON, the value is, too: its reader reads the value itself."""
    value = 'O\'Neil & "Sons" <x>\n50 % \\ ü'
    vault = Vault()
    core = vault.placeholder("ORG", value)[1:-1]
    text = restored(vault, opened + core + closed)
    assert callable(read)
    assert text != value
    assert read(text) == value


def test_a_link_of_markdown_keeps_its_brackets() -> None:
    """Square brackets that have a meaning of their own are not the placeholder's."""
    vault, given_out = filled()
    core = given_out["PERSON"][1:-1]
    assert restored(vault, f"[{core}](https://x.example)") == "[Jane Roe](https://x.example)"


@pytest.mark.parametrize("form", ["<{}", "{}>", "[{}>", "<{}]", "<a title={}>", "{{{{{}"])
def test_a_bracket_without_its_like_is_no_bracket_of_a_placeholder(form: str) -> None:
    """What stands on one side only is the model's own, and stays."""
    vault, given_out = filled()
    assert restored(vault, form.format(given_out["PERSON"][1:-1])) == form.format("Jane Roe")


def test_a_backslash_before_a_placeholder_is_the_users() -> None:
    """A path ends in a backslash: it is no escape unless more of the placeholder is escaped."""
    vault, given_out = filled()
    assert restored(vault, f"C:\\Users\\{given_out['PERSON']}\\x") == "C:\\Users\\Jane Roe\\x"


def test_values_of_one_type_keep_apart_from_those_of_a_similar_name() -> None:
    """Numbers are counted under the name as it is read back: no spelling of one placeholder is one of another."""
    vault = Vault()
    pairs = [("ID", str(n)) for n in range(1, 25)] + [("ID_1", "a"), ("ID_1", "b"), ("ID__1", "c"), ("ID_1_", "d")]
    given_out = {vault.placeholder(entity, value): value for entity, value in pairs}
    assert len(given_out) == len(pairs)
    for placeholder, value in given_out.items():
        assert restored(vault, placeholder) == value
        assert restored(vault, placeholder[1:-1].lower().replace("_", " ")) == value


def forgeries(placeholder: str) -> list[str]:
    """Texts that are nearly this placeholder and are not it."""
    core, suffix = placeholder[1:-8], placeholder[-7:-1]
    other = suffix[:-1] + ("a" if suffix[-1] != "a" else "b")
    number = core.rindex("_")
    return [
        f"<{core}_{other}>",
        f"<{core}_{suffix[:-1]}>",
        f"<{core}_{suffix}a>",
        f"<{core}_{suffix}>"[::-1],
        f"<{core[:number]}_2_{suffix}>",
        f"<{core[:number]}_01_{suffix}>",
        f"<{core}1_{suffix}>",
        f"<{core[:number]}_{suffix}>",
        f"<{core}>",
        f"<X{core}_{suffix}>",
        f"<MY_{core}_{suffix}>",
        f"<{core.replace('_', '')}_{suffix}>",
        f"<{core}_{suffix[:3]}_{suffix[3:]}>",
        f"<{core[:-1]}\u00b9_{suffix}>",
        f"<{core.replace('E', 'Е')}_{suffix}>",  # a Cyrillic letter
        f"<{core.replace('1', '１')}_{suffix}>",  # a full-width digit
    ]


@pytest.mark.parametrize("number", range(16))
@pytest.mark.parametrize("entity", ["PERSON", "EMAIL_ADDRESS"])
def test_what_is_nearly_a_placeholder_stays_as_it_is(entity: str, number: int) -> None:
    """Another number, suffix, entity or script is no mangled placeholder: never the nearest, only the very one."""
    vault, given_out = filled()
    forged = forgeries(given_out[entity])[number]
    assert restored(vault, f"x {forged} y") == f"x {forged} y"


def test_a_name_that_ends_in_a_known_one_is_another_name() -> None:
    """``<EMAIL_ADDRESS_2_…>`` was never given: the address that the vault knows is not put there."""
    vault, given_out = filled()
    suffix = given_out["ADDRESS"][-7:-1]
    vault.placeholder("ADDRESS", "2 Side St")
    for forged in (f"<EMAIL_ADDRESS_2_{suffix}>", f"EMAIL ADDRESS 2 {suffix}", f"<IP_ADDRESS_1_{suffix}>"):
        assert restored(vault, forged) == forged


def test_a_letter_that_only_folds_to_one_of_ours_is_another_letter() -> None:
    """The Kelvin sign folds to k in Unicode; the suffix has to be the very characters."""
    vault = Vault()
    while "k" not in (placeholder := vault.placeholder("PERSON", "Jane"))[-7:-1]:
        vault = Vault()
    forged = placeholder[:-7] + placeholder[-7:].replace("k", "\u212a")
    assert restored(vault, f"İ {forged}") == f"İ {forged}"
    assert restored(vault, f"İ {placeholder.upper()}") == "İ Jane"


def test_restored_text_is_not_restored_again() -> None:
    """A value that looks like a placeholder of this very vault is a value."""
    vault = Vault()
    first = vault.placeholder("PERSON", "Jane")
    second = vault.placeholder("NOTE", first)
    assert restored(vault, second) == first


noise = st.text(st.sampled_from("pPeEaA_1 -<>[]{}&lt;\\u03c%ns\n(dixX."), max_size=14)


@st.composite
def answers(draw: st.DrawFn) -> tuple[Vault, str]:
    vault, given_out = filled()
    parts: list[str] = []
    for _ in range(draw(st.integers(1, 4))):
        entity = draw(st.sampled_from(sorted(VALUES)))
        suffix = given_out[entity][-7:-1]
        spelling = draw(st.sampled_from([*SPELLINGS.values(), "&lt;{0}_1_{1}&gt;", "%3C{0}_1_{1}%3e", "{0}_2_{1}"]))
        form = spelling.format(
            entity, suffix, entity.lower(), suffix.upper(), entity.replace("_", "\\_"), entity.replace("_", " "),
            entity.replace("_", "-"),
        )  # fmt: skip
        if draw(st.booleans()):
            at = draw(st.integers(0, len(form)))
            form = form[:at] + draw(noise) + form[at:]
        parts += (draw(noise), form, draw(noise))
    return vault, "".join(parts)


@settings(max_examples=400)
@given(made=answers(), places=st.lists(st.integers(0, 400), max_size=12))
def test_a_stream_is_restored_as_the_whole_is(made: tuple[Vault, str], places: list[int]) -> None:
    """However an answer is cut, and whatever stands around its placeholders, the pieces restore to the same text."""
    vault, text = made
    assert streamed(vault, cut(text, places)) == restored(vault, text)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_cut_of_every_spelling_restores_the_value(spelling: str) -> None:
    """Two pieces at any place, and single characters: the value comes back, and nothing of the placeholder before."""
    vault, given_out = filled()
    for entity, value in VALUES.items():
        suffix = given_out[entity][-7:-1]
        form = SPELLINGS[spelling].format(
            entity, suffix, entity.lower(), suffix.upper(), entity.replace("_", "\\_"), entity.replace("_", " "),
            entity.replace("_", "-"),
        )  # fmt: skip
        text = f"To {form}, hello"
        assert streamed(vault, list(text)) == f"To {value}, hello"
        for place in range(len(text)):
            assert streamed(vault, [text[:place], text[place:]]) == f"To {value}, hello"


@given(text=st.text(max_size=400))
@example("<" * 500)
@example("PERSON_1_" * 60)
@example("\\" * 300)
def test_what_is_held_back_is_bounded(text: str) -> None:
    """A stream waits for at most the longest placeholder, and for nothing where no value is kept."""
    vault, _ = filled()
    assert 0 <= vault.could_begin(text) <= min(len(text), LONGEST_PLACEHOLDER)
    assert Vault().could_begin(text) == 0


def test_prose_is_held_back_by_a_word_at_most() -> None:
    """Only what may still become a name of the vault waits: text without one leaves with its piece."""
    vault, _ = filled()
    assert vault.could_begin("The weather is fine.") == 0
    assert vault.could_begin("a < b and c") == 0
    assert vault.could_begin("a pers") == 4
    assert vault.could_begin("a <EMA") == 4


def test_a_text_full_of_suffixes_costs_no_more_than_its_length() -> None:
    """A model that repeats the suffix a hundred thousand times does not hold anybody up: work per suffix is bounded."""
    vault, given_out = filled()
    suffix = given_out["PERSON"][-7:-1]
    text = f"_{suffix}" * 20_000 + given_out["PERSON"]
    assert [new for _, _, new in vault.spans(text)] == ["Jane Roe"]


@given(seed=st.integers(0, 10_000))
def test_the_suffix_is_in_no_text_in_any_case(seed: int) -> None:
    """Also what a user wrote in capitals cannot be the suffix of his exchange."""
    dice = random.Random(seed)
    texts = ["".join(dice.choices("ABCDEFGHIJKMNPQRSTUVWXYZ23456789", k=2000))]
    suffix = Vault(texts).placeholder("PERSON", "x")[-7:-1]
    assert suffix.upper() not in texts[0]


HARD = 'Joe "Hog" O\\Neil\n1 Main St\t<a&b>'


@pytest.mark.parametrize(
    "place", ['{{"name": "{}", "n": [1]}}', '[{{"a": "x \\" {}"}}, "{}"]', ' {{ "{}": {{"b": "\\\\ {}"}} }}']
)
@pytest.mark.parametrize("fenced", [False, True])
def test_a_value_in_a_json_answer_leaves_it_valid_json(place: str, fenced: bool) -> None:
    """Structured output is text for the API: quotation marks and line breaks of a value are escaped in its strings."""
    vault = Vault()
    placeholder = vault.placeholder("PERSON", HARD)
    document = place.format(placeholder, placeholder)
    expected = json.loads(document.replace(placeholder, "@"))
    text = f'Here:\n\n```json\n{document}\n```\n"{placeholder}"' if fenced else document
    back = restored(vault, text)
    if fenced:
        body, _, after = back.partition("```json\n")[2].partition("\n```\n")
        assert after == f'"{HARD}"'
    else:
        body = back
    assert json.loads(body) == json.loads(json.dumps(expected).replace("@", json.dumps(HARD)[1:-1]))
    assert streamed(vault, list(text)) == back


def test_quotation_marks_of_prose_are_no_json() -> None:
    """A sentence that quotes somebody holds the value as it is."""
    vault = Vault()
    placeholder = vault.placeholder("PERSON", HARD)
    for text in ('She said "{}".', '[1] "{}"', '{{x}} "{}"', '{{"a": 1}} and "{}"', '```\n"{}"\n```'):
        assert restored(vault, text.format(placeholder)) == text.format(HARD)


jsonish = st.text(st.sampled_from('{}[]"\\`json 1,:x\n'), max_size=40)


@settings(max_examples=300)
@given(text=jsonish, cuts=st.lists(st.integers(0, 40), max_size=6))
def test_where_a_place_stands_does_not_depend_on_the_cut(text: str, cuts: list[int]) -> None:
    """Whether the end of a text lies in a JSON string is told alike however the text arrived."""
    whole, pieces = Standing(), Standing()
    whole.feed(text)
    for piece in cut(text, cuts):
        pieces.feed(piece)
    after = '"{x}`'
    places = list(range(len(after)))
    assert pieces.inside(after, places) == whole.inside(after, places)


def test_a_placeholder_in_markup_is_escaped_once() -> None:
    """The writer of HTML escapes what is new: a value whose placeholder was escaped already is not escaped twice."""
    vault = Vault()
    core = vault.placeholder("ORG", "A & B")[1:-1]
    assert vault.spans(f"&lt;{core}&gt;", markup=True)[0][2] == "A & B"
    assert vault.spans(f"&amp;lt;{core}&amp;gt;", markup=True)[0][2] == "A &amp; B"
