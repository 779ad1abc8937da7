"""Headers as clients, proxies and providers really send them: the shipped detectors find nothing in them."""

# ruff: noqa: E501 - real values are long

from __future__ import annotations

import time

import pytest

from detectors.pii import PiiDetector
from detectors.secrets import SecretsDetector
from guard.content import read_headers
from guard.types import DetectContext
from tests.content.reading import KEYED, LIMITS, headers

SETS = {
    "openai-python": """host: api.openai.com
        accept: application/json
        accept-encoding: gzip, deflate, br, zstd
        connection: keep-alive
        content-type: application/json
        content-length: 412
        user-agent: AsyncOpenAI/Python 1.109.1
        x-stainless-lang: python
        x-stainless-package-version: 1.109.1
        x-stainless-os: MacOS
        x-stainless-arch: arm64
        x-stainless-runtime: CPython
        x-stainless-runtime-version: 3.12.7
        x-stainless-async: async:asyncio
        x-stainless-retry-count: 0
        x-stainless-read-timeout: 600
        authorization: Bearer sk-proj-abc
        openai-organization: org-Zx81mQpLr27TnVbKc05WsYdH
        openai-project: proj_Hq20sLmTzX97vNbRkW41cYpD
        idempotency-key: stainless-python-retry-8d1c4f39-9d7f-4a38-a3b2-8fb6e1d9bd10""",
    "openai-node": """host: api.openai.com
        user-agent: OpenAI/JS 5.23.0
        accept-language: *
        sec-fetch-mode: cors
        x-stainless-lang: js
        x-stainless-package-version: 5.23.0
        x-stainless-os: Linux
        x-stainless-arch: x64
        x-stainless-runtime: node
        x-stainless-runtime-version: v22.19.0
        x-stainless-timeout: 600
        x-stainless-helper-method: stream""",
    "anthropic-python": """host: api.anthropic.com
        user-agent: Anthropic/Python 0.68.0
        anthropic-version: 2023-06-01
        anthropic-beta: prompt-caching-2024-07-31,max-tokens-3-5-sonnet-2024-07-15,output-128k-2025-02-19
        x-api-key: sk-ant-api03-x
        x-stainless-async: false
        x-stainless-timeout: NOT_GIVEN
        x-stainless-stream-helper: messages""",
    "chrome": """host: chat.example.com
        connection: keep-alive
        sec-ch-ua: "Google Chrome";v="131", "Chromium";v="131", "Not_A Brand";v="24"
        sec-ch-ua-full-version-list: "Google Chrome";v="131.0.6778.86", "Chromium";v="131.0.6778.86", "Not(A:Brand";v="99"
        sec-ch-ua-mobile: ?0
        sec-ch-ua-platform: "Windows"
        sec-ch-ua-platform-version: "15.0.0"
        sec-ch-ua-model: ""
        dnt: 1
        upgrade-insecure-requests: 1
        user-agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36
        accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7
        sec-fetch-site: same-origin
        sec-fetch-mode: navigate
        sec-fetch-user: ?1
        sec-fetch-dest: document
        referer: https://chat.example.com/c/1?tab=2
        accept-language: de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7
        cookie: _ga=GA1.1.1234567890.1700000000; session=abc
        if-none-match: W/"33a64df551425fcc55e4d42a148795d9f25f89d4"
        if-modified-since: Wed, 21 Oct 2015 07:28:00 GMT
        priority: u=0, i
        cache-control: max-age=0""",
    "firefox": """user-agent: Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0
        origin: https://chat.example.com
        content-type: multipart/form-data; boundary=----geckoformboundarye6f3a1b2c4d5e6f708192a3b4c5d6e7f
        te: trailers""",
    "safari on a phone": """user-agent: Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1
        accept-language: en-GB,en;q=0.9""",
    "android": """user-agent: Mozilla/5.0 (Linux; Android 13; SM-G991B Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/112.0.5615.137 Mobile Safari/537.36
        x-requested-with: com.example.app""",
    "other clients": """user-agent: python-requests/2.32.3
        user-agent: python-httpx/0.28.1
        user-agent: curl/8.5.0
        user-agent: Go-http-client/1.1
        user-agent: okhttp/4.12.0
        user-agent: axios/1.7.9
        user-agent: node-fetch/1.0 (+https://github.com/bitinn/node-fetch)
        user-agent: PostmanRuntime/7.42.0
        user-agent: kube-probe/1.30
        user-agent: ELB-HealthChecker/2.0
        user-agent: GoogleHC/1.0
        user-agent: Apache-HttpClient/4.5.14 (Java/17.0.9)
        user-agent: Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)
        postman-token: 6c1f0a9d-2b7e-4f2c-9d3a-5e8b7c6d5e4f""",
    "proxies": """x-forwarded-for: 203.0.113.7, 8.8.8.8, 2a00:1450:4001:82b::200e
        x-forwarded-for: 84.23.17.5:53124
        x-forwarded-proto: https
        x-forwarded-port: 443
        x-forwarded-host: api.corp.com:8443
        x-forwarded-server: edge-3
        x-real-ip: 84.23.17.5
        x-client-ip: 84.23.17.5
        forwarded: for=84.23.17.5;proto=https;host=api.corp.com, for="[2a00:1450:4001:82b::200e]:4711";by=10.1.2.3
        via: 1.1 varnish, HTTP/2.0 edge-3.corp.com (squid/6.8), 1.1 8a1c2e3d4f5a6b7c.cloudfront.net (CloudFront)
        via: 1.1 google""",
    "tracing": """traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
        tracestate: rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,dd=s:2;o:rum;t.dm:-4;t.usr.id:baz64~~
        baggage: sentry-trace_id=771a43a4192642f0b136d5159a501700,sentry-public_key=49d0f7386ad645858ae85020e393bef3,sentry-sample_rate=0.01,sentry-release=app%401.2.3
        sentry-trace: 771a43a4192642f0b136d5159a501700-8b1b2e3a4c5d6e7f-1
        b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90
        x-b3-traceid: 80f198ee56343ba864fe8b2a57d3eff7
        x-b3-spanid: e457b5a2e4d86bd1
        x-b3-sampled: 1
        x-datadog-trace-id: 5577006791947779410
        x-datadog-parent-id: 8674665223082153551
        x-datadog-sampling-priority: 1
        x-datadog-tags: _dd.p.dm=-1,_dd.p.tid=67891233abcdef01
        uber-trace-id: 3acf1b2c5d6e7f80:1a2b3c4d5e6f7a8b:0:1
        x-request-id: 0af76519-16cd-43dd-8448-eb211c80319c
        x-correlation-id: 01JCXZ9Q6H5V3T8K2M4N7P0R1S
        newrelic: eyJ2IjpbMCwxXSwiZCI6eyJ0eSI6IkFwcCIsImFjIjoiMSIsImFwIjoiMiJ9fQ==""",
    "aws": """x-amzn-trace-id: Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1
        x-amz-cf-id: gKqJbLZ2H9s1tYx7wVn0QmE4rUcPaD8fOe3hXiTkBjNvSzWyMl6uRg==
        cloudfront-viewer-country: DE
        cloudfront-viewer-address: 84.23.17.5:46532
        cloudfront-is-mobile-viewer: false
        x-amzn-requestid: 6c1f0a9d-2b7e-4f2c-9d3a-5e8b7c6d5e4f
        x-amzn-tls-version: TLSv1.3
        x-amzn-tls-cipher-suite: TLS_AES_128_GCM_SHA256
        x-amzn-oidc-data: eyJ0eXAiOiJKV1QiLCJraWQiOiIxIn0.e30.c2ln""",
    "google": """x-cloud-trace-context: 105445aa7843bc8bf206b12000100000/1;o=1
        x-goog-api-client: gl-python/3.12.0 grpc/1.60.0 gax/2.15.0 gapic/1.38.0
        x-appengine-user-ip: 84.23.17.5
        x-appengine-country: DE
        x-appengine-citylatlong: 48.137154,11.576124
        x-gfe-request-trace: acvvs17:443,105445aa7843bc8b""",
    "azure": """x-azure-clientip: 84.23.17.5
        x-azure-socketip: 84.23.17.5
        x-azure-ref: 20241115T120000Z-r1755f8b7d9x2v4hhC1FRAe0400000000p9g000000003q4w
        x-azure-fdid: a0a0a0a0-bbbb-cccc-dddd-e1e1e1e1e1e1
        x-azure-requestchain: hops=1
        x-fd-healthprobe: 1
        client-ip: 84.23.17.5:49152
        disguised-host: app.azurewebsites.net
        was-default-hostname: app.azurewebsites.net
        x-site-deployment-id: app__a1b2
        x-arr-log-id: 6c1f0a9d-2b7e-4f2c-9d3a-5e8b7c6d5e4f
        x-arr-ssl: 2048|256|CN=Microsoft Azure RSA TLS Issuing CA 03, O=Microsoft Corporation, C=US|CN=*.azurewebsites.net
        x-appservice-proto: https
        max-forwards: 9""",
    "cloudflare": """cf-ray: 8e7a3b2c1d0e4f5a-FRA
        cf-connecting-ip: 84.23.17.5
        cf-connecting-ipv6: 2a00:1450:4001:82b::200e
        true-client-ip: 84.23.17.5
        cf-ipcountry: DE
        cf-visitor: {"scheme":"https"}
        cf-ew-via: 15
        cf-worker: example.workers.dev
        cdn-loop: cloudflare; loops=1""",
    "envoy": """x-envoy-expected-rq-timeout-ms: 15000
        x-envoy-attempt-count: 1
        x-envoy-external-address: 84.23.17.5
        x-envoy-internal: true
        x-envoy-decorator-operation: chat.default.svc.cluster.local:8000/*
        x-envoy-peer-metadata-id: sidecar~10.4.2.17~chat-6f7b8c9d5-x2k4q.default~default.svc.cluster.local
        x-forwarded-client-cert: By=spiffe://cluster.local/ns/default/sa/chat;Hash=2c4a1e7b9d3f5a6c8e0b1d2f3a4c5e6b7d8f9a0b1c2d3e4f5a6b7c8d9e0f1a2b;URI=spiffe://cluster.local/ns/default/sa/web""",
    "websocket": """upgrade: websocket
        connection: Upgrade
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==
        sec-websocket-version: 13
        sec-websocket-extensions: permessage-deflate; client_max_window_bits
        sec-websocket-protocol: realtime, openai-beta.realtime-v1""",
    "answer of openai": """date: Fri, 15 Nov 2024 12:00:00 GMT
        content-type: application/json
        transfer-encoding: chunked
        connection: keep-alive
        openai-organization: corp-7x2
        openai-processing-ms: 512
        openai-version: 2020-10-01
        x-ratelimit-limit-requests: 10000
        x-ratelimit-limit-tokens: 30000000
        x-ratelimit-remaining-requests: 9999
        x-ratelimit-remaining-tokens: 29999976
        x-ratelimit-reset-requests: 6ms
        x-ratelimit-reset-tokens: 1m2.5s
        x-request-id: req_3f8a9c1be27d4f60a5b8c9d0e1f2a3b4
        strict-transport-security: max-age=31536000; includeSubDomains; preload
        cf-cache-status: DYNAMIC
        set-cookie: __cf_bm=x; path=/; expires=Fri, 15-Nov-24 12:30:00 GMT; domain=.api.openai.com; HttpOnly
        x-content-type-options: nosniff
        server: cloudflare
        cf-ray: 8e7a3b2c1d0e4f5a-FRA
        alt-svc: h3=":443"; ma=86400""",
    "answer of anthropic": """anthropic-ratelimit-requests-limit: 4000
        anthropic-ratelimit-requests-remaining: 3999
        anthropic-ratelimit-requests-reset: 2024-11-15T12:00:00Z
        anthropic-ratelimit-input-tokens-remaining: 400000
        anthropic-organization-id: 6c1f0a9d-2b7e-4f2c-9d3a-5e8b7c6d5e4f
        request-id: req_011CTe8Zq3PvXnB7mRkW2sLd
        retry-after: 17
        x-should-retry: false
        x-envoy-upstream-service-time: 1043""",
    "answer of an app": """server: nginx/1.25.3
        x-powered-by: Express
        etag: W/"2d-432a5e4a73a80"
        last-modified: Wed, 21 Oct 2015 07:28:00 GMT
        cache-control: public, max-age=31536000, s-maxage=86400, immutable
        vary: Accept-Encoding, Origin
        location: https://app.example.com/items/42?page=2
        link: <https://api.example.com/items?page=3>; rel="next", <https://api.example.com/items?page=9>; rel="last"
        content-disposition: attachment; filename="report-2024.pdf"; filename*=UTF-8''report-2024.pdf
        access-control-allow-origin: https://chat.example.com
        access-control-allow-headers: content-type, x-amz-content-sha256, authorization
        access-control-max-age: 86400
        content-security-policy: default-src 'self'; script-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
        permissions-policy: camera=(), geolocation=(self)
        server-timing: cfL4;desc="?proto=TCP&rtt=5123&sent=6", db;dur=53.2
        report-to: {"endpoints":[{"url":"https://a.nel.cloudflare.com/report/v4?s=x"}],"group":"cf-nel","max_age":604800}
        nel: {"success_fraction":0,"report_to":"cf-nel","max_age":604800}
        x-runtime: 0.042137
        x-ratelimit-reset: 1731672000
        www-authenticate: Bearer realm="api"
        x-xss-protection: 1; mode=block""",
}
"""Which sender -> its headers, one a line."""


