"""Signers whose key is elsewhere: proven before they are used, bounded in time, closed when they fail."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guard.config import GuardConfig
from guard.errors import KeyInvalid, LogUnavailable
from guard.record.chain import Chain
from guard.record.deployment import DeploymentKeys
from guard.record.keys import load_or_create_keys
from guard.record.log import SignedLog
from guard.record.note import VerifierKey
from guard.record.pem import pem_of
from guard.record.segment import list_segments, read_batches
from guard.record.sign import Ed25519Signer
from guard.record.signers.command import command_sign
from guard.record.signers.elsewhere import Elsewhere, SignerFailed, public_key_of
from guard.record.signers.service import service_sign
from guard.record.signers.token import Token
from guard.starting import deployment_keys, load_log_keys
from tests.components import require, require_package
from tests.flow.rig import Rig, answering, chat
from tests.record.logs import NAME, ORIGIN, decision

KEY = Ed25519PrivateKey.from_private_bytes(b"e" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
SIGN = """
import base64, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
signature = Ed25519PrivateKey.from_private_bytes(b"e" * 32).sign(sys.stdin.buffer.read())
"""


def python(code: str) -> list[str]:
    """A command that runs this code."""
    return [sys.executable, "-c", code]


@pytest.mark.parametrize("output", ["signature", "base64.b64encode(signature)", "base64.b64encode(signature) + b'\\n'"])
def test_a_command_signs(output: str) -> None:
    """The message on stdin, 64 bytes or base64 on stdout."""
    signer = Elsewhere(
        "a-0",
        PUBLIC,
        command_sign(python(f"{SIGN}sys.stdout.buffer.write({output})"), seconds=30),
        what="the signer",
        seconds=31,
    )
    assert signer.sign(b"message") == KEY.sign(b"message")
    assert (signer.name, signer.public_key) == ("a-0", PUBLIC)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["/nowhere/signer"], "cannot be run"),
        (python("raise SystemExit('no card')"), "failed with 1: no card"),
        (python("print('c2hvcnQ=')"), "9 bytes that are no signature"),
        (python("pass"), "0 bytes that are no signature"),
        (python("print('x' * 100_000)"), "100001 bytes that are no signature"),
    ],
)
def test_a_command_that_fails_is_named(command: list[str], said: str) -> None:
    """Missing, failing, writing something else: each a sentence, and no signature."""
    with pytest.raises(SignerFailed, match=said):
        command_sign(command, seconds=30)(b"message")


@pytest.mark.slow
def test_a_command_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    """Past the deadline the whole process group is killed, and nobody waits for a grandchild that holds the pipe."""
    mark = tmp_path / "pid"
    code = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(mark)!r} + ".new", "w").write(str(child.pid)); os.rename({str(mark)!r} + ".new", {str(mark)!r})
time.sleep(600)
"""
    with pytest.raises(SignerFailed, match="no signature within 5 s"):
        command_sign(python(code), seconds=5)(b"message")
    # On a machine so slow that there is no grandchild yet, there is nothing to outlive the deadline.
    if mark.exists():
        with contextlib.suppress(ProcessLookupError):
            assert select.select([os.pidfd_open(int(mark.read_text()))], [], [], 60)[0]


def test_a_signature_of_another_key_is_refused() -> None:
    """A signer under another key than the configured one never signs a line of the log."""
    other = Ed25519PrivateKey.generate()
    signer = Elsewhere("a-0", PUBLIC, other.sign, what="the signer", seconds=30)
    with pytest.raises(SignerFailed, match="not of the configured key"):
        signer.sign(b"message")


def test_a_driver_that_raises_anything_is_one_kind_of_failure() -> None:
    """Errors of drivers become ours, and name what failed."""

    def broken(message: bytes) -> bytes:
        raise ZeroDivisionError("session")

    with pytest.raises(SignerFailed, match=r"the token failed \(ZeroDivisionError: session\)"):
        Elsewhere("a-0", PUBLIC, broken, what="the token", seconds=30).sign(b"message")


def test_a_driver_that_hangs_holds_one_thread() -> None:
    """Each further call fails at once until the first comes back; then the signer works again."""
    release = threading.Event()

    def hanging(message: bytes) -> bytes:
        release.wait(60)
        return KEY.sign(message)

    signer = Elsewhere("a-0", PUBLIC, hanging, what="the token", seconds=0.05)
    with pytest.raises(SignerFailed, match=r"did not answer within 0\.05 s"):
        signer.sign(b"first")
    before = threading.active_count()
    for _ in range(5):
        with pytest.raises(SignerFailed, match="still hangs"):
            signer.sign(b"more")
    assert threading.active_count() == before
    release.set()
    busy = signer._busy
    assert busy is not None
    assert busy.result(60) == KEY.sign(b"first")
    patient = Elsewhere("a-0", PUBLIC, hanging, what="the token", seconds=60)
    assert patient.sign(b"again") == KEY.sign(b"again")


