"""Every format of a secret: found, one character too short, and as a placeholder of documentation.

The values are put together at run time, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import random
import string
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

from detectors.secrets import SecretsDetector
from detectors.secrets.format import entropy_bits
from detectors.secrets.formats import FORMATS

HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits
ALNUM = string.ascii_letters + string.digits
URL64 = ALNUM + "_-"


class R(NamedTuple):
    """``n`` random characters of an alphabet."""

    alphabet: str
    n: int


class Shape(NamedTuple):
    """The parts of a text, literal or random; the secret are the parts from ``start`` to ``stop``."""

    type: str
    parts: tuple[str | R, ...]
    start: int = 0
    stop: int | None = None

    def text(self, rng: random.Random, *, short: bool = False, dull: bool = False) -> tuple[str, str]:
        """A text and the secret in it. ``short``: its last random part lacks a character; ``dull``: all random parts
        repeat one character."""
        last = max(index for index, part in enumerate(self.parts) if isinstance(part, R))
        made = []
        for index, part in enumerate(self.parts):
            if isinstance(part, str):
                made.append(part)
            else:
                n = part.n - (short and index == last)
                made.append(part.alphabet[0] * n if dull else "".join(rng.choices(part.alphabet, k=n)))
        return "".join(made), "".join(made[self.start : self.stop])


def shape(kind: str, *parts: str | R) -> Shape:
    """A value that is the secret as a whole."""
    return Shape(kind, parts)


def named(kind: str, before: str, *parts: str | R, after: str = "") -> Shape:
    """A value behind its name, or inside something bigger."""
    return Shape(kind, (before, *parts, after), 1, 1 + len(parts))


UUID = (R(HEX, 8), "-", R(HEX, 4), "-4", R(HEX, 3), "-a", R(HEX, 3), "-", R(HEX, 12))
SHAPES = (
    shape("AWS_ACCESS_KEY", "AKI" + "A", R(string.ascii_uppercase + "234567", 16)),
    shape("AWS_BEDROCK_KEY", "ABS" + "K", R(ALNUM, 109)),
    shape("GOOGLE_API_KEY", "AIz" + "a", R(URL64, 35)),
    shape("GOOGLE_OAUTH_SECRET", "GOC" + "SPX-", R(URL64, 28)),
    shape("GOOGLE_OAUTH_TOKEN", "ya" + "29.", R(URL64, 30)),
    shape("GOOGLE_OAUTH_TOKEN", "1/" + "/0", R(URL64, 60)),
    named("AZURE_STORAGE_KEY", "AccountName=a;AccountKey=", R(ALNUM, 86), "=="),
    named("AZURE_SHARED_KEY", "Endpoint=sb://x/;SharedAccessKey=", R(ALNUM, 43), "="),
    named("AZURE_SAS", "https://a.blob.core.windows.net/c?sv=2024&sig=", R(ALNUM, 43), "%3D"),
    shape("AZURE_CLIENT_SECRET", R(ALNUM, 3), "8Q" + "~", R(ALNUM, 31)),
    shape("AZURE_DEVOPS_TOKEN", R(ALNUM, 76), "AZ" + "DO", R(ALNUM, 4)),
    shape("DIGITALOCEAN_TOKEN", "dop" + "_v1_", R(HEX, 64)),
    shape("HEROKU_TOKEN", "HRK" + "U-", R(URL64, 36)),
    named("HEROKU_TOKEN", "HEROKU_API_KEY=", *UUID),
    named("CLOUDFLARE_TOKEN", "CLOUDFLARE_API_TOKEN=", R(ALNUM, 37)),
    shape("CLOUDFLARE_TOKEN", "v1" + ".0-", R(HEX, 24), "-", R(HEX, 146)),
    shape("VAULT_TOKEN", "hv" + "s.", R(URL64, 24)),
    shape("TERRAFORM_TOKEN", R(ALNUM, 14), ".atlas" + "v1.", R(URL64, 60)),
    shape("PULUMI_TOKEN", "pu" + "l-", R(HEX, 40)),
    shape("DATABRICKS_TOKEN", "dap" + "i", R(HEX, 32)),
    shape("PLANETSCALE_TOKEN", "pscale" + "_tkn_", R(ALNUM, 32)),
    shape("SUPABASE_TOKEN", "sb" + "p_", R(HEX, 40)),
    shape("DOPPLER_TOKEN", "dp" + ".pt.", R(ALNUM, 40)),
    shape("NETLIFY_TOKEN", "nf" + "p_", R(ALNUM, 36)),
    shape("FLY_TOKEN", "fo" + "1_", R(URL64, 43)),
    shape("ALIBABA_ACCESS_KEY", "LTA" + "I", R(ALNUM, 17)),
    named("SNOWFLAKE_PASSWORD", "SNOWFLAKE_PASSWORD=", "aB3", R(ALNUM, 5)),
    shape("GITHUB_TOKEN", "gh" + "p_", R(ALNUM, 36)),
    shape("GITLAB_TOKEN", "glp" + "at-", R(URL64, 20)),
    shape("GITLAB_TOKEN", "glr" + "t-", R(ALNUM, 20)),
    shape("ATLASSIAN_TOKEN", "ATAT" + "T3", R(ALNUM, 60)),
    shape("ATLASSIAN_TOKEN", "ATB" + "B", R(ALNUM, 28)),
    shape("NPM_TOKEN", "np" + "m_", R(ALNUM, 36)),
    shape("PYPI_TOKEN", "pypi-" + "AgEIcHlwaS5vcmc", R(URL64, 50)),
    shape("RUBYGEMS_TOKEN", "ruby" + "gems_", R(HEX, 48)),
    shape("CRATES_TOKEN", "ci" + "o", R(ALNUM, 32)),
    shape("NUGET_KEY", "oy" + "2", R(string.ascii_lowercase + string.digits, 43)),
    shape("DOCKER_TOKEN", "dckr" + "_pat_", R(URL64, 27)),
    shape("JFROG_TOKEN", "AKC" + "p", R(ALNUM, 60)),
    shape("CIRCLECI_TOKEN", "CCIP" + "AT_", R(ALNUM, 22), "_", R(HEX, 40)),
    shape("BUILDKITE_TOKEN", "bk" + "ua_", R(HEX, 40)),
    shape("SENTRY_TOKEN", "sntr" + "yu_", R(HEX, 64)),
    shape("SENTRY_TOKEN", "sntr" + "ys_eyJ", R(ALNUM, 80)),
    shape("NEW_RELIC_KEY", "NRA" + "K-", R(UPPER, 19)),
    named("DATADOG_KEY", "DD_API_KEY=", R(HEX, 32)),
    shape("GRAFANA_TOKEN", "gls" + "a_", R(ALNUM, 32), "_", R(HEX, 8)),
    named("PAGERDUTY_KEY", "pagerduty_token: ", R(ALNUM, 20)),
    shape("DYNATRACE_TOKEN", "dt0" + "c01.", R(UPPER, 24), ".", R(UPPER, 64)),
    shape("POSTMAN_KEY", "PMA" + "K-", R(HEX, 24), "-", R(HEX, 34)),
    shape("SONAR_TOKEN", "sq" + "p_", R(HEX, 40)),
    shape("LAUNCHDARKLY_KEY", "sd" + "k-", *UUID),
    shape("OPENAI_KEY", "sk-" + "proj-", R(URL64, 20)),
    shape("OPENAI_KEY", "s" + "k-", R(ALNUM, 32)),
    shape("ANTHROPIC_KEY", "sk-" + "ant-api03-", R(URL64, 20)),
    shape("OPENROUTER_KEY", "sk-" + "or-v1-", R(HEX, 64)),
    shape("HUGGINGFACE_TOKEN", "h" + "f_", R(string.ascii_letters, 34)),
    shape("GROQ_KEY", "gs" + "k_", R(ALNUM, 48)),
    shape("XAI_KEY", "xa" + "i-", R(ALNUM, 64)),
    shape("PERPLEXITY_KEY", "ppl" + "x-", R(ALNUM, 40)),
    shape("REPLICATE_TOKEN", "r" + "8_", R(ALNUM, 37)),
    shape("FIREWORKS_KEY", "f" + "w_", R(ALNUM, 22)),
    shape("LANGSMITH_KEY", "lsv2" + "_pt_", R(HEX, 32), "_", R(HEX, 10)),
    shape("TAVILY_KEY", "tvl" + "y-", R(ALNUM, 32)),
    shape("NVIDIA_KEY", "nva" + "pi-", R(URL64, 60)),
    shape("PINECONE_KEY", "pcs" + "k_", R(ALNUM, 6), "_", R(ALNUM, 60)),
    named("WANDB_KEY", "WANDB_API_KEY=", R(HEX, 40)),
    named("COHERE_KEY", "COHERE_API_KEY: ", R(ALNUM, 40)),
    named("MISTRAL_KEY", '"MISTRAL_API_KEY": "', R(ALNUM, 32)),
    named("AZURE_OPENAI_KEY", "AZURE_OPENAI_API_KEY=", R(HEX, 32)),
    shape("STRIPE_KEY", "sk" + "_live_", R(ALNUM, 16)),
    shape("SQUARE_TOKEN", "sq0" + "atp-", R(URL64, 22)),
    shape("SQUARE_TOKEN", "EAA" + "A", R(URL64, 60)),
    shape("BRAINTREE_TOKEN", "access_" + "token$production$", R(HEX, 16), "$", R(HEX, 32)),
    named("PAYPAL_SECRET", "PAYPAL_CLIENT_SECRET=", "E", R(ALNUM, 60)),
    shape("SHOPIFY_TOKEN", "shp" + "at_", R(HEX, 32)),
    shape("PLAID_TOKEN", "access-" + "production-", *UUID),
    shape("SLACK_TOKEN", "xox" + "b-", R(ALNUM, 10)),
    shape("TELEGRAM_TOKEN", R("123456789", 9), ":A" + "A", R(URL64, 33)),
    shape("DISCORD_TOKEN", "MTIzNDU2Nzg5MDEyMzQ1Njc4", ".", R(URL64, 6), ".", R(URL64, 27)),
    named("DISCORD_TOKEN", "https://discord.com/api/webhooks/123456789012345678/", R(URL64, 60)),
    named("TEAMS_WEBHOOK", "https://x.webhook.office.com/webhookb2/", R(HEX, 80)),
    shape("TWILIO_KEY", "S" + "K", R(HEX, 32)),
    named("TWILIO_KEY", "TWILIO_AUTH_TOKEN=", R(HEX, 32)),
    shape("SENDGRID_KEY", "S" + "G.", R(URL64, 22), ".", R(URL64, 43)),
    shape("MAILGUN_KEY", "ke" + "y-", R(HEX, 32)),
    shape("MAILCHIMP_KEY", R(HEX, 32), "-us" + "21"),
    shape("BREVO_KEY", "xkey" + "sib-", R(HEX, 64), "-", R(ALNUM, 16)),
    named("POSTMARK_TOKEN", "POSTMARK_SERVER_TOKEN=", *UUID),
    shape("NOTION_TOKEN", "nt" + "n_", "aB3", R(ALNUM, 37)),
    shape("LINEAR_KEY", "lin" + "_api_", R(ALNUM, 40)),
    shape("FIGMA_TOKEN", "fig" + "d_", R(URL64, 36)),
    shape("DROPBOX_TOKEN", "s" + "l.", R(URL64, 120)),
    shape("AIRTABLE_TOKEN", "pa" + "t", R(ALNUM, 14), ".", R(HEX, 64)),
    shape("ASANA_TOKEN", "1/", R("123456789", 16), ":", R(HEX, 32)),
    shape("HUBSPOT_TOKEN", "pat-" + "na1-", *UUID),
    shape("TYPEFORM_TOKEN", "tf" + "p_", R(URL64, 40)),
    shape("CONTENTFUL_TOKEN", "CFP" + "AT-", R(URL64, 43)),
    shape("META_TOKEN", "EA" + "AC", R(ALNUM, 90)),
    named("AUTHORIZATION", "Authorization: Bearer ", R(ALNUM, 16)),
    named("DATABASE_PASSWORD", "postgres://app:", R(ALNUM, 12), after="@db.internal:5432/x"),
    named("URL_PASSWORD", "https://bot:", R(ALNUM, 12), after="@git.internal/x.git"),
    named("DATABASE_PASSWORD", "Server=db;Database=x;User Id=sa;Password=", R(ALNUM, 12), after=";"),
)
ELSEWHERE = {"AWS_SECRET_KEY", "JWT", "PRIVATE_KEY", "GENERIC_SECRET"}
"""Types whose tests are in ``test_secrets.py`` or below."""
SHORT_IS_RIGHT = {"DATABASE_PASSWORD", "URL_PASSWORD"}
"""A password has no length of its own."""


def ids(one: Shape) -> str:
    """The type and the beginning."""
    return f"{one.type}-{one.parts[0] if isinstance(one.parts[0], str) else 'random'}"


@pytest.mark.parametrize("one", SHAPES, ids=ids)
def test_found_where_it_stands(secrets: SecretsDetector, one: Shape) -> None:
    """The value is found with its type and exact span, in prose, in quotes and at the end of a text."""
    rng = random.Random(repr(one))
    for before, after in (("use ", " please"), ("'", "'"), ("\n", "")):
        made, secret = one.text(rng)
        text = before + made + after
        found = [(f.type, text[f.start : f.end]) for f in secrets.detect_text(text)]
        assert (one.type, secret) in [(kind, value) for kind, value in found], found


@pytest.mark.parametrize("one", [one for one in SHAPES if one.type not in SHORT_IS_RIGHT], ids=ids)
def test_one_character_less_is_none(secrets: SecretsDetector, one: Shape) -> None:
    """What lacks a character is not of this format."""
    made, _ = one.text(random.Random(repr(one)), short=True)
    assert one.type not in {finding.type for finding in secrets.detect_text(f"use {made} please")}


@pytest.mark.parametrize("one", SHAPES, ids=ids)
def test_placeholders_are_none(secrets: SecretsDetector, one: Shape) -> None:
    """One character over and over, and words like EXAMPLE, are documentation."""
    made, _ = one.text(random.Random(1), dull=True)
    assert secrets.detect_text(f"use {made} please") == []


def test_every_type_has_a_shape() -> None:
    """No format without a positive, a near miss and a placeholder."""
    assert {one.type for one in SHAPES} | ELSEWHERE == {form.type for form in FORMATS}
    assert len({form.type for form in FORMATS}) >= 40


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("mongodb+srv://app:s3cr%40t-pw@cluster0.x.mongodb.net/db", "s3cr%40t-pw"),
        ("mysql+pymysql://root:tiger-77@127.0.0.1/app", "tiger-77"),
        ("redis://:hunter22x@cache:6379/0", "hunter22x"),
        ("amqps://svc:Zu7-pq@rabbit/vhost", "Zu7-pq"),
        ("postgresql://u:p4ss-phrase@[::1]:5432/x", "p4ss-phrase"),
        ("jdbc:sqlserver://x;host=db;password=Tr0ub4dor;", "Tr0ub4dor"),
    ],
)
def test_of_a_url_only_the_password_is_the_finding(secrets: SecretsDetector, text: str, secret: str) -> None:
    """The host and the user stay readable when the password is hidden."""
    (finding,) = secrets.detect_text(f"DSN={text}")
    assert (finding.type, f"DSN={text}"[finding.start : finding.end]) == ("DATABASE_PASSWORD", secret)


@pytest.mark.parametrize(
    "text",
    [
        "postgres://user:password@localhost/db",
        "postgres://$USER:$PASS@host/db",
        "mysql://{user}:{password}@{host}/db",
        "redis://:<password>@host",
        "https://user:***@host/",
        "https://example.com:8443/a@b",
        "mongodb://host1:27017,host2:27017/x@y",
        "Authorization: Bearer YOUR_TOKEN_GOES_HERE",
        "Authorization: Bearer <token>",
        "Authorization: Basic dXNlcjpwYXNzd29yZA==",
        "curl -u user:password https://x",
    ],
)
def test_examples_of_urls_and_headers_are_none(secrets: SecretsDetector, text: str) -> None:
    """What documentation writes in a password's place is no secret."""
    assert secrets.detect_text(text) == []


