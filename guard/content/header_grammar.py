"""What is known of headers by their names: credentials, values of a fixed grammar, and names that stand in pointers.

A value that fits the grammar of its header holds no text: it negotiates, counts, dates, traces or names a machine. The
grammars are tight: no runs of digits that could be a phone or card number, nothing that looks like a key, but where ids
and entity tags look so by nature. Sources: RFC 6455, 6797, 7239, 9110, 9111, 9112, Fetch Metadata, User-Agent Client
Hints, Trace Context, B3, and the documentation of AWS, Azure, Cloudflare, Envoy and Google load balancers and of the
OpenAI and Anthropic SDKs.
"""

from __future__ import annotations

import re
from typing import Final


def _names(names: str) -> frozenset[bytes]:
    return frozenset(names.encode().split())


CREDENTIAL_HEADERS: Final = _names(
    """authorization proxy-authorization cookie set-cookie x-api-key api-key x-goog-api-key x-amz-security-token
    x-csrf-token x-xsrf-token"""
)
"""Not read, since they are credentials by definition: ``credential`` in coverage."""

TEXT_HEADERS: Final = _names(
    """anthropic-beta anthropic-organization-id baggage content-disposition content-location
    content-security-policy from idempotency-key link location openai-beta openai-model openai-organization
    openai-project permissions-policy prefer referer refresh report-to nel reporting-endpoints request-id
    sec-websocket-protocol server-timing tracestate user-agent warning www-authenticate x-amz-cf-id x-azure-ref
    x-client-request-id x-correlation-id x-forwarded-client-cert x-original-url x-request-id x-requested-with
    x-rewrite-url"""
)
"""Names that stand in pointers; all other names that are read are hashed, and are texts themselves."""

URI_HEADERS: Final = frozenset(
    {b"content-location", b"link", b"location", b"referer", b"refresh", b"x-original-url", b"x-rewrite-url"}
)
"""Their values are references (RFC 3986): new text in them is percent-encoded."""

FRAMING_HEADERS: Final = _names(
    """connection content-encoding content-length content-type host keep-alive sec-websocket-accept
    sec-websocket-extensions sec-websocket-key sec-websocket-version te trailer transfer-encoding upgrade"""
)
"""They say how the message is read and where it goes: none of them is ever rewritten."""