@pytest.mark.anyio
async def test_a_signer_that_hangs_closes_the_log_and_never_the_loop(tmp_path: Path) -> None:
    """While the signer hangs the event loop turns; the request that waits hears ``LogUnavailable``, and so does each
    later one at once."""
    hang, entered, release = threading.Event(), threading.Event(), threading.Event()

    def sign(message: bytes) -> bytes:
        if hang.is_set():
            entered.set()
            release.wait(60)
        return KEY.sign(message)

    keys = DeploymentKeys(
        tmp_path / "keys", elsewhere=lambda name: Elsewhere(name, PUBLIC, sign, what="the token", seconds=0.5)
    )
    log = SignedLog(tmp_path / "log", name=NAME, signer=keys.origin)
    await log.start()
    await log.append(decision(1))
    hang.set()
    waiting = asyncio.create_task(log.append(decision(2)))
    assert await asyncio.to_thread(entered.wait, 60)
    with pytest.raises(LogUnavailable, match="did not answer"):
        await waiting
    with pytest.raises(LogUnavailable):
        await log.append(decision(3))
    hang.clear()
    release.set()
    while log.failure is not None:  # noqa: ASYNC110 - the log tells nobody when it works again
        await asyncio.sleep(0.05)
    await log.append(decision(4))
    await log.stop()
    chain = Chain(VerifierKey(ORIGIN, PUBLIC))
    ids = []
    for segment in list_segments(tmp_path / "log" / ORIGIN / "seg"):
        for batch in read_batches(segment.path):
            ids += [record.id for record in chain.accept(batch)]
    assert {decision(1)["id"], decision(4)["id"]} <= set(ids)
    assert decision(3)["id"] not in ids


@pytest.mark.parametrize("form", ["vkey", "base64", "base64 with algorithm", "pem"])
def test_public_keys_are_taken_in_four_forms(tmp_path: Path, form: str) -> None:
    """A vkey, base64 of 32 or 33 bytes, or a PEM file as ``openssl pkey -pubout`` writes it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    path = tmp_path / "public.pem"
    path.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    texts = {
        "vkey": VerifierKey("any", PUBLIC).encode(),
        "base64": base64.b64encode(PUBLIC).decode(),
        "base64 with algorithm": base64.b64encode(b"\x01" + PUBLIC).decode(),
        "pem": str(path),
    }
    assert public_key_of(texts[form], "record.signer.public_key") == PUBLIC


@pytest.mark.parametrize("text", ["nonsense", "/nowhere.pem", "QUJD", "a+b+c"])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    """With the key of the configuration, and how to get one."""
    with pytest.raises(KeyInvalid, match="neither a vkey") as caught:
        public_key_of(text, "record.signer.public_key")
    assert caught.value.where == "record.signer.public_key"
    assert "openssl pkey" in caught.value.mend


def test_a_key_service_signs_through_securesystemslib(tmp_path: Path) -> None:
    """``file2:`` stands for what its URIs name: the message goes out, an Ed25519 signature comes back."""
    require_package("securesystemslib")
    path = tmp_path / "key.pem"
    path.write_bytes(pem_of(KEY))
    signer = Elsewhere("a-0", PUBLIC, service_sign(f"file2:{path}", PUBLIC), what="the key service", seconds=30)
    assert signer.sign(b"message") == KEY.sign(b"message")
    missing = Elsewhere("a-0", PUBLIC, service_sign("nosuch:key", PUBLIC), what="the key service", seconds=30)
    with pytest.raises(SignerFailed, match="the key service failed"):
        missing.sign(b"message")


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    """A SoftHSM token that holds one Ed25519 key pair."""
    require("softhsm2-util")
    require_package("python-pkcs11")
    library = next((path for path in Path("/usr").glob("lib*/**/libsofthsm2.so")), None)
    assert library is not None, "softhsm2-util is installed without libsofthsm2.so"
    directory = tmp_path_factory.mktemp("token")
    (directory / "tokens").mkdir()
    (directory / "softhsm2.conf").write_text(f"directories.tokendir = {directory}/tokens\nobjectstore.backend = file\n")
    os.environ["SOFTHSM2_CONF"] = str(directory / "softhsm2.conf")
    pin = directory / "pin"
    pin.touch(0o600)
    pin.write_text("1234\n")
    command = ["softhsm2-util", "--init-token", "--free", "--label", "guard", "--pin", "1234", "--so-pin", "5678"]
    subprocess.run(command, check=True, capture_output=True)
    import pkcs11
    from pkcs11 import Attribute, KeyType, Mechanism

    with pkcs11.lib(str(library)).get_token(token_label="guard").open(user_pin="1234", rw=True) as session:
        # EC_PARAMS: the curve's name as a PrintableString (PKCS #11 3.0, section 2.3.5).
        parameters = session.create_domain_parameters(
            KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: b"\x13\x0cedwards25519"}, local=True
        )
        parameters.generate_keypair(mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label="log", id=b"\x01")
    yield Token(library, token="guard", key="log", pin_file=pin)
    os.environ.pop("SOFTHSM2_CONF")


def test_a_token_signs_a_log(token: Token, tmp_path: Path) -> None:
    """PKCS#11: the private key never leaves the token; the log verifies under its public key."""
    public = token.public_key()
    signer = Elsewhere(ORIGIN, public, token.sign, what="the token", seconds=30)
    assert len(signer.sign(b"message")) == 64
    config = GuardConfig.model_validate(
        {
            "state_directory": tmp_path,
            "record": {
                "signer": {
                    "module": str(token._module),
                    "token": "guard",
                    "key": "log",
                    "pin_file": str(token._pin_file),
                    "deadline_ms": 30_000,
                }
            },
        }
    )
    keys, _ = load_log_keys(config)
    assert keys.origin(ORIGIN).first().public_key == public
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["pseudonym.key"]