def test_basic_credentials_are_decoded(secrets: SecretsDetector) -> None:
    """Basic credentials are found when they are base64 of a user and a password (RFC 7617)."""
    text = "authorization: Basic " + "am9lOnM0ZjMtcHctOTk="
    (finding,) = secrets.detect_text(text)
    assert (finding.type, text[finding.start : finding.end]) == ("AUTHORIZATION", "am9lOnM0ZjMtcHctOTk=")
    (finding,) = secrets.detect_text("curl -s -u joe:s4f3-pw-99 https://api.internal/x")
    assert finding.type == "AUTHORIZATION"


def test_age_keys_are_checked(secrets: SecretsDetector) -> None:
    """The checksum of BIP 173 decides: one letter changed is no key."""
    human, data = "age-secret-key-", [random.Random(3).randrange(32) for _ in range(52)]
    alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    checked = 1
    for digit in [*(ord(c) >> 5 for c in human), 0, *(ord(c) & 31 for c in human), *data, 0, 0, 0, 0, 0, 0]:
        top, checked = checked >> 25, (checked & 0x1FFFFFF) << 5 ^ digit
        for bit, part in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checked ^= part if top >> bit & 1 else 0
    checked ^= 1
    tail = [checked >> 5 * (5 - i) & 31 for i in range(6)]
    key = (human + "1" + "".join(alphabet[d] for d in data + tail)).upper()
    (finding,) = secrets.detect_text(f"key {key}")
    assert (finding.type, finding.score) == ("PRIVATE_KEY", 1.0)
    wrong = key[:-1] + ("Q" if key[-1] != "Q" else "P")
    assert secrets.detect_text(f"key {wrong}") == []


