"""Secrets of payment, messaging, mail and office services."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from detectors.secrets.format import Format, assigned, is_placeholder, mixed, plain


def _discord(value: str) -> float | None:
    """The first part is the bot's id, decimal digits, in base64url."""
    head, _, rest = value.partition(".")
    try:
        user = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
    except (binascii.Error, ValueError):
        return None
    return 0.97 if user.isdigit() and not is_placeholder(rest) else None


SERVICES: Final[tuple[Format, ...]] = (
    Format("STRIPE_KEY", "live key", r"(?:sk|rk)_live_[A-Za-z0-9]{16,247}", plain(0.95, 8), word_before=False),
    Format("STRIPE_KEY", "test key", r"(?:sk|rk)_test_[A-Za-z0-9]{16,247}", plain(0.6, 8), word_before=False),
    Format("STRIPE_KEY", "webhook secret", r"whsec_[A-Za-z0-9+/]{32,128}", plain(0.9, 6), word_before=False),
    Format("SQUARE_TOKEN", "token or secret", r"sq0(?:atp-[A-Za-z0-9_-]{22}|csp-[A-Za-z0-9_-]{43})", plain(0.95, 7)),
    Format("SQUARE_TOKEN", "access token", r"EAAA[A-Za-z0-9_-]{60}", plain(0.85, 4)),
    Format(
        "BRAINTREE_TOKEN", "token", r"access_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[0-9a-f]{32}", plain(0.97, 13)
    ),
    Format(
        "PAYPAL_SECRET",
        "secret in assignment",
        assigned(r"paypal[a-z0-9_. -]{0,12}secret", r"E[A-Za-z0-9_-]{60,90}"),
        plain(0.9),
        1,
    ),
    Format("SHOPIFY_TOKEN", "token or secret", r"shp(?:at|ca|pa|ss|ua)_[0-9a-fA-F]{32}", plain(0.95, 6)),
    Format(
        "PLAID_TOKEN",
        "token",
        r"access-(?:sandbox|development|production)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        plain(0.9, 12),
    ),
    Format("SLACK_TOKEN", "token", r"xox[abeoprs]-[A-Za-z0-9-]{10,250}", plain(0.9, 5), word_before=False),
    Format("SLACK_TOKEN", "rotating token", r"xoxe\.xox[bp]-[0-9]-[A-Za-z0-9]{100,250}", plain(0.95, 12)),
    Format(
        "SLACK_TOKEN",
        "app token",
        r"xapp-[0-9]-[A-Z0-9]{5,20}-[0-9]{5,20}-[a-z0-9]{20,128}",
        plain(0.95, 7),
        word_before=False,
    ),
    Format(
        "SLACK_TOKEN",
        "webhook address",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/]{30,128})",
        plain(0.9),
        1,
    ),
    Format("TELEGRAM_TOKEN", "bot token", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}", plain(0.95, 13)),
    Format(
        "DISCORD_TOKEN", "bot token", r"[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}", _discord
    ),
    Format(
        "DISCORD_TOKEN",
        "webhook address",
        r"discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/([A-Za-z0-9_-]{60,72})",
        plain(0.95),
        1,
    ),
    Format(
        "TEAMS_WEBHOOK", "webhook address", r"webhook\.office\.com/webhookb2/([0-9a-f@/A-Za-z-]{80,200})", plain(0.9), 1
    ),
    Format("TWILIO_KEY", "API key id", r"SK[0-9a-f]{32}", plain(0.85, 2)),
    Format(
        "TWILIO_KEY",
        "auth token in assignment",
        assigned(r"twilio[a-z0-9_. -]{0,12}(?:token|secret|key)", r"[0-9a-f]{32}"),
        plain(0.9),
        1,
    ),
    Format("SENDGRID_KEY", "key", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", plain(0.98, 3)),
    Format("MAILGUN_KEY", "key", r"key-[0-9a-f]{32}|[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}", plain(0.85, 4)),
    Format("MAILCHIMP_KEY", "key", r"[0-9a-f]{32}-us[0-9]{1,2}", plain(0.9)),
    Format("BREVO_KEY", "key", r"xkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}", plain(0.97, 8)),
    Format(
        "POSTMARK_TOKEN",
        "token in assignment",
        assigned(r"postmark[a-z0-9_. -]{0,16}token", r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        plain(0.9),
        1,
    ),
    Format("NOTION_TOKEN", "token", r"ntn_[A-Za-z0-9]{40,50}|secret_[A-Za-z0-9]{43}", mixed(0.9)),
    Format("LINEAR_KEY", "key", r"lin_(?:api|oauth)_[A-Za-z0-9]{40,64}", plain(0.95, 8)),
    Format("FIGMA_TOKEN", "token", r"fig[dour]_[A-Za-z0-9_-]{36,64}", plain(0.95, 5)),
    Format("DROPBOX_TOKEN", "access token", r"sl\.(?:u\.)?[A-Za-z0-9_-]{120,}", plain(0.95, 3)),
    Format("AIRTABLE_TOKEN", "token", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}", plain(0.97, 3)),
    Format("ASANA_TOKEN", "token", r"[12]/[0-9]{14,18}(?:/[0-9]{14,18})?:[0-9a-f]{32}", plain(0.95)),
    Format(
        "HUBSPOT_TOKEN",
        "private app token",
        r"pat-(?:na|eu)[0-9]-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        plain(0.95, 8),
    ),
    Format("TYPEFORM_TOKEN", "token", r"tfp_[A-Za-z0-9_-]{40,64}", plain(0.9, 4)),
    Format("CONTENTFUL_TOKEN", "token", r"CFPAT-[A-Za-z0-9_-]{43}", plain(0.95, 6)),
    Format("META_TOKEN", "access token", r"EAA[CGBDM][A-Za-z0-9]{90,400}", plain(0.85, 4)),
)