@pytest.fixture(scope="module")
def detectors() -> tuple[PiiDetector, SecretsDetector]:
    """The shipped detectors with their own settings."""
    return PiiDetector(), SecretsDetector()


@pytest.mark.parametrize("sender", sorted(SETS))
def test_real_headers_hold_no_findings(sender: str, detectors: tuple[PiiDetector, SecretsDetector]) -> None:
    """Versions, addresses of proxies, identifiers and times are taken neither for personal data nor for secrets."""
    lines = [line.strip() for line in SETS[sender].splitlines()]
    segments = read_headers(headers(*lines), keyed=KEYED, limits=LIMITS).segments
    context = DetectContext(stage="request", deadline=time.monotonic() + 30)
    found = [finding for detector in detectors for finding in detector.detect(segments, context)]
    assert [(finding.type, segments[finding.segment].text[finding.start : finding.end]) for finding in found] == []


@pytest.mark.parametrize("sender", ["openai-node", "chrome", "firefox", "cloudflare", "answer of openai"])
def test_most_real_headers_are_no_texts(sender: str) -> None:
    """What is on every request costs no detection."""
    lines = [line.strip() for line in SETS[sender].splitlines()]
    segments = read_headers(headers(*lines), keyed=KEYED, limits=LIMITS).segments
    values = {segment.pointer for segment in segments}
    assert len(values) <= 1


def test_personal_data_beside_them_is_found(detectors: tuple[PiiDetector, SecretsDetector]) -> None:
    """The same headers hide nothing: an address, a number or a key in one of them is found."""
    planted = {
        "x-forwarded-for": "jane.doe@corp-mail.com",
        "user-agent": "OpenAI/Python 1.109.1 jane.doe@corp-mail.com",
        "x-stainless-os": "jane.doe@corp-mail.com",
        "accept": "application/json, 4111111111111111",
        "x-datadog-trace-id": "4111111111111111",
        "if-none-match": '"4111111111111111"',
        "baggage": "user=jane.doe%40corp-mail.com",
        "accept-language": "AKIAQ3EGRTLMKEY7ZTWP",
    }
    context = DetectContext(stage="request", deadline=time.monotonic() + 30)
    for name, value in planted.items():
        segments = read_headers(headers(f"{name}: {value}"), keyed=KEYED, limits=LIMITS).segments
        found = [finding.type for detector in detectors for finding in detector.detect(segments, context)]
        assert found, name
