"""Intent: what a request asks for, by facts and by words, and how it reaches the policies and the record."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.intent import IntentClassifier, IntentOptions
from detectors.intent.model import HEAD, LEARNED, TAIL, shipped_lexicon, shortened, task_of
from detectors.intent.stored import load, save
from detectors.intent.training.evaluate import evaluate, table
from detectors.intent.training.train import SEED, examples, shipped_grammar, train
from guard.errors import ConfigError
from guard.types import DetectorInfo, Facts, Intent, IntentModel, Named, Segment
from tests.flow.rig import Rig, answering, chat

DOCS = Path(__file__).parents[2] / "docs"
SHIPPED = Path(__file__).parents[2] / "detectors" / "intent" / "model.npz"
CLASSIFIER = IntentClassifier()
CALL = Facts(operation="chat", messages=1, tokens_estimate=50)

TEXTS = {
    "code": "Write a Python function that merges two sorted lists, with unit tests.",
    "maths": "Tom has 24 apples and gives away a third of them. How many are left?",
    "summarise": "Summarise this article in three sentences: The council met on Monday. Nothing was decided.",
    "translate": "Translate the following sentence into Spanish: The train is late again.",
    "extract": "Extract all names and dates as JSON.\nAnna Berg, invoice A-17, 3 May\nTom Hall, invoice B-20, 9 June",
    "chat": "Can you recommend a restaurant for a rainy evening with my sister?",
}


def user(text: str, pointer: str = "/messages/0/content") -> Segment:
    """A message of the user."""
    return Segment.of(text, pointer, "user")


@pytest.mark.parametrize("name", LEARNED)
def test_requests_are_told_apart_by_their_words(name: str) -> None:
    """A plain request of each kind gets its name, with a score above one half."""
    intent = CLASSIFIER.classify([user(TEXTS[name])], CALL)
    assert intent is not None
    assert (intent.name, intent.score > 0.5) == (name, True)


def test_facts_come_before_words() -> None:
    """Offered tools make ``tool_use``, a long body ``long_context``; both are certain, and options."""
    tools = msgspec.structs.replace(CALL, tools=(Named("search", "/tools/0"),))
    long = msgspec.structs.replace(CALL, tokens_estimate=16_000)
    asked = [user(TEXTS["code"])]
    told = [CLASSIFIER.classify(asked, facts) for facts in (tools, long)]
    assert [(intent.name, intent.score) for intent in told if intent] == [("tool_use", 1.0), ("long_context", 1.0)]
    other = IntentClassifier(tool_use=False, long_context_tokens=16_001)
    assert [i.name for facts in (tools, long) if (i := other.classify(asked, facts))] == ["code", "code"]


@pytest.mark.parametrize("text", ["\ud800 hello, what is it?", "write \udfff\udc00 a poem", "\U000e0041 tags"])
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    """Half of a surrogate pair is a sign like any other: the model fails for no text."""
    intent = CLASSIFIER.classify([user(text)], CALL)
    assert intent is not None
    assert intent.name in LEARNED


def test_without_a_call_or_words_there_is_no_intent() -> None:
    """Bodies of no shape, and calls without a word of a user, get none: nothing is guessed."""
    assert CLASSIFIER.classify([user(TEXTS["code"])], Facts()) is None
    assert CLASSIFIER.classify([Segment.of("Be brief.", "/messages/0/content", "system")], CALL) is None
    assert CLASSIFIER.classify([user(" ?! ")], CALL) is None


def test_the_last_message_of_the_user_counts() -> None:
    """Earlier messages, the assistant's and a tool's are not read; the parts of the last message are, together."""
    segments = [
        user("Write a Python function.", "/messages/0/content"),
        Segment.of("def f(): pass", "/messages/1/content", "assistant"),
        user("Translate into Spanish:", "/messages/2/content/0/text"),
        user("The train is late.", "/messages/2/content/1/text"),
        Segment.of("import os", "/messages/3/content", "tool"),
    ]
    assert task_of(segments) == "Translate into Spanish:\nThe train is late."


@given(st.text(max_size=3_000))
def test_any_text_is_answered_within_bounds(text: str) -> None:
    """Whatever is written: a known name, numbers within 0..1, the same again, and no more than so much is read."""
    intent = CLASSIFIER.classify([user(text)], CALL)
    assert intent == CLASSIFIER.classify([user(text)], CALL)
    assert len(shortened(text)) <= HEAD + TAIL + 1
    if intent is not None:
        assert intent.name in LEARNED
        assert 0.0 <= intent.score <= 1.0
        assert 0.0 <= intent.difficulty <= 1.0


def test_difficulty_follows_the_wording() -> None:
    """A proof or a design reads harder than a sum or a one-liner."""
    easy = ["What is 12 plus 30?", "Write a simple Python function that reverses a string."]
    hard = [
        "Prove rigorously that a continuous function on a compact set is uniformly continuous.",
        "Design a fault-tolerant distributed scheduler in Rust, with replication, and discuss the trade-offs.",
    ]
    told = [CLASSIFIER.classify_text(text) for text in (*easy, *hard)]
    difficulties = [intent.difficulty for intent in told if intent]
    assert max(difficulties[:2]) < 0.3
    assert min(difficulties[2:]) > 0.7


def test_threads_and_copies_agree() -> None:
    """Eight threads, and a copy that went through pickle, say what one says."""
    copy = pickle.loads(pickle.dumps(CLASSIFIER))
    assert copy.info == CLASSIFIER.info
    expected = [CLASSIFIER.classify_text(text) for text in TEXTS.values()]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(CLASSIFIER.classify_text, TEXTS.values())) == expected
    assert [copy.classify_text(text) for text in TEXTS.values()] == expected
    assert isinstance(copy, IntentModel)


def test_training_is_reproducible_and_generalises(tmp_path: Path) -> None:
    """The same seed gives the same file; trained on three quarters of the templates it names most of the fourth."""
    lexicon = shipped_lexicon()
    weights = [train(list(examples(shipped_grammar({1, 2, 3}), 300, SEED)), lexicon) for _ in range(2)]
    digests = {save(tmp_path / f"{at}.npz", one, lexicon, {}) for at, one in enumerate(weights)}
    assert len(digests) == 1
    unseen = [(made.text, made.label) for made in examples(shipped_grammar({0}), 60, SEED + 1)]
    quality = evaluate(weights[0], lexicon, unseen)
    assert quality.accuracy > 0.75
    assert int(quality.confusion.sum()) == len(unseen)
    assert table(quality).count("\n") == len(LEARNED) + 1


def test_a_stored_model_is_the_model(tmp_path: Path) -> None:
    """Weights survive the file within half a step; a damaged file, or another lexicon's, is refused with its place."""
    lexicon = shipped_lexicon()
    stored = load(SHIPPED, lexicon)
    weights, digest = stored.weights, stored.digest
    assert save(tmp_path / "again.npz", weights, lexicon, {}) == digest
    again = load(tmp_path / "again.npz", lexicon).weights
    assert np.allclose(again.classes, weights.classes)
    (tmp_path / "again.npz").write_bytes(SHIPPED.read_bytes()[:-9])
    with pytest.raises(ConfigError, match=r"again\.npz"):
        IntentClassifier(model=str(tmp_path / "again.npz"))
    card = json.loads(SHIPPED.with_suffix(".json").read_text("utf-8"))
    (tmp_path / "other.npz").write_bytes(SHIPPED.read_bytes())
    (tmp_path / "other.json").write_text(json.dumps({**card, "lexicon_sha256": "0" * 64}))
    with pytest.raises(ConfigError, match="another lexicon"):
        IntentClassifier(model=str(tmp_path / "other.npz"))