# Possessive throughout, so that what does not match is left in linear time.
_WORD: Final = rb"(?:\?[01]|[A-Za-z0-9*+._/-]++)"
_QUOTED: Final = rb"\"[A-Za-z0-9 ._;:()?*+=/-]*+\""
_ELEMENT: Final = rb"(?:" + _WORD + rb"(?:=(?:" + _WORD + rb"|" + _QUOTED + rb"))?+|" + _QUOTED + rb")?+"
_LIST_FORM: Final = re.compile(_ELEMENT + rb"(?:[ \t]*+[;,][ \t]*+" + _ELEMENT + rb")*+")
_OPAQUE: Final = re.compile(
    rb"[0-9](?:[ .-]?[0-9]){6}|[A-Z0-9]{16}|(?=[A-Za-z_]*[0-9])[A-Za-z0-9_]{20}|[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
)
"""Digits that could be a phone or card number, what looks like a key, addresses: no list of words holds them."""
_BOUNDARY: Final = re.compile(
    rb";[ \t]*+boundary=(\"?)-{0,40}"
    rb"(?:formdata-[a-z]{0,12}-?0[0-9]{11}|[0-9]{20,40}|(?![0-9]{16,19}[\"; ]|[0-9]{16,19}\Z)[0-9A-Za-z]{16,60})"
    rb"\1(?=[; ]|\Z)"
)
"""As browsers and HTTP clients make them."""
_VERSION: Final = rb"[0-9]{1,3}(?:\.0\.[0-9]{1,4}\.[0-9]{1,3}|(?:[._][0-9]{1,3}){0,1}(?:[._][0-9]{1,2})?)"
"""``10``, ``537.36``, ``10_15_7``, ``605.1.15``, ``131.0.6778.86``: neither an address nor a phone number."""
_RELEASE: Final = rb"v?" + _VERSION + rb"(?:[.-]?(?:a|b|rc|alpha|beta|dev|post)[.-]?[0-9]{0,3})?"
_IPV4: Final = rb"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?::[0-9]{1,5})?+"
_IPV6: Final = rb"\[?+[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}+\]?+(?::[0-9]{1,5})?+"
_NODE: Final = rb"(?:" + _IPV4 + rb"|" + _IPV6 + rb"|unknown)"
# No digits that could be a number of somebody, joined as those are, and nothing that could be a key.
_HOST: Final = (
    rb"(?![a-z0-9._-]*[0-9](?:[._-]?[0-9]){6})(?![a-z0-9._-]*(?=[a-z]{0,19}[0-9])[a-z0-9]{20})[a-z0-9._-]{0,253}"
)
_HEX: Final = rb"(?=[0-9]{0,15}[a-f])[0-9a-f]"
_UUID: Final = (
    rb"(?:stainless-[a-z]{4,8}-retry-)?[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|(?:req_)?" + _HEX + rb"{32}"
)
_TAG: Final = rb"(?:W/)?\"(?![0-9](?:[.:_-]?[0-9]){6,}\")[0-9A-Za-z_+/=:.-]{0,64}\""
_AMOUNT: Final = rb"[0-9]{1,8}(?:\.[0-9]{1,6})?"
_BRAND: Final = rb"\"(?:" + _VERSION + rb"|[A-Za-z ._;:()?*+=/-]{0,40})\"(?:;v=\"" + _VERSION + rb"\")?"
_MAX_GRAMMAR_BYTES: Final = 1024
_DIRECTIVES: Final = (
    rb"(?:(?:max-age|s-maxage|max-stale|min-fresh|stale-while-revalidate|stale-if-error)=[0-9]{1,9}"
    rb"|includeSubDomains|[a-z-]{2,24}|[; ,])*+"
)
# Amounts, durations (1h2m3.5s), seconds since the epoch, times of RFC 3339.
_QUOTA: Final = (
    _AMOUNT + rb"|(?:" + _AMOUNT + rb"(?:ms|s|m|h|d))+|1[5-9][0-9]{8}"
    rb"|20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
)
_DATE: Final = rb"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
_AUTHORITY: Final = rb"(?:https?://)?+(?:" + _IPV4 + rb"|\[" + _IPV6 + rb"|" + _HOST + rb"(?::[0-9]{1,5})?+)|\*"
_FORWARDED: Final = (
    rb"(?i:(?:[;,] ?+|(?:for|by)=\"?+" + _NODE + rb"\"?+(?=[;,]|\Z)|proto=https?+(?=[;,]|\Z)"
    rb"|host=[A-Za-z.:-]++(?=[;,]|\Z))*+)"
)
_HOP: Final = (
    rb"(?:[A-Za-z]{1,8}/)?[0-9](?:\.[0-9])? (?:" + _IPV4 + rb"|(?![ (,])" + _HOST + rb"(?::[0-9]{1,5})?+)"
    rb"(?: \([A-Za-z-]{1,24}(?:/[0-9.]{1,10})?\))?"
)
_VIA: Final = _HOP + rb"(?:, ?" + _HOP + rb")*"
_ENVOY_NODE: Final = rb"[a-z]{3,12}~(?:" + _IPV4 + rb"|" + _IPV6 + rb")~" + _HOST + rb"~" + _HOST
_AMAZON_TRACE: Final = (
    rb"(?:;?(?:(?:Root|Self)=1-[0-9a-f]{8}-[0-9a-f]{24}|Parent=[0-9a-f]{16}|Sampled=[01]|Lineage=[0-9a-f:|]{1,40}))+"
)
# A number of 64 bits has seventeen digits and more, but for one in two hundred, which is then read.
_DATADOG: Final = rb"[0-9]{17,20}|-?[0-9]{1,2}|synthetics|rum"
_PLATFORM: Final = (
    rb"[A-Za-z]{1,12}(?:[:_-][A-Za-z]{1,12}){0,2}|(?:[Oo]ther:)?(?:x64|x32|x86_64|arm64|aarch64)|"
    + _RELEASE
    + rb"|[0-9]{1,6}(?:\.[0-9]{1,3})?"
)

