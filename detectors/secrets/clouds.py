"""Secrets of cloud providers, hosting and infrastructure."""

from __future__ import annotations

from typing import Final

from detectors.secrets.format import ASSIGN, Format, assigned, is_placeholder, mixed, plain

_AWS_NAME: Final = r"(?i:aws[a-z0-9_. \-]{0,20}(?:secret|private)[a-z0-9_. \-]{0,20}|secret_?access_?key)"


def _azure_ad(value: str) -> float | None:
    """The fourth to sixth characters are ``8Q~`` or the like; the rest is random."""
    return 0.9 if any(map(str.isupper, value)) and not is_placeholder(value) else None


CLOUDS: Final[tuple[Format, ...]] = (
    Format("AWS_ACCESS_KEY", "access key id", r"A(?:KIA|SIA)[A-Z2-7]{16}", plain(0.95, 4), word_before=False),
    Format(
        "AWS_SECRET_KEY",
        "secret in assignment",
        _AWS_NAME + ASSIGN + r"([A-Za-z0-9/+]{40})",
        mixed(0.9),
        1,
        word_before=False,
    ),
    Format("AWS_BEDROCK_KEY", "long-term API key", r"ABSK[A-Za-z0-9+/]{109,269}={0,2}", plain(0.95, 4)),
    Format("GOOGLE_API_KEY", "key", r"AIza[A-Za-z0-9_-]{35}", plain(0.9, 4), word_before=False),
    Format("GOOGLE_OAUTH_SECRET", "client secret", r"GOCSPX-[A-Za-z0-9_-]{28}", plain(0.95, 7)),
    Format("GOOGLE_OAUTH_TOKEN", "access token", r"ya29\.[A-Za-z0-9_-]{30,}", plain(0.9, 5)),
    Format("GOOGLE_OAUTH_TOKEN", "refresh token", r"1//0[A-Za-z0-9_-]{60,256}", plain(0.9, 4)),
    Format(
        "AZURE_STORAGE_KEY",
        "account key",
        r"(?i:account_?key|storage_?key)" + ASSIGN + r"([A-Za-z0-9+/]{86}==)",
        plain(0.95),
        1,
    ),
    Format(
        "AZURE_SHARED_KEY",
        "SharedAccessKey",
        r"SharedAccessKey=([A-Za-z0-9+/]{43}=)",
        plain(0.95),
        1,
    ),
    Format(
        "AZURE_SAS",
        "signature of a shared access signature",
        r"[?&;\"' ]sig=([A-Za-z0-9%+/]{43,90}(?:%3[Dd]|=))",
        plain(0.9),
        1,
    ),
    Format("AZURE_CLIENT_SECRET", "client secret", r"[A-Za-z0-9_.~-]{3}[78]Q~[A-Za-z0-9_.~-]{31,34}", _azure_ad),
    Format("AZURE_DEVOPS_TOKEN", "token", r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}", plain(0.95)),
    Format("DIGITALOCEAN_TOKEN", "token", r"do[opr]_v1_[0-9a-f]{64}", plain(0.95, 7)),
    Format("HEROKU_TOKEN", "key", r"HRKU-[A-Za-z0-9_-]{36,128}", plain(0.95, 5)),
    Format(
        "HEROKU_TOKEN",
        "key in assignment",
        assigned(
            r"heroku[a-z0-9_. -]{0,16}(?:key|token|secret)",
            r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
        ),
        plain(0.9),
        1,
    ),
    Format(
        "CLOUDFLARE_TOKEN",
        "token in assignment",
        assigned(r"(?:cloudflare|cf)_?(?:[a-z]{1,12}_)?(?:api_?)?(?:token|key)", r"[A-Za-z0-9_-]{37,40}"),
        plain(0.9),
        1,
    ),
    Format("CLOUDFLARE_TOKEN", "origin CA key", r"v1\.0-[0-9a-f]{24}-[0-9a-f]{146}", plain(0.95, 5)),
    Format("VAULT_TOKEN", "token", r"hv[sbr]\.[A-Za-z0-9_-]{24,512}", plain(0.95, 4)),
    Format("TERRAFORM_TOKEN", "token", r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,80}", plain(0.95)),
    Format("PULUMI_TOKEN", "access token", r"pul-[0-9a-f]{40}", plain(0.95, 4)),
    Format("DATABRICKS_TOKEN", "token", r"dapi[0-9a-f]{32}(?:-[0-9])?", plain(0.95, 4)),
    Format("PLANETSCALE_TOKEN", "token or password", r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{32,64}", plain(0.95, 11)),
    Format("SUPABASE_TOKEN", "token or secret key", r"sbp_[0-9a-f]{40}|sb_secret_[A-Za-z0-9_-]{31}", plain(0.95, 4)),
    Format(
        "DOPPLER_TOKEN",
        "token",
        r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}",
        plain(0.95, 6),
    ),
    Format("NETLIFY_TOKEN", "token", r"nfp_[A-Za-z0-9]{36,64}", plain(0.95, 4)),
    Format("FLY_TOKEN", "token", r"fo1_[A-Za-z0-9_-]{43}|FlyV1 fm[12][ar]?_[A-Za-z0-9+/=]{64,}", plain(0.95, 6)),
    Format("ALIBABA_ACCESS_KEY", "access key id", r"LTAI[A-Za-z0-9]{17,21}", plain(0.85, 4)),
    Format(
        "SNOWFLAKE_PASSWORD",
        "password in assignment",
        r"(?i:snowflake_?(?:password|pwd))" + ASSIGN + r"([^\s\"'`,;]{8,128})",
        mixed(0.85),
        1,
    ),
)