def test_misspelled_options_are_refused() -> None:
    """The error names what was meant."""
    with pytest.raises(ConfigError, match="long_context_tokens"):
        IntentClassifier(long_context_token=3)
    assert IntentClassifier(tool_use=False).info.digest != CLASSIFIER.info.digest


def test_the_pages_name_everything() -> None:
    """Options stand in docs/configuration.md, names in docs/intent.md."""
    page = (DOCS / "configuration.md").read_text("utf-8")
    assert [f.name for f in msgspec.structs.fields(IntentOptions) if f"`{f.name}`" not in page] == []
    page = (DOCS / "intent.md").read_text("utf-8")
    assert [name for name in (*LEARNED, "tool_use", "long_context") if f"`{name}`" not in page] == []


class Broken:
    """An intent model that raises."""

    info = DetectorInfo("broken", "1", "0" * 64)

    def classify(self, segments: Any, facts: Facts) -> Intent | None:
        """Never answers."""
        raise RuntimeError("no")


@pytest.mark.anyio
async def test_policies_and_the_record_see_it(tmp_path: Path) -> None:
    """``ai.intent`` is an object in the document; the record keeps thousandths, and the model among the detectors."""
    rig = Rig(tmp_path, answering(b"{}"), detectors=[], intent=CLASSIFIER)
    await rig.call(body=chat(TEXTS["code"]))
    seen = rig.engine.documents[0]["ai"]["intent"]
    (record,) = [record for record in rig.log.records if record["kind"] == "decision"]
    kept = record["policy_input"]["ai"]["intent"]
    assert seen["name"] == kept["name"] == "code"
    assert (kept["score"], kept["difficulty"]) == (round(seen["score"] * 1000), round(seen["difficulty"] * 1000))
    assert [(d["name"], d["outcome"]) for d in record["detectors"]] == [("intent", "ok")]
    assert rig.engine.documents[1]["ai"]["intent"] == seen


@pytest.mark.anyio
async def test_without_a_model_the_field_is_there(tmp_path: Path) -> None:
    """A rule that looks at the name sees null, never an undefined reference."""
    rig = Rig(tmp_path, answering(b"{}"), detectors=[])
    await rig.call(body=chat(TEXTS["code"]))
    assert rig.engine.documents[0]["ai"]["intent"] == {"name": None, "score": 0.0, "difficulty": 0.0}


@pytest.mark.anyio
async def test_a_model_that_fails_is_a_gap(tmp_path: Path) -> None:
    """Rules about the intent would not hold: coverage says ``error``, which GUARD-001 denies."""
    rig = Rig(tmp_path, answering(b"{}"), detectors=[], intent=Broken())
    await rig.call(body=chat(TEXTS["code"]))
    document = rig.engine.documents[0]
    assert document["coverage"]["incomplete"] == [{"detector": "broken", "reason": "error"}]
    assert document["ai"]["intent"]["name"] is None
