"""``guard doctor``: every way in which an installation is broken has a verdict, a place and a mend."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount

from guard.cli import main
from guard.cli.diagnosis import configuration, engine, host, installation, mounting, servers, state
from guard.cli.diagnosis.check import Check
from guard.cli.diagnosis.log_tail import Tail, TailBad, read_tail
from guard.config import GuardConfig, load_config
from guard.middleware import GuardMiddleware
from guard.record.keys import load_or_create_keys
from guard.record.log import SignedLog
from guard.runtime import bundle_of
from tests.policy.servers import answer, free_url, misbehaving

# The detectors of a run, where a test is not about them: one that loads in no time.
LIGHT = ("GUARD_DETECTORS__ENABLED", '["secrets"]')


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, and no GUARD_* of the machine."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GUARD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(*LIGHT)
    monkeypatch.setattr(state, "file_system", lambda _: "ext4")
    monkeypatch.setattr(state, "kernel_clock", lambda: 0)


def examined(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, str]]]:
    """The exit code and the checks of one run."""
    code = main(["doctor", "--json", *arguments])
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] in {"ok", "warning", "problem"}
    return code, report["checks"]


def bad(checks: list[dict[str, str]], name: str) -> list[dict[str, str]]:
    """The checks of this name that are not well."""
    found = [check for check in checks if check["check"] == name and check["verdict"] != "ok"]
    assert all(check["mend"] for check in found), found
    return found


# --- the command ----------------------------------------------------------------------------------------------------


def test_a_sound_installation_is_well_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Diagnosis changes nothing: no key, no log, no directory comes into being."""
    code, checks = examined(capsys)
    assert code == 0
    assert {check["verdict"] for check in checks} == {"ok"}
    names = {check["check"] for check in checks}
    assert {"package guard", "versions", "google-re2", "configuration", "policies", "engine", "detectors"} <= names
    assert {"state directory", "disk space", "keys", "log", "clock", "servers"} <= names
    assert list(tmp_path.iterdir()) == []


def test_warnings_leave_the_exit_code_at_zero_and_problems_make_it_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script may go on after a warning, not after a problem."""
    (tmp_path / "guard.toml").write_text('[[routes]]\npath = "/**"\nprovider = "nobody"\n')
    assert examined(capsys)[0] == 0
    (tmp_path / "guard.toml").write_text("[limit]\n")
    code, checks = examined(capsys)
    assert code == 1
    (problem,) = bad(checks, "configuration")
    assert "unknown key 'limit'" in problem["what"]


def test_a_wrong_flag_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3 for what the caller typed wrong."""
    assert main(["doctor", "--nonsense"]) == 3
    assert main(["doctor", "--app", "no_colon"]) == 3
    assert "module:attribute" in capsys.readouterr().err


def test_a_configuration_that_was_named_must_exist(capsys: pytest.CaptureFixture[str]) -> None:
    """Diagnosing the defaults in its place would be a diagnosis of something else."""
    code, checks = examined(capsys, "--config", "missing.toml")
    assert code == 1
    assert bad(checks, "configuration")[0]["where"] == "missing.toml"


