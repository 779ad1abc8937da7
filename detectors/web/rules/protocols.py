"""Requests that a server is to send by itself (CWE 918), headers in values (CWE 93, 113), XML entities (CWE 611)."""

from __future__ import annotations

from typing import Final

from detectors.web.rule import ONE_LINE, Rule

SSRF: Final = "WEB_SSRF"
HEADER: Final = "WEB_HEADER"
XXE: Final = "WEB_XXE"

PROTOCOLS: Final = (
    Rule(
        SSRF,
        "address of cloud metadata",
        0.9,
        r"\b169\.254\.(?:1(?:69|70)\.\d{1,3}|0\.23)\b|//instance-data\b"
        r"|\bmetadata\.(?:google|azure|packet|tencentyun|oraclecloud|goog)\b"
        r"|\b100\.100\.100\.200\b|\b192\.0\.0\.192\b|\bfd00:ec2::(?:254|23)\b|::ffff:(?:0?a9fe:a9fe"
        r"|169\.254\.)|/latest/(?:meta-data|dynamic/instance|user-data)\b|computemetadata/v1"
        r"|/metadata/(?:instance|identity)\b|\bopc/v[12]/instance\b",
    ),
    Rule(
        SSRF,
        "address of cloud metadata as a number",
        0.9,
        r"//(?:[^/@\s]*@)?(?:2852039166|0xa9fea9fe|0x?a9\.0xfe\.|0?251\.0?376\.|0*251\.254\.|025177524776"
        r"|169\.254\.43518|169\.16689662)\b|//\[?(?:0:){0,6}:?:?ffff:a9fe",
    ),
    Rule(
        SSRF,
        "scheme that no page has",
        0.85,
        r"\b(?:gopher|dict|netdoc|ldaps?|rmi|tftp|jar:(?:https?|file)|expect)://?[\w\[%]",
    ),
    Rule(
        SSRF,
        "host that calls back",
        0.8,
        r"\b(?:oastify\.com|burpcollaborator\.net|interact\.sh|interactsh\.com|oast\.(?:pro|live|site"
        r"|online|fun|me)|dnslog\.cn|ceye\.io|requestbin\.\w+|webhook\.site|canarytokens\.com)\b"
        r"|\b(?:127\.|10\.|169\.254\.|localhost\.)[\w.-]*(?:nip\.io|sslip\.io|xip\.io)\b|\blocaltest\.me\b",
    ),
    Rule(
        HEADER,
        "header in a value",
        0.9,
        r"[\r\n][ \t]*(?:set-cookie|location|content-(?:type|length|disposition|security-policy)"
        r"|transfer-encoding|host|refresh|link|access-control-[a-z-]+|x-[a-z-]{2,40}|b?cc|reply-to"
        r"|mime-version)[ \t]*:|[\r\n](?:http/[12]\.[01]\b|(?:get|post|put|delete) /\S* http/)",
        ONE_LINE,
    ),
    Rule(
        HEADER,
        "header in a value, in another spelling",
        0.9,
        r"(?:%0[da]|\\r\\n|%e5%98%8[ad]|%u000[da])\s*(?:set-cookie|location|content-(?:type|length)"
        r"|x-[a-z-]{2,40}|http/1)",
    ),
    Rule(
        XXE,
        "entity",
        0.95,
        r"<!entity\s+(?:%\s*)?[\w.:-]+\s+(?:system|public|['\"])|<!doctype[^>\[]*\["
        r"|<!doctype\s+[\w.:-]+\s+(?:system\s+['\"]|public\s+['\"][^'\"]*['\"]\s+['\"](?:file|php|expect"
        r"|jar|gopher))",
    ),
    Rule(
        XXE,
        "document that loads another",
        0.9,
        r"<xi:include\b|xmlns:xi\s*=|<\?xml-stylesheet\b|<xsl:(?:stylesheet|template|value-of|include"
        r"|import)\b|<\?xml[^>]*\?>\s*<!",
    ),
)
