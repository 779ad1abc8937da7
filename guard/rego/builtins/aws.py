"""providers.aws.sign_req: requests signed with AWS Signature Version 4
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html)."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import urllib.parse
from typing import Any

from guard.rego.runtime import BuiltinFailure
from guard.rego.show import compact, show, to_json
from guard.rego.values import Set, type_name

from . import uri
from .registry import builtin

_REQUIRED = ("aws_access_key", "aws_region", "aws_secret_access_key", "aws_service")
_REQUEST_KEYS = frozenset(
    {"method", "url", "body", "raw_body", "headers", "enable_redirect", "force_json_decode", "force_yaml_decode"}
    | {"tls_use_system_certs", "tls_ca_cert", "tls_ca_cert_file", "tls_ca_cert_env_variable", "tls_client_cert"}
    | {"tls_client_cert_file", "tls_client_cert_env_variable", "tls_client_key", "tls_client_key_file"}
    | {"tls_client_key_env_variable", "tls_insecure_skip_verify", "tls_server_name", "timeout", "cache"}
    | {"force_cache", "force_cache_duration_seconds", "raise_error", "caching_mode", "max_retry_attempts"}
    | {"cache_ignored_headers"}
)
_UNSIGNED = frozenset({"authorization", "user-agent", "x-amzn-trace-id"})
_SIGNED_PAYLOAD = frozenset({"s3", "glacier"})
_PATH = re.compile(r"(?:[A-Za-z0-9$&+,/:;=@!'()*._~\[\]-]|%[0-9A-Fa-f]{2})*\Z")
_SECOND = 1_000_000_000


def _wrong(position: int, message: str) -> BuiltinFailure:
    return BuiltinFailure(f"operand {position} {message}", "eval_type_error")


def _check(position: int, what: str, given: dict[Any, Any], names: tuple[str, ...]) -> None:
    """The names are there and hold strings."""
    missing = [name for name in names if name not in given]
    if missing:
        raise _wrong(position, f"missing required {what} parameters(s): {show(Set.of(missing))}")
    invalid = [name for name in names if type(given[name]) is not str]
    if invalid:
        raise _wrong(position, f"invalid values for required {what} parameters(s): {show(Set.of(invalid))}")


@builtin("providers.aws.sign_req", "object, object, number -> object")
def _sign_req(request: dict[Any, Any], config: dict[Any, Any], time_ns: Any) -> dict[Any, Any]:
    _check(2, "AWS config", config, _REQUIRED)
    if type(time_ns) is not int or not -(1 << 63) <= time_ns < 1 << 63:
        raise _wrong(3, "could not convert time_ns value into a unix timestamp")
    unknown = [key for key in request if key not in _REQUEST_KEYS]
    if unknown:
        raise _wrong(1, f"invalid request parameters(s): {show(Set(set(unknown)))}")
    _check(1, "request", request, ("method", "url"))
    headers = request.get("headers", {})
    if type(headers) is not dict:
        raise _wrong(0, f"must be object but got {type_name(headers)}")
    unsigned_payload = config.get("disable_payload_signing", False)
    if type(unsigned_payload) is not bool:
        raise _wrong(2, "invalid value for 'disable_payload_signing' in AWS config")
    plain = {_text(key): _text(value) for key, value in headers.items()}
    added = _Signature(request, config, time_ns).headers(plain, unsigned_payload=unsigned_payload)
    return {**request, "headers": {**plain, **added}}


def _text(value: Any) -> str:
    """A string; what is none counts as empty."""
    return value if type(value) is str else ""


def _escaped(path: str) -> str:
    """A path that is not encoded already, encoded anew."""
    return urllib.parse.quote(urllib.parse.unquote(path), safe="$&+,/:;=@")


class _Signature:
    """One signature: the request, who signs, and when."""

    def __init__(self, request: dict[Any, Any], config: dict[Any, Any], time_ns: int) -> None:
        self.request = request
        self.config = config
        when = dt.datetime.fromtimestamp(time_ns // _SECOND, dt.UTC)
        self.date = when.strftime("%Y%m%d")
        self.time = when.strftime("%Y%m%dT%H%M%SZ")

    def headers(self, given: dict[str, str], *, unsigned_payload: bool) -> dict[str, str]:
        """The headers that a signed request has beside its own."""
        service = self.config["aws_service"]
        url = self.request["url"]
        uri.parse(url)
        parts = urllib.parse.urlsplit(url)
        payload = "UNSIGNED-PAYLOAD" if unsigned_payload else hashlib.sha256(self.body()).hexdigest()
        added = {"host": parts.netloc.rpartition("@")[2], "x-amz-date": self.time}
        if service in _SIGNED_PAYLOAD:
            added["x-amz-content-sha256"] = payload
        if self.config.get("aws_session_token"):
            added["x-amz-security-token"] = _text(self.config["aws_session_token"])
        signed = {**added, **{key.lower(): text for key, text in given.items() if key.lower() not in _UNSIGNED}}
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        path = parts.path if _PATH.match(parts.path) else _escaped(parts.path)
        canonical = "\n".join([self.request["method"], path, parts.query, lines, names, payload])
        scope = f"{self.date}/{self.config['aws_region']}/{service}/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signature = self.sign(f"AWS4-HMAC-SHA256\n{self.time}\n{scope}\n{digest}")
        credential = f"{self.config['aws_access_key']}/{scope}"
        added["Authorization"] = f"AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={names},Signature={signature}"
        return added

    def body(self) -> bytes:
        """The bytes that are sent."""
        if "raw_body" in self.request:
            return _text(self.request["raw_body"]).encode()
        return compact(to_json(self.request["body"], exact=True)).encode() if "body" in self.request else b""

    def sign(self, text: str) -> str:
        """The signature under a key derived for the day, the region and the service."""
        key = f"AWS4{self.config['aws_secret_access_key']}".encode()
        for part in (self.date, self.config["aws_region"], self.config["aws_service"], "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.new(key, text.encode(), "sha256").hexdigest()