def test_the_report_fits_eighty_columns_without_colour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Piped into a ticket it stays readable; problems stand last, each with its place and its mend."""
    monkeypatch.delenv(LIGHT[0])
    (tmp_path / "guard.toml").write_text('[[routes]]\npath = "/**"\nprovider = "nobody"\n[detectors]\nenabled=["x"]\n')
    assert main(["doctor", "--config", "guard.toml"]) == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert all(len(line) <= 80 for line in said.splitlines() if str(tmp_path) not in line)
    assert re.search(r"^problem  detectors: no detector is called 'x'$", said, re.MULTILINE)
    assert re.search(r"^ {9}mend:  known: ", said, re.MULTILINE)
    assert said.index("warning  ") < said.index("problem  ")
    assert re.search(r"^\d+ ok, 1 warning, 1 problem$", said, re.MULTILINE)


# --- the installation -----------------------------------------------------------------------------------------------


def installed(directory: Path, name: str, version: str, *, packages: str = "", requires: str = "") -> None:
    """A distribution, as far as its metadata goes."""
    info = directory / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    required = f"Requires-Dist: {requires}\n" if requires else ""
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}")
    if packages:
        (info / "top_level.txt").write_text(packages)


@pytest.mark.parametrize("package", ["guard", "detectors"])
def test_two_owners_of_an_import_package(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An installer overwrites the files of one with the other's in silence; fastapi-guard installs ``guard``."""
    installed(tmp_path / "site", "fastapi-guard", "8.1.2", packages=f"{package}\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    code, checks = examined(capsys)
    assert code == 1
    (problem,) = bad(checks, f"package {package}")
    assert "fastapi-guard" in problem["what"]
    assert "pip uninstall fastapi-guard" in problem["mend"]


def test_a_requirement_that_is_not_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old library that something else pinned is told with who requires what, and what is there."""
    installed(tmp_path / "site", "starlette", "0.27.0")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    # The first on the path is the one that is imported, and so the one that counts.
    found = [check for check in installation.check_versions() if "starlette" in check.what]
    assert found, "starlette 0.27.0 went unnoticed"
    assert all(check.verdict == "problem" for check in found)
    assert any("policy-guard requires starlette>=1.0, installed is 0.27.0" in check.what for check in found)


def re2_like(monkeypatch: pytest.MonkeyPatch, **names: Any) -> Check:
    """The verdict on another module called re2."""
    module = ModuleType("re2")
    vars(module).update(names)
    monkeypatch.setitem(sys.modules, "re2", module)
    return installation.check_re2()


def test_a_regular_expression_engine_that_is_not_re2(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of that name that backtracks would let one prompt hold the process; it is never given such a text."""
    assert installation.check_re2().verdict == "ok"

    class Options:
        log_errors = True

    backtracking = {"compile": lambda pattern, _=None: re.compile(pattern), "error": re.error, "Options": Options}
    taking = re2_like(monkeypatch, **backtracking)
    assert (taking.verdict, "back-references" in taking.what) == ("problem", True)
    empty = re2_like(monkeypatch)
    assert (empty.verdict, "AttributeError" in empty.what) == ("problem", True)
    assert "google-re2" in empty.mend


# --- configuration and policies -------------------------------------------------------------------------------------


def test_a_configuration_that_others_may_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever may write guard.toml or a policy decides what passes."""
    assert main(["init"]) == 0
    capsys.readouterr()
    (tmp_path / "guard.toml").chmod(0o666)
    rule = tmp_path / "policies/guard/rules/example/example.rego"
    rule.chmod(0o664)
    code, checks = examined(capsys)
    assert code == 1
    assert bad(checks, "configuration file")[0]["verdict"] == "problem"
    found = {check["where"]: check["verdict"] for check in bad(checks, "policy files")}
    assert found["policies/guard/rules/example/example.rego"] == "warning"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[detectors.options.pii]\nvault_token = "s3cr3t"\n', "detectors.options.pii.vault_token"),
        ('[policy.settings]\nmirror = "https://user:pass@host/x"\n', "policy.settings.mirror"),
    ],
)
def test_secrets_in_a_file_that_others_may_read(
    text: str, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A password in a readable guard.toml is everybody's; the value itself is never printed."""
    file = tmp_path / "guard.toml"
    file.write_text(
        "[detectors]\nenabled = []\nbehaviour = ''\n" + text + "[policy]\nshipped = true\n" * (key[0] == "d")
    )
    file.chmod(0o644)
    _, checks = examined(capsys)
    (problem,) = bad(checks, "secrets")
    assert key in problem["what"]
    assert "s3cr3t" not in json.dumps(checks)
    assert "user:pass" not in problem["what"]
    file.chmod(0o600)
    assert not bad(examined(capsys)[1], "secrets")


def test_hashes_and_names_of_files_are_no_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No false alarm over the hash of an API key, or over the place of a token."""
    digest = "sha256:" + "0" * 64
    text = f'[[identity.api_keys]]\nid = "ci"\nhash = "{digest}"\n[policy.opa]\ntoken_file = "/run/token"\n'
    (tmp_path / "guard.toml").write_text(text)
    (tmp_path / "guard.toml").chmod(0o644)
    assert not [check for check in examined(capsys)[1] if check["check"] == "secrets"]


def test_policies_that_do_not_compile_or_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken rule, a setting that nothing reads and an entrypoint that nothing defines, each with its place."""
    assert main(["init"]) == 0
    capsys.readouterr()
    rule = tmp_path / "policies/guard/rules/example/example.rego"
    good = rule.read_text()
    rule.write_text(good.replace("null", "nul("))
    assert "example.rego:" in bad(examined(capsys)[1], "policies")[0]["where"]
    rule.write_text(good)
    with (tmp_path / "guard.toml").open("a") as file:
        file.write('entrypoint = "data.guard.decisions"\n')
    assert "did you mean data.guard.decision" in bad(examined(capsys)[1], "policies")[0]["what"]
    (tmp_path / "guard.toml").write_text("[policy.settings]\nmax_token = 1\n")
    assert "max_token" in bad(examined(capsys)[1], "policies")[0]["what"]


def test_metrics_without_their_library_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Health asked for and no library for its metrics: no fault, but said with what would bring them."""
    quiet, asked = load_config(), load_config(health_path="/guard/health")
    assert list(configuration.check_extras(quiet)) == []
    (there,) = configuration.check_extras(asked)
    assert (there.verdict, there.what) == ("ok", "/guard/health/metrics answers Prometheus")
    monkeypatch.setattr(configuration, "find_spec", lambda _name: None)
    (missing,) = configuration.check_extras(asked)
    assert missing.verdict == "ok"
    assert "pip install 'policy-guard[metrics]'" in missing.what


def test_routes_that_do_not_do_what_they_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An entry that is never reached, a provider that nobody described, and a guard that is switched off."""
    text = '[[routes]]\npath = "/**"\ninspect = false\n[[routes]]\npath = "/v1/**"\nprovider = "eu"\n'
    (tmp_path / "guard.toml").write_text(text)
    said = [check["what"] for check in bad(examined(capsys)[1], "routes")]
    assert any("/v1/** is never reached: routes[0] /** takes its requests before" in what for what in said)
    assert any("'eu' is not described" in what for what in said)
    assert any("everything is excluded" in what for what in said)


def test_each_detector_is_tried_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is missing and one that does not take its options are both told."""
    monkeypatch.delenv(LIGHT[0])
    text = '[detectors]\nenabled = ["telepathy", "secrets", "pii"]\n[detectors.options.pii]\nthresholdd = 1\n'
    (tmp_path / "guard.toml").write_text(text)
    code, checks = examined(capsys)
    assert code == 1
    said = [check["what"] for check in bad(checks, "detectors")]
    assert any("telepathy" in what for what in said)
    assert "unknown option 'thresholdd'" in said


def test_detectors_that_are_slower_than_they_could_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a detector says about its speed is a warning, with its mend."""
    monkeypatch.delenv(LIGHT[0])
    monkeypatch.setattr("detectors.common.automata.DEGRADED", "google-re2 is not installed: slower")
    (tmp_path / "guard.toml").write_text('[detectors]\nenabled = ["secrets"]\n')
    (check,) = bad(examined(capsys)[1], "detectors")
    assert (check["verdict"], check["what"]) == ("warning", "secrets: google-re2 is not installed: slower")
    assert check["mend"] == "pip install google-re2"


# --- the engine -----------------------------------------------------------------------------------------------------


def asked(url: str) -> list[Check]:
    """The verdict on an OPA server."""
    config = load_config(environ={}, policy={"engine": "opa", "opa": {"url": url}})
    return list(engine.check_engine(config, bundle_of(config)))


def test_an_engine_that_does_not_answer() -> None:
    """No server, no decision: every request would be answered 503."""
    (check,) = asked(free_url())
    assert (check.verdict, "503" in check.mend) == ("problem", True)


@pytest.mark.anyio
async def test_an_engine_without_the_policies() -> None:
    """A server that knows no entrypoint denies everything, and says so before the first request does."""
    async with misbehaving(answer(b"{}")) as server:
        checks = await asyncio.to_thread(asked, server.url)
    assert checks[-1].verdict == "problem"
    assert "undefined: every request is denied" in checks[-1].what
    assert "guard policy push" in checks[-1].mend


@pytest.mark.anyio
async def test_an_engine_with_other_policies_than_the_directories() -> None:
    """The review of the directories says nothing of what a server decides from another revision."""
    held = {"policy-guard": {"revision": f"old sha256:{'0' * 64}"}}
    sent = {"result": {}, "provenance": {"version": "1.10.0", "bundles": held}}
    async with misbehaving(answer(json.dumps(sent).encode())) as server:
        checks = await asyncio.to_thread(asked, server.url)
    assert checks[-1].verdict == "warning"
    assert f"revision old, the directories revision {bundle_of(GuardConfig()).revision}" in checks[-1].what


# --- state: keys, log, clock ----------------------------------------------------------------------------------------


@pytest.fixture
async def written(tmp_path: Path) -> Path:
    """A state directory with keys and a log of twelve records, closed in order."""
    directory = tmp_path / "state"
    keys = load_or_create_keys(directory / "keys")
    log = SignedLog(directory / "log", name="policy-guard", signer=keys.signer, heartbeat_seconds=0.02)
    await log.start()
    while log.checkpoint is None or log.checkpoint.size < 6:  # noqa: ASYNC110 - heartbeats come from a thread
        await asyncio.sleep(0.01)
    await log.stop()
    return directory


def told(directory: Path, name: str) -> Check:
    """The gravest check of this name."""
    order = ["ok", "warning", "problem"]
    return max((c for c in state.check_state(directory) if c.check == name), key=lambda c: order.index(c.verdict))


def last_segment(directory: Path) -> Path:
    return max((directory / "log/policy-guard-0/seg").glob("*.jsonl"))


@pytest.mark.anyio
async def test_a_log_that_ends_well(written: Path) -> None:
    """The last commit, the chain under it and the checkpoint file agree."""
    assert told(written, "log").verdict == "ok"
    assert told(written, "keys").verdict == "ok"
    assert told(written, "clock").verdict == "ok"
    tail = read_tail(written / "log/policy-guard-0")
    assert tail.newest is not None
    assert (tail.torn, tail.newest.seq, tail.in_use) == (0, tail.size - 1, False)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("harm", "verdict", "said"),
    [
        (lambda data: data + b'{"torn', "warning", "never acknowledged"),
        (lambda data: data[: data.rindex(b'{"commit"')], "problem", "its checkpoint states"),
        (lambda data: data.replace(b"\\n\xe2\x80\x94", b"A\\n\xe2\x80\x94"), "problem", "does not verify"),
    ],
    ids=["torn", "cut", "forged"],
)
async def test_a_log_that_does_not_end_well(
    written: Path, harm: Callable[[bytes], bytes], verdict: str, said: str
) -> None:
    """A torn tail heals with the next start; a log that was cut or forged is evidence."""
    segment = last_segment(written)
    segment.write_bytes(harm(segment.read_bytes()))
    check = told(written, "log")
    assert check.verdict == verdict
    assert said in check.what