_LISTS: Final = _names(
    """accept accept-ch accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials
    access-control-allow-headers access-control-allow-methods access-control-expose-headers
    access-control-request-headers access-control-request-method allow alt-svc cdn-loop cf-cache-status connection
    content-encoding content-language content-type cross-origin-embedder-policy cross-origin-opener-policy
    cross-origin-resource-policy dnt expect keep-alive origin-agent-cluster pragma priority proxy-connection range
    referrer-policy save-data sec-ch-ua sec-ch-ua-arch sec-ch-ua-bitness sec-ch-ua-mobile sec-ch-ua-model
    sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc sec-purpose
    sec-websocket-extensions server te trailer transfer-encoding upgrade upgrade-insecure-requests vary
    x-azure-requestchain x-cache x-content-type-options x-dns-prefetch-control x-envoy-internal x-fd-healthprobe
    x-forwarded-port x-forwarded-proto x-forwarded-scheme x-forwarded-ssl x-frame-options x-powered-by x-should-retry
    x-xss-protection"""
)
"""Lists of words."""

_FORMS: Final = {
    rb"[0-9]{1,18}": "content-length",
    rb"[0-9]{1,8}": """access-control-max-age age max-forwards x-envoy-attempt-count
        x-envoy-expected-rq-timeout-ms""",
    _DIRECTIVES: "cache-control cdn-cache-control strict-transport-security surrogate-control",
    _QUOTA: """anthropic-ratelimit-input-tokens-limit anthropic-ratelimit-input-tokens-remaining
        anthropic-ratelimit-input-tokens-reset anthropic-ratelimit-output-tokens-limit
        anthropic-ratelimit-output-tokens-remaining anthropic-ratelimit-output-tokens-reset
        anthropic-ratelimit-requests-limit anthropic-ratelimit-requests-remaining anthropic-ratelimit-requests-reset
        anthropic-ratelimit-tokens-limit anthropic-ratelimit-tokens-remaining anthropic-ratelimit-tokens-reset
        openai-processing-ms ratelimit-limit ratelimit-remaining ratelimit-reset retry-after retry-after-ms
        x-envoy-upstream-service-time x-process-time x-ratelimit-limit x-ratelimit-limit-requests
        x-ratelimit-limit-tokens x-ratelimit-remaining x-ratelimit-remaining-requests x-ratelimit-remaining-tokens
        x-ratelimit-reset x-ratelimit-reset-requests x-ratelimit-reset-tokens x-ratelimit-used x-runtime""",
    _DATE: "date expires if-modified-since if-unmodified-since last-modified",
    rb"20[0-9]{2}-[0-9]{2}-[0-9]{2}": "anthropic-version openai-version",
    _AUTHORITY: """access-control-allow-origin cf-worker disguised-host host origin timing-allow-origin
        was-default-hostname x-forwarded-host x-forwarded-server x-original-host""",
    _NODE
    + rb"(?:, ?+"
    + _NODE
    + rb")*+": """cf-connecting-ip cf-connecting-ipv6 cloudfront-viewer-address cf-pseudo-ipv4 client-ip
        fastly-client-ip true-client-ip x-appengine-user-ip x-azure-clientip x-azure-socketip x-client-ip
        x-cluster-client-ip x-envoy-external-address x-forwarded x-forwarded-for x-original-forwarded-for
        x-real-ip""",
    _ENVOY_NODE: "x-envoy-peer-metadata-id",
    _FORWARDED: "forwarded",
    _VIA: "via",
    rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}": "traceparent",
    rb"[0-9a-f]{32}-[0-9a-f]{16}(?:-[01d](?:-[0-9a-f]{16})?)?": "b3 sentry-trace",
    _HEX + rb"{16}|" + _HEX + rb"{32}": "x-b3-parentspanid x-b3-spanid x-b3-traceid",
    rb"[01d]|true|false": "x-b3-flags x-b3-sampled x-cloud-trace-sampled",
    _AMAZON_TRACE: "x-amzn-trace-id",
    rb"[0-9a-f]{32}(?:/[0-9]{1,20})?(?:;o=[0-3])?": "x-cloud-trace-context",
    _DATADOG: "x-datadog-origin x-datadog-parent-id x-datadog-sampling-priority x-datadog-trace-id",
    _UUID: """apim-request-id idempotency-key request-id x-amzn-requestid x-appservice-session x-arr-log-id
        x-azure-fdid x-client-request-id x-correlation-id x-ms-client-request-id x-ms-request-id x-request-id""",
    _HEX + rb"{16}(?:-[A-Z]{3})?": "cf-ray",
    rb"[A-Z]{2}|XX|T1": "cf-ipcountry cloudfront-viewer-country x-appengine-country x-country-code",
    rb"\{\"scheme\":\"https?\"\}": "cf-visitor",
    rb"\*|" + _TAG + rb"(?:, ?" + _TAG + rb")*": "etag if-match if-none-match",
    _BRAND + rb"(?:, ?" + _BRAND + rb")*": """sec-ch-ua-full-version sec-ch-ua-full-version-list
        sec-ch-ua-platform-version""",
    rb"[A-Za-z0-9+/]{22}==|[A-Za-z0-9+/]{27}=": "sec-websocket-accept sec-websocket-key",
    rb"[0-9]{1,2}": "sec-websocket-version",
    _PLATFORM: """x-stainless-arch x-stainless-async x-stainless-helper x-stainless-helper-method x-stainless-lang
        x-stainless-os x-stainless-package-version x-stainless-poll-helper x-stainless-read-timeout
        x-stainless-retry-count x-stainless-runtime x-stainless-runtime-version x-stainless-timeout""",
}
"""Headers whose values have one form."""

