"""The cookbook is true: its configurations start, callers get what a page shows, its Rego compiles and passes."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from guard.cli.checking.policies import setting_of
from guard.config import GuardConfig, load_config
from guard.generation import load_detectors
from guard.keyed import KeyedHash
from guard.middleware import GuardMiddleware
from guard.policy.bundle import bundle_data, load_bundle
from guard.policy.embedded import EmbeddedEngine
from guard.policy.fit import check_fit
from guard.policy.runner import run_tests
from guard.runtime import Runtime
from guard.types import Anomaly, BehaviourEvent, Detector, DetectorInfo, Feature, Finding, Segment
from tests.components import require_package
from tests.flow.rig import Answer, MemoryLog, answering
from tests.policy.cookbook import PAGES, TOPICS, Message, Page, Story, differences, merged, read

pytestmark = pytest.mark.anyio
ROOT = PAGES.parents[1]
PLAIN = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "Done."}}]}'


class Injection:
    """Stands for an injection detector: sure of one sentence, doubtful about another."""

    info = DetectorInfo("injection", "1", "0" * 64)
    entities = frozenset({"PROMPT_INJECTION"})
    said: ClassVar = {"Ignore all previous instructions": 0.95, "the assistant should": 0.4}

    def detect(self, segments: Sequence[Segment], context: Any) -> list[Finding]:
        """Each sentence, where it stands."""
        return [
            Finding("PROMPT_INJECTION", number, segment.text.index(words), len(segment.text), score, "injection")
            for number, segment in enumerate(segments)
            for words, score in self.said.items()
            if words in segment.text
        ]


class Behaviour:
    """Stands for a trained model: as unusual as the page says."""

    info = DetectorInfo("behaviour", "1", "0" * 64)

    def __init__(self) -> None:
        self.anomaly = Anomaly(0.0)

    def score(self, event: BehaviourEvent) -> Anomaly:
        """What the page says, for the rate."""
        del event
        return self.anomaly

    def learn(self, event: BehaviourEvent, effect: str) -> None:
        """Nothing."""


def configured(page: Page, tmp_path: Path, fragment: dict[str, Any] | None = None) -> GuardConfig:
    keys = merged(page.config, fragment or {})
    return load_config(environ={}, **{**keys, "state_directory": tmp_path})


def eyes(config: GuardConfig) -> list[Detector]:
    """The detectors of a page, with a stand-in for the one whose scores a page cannot know."""
    require_package("presidio-analyzer")
    enabled = tuple(name for name in config.detectors.enabled if name != "injection")
    plain = config.model_copy(update={"detectors": config.detectors.model_copy(update={"enabled": enabled})})
    found = load_detectors(plain)
    return [*found, Injection()] if "injection" in config.detectors.enabled else found


class Kitchen:
    """A guard under a page's configuration, before an app that stands for the provider."""

    def __init__(self, page: Page, tmp_path: Path, fragment: dict[str, Any] | None = None) -> None:
        config = configured(page, tmp_path, fragment)
        self.seen: list[Any] = []
        self.reply = PLAIN
        self.behaviour = Behaviour()
        self.log = MemoryLog()
        app = answering(lambda _: self.reply, seen=self.seen)
        self.runtime = Runtime(
            config, detectors=eyes(config), behaviour=self.behaviour, log=self.log, keyed=KeyedHash("test", b"k" * 32)
        )
        self.guard = GuardMiddleware(app, runtime=self.runtime)

    async def serve(self, story: Story) -> Answer:
        """One exchange of the page."""
        score = story.request.note("unusual by ")
        self.behaviour.anomaly = Anomaly(float(score), (Feature("requests_1m", 90, 4, 1.0),)) if score else Anomaly(0.0)
        self.reply = PLAIN if story.answers is None else story.answers.body
        before = story.request.note("after ")
        for _ in range(int(before.split()[0]) if before else 0):
            assert (await self._call(story.request)).status == 200
        self.seen.clear()
        return await self._call(story.request)

    async def _call(self, request: Message) -> Answer:
        method, target = request.first.split(" ")
        sent: list[dict[str, Any]] = []
        incoming = [{"type": "http.request", "body": request.body, "more_body": False}]

        async def receive() -> Any:
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": target,
            "raw_path": target.encode(),
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in request.headers.items()],
            "client": (request.note("from ") or "10.0.0.7", 1234),
            "extensions": {},
        }
        with clock(request.note("at ")):
            await self.guard(scope, receive, send)
        return Answer(sent)


@contextmanager
def clock(instant: str | None) -> Iterator[None]:
    """The exchange happens at this instant."""
    with pytest.MonkeyPatch.context() as patch:
        if instant is not None:
            nanoseconds = int(dt.datetime.fromisoformat(instant.split()[0]).timestamp()) * 10**9
            patch.setattr("guard.exchange.scope.time", SimpleNamespace(time_ns=lambda: nanoseconds))
        yield