@pytest.mark.anyio
async def test_a_record_that_was_altered_in_the_last_batches_shows(written: Path) -> None:
    """The last record is not under the root of the commit after it: the tail says so, or the full verification."""
    segment = last_segment(written)
    lines = segment.read_bytes().splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if not line.startswith(b'{"commit"'))
    lines[last] = re.sub(rb'"seq":\d+', b'"seq":0', lines[last])
    segment.write_bytes(b"".join(lines))
    with pytest.raises(TailBad, match="calls itself 0"):
        read_tail(written / "log/policy-guard-0")


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["keys", "keys/log-signing.pem", "keys/pseudonym.key"])
async def test_keys_that_others_may_read(written: Path, name: str) -> None:
    """Who read them is unknown, so they count as known."""
    path = written / name
    path.chmod(path.stat().st_mode | 0o044)
    check = told(written, "keys")
    assert (check.verdict, "chmod" in check.mend, "known" in check.mend) == ("problem", True, True)


@pytest.mark.anyio
async def test_a_log_whose_key_is_lost_or_was_replaced(written: Path) -> None:
    """A new key would not continue the log; nobody should learn that from a guard that does not start."""
    shutil.rmtree(written / "keys")
    check = told(written, "keys")
    assert (check.verdict, "backup" in check.mend) == ("problem", True)
    load_or_create_keys(written / "keys")
    assert "signed with another key" in told(written, "log").what