_EXACT: Final = {
    name: pattern for source, names in _FORMS.items() for pattern in [re.compile(source)] for name in _names(names)
}
FIXED_GRAMMAR: Final = frozenset(_LISTS | _EXACT.keys())
"""Headers whose values are no texts where they fit."""


def is_fixed(name: bytes, value: bytes) -> bool:
    """Whether a value is no text, since it fits the grammar of its header (``name`` in lower case)."""
    exact = _EXACT.get(name)
    if exact is not None:
        return len(value) <= _MAX_GRAMMAR_BYTES and exact.fullmatch(value) is not None
    if name not in _LISTS or len(value) > _MAX_GRAMMAR_BYTES:
        return False
    if name == b"content-type":
        value = _BOUNDARY.sub(b"", value)
    return _LIST_FORM.fullmatch(value) is not None and _OPAQUE.search(value) is None


_PRODUCTS: Final = rb"""Mozilla AppleWebKit KHTML like Gecko Chrome Chromium HeadlessChrome Safari Firefox Version
    Mobile Edg EdgA EdgiOS OPR CriOS FxiOS SamsungBrowser X11 Linux x86_64 aarch64 arm64 armv7l i686 Windows NT Win64
    WOW64 x64 Macintosh Intel Mac OS X PPC iPhone iPad CPU Android wv U K rv compatible Ubuntu Fedora Darwin CFNetwork
    CrOS OpenAI AsyncOpenAI AzureOpenAI AsyncAzureOpenAI Anthropic AsyncAnthropic AnthropicBedrock AsyncAnthropicBedrock
    AnthropicVertex AsyncAnthropicVertex Python CPython JS Node node Node.js Go Java Ruby Bun Deno python-requests
    python-httpx httpx aiohttp urllib3 requests curl libcurl Wget okhttp axios node-fetch undici Go-http-client
    Apache-HttpClient Jakarta PostmanRuntime insomnia kube-probe GoogleHC ELB-HealthChecker Prometheus Envoy"""
"""Words of user agents that name software; with a version after them they are no text."""
USER_AGENT_WORDS: Final = re.compile(
    (
        rb"(?<![^ (;,])(?:(?:"
        + rb"|".join(map(re.escape, sorted(_PRODUCTS.split(), key=len, reverse=True)))
        + rb")(?:[/: ](?:"
        + _RELEASE
        + rb"|Python|JS|20100101|15E148)(?: "
        + _RELEASE
        + rb")?)?)(?=[ );,]|\Z)(?! [0-9.+-])"
    ).decode()
)
