"""Secrets by the formats of their issuers: found, judged, and told from placeholders.

The values here are made up, and put together at run time so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import base64
import logging
import random
import string
import zlib

import pytest

from detectors.secrets import SecretsDetector
from guard.errors import ConfigError

_RNG = random.Random(7)


def rand(n: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """``n`` characters that are no placeholder."""
    return "".join(_RNG.choice(alphabet) for _ in range(n))


def github(body: str) -> str:
    """A token with the documented checksum."""
    digits, value = "", zlib.crc32(body.encode())
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = alphabet[digit] + digits
    return "ghp_" + body + digits


def jwt(header: bytes) -> str:
    """A token with this header."""
    parts = [header, b'{"sub":"u1"}', bytes(range(32))]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


BASE32 = string.ascii_uppercase + "234567"
PEM = "-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join(rand(64) for _ in range(3)) + "\n-----END RSA PRIVATE KEY-----"
CASES: dict[str, tuple[str, str, float]] = {
    "aws access key": ("AWS_ACCESS_KEY", "AKIA" + rand(16, BASE32), 0.95),
    "aws session key": ("AWS_ACCESS_KEY", "ASIA" + rand(16, BASE32), 0.95),
    "github with checksum": ("GITHUB_TOKEN", github(rand(30)), 1.0),
    "github without checksum": ("GITHUB_TOKEN", "gho_" + rand(36), 0.8),
    "github fine-grained": ("GITHUB_TOKEN", "github_pat_" + rand(22) + "_" + rand(59), 0.95),
    "slack bot": ("SLACK_TOKEN", "xoxb-" + rand(12, string.digits) + "-" + rand(24), 0.9),
    "slack app": (
        "SLACK_TOKEN",
        "xapp-1-A" + rand(9, BASE32) + "-" + rand(12, "123456789") + "-" + rand(64, "0a1b2c3d4e5f"),
        0.95,
    ),
    "stripe live": ("STRIPE_KEY", "sk_live_" + rand(24), 0.95),
    "stripe test": ("STRIPE_KEY", "rk_test_" + rand(24), 0.6),
    "google": ("GOOGLE_API_KEY", "AIza" + rand(35), 0.9),
    "openai project": ("OPENAI_KEY", "sk-proj-" + rand(48), 0.95),
    "openai user": ("OPENAI_KEY", "sk-" + rand(48), 0.9),
    "anthropic": ("ANTHROPIC_KEY", "sk-ant-api03-" + rand(93), 0.95),
    "jwt": ("JWT", jwt(b'{"alg":"HS256","typ":"JWT"}'), 1.0),
    "pem": ("PRIVATE_KEY", PEM, 1.0),
    "pem cut off": ("PRIVATE_KEY", PEM[:150], 1.0),
    "pem escaped": ("PRIVATE_KEY", PEM.replace("\n", "\\n"), 1.0),
}


@pytest.mark.parametrize("name", CASES)
def test_format(secrets: SecretsDetector, name: str) -> None:
    """Each format is found at its place with its score, also glued to punctuation and between accents."""
    kind, value, score = CASES[name]
    assert kind in secrets.entities
    for before, after in (("", ""), ("é key='", "' é"), ('{"token": "', '"}'), ("x=", "|")):
        text = before + value + after
        (finding,) = secrets.detect_text(text)
        assert (finding.type, text[finding.start : finding.end], finding.score) == (kind, value, score)


def test_aws_secret_in_assignment(secrets: SecretsDetector) -> None:
    """A secret access key has no prefix: it is found where an assignment names it, and not elsewhere."""
    value = "a1B2" + rand(36, string.ascii_letters + string.digits + "/+")
    for text in (
        f"aws_secret_access_key = {value}",
        f'"AWS_SECRET_ACCESS_KEY": "{value}"',
        f"secretAccessKey: '{value}'",
    ):
        (finding,) = secrets.detect_text(text)
        assert (finding.type, text[finding.start : finding.end]) == ("AWS_SECRET_KEY", value)
    assert secrets.detect_text(f"digest = {value}") == []


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "sk_live_xxxxxxxxxxxxxxxxxxxxxxxx",
        "sk-proj-your-key-goes-here-please",
        "ghp_" + "0" * 36,
        "AIza" + "1234567890" * 3 + "abcde",
        "what does -----BEGIN PRIVATE KEY----- mean? It starts a key.",
        "akia" + "abcdefghijklmnop",
        "disk-proj-" + "abcdefgh12345678qrstuv",
        jwt(b'{"typ":"JWT"}'),
        jwt(b'["alg"]'),
        "eyJ" + "a" * 30 + "." + "b" * 10 + ".",
        "aws_secret_access_key = 0123456789abcdef0123456789abcdef01234567",
    ],
)
def test_no_secret(secrets: SecretsDetector, text: str) -> None:
    """Placeholders, other spellings and tokens without a proper header are no secrets."""
    assert secrets.detect_text(text) == []


def test_random_tokens_rarely_pass_the_checksum(secrets: SecretsDetector) -> None:
    """A thousand random tokens: none has GitHub's checksum, all are still reported, with less certainty."""
    tokens = ["ghs_" + rand(36) for _ in range(1000)]
    found = secrets.detect_text("\n".join(tokens))
    assert [finding.score for finding in found] == [0.8] * 1000


def test_entities_option() -> None:
    """Single types can be chosen; an unknown one is refused by name."""
    only = SecretsDetector(entities=["JWT"])
    assert only.entities == {"JWT"}
    assert only.detect_text(CASES["google"][1]) == []
    with pytest.raises(ConfigError, match="unknown entity 'JWTS'"):
        SecretsDetector(entities=["JWTS"])
    with pytest.raises(ConfigError, match="did you mean 'entities'"):
        SecretsDetector(entity=["JWT"])


def test_checksum_agrees_with_a_published_token(secrets: SecretsDetector) -> None:
    """A token that its owner revoked and published as a specimen has the checksum that we compute."""
    (finding,) = secrets.detect_text("ghp_" + "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ" + "0mLq17")
    assert (finding.type, finding.score) == ("GITHUB_TOKEN", 1.0)


def test_value_is_never_logged(secrets: SecretsDetector, caplog: pytest.LogCaptureFixture) -> None:
    """No log line, evidence or error repeats a secret."""
    caplog.set_level(logging.DEBUG)
    for _, value, _ in CASES.values():
        (finding,) = secrets.detect_text(value)
        assert value not in finding.evidence
    assert caplog.text == ""