@pytest.mark.parametrize("name", ["token", "key"])
def test_a_token_that_lacks_something_is_named(token: Token, name: str) -> None:
    """A label that nothing has: ``KeyInvalid`` that names the token, and how to look at it."""
    given = {"token": "guard", "key": "log", name: "other"}
    broken = Token(token._module, **given, pin_file=token._pin_file)
    with pytest.raises(KeyInvalid, match="the PKCS#11 token") as caught:
        broken.public_key()
    assert "pkcs11-tool" in caught.value.mend


def test_a_log_goes_on_when_its_key_moves_into_a_command(tmp_path: Path) -> None:
    """From the key file to a signer elsewhere: the file's key signs the change, and then nothing more."""
    from guard.record.boot import BootFacts
    from guard.record.slot import Slot
    from guard.record.writer import Writer

    load_or_create_keys(tmp_path / "keys")
    away = DeploymentKeys(tmp_path / "keys", elsewhere=lambda name: Ed25519Signer(name, KEY))
    for keys in (DeploymentKeys(tmp_path / "keys"), away, away):
        slot = Slot(tmp_path / "log", NAME)
        writer = Writer(slot.path, keys.origin(slot.origin), BootFacts())
        writer.open()
        writer.close({})
        slot.release()
    chain = Chain(VerifierKey.parse((tmp_path / "log" / ORIGIN / "log.vkey").read_text().strip()))
    for segment in list_segments(tmp_path / "log" / ORIGIN / "seg"):
        for batch in read_batches(segment.path):
            chain.accept(batch)
    assert [epoch.first for epoch in chain.epochs.history] == [1, 5]
    assert chain.key.public_key == PUBLIC


@pytest.mark.parametrize(
    ("signer", "said"),
    [
        ({"command": ["x"], "uri": "file2:k", "public_key": "k"}, "one of command, module and uri"),
        ({"command": ["x"]}, "need public_key"),
        ({"module": "/lib.so"}, "token and key"),
        ({"public_key": "k"}, "name command, module or uri"),
    ],
)
def test_a_signer_is_configured_whole(signer: dict[str, object], said: str) -> None:
    """What is missing or contradicts itself stops the start."""
    with pytest.raises(ValueError, match=said):
        GuardConfig.model_validate({"record": {"signer": signer}})


def test_a_configured_command_is_the_deployments_key(tmp_path: Path) -> None:
    """``[record.signer] command``: no signing key is made on disk."""
    signer = {"command": python(f"{SIGN}sys.stdout.buffer.write(signature)"), "deadline_ms": 30_000}
    signer["public_key"] = base64.b64encode(PUBLIC).decode()
    config = GuardConfig.model_validate({"state_directory": tmp_path, "record": {"signer": signer}})
    made = deployment_keys(config).origin(ORIGIN).first()
    assert made.sign(b"message") == KEY.sign(b"message")
    assert not (tmp_path / "keys").exists()
    assert deployment_keys(config).present().signer(NAME) is not None


@pytest.mark.anyio
async def test_a_request_under_a_signer_that_fails_is_refused(tmp_path: Path) -> None:
    """Through the whole guard: 503 `guard_unavailable`, and the app is not called; 200 again when the signer works."""
    works = threading.Event()
    works.set()

    def sign(message: bytes) -> bytes:
        if not works.is_set():
            raise OSError("no card")
        return KEY.sign(message)

    keys = DeploymentKeys(
        tmp_path / "keys", elsewhere=lambda name: Elsewhere(name, PUBLIC, sign, what="the token", seconds=30)
    )
    seen: list[object] = []
    log = SignedLog(tmp_path / "log", name=NAME, signer=keys.origin)
    rig = Rig(tmp_path, answering(b"{}", seen=seen), log=log)  # type: ignore[arg-type]
    assert (await rig.call(body=chat("one"))).status == 200
    works.clear()
    refused = await rig.call(body=chat("two"))
    assert (refused.status, refused.json["error"]["code"], len(seen)) == (503, "guard_unavailable", 1)
    works.set()
    while log.failure is not None:  # noqa: ASYNC110 - the log tells nobody when it works again
        await asyncio.sleep(0.05)
    assert (await rig.call(body=chat("three"))).status == 200
    await rig.runtime.stop()