def test_a_state_directory_that_cannot_be_made_or_is_open(tmp_path: Path) -> None:
    """A file in its place, and a directory that every user may write."""
    (tmp_path / "file").write_text("")
    assert told(tmp_path / "file" / "state", "state directory").verdict == "problem"
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    check = told(tmp_path / "open", "state directory")
    assert (check.verdict, "chmod 700" in check.mend) == ("problem", True)


@pytest.mark.parametrize(("free", "verdict"), [(10 * 2**20, "problem"), (2**29, "warning"), (2**40, "ok")])
def test_a_disk_that_fills_up(free: int, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk refuses every request, so it is told before it is full."""
    monkeypatch.setattr(state.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(2**41, 0, free))
    assert told(tmp_path, "disk space").verdict == verdict


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("wall_s", "mono_s", "verdict", "said"),
    [
        (5, 5, "ok", "5.0 s old"),
        (-60, 5, "warning", "60.0 s in the future"),
        (-3600, 5, "problem", "3,600 s in the future"),
        (605, 5, "warning", "600 s forward"),
        (5, 605, "warning", "600 s back"),
        (864_000, 5, "ok", "old"),
        (60, -10_000, "ok", "old"),
    ],
    ids=["steady", "behind", "far behind", "stepped", "stepped back", "days later", "restarted"],
)
async def test_clocks_are_held_against_the_newest_record(
    written: Path, wall_s: int, mono_s: int, verdict: str, said: str
) -> None:
    """A clock that was set back puts records into the future; one that stepped since differs from the monotonic one."""
    tail = read_tail(written / "log/policy-guard-0")
    newest = tail.newest
    assert newest is not None
    check = state.clock([tail], wall_us=newest.ts_us + wall_s * 1_000_000, mono_us=newest.mono_us + mono_s * 1_000_000)
    assert check.verdict == verdict
    assert said in check.what


def test_a_clock_that_was_never_set() -> None:
    """A machine that starts in 1970 signs records that nobody believes."""
    none: list[Tail] = []
    assert state.clock(none, wall_us=0, mono_us=0).verdict == "problem"


# --- servers and mount order ----------------------------------------------------------------------------------------


def test_the_shortcuts_of_servers_are_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may send files by path, which no middleware sees; the check asks the guard and not a list."""
    config = GuardConfig()
    assert {check.verdict for check in servers.check_servers(config)} == {"ok"}
    monkeypatch.setattr(servers, "inner_scope", lambda scope, *_, **__: scope)
    (check,) = [check for check in servers.check_servers(config) if check.verdict != "ok"]
    assert "http.response.pathsend" in check.what


class Quart:
    """As Quart is wrapped: from within, through ``asgi_app``."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves nothing."""

    asgi_app: Any


class Changing(BaseHTTPMiddleware):
    """A middleware of an app."""


def around(app: Any, *outer: type[Any]) -> Starlette:
    """An app with these middlewares, the first one outermost, the guard as a class without a running one."""
    for kind in reversed(outer):
        app.add_middleware(kind)
    return app


def placed(app: Any, **identity: Any) -> list[tuple[str, str]]:
    """Verdicts and findings on where the guard stands."""
    config = GuardConfig(identity=identity)
    return [(check.verdict, check.what) for check in mounting.check_stack(app, "main:app", config)]


def guarded(app: Any, tmp_path: Path) -> GuardMiddleware:
    return GuardMiddleware(app, GuardConfig(state_directory=tmp_path, detectors={"enabled": (), "behaviour": None}))


def test_a_guard_that_is_outermost_is_well(tmp_path: Path) -> None:
    """Added last, wrapped around, or from within as Quart does; with compression and CORS outside."""
    assert placed(around(Starlette(), GuardMiddleware, Changing)) == [("ok", "the guard is outermost")]
    assert placed(guarded(Starlette(), tmp_path)) == [("ok", "the guard is outermost")]
    ((verdict, what),) = placed(around(Starlette(), CORSMiddleware, GZipMiddleware, GuardMiddleware))
    assert (verdict, what) == ("ok", "only CORSMiddleware, GZipMiddleware stands outside the guard")
    quart = Quart()
    quart.asgi_app = guarded(Quart(), tmp_path)
    assert placed(quart) == [("ok", "the guard is outermost")]


@pytest.mark.parametrize(
    ("outer", "identity", "verdict", "said"),
    [
        ((Changing,), {}, "problem", "no GuardMiddleware"),
        ((Changing, GuardMiddleware), {}, "warning", "Changing stands outside"),
        ((GuardMiddleware, GZipMiddleware), {}, "warning", "GZipMiddleware stands inside"),
        ((GuardMiddleware, GuardMiddleware), {}, "warning", "more than once"),
        ((GuardMiddleware, AuthenticationMiddleware), {"scope_user": True}, "problem", "anonymous"),
    ],
    ids=["none", "inside", "compressing", "twice", "blind"],
)
def test_a_guard_that_stands_in_the_wrong_place(
    outer: tuple[type[Any], ...], identity: dict[str, Any], verdict: str, said: str
) -> None:
    """What stands outside is not inspected, and what stands inside may hide from it."""
    ((found, what),) = placed(around(Starlette(), *outer), **identity)
    assert found == verdict
    assert said in what


def test_a_guard_on_a_sub_app_only_or_on_both(tmp_path: Path) -> None:
    """A mounted app with a guard leaves the rest of the outer app open; one on each inspects twice."""
    inner = around(Starlette(), GuardMiddleware)
    ((verdict, what),) = placed(Starlette(routes=[Mount("/ai", app=inner)]))
    assert verdict == "warning"
    assert what.startswith("only /ai is guarded; the rest of the app is not; and a mounted app sees no lifespan")
    both = around(Starlette(routes=[Mount("/ai", app=inner)]), GuardMiddleware)
    assert any("more than once" in what for _, what in placed(both))


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Writes a module that can be imported from the working directory, and forgets it afterwards."""
    path = list(sys.path)
    names: list[str] = []

    def write(text: str) -> str:
        name = f"doctor_app_{len(names)}_{tmp_path.name}"
        (tmp_path / f"{name}.py").write_text(text)
        names.append(name)
        return name

    yield write
    sys.path[:] = path
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_an_app_is_imported_as_its_server_would(
    module: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """From the working directory; a module that fails, or has no such app, is a problem and no traceback."""
    good = module(
        "from starlette.applications import Starlette\nfrom guard import GuardMiddleware\n"
        "app = Starlette()\napp.add_middleware(GuardMiddleware)\n"
        "def make(): return app\n"
        "def wsgi(environ, start_response): return []\n"
    )
    code, checks = examined(capsys, "--app", f"{good}:app")
    assert code == 0
    assert [check["what"] for check in checks if check["check"] == "mount order"] == ["the guard is outermost"]
    failing = module("raise RuntimeError('no database')\n")
    for name, said in (
        (f"{failing}:app", "RuntimeError: no database"),
        (f"{good}:application", "no attribute application"),
        (f"{good}:__name__", "cannot be called"),
        (f"{good}:make", "nothing was called"),
        (f"{good}:wsgi", "is a WSGI app"),
        ("no_such_module:app", "No module named"),
    ):
        code, checks = examined(capsys, "--app", name)
        assert code == 1
        assert said in bad(checks, "app")[0]["what"]


def test_litestar_is_seen_from_outside_and_its_own_list_tells_the_mend(
    tmp_path: Path, module: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Litestar's ``middleware=`` builds a stack for each route; the guard goes around the finished app."""
    litestar = pytest.importorskip("litestar")
    assert placed(guarded(litestar.Litestar([]), tmp_path)) == [("ok", "the guard is outermost")]
    name = module(
        "from litestar import Litestar\nfrom litestar.middleware import DefineMiddleware\n"
        "from guard import GuardMiddleware\napp = Litestar([], middleware=[DefineMiddleware(GuardMiddleware)])\n"
    )
    (problem,) = bad(examined(capsys, "--app", f"{name}:app")[1], "app")
    assert "app = GuardMiddleware(app, config=...)" in problem["mend"]


def test_an_app_that_runs_under_another_configuration(
    tmp_path: Path, module: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """What was examined and what the app reads are two files: the diagnosis is of something else."""
    (tmp_path / "other.toml").write_text("[limits]\n")
    name = module(
        "from starlette.applications import Starlette\nfrom guard import GuardMiddleware\n"
        "app = Starlette()\napp.add_middleware(GuardMiddleware, config='other.toml')\n"
    )
    (warning,) = bad(examined(capsys, "--app", f"{name}:app")[1], "app configuration")
    assert warning["what"] == "the guard of the app runs under other.toml, and the defaults was examined"
    assert not bad(examined(capsys, "--app", f"{name}:app", "--config", "other.toml")[1], "app configuration")


def test_an_app_that_is_a_function_hides_what_it_calls() -> None:
    """What cannot be seen is not called missing without saying so."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Calls nothing that can be seen."""

    ((verdict, what),) = placed(app)
    assert (verdict, "can be seen" in what) == ("problem", True)


# --- the machine ----------------------------------------------------------------------------------------------------

MOUNTS = """22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /tmp rw,nosuid shared:5 - tmpfs tmpfs rw,size=1024k
31 30 0:27 / /tmp/with\\040space rw - nfs4 server:/export rw
32 22 0:28 / /data rw - xfs /dev/vdb rw
33 22 0:29 / /data rw - overlay overlay rw
not a mount at all
"""


def test_the_file_system_of_a_directory_is_that_of_the_nearest_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read from the kernel's list: the longest prefix, and of two mounts at one place the later."""
    (tmp_path / "mountinfo").write_text(MOUNTS)
    monkeypatch.setattr(host, "_MOUNTS", tmp_path / "mountinfo")
    for place, kind in (("/srv/x", "ext4"), ("/tmp/a", "tmpfs"), ("/tmp/with space/b", "nfs4"), ("/data", "overlay")):
        assert host.file_system(Path(place)) == kind
    monkeypatch.setattr(host, "_MOUNTS", tmp_path / "missing")
    assert host.file_system(Path("/srv")) == ""


@pytest.mark.parametrize(
    ("kind", "said"),
    [("tmpfs", "gone after a restart"), ("overlay", "go with the container"), ("nfs4", "two hosts"), ("9p", "server")],
)
def test_a_file_system_that_keeps_nothing_is_told(kind: str, said: str) -> None:
    """A record that was called durable must outlive the process, the machine's restart and the container."""
    (check,) = host.durable(Path("/state"), kind)
    assert (check.verdict, said in check.what, "state_directory" in check.mend) == ("warning", True, True)


def test_a_disk_of_this_machine_is_well_and_an_unknown_one_is_left_alone() -> None:
    """Nothing is claimed of what the system does not tell."""
    (check,) = host.durable(Path("/state"), "xfs")
    assert check.verdict == "ok"
    assert list(host.durable(Path("/state"), "")) == []


def test_a_clock_that_nobody_sets() -> None:
    """The kernel says whether a synchronisation daemon keeps its clock; where it does not say, nothing is said."""
    (drifting,) = host.synchronised(0x40 | 0x1)
    assert (drifting.verdict, "chrony" in drifting.mend) == ("warning", True)
    assert [check.verdict for check in host.synchronised(0x1)] == ["ok"]
    assert list(host.synchronised(None)) == []
    assert host.kernel_clock() is None or host.kernel_clock() >= 0  # type: ignore[operator] # None is the other case


@pytest.mark.parametrize(
    ("running", "gil", "verdict"),
    [
        ((3, 11, 7), True, "ok"), ((3, 14, 0), True, "ok"), ((3, 10, 9), True, "problem"),
        ((3, 15, 0), True, "warning"), ((3, 14, 0), False, "warning"),
    ],
)  # fmt: skip
def test_the_interpreter_is_one_that_is_tested(running: tuple[int, ...], gil: bool, verdict: str) -> None:
    """From 3.11 to 3.14, with its lock."""
    assert [check.verdict for check in installation.check_python(running, gil)] == [verdict]


def test_the_range_of_interpreters_is_that_of_the_package() -> None:
    """``requires-python`` and the classifiers say the same as the doctor."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={'.'.join(map(str, installation.OLDEST))}"
    versions = {text.rpartition(" ")[2] for text in project["classifiers"] if "Python :: 3." in text}
    assert max(versions, key=lambda text: int(text[2:])) == ".".join(map(str, installation.NEWEST))


@pytest.mark.parametrize(("allowed", "verdict"), [("*", "problem"), ("10.0.0.1", "warning"), ("", None)])
def test_a_server_that_believes_forwarded_addresses(allowed: str, verdict: str | None) -> None:
    """``identity.trusted_header`` believes the peer; a server that lets the client name it lets him be anybody."""
    config = GuardConfig(identity={"trusted_header": {"peers": ["10.0.0.1"]}})
    found = list(servers.check_forwarded(config, {"FORWARDED_ALLOW_IPS": allowed}))
    assert [check.verdict for check in found] == ([verdict] if verdict else [])
    assert list(servers.check_forwarded(GuardConfig(), {"FORWARDED_ALLOW_IPS": "*"})) == []


def test_the_doctor_tells_what_check_remarks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A field that no document has, and a file that is missing, are told by both commands."""
    assert main(["init"]) == 0
    capsys.readouterr()
    rule = tmp_path / "policies/guard/rules/example/example.rego"
    rule.write_text(rule.read_text().replace("input.ai.operation", "input.ai.operashun"))
    with (tmp_path / "guard.toml").open("a") as file:
        file.write('[policy.opa]\ntoken_file = "missing"\n')
    code, checks = examined(capsys)
    assert code == 1
    assert bad(checks, "policies")[0]["mend"] == "did you mean input.ai.operation?"
    assert "missing cannot be read" in bad(checks, "configuration")[0]["what"]