def test_pgp_and_json_private_keys(secrets: SecretsDetector) -> None:
    """A PGP block, and the private_key of a service account in JSON, are found whole."""
    body = "\\n".join("".join(random.Random(i).choices(ALNUM, k=64)) for i in range(4))
    for label in ("PGP PRIVATE KEY BLOCK", "PRIVATE KEY"):
        text = f'{{"private_key": "-----BEGIN {label}-----\\n{body}\\n-----END {label}-----\\n"}}'
        (finding,) = secrets.detect_text(text)
        assert finding.type == "PRIVATE_KEY"
        assert text[finding.start : finding.end].endswith(f"-----END {label}-----")


def test_generic_is_off_until_asked() -> None:
    """Random values that an assignment names are found with ``generic``, and ordinary ones are not."""
    value = "q7Gz0pLm4Xv9Rt2Bw8Ks"
    text = f"session_secret = '{value}'"
    assert SecretsDetector().detect_text(text) == []
    for asked in (SecretsDetector(generic=True), SecretsDetector(entities=["GENERIC_SECRET"])):
        (finding,) = asked.detect_text(text)
        assert (finding.type, finding.score, text[finding.start : finding.end]) == ("GENERIC_SECRET", 0.5, value)
        assert asked.detect_text("password_reset_token = generate_the_password_token(user)") == []
    assert entropy_bits("aaaa") == 0.0
    assert entropy_bits("abcd") == 2.0


ORDINARY_BYTES = 2_000_000
KNOWN: dict[str, set[str]] = {}
"""File name -> types that are found in it and are no secrets: none."""


def test_ordinary_code_holds_no_secrets(secrets: SecretsDetector) -> None:
    """Two megabytes of the standard library's sources: no finding but those that are listed."""
    root = Path(sysconfig.get_paths()["stdlib"])
    seen, found = 0, {}
    for path in sorted(root.rglob("*.py")):
        if {"test", "tests", "idle_test", "site-packages", "lib2to3"} & set(path.parts):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        kinds = {finding.type for finding in secrets.detect_text(text)}
        if kinds:
            found[path.name] = kinds
        seen += len(text)
        if seen > ORDINARY_BYTES:
            break
    assert seen > ORDINARY_BYTES
    assert found == KNOWN