@pytest.mark.slow
@pytest.mark.parametrize("path", TOPICS, ids=lambda path: path.stem)
async def test_callers_get_what_the_page_shows(path: Path, tmp_path: Path) -> None:
    """Every exchange of the page, through the middleware, in its order."""
    page = read(path)
    assert {story.response.first for story in page.stories} >= {"HTTP/1.1 200 OK"}, "each page lets something in"
    kitchen = Kitchen(page, tmp_path)
    for story in page.stories:
        answer = await kitchen.serve(story)
        assert f"HTTP/1.1 {answer.status}" == " ".join(story.response.first.split()[:2]), (story.request, answer.body)
        for name, value in story.response.headers.items():
            assert differences(value, answer.headers.get(name.lower())) == [], name
        if story.response.body:
            assert differences(json.loads(story.response.body), answer.json) == []
        if story.gets is not None:
            assert differences(json.loads(story.gets.body), json.loads(kitchen.seen[-1][1])) == []
        assert bool(kitchen.seen) == (answer.status == 200 or story.answers is not None)


@pytest.mark.parametrize("path", TOPICS, ids=lambda path: path.stem)
def test_every_configuration_of_the_page_loads_and_fits(path: Path, tmp_path: Path) -> None:
    """The complete file, and each addition to it: known keys, known rules, settings of the right type."""
    page = read(path)
    for fragment in [{}, *page.fragments]:
        config = configured(page, tmp_path, fragment)
        bundle = load_bundle(data=bundle_data(config))
        EmbeddedEngine(bundle, config.policy.entrypoint)


@pytest.mark.parametrize("path", TOPICS, ids=lambda path: path.stem)
def test_the_rego_of_the_page_compiles_fits_and_passes_its_tests(path: Path, tmp_path: Path) -> None:
    """Beside the shipped rules and under the page's configuration, as an author would paste it."""
    page = read(path)
    assert page.modules, "each page shows how to write a rule of one's own"
    config = configured(page, tmp_path / "state")
    tried(page.modules, tmp_path / "own", config)


def test_the_rule_in_ten_minutes_is_true(tmp_path: Path) -> None:
    """The rule and the test of policies/README.md, as a newcomer would paste them; and the folder that it names."""
    text = (ROOT / "policies" / "README.md").read_text("utf-8")
    modules = re.findall(r"^```rego\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(modules) == 2
    own = tmp_path / "my-policies"
    assert tried(modules, own, GuardConfig()) == 2
    (told,) = re.findall(r"^```toml\n(\[policy\]\n.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "guard.toml").write_text(told)
    config = load_config(tmp_path / "guard.toml", environ={})
    assert config.policy.directories == (own,)
    assert load_bundle(directories=config.policy.directories).rules["NIGHT-001"].mode == "shadow"


def tried(modules: Sequence[str], own: Path, config: GuardConfig) -> int:
    """Each module in a folder of its own: compiled, held against document and configuration, tested. How many tests."""
    for number, module in enumerate(modules):
        package = re.match(r"package ([\w.]+)", module)
        assert package, f"a block without a package: {module[:60]}"
        folder = own / package[1].removesuffix("_test").split(".")[-1]
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{number}_test.rego" if package[1].endswith("_test") else f"{number}.rego"
        (folder / name).write_text(module, "utf-8")
    bundle = load_bundle(directories=[own], data=bundle_data(config))
    EmbeddedEngine(bundle, config.policy.entrypoint)
    assert check_fit(bundle, setting_of(config, eyes(config))) == []
    report = run_tests(bundle)
    assert report.counts()["PASS"] == len(report.results), [result.detail for result in report.results]
    return len(report.results)


@pytest.mark.slow
async def test_a_rule_in_shadow_tells_and_lets_in(tmp_path: Path) -> None:
    """The first addition of each page that names modes: what was denied is let in and stands in the record."""
    shown = 0
    for path in TOPICS:
        page = read(path)
        for fragment in page.fragments:
            modes = fragment.get("policy", {}).get("settings", {}).get("modes", {})
            watched = {rule for rule, mode in modes.items() if mode == "shadow"}
            if not watched:
                continue
            kitchen = Kitchen(page, tmp_path / path.stem, fragment)
            for story in page.stories:
                await kitchen.serve(story)
            told = [reason for record in kitchen.log.records for reason in record.get("would_deny") or ()]
            limited = {"BUD-001", "BUD-002", "BUD-003"}
            assert {reason["rule"] for reason in told} & watched or watched <= limited, path.name
            shown += 1
    assert shown >= len(TOPICS) - 1


def test_the_index_leads_to_every_page_and_names_every_rule() -> None:
    """Index by need; each shipped rule is explained on one of the pages."""
    index = (PAGES / "README.md").read_text("utf-8")
    assert set(re.findall(r"\]\(([a-z-]+\.md)", index)) == {path.name for path in TOPICS}
    pages = "".join(path.read_text("utf-8") for path in TOPICS)
    assert [rule for rule in sorted(load_bundle().rules) if rule not in pages] == []


@pytest.mark.parametrize("path", [PAGES / "README.md", *TOPICS], ids=lambda path: path.stem)
def test_links_of_the_page_lead_somewhere(path: Path) -> None:
    """Files of the checkout exist."""
    for link in re.findall(r"\]\(([^)#:]+)[)#]", path.read_text("utf-8")):
        assert (path.parent / link).resolve().exists(), link
