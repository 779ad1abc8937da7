"""The model of ``guard.toml``: every key, its type, its bounds and its default. Units stand in the names."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from guard.config.anchors import AnchorsConfig, WitnessConfig
from guard.config.bundle import BundleConfig
from guard.config.sharing import SharingConfig

_NAME = r"^[A-Za-z0-9._:-]{1,64}$"
Name = Annotated[str, Field(pattern=_NAME)]


def _cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError("must be an address or a CIDR block, like 10.0.0.0/8") from None


Cidr = Annotated[str, AfterValidator(_cidr)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Section):
    """Bounds on what one exchange may cost. Past ``max_*`` is refused; past ``inspect_limit_bytes`` is coverage."""

    max_body_bytes: int = Field(10 * 2**20, ge=0)
    body_timeout_seconds: float = Field(30.0, gt=0)
    inspect_limit_bytes: int = Field(2 * 2**20, ge=0)
    max_json_depth: int = Field(64, ge=1, le=500)
    max_json_values: int = Field(100_000, ge=1)
    max_fields: int = Field(1000, ge=1)
    max_field_bytes: int = Field(2**20, ge=1)
    max_decompression_ratio: int = Field(200, ge=1)
    detect_deadline_ms: int = Field(1000, ge=1)
    policy_deadline_ms: int = Field(250, ge=1)
    answer_buffer_bytes: int = Field(8 * 2**20, ge=0)
    stream_buffer_bytes: int = Field(2 * 2**20, ge=0)
    max_exchanges: int = Field(1000, ge=1)
    max_buffered_bytes: int = Field(256 * 2**20, ge=1)
    work_deadline_ms: int = Field(5000, ge=1)


class Route(_Section):
    """One entry of ``[[routes]]``; the first whose ``path`` and ``methods`` match decides, and a request that matches
    none is inspected.

    ``path`` is a pattern: ``*`` stands for one path segment, a final ``/**`` for any rest.
    """

    path: Annotated[str, Field(pattern=r"^/")]
    methods: tuple[str, ...] = ()
    inspect: bool = True
    shape: Literal["auto", "openai.chat", "openai.responses", "anthropic.messages", "generic"] = "auto"
    provider: Name | None = None
    field_names: tuple[Name, ...] = ()
    unsafe_fail_open: bool = False
    large_bodies: Literal["refuse", "pass"] = "refuse"
    streams: Literal["live", "buffer"] = "live"


class JwtConfig(_Section):
    """``[identity.jwt]``: bearer tokens verified against keys that are named here."""

    jwks_file: Path | None = None
    jwks_url: str | None = None
    jwks_refresh_seconds: float = Field(300.0, gt=0)
    issuer: str
    audience: str
    algorithms: tuple[Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"], ...] = (
        "RS256",
        "ES256",
        "EdDSA",
    )
    leeway_seconds: int = Field(30, ge=0, le=300)
    subject_claim: str = "sub"
    tenant_claim: str = "tenant"
    roles_claim: str = "roles"
    groups_claim: str = "groups"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.jwks_file is None) == (self.jwks_url is None):
            raise ValueError("name exactly one of jwks_file and jwks_url")
        return self


class ApiKey(_Section):
    """One entry of ``[[identity.api_keys]]``. ``hash`` is ``sha256:<hex>`` of a key with at least 128 random bits."""

    id: Name
    hash: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    tenant: Name | None = None
    roles: tuple[Name, ...] = ()
    groups: tuple[Name, ...] = ()


class TrustedHeader(_Section):
    """``[identity.trusted_header]``: identity set by a proxy; believed only from the peers named here."""

    peers: Annotated[tuple[Cidr, ...], Field(min_length=1)]
    subject: str = "x-forwarded-user"
    tenant: str | None = None
    roles: str | None = None
    groups: str | None = None


class IdentityConfig(_Section):
    """``[identity]``: who asks. ``scope_user`` believes the app's own authentication middleware."""

    jwt: JwtConfig | None = None
    api_keys: tuple[ApiKey, ...] = ()
    trusted_header: TrustedHeader | None = None
    scope_user: bool = False


class DetectorsConfig(_Section):
    """``[detectors]``: which detectors run, by the name of their ``guard.detectors`` entry point. ``options`` holds a
    table for each, handed to its constructor. ``behaviour`` is the model that scores callers, ``intent`` the one that
    says what requests ask for; ``""`` for none. ``sharing`` lets replicas learn from each other."""

    enabled: tuple[Name, ...] = ("pii", "secrets")
    behaviour: Name | Literal[""] | None = "behaviour"
    behaviour_snapshot_seconds: int = Field(300, ge=0)
    intent: Name | Literal[""] | None = None
    sharing: SharingConfig | None = None
    options: dict[Name, dict[str, Any]] = {}


class OpaConfig(_Section):
    """``[policy.opa]``: a real OPA server. ``revisions`` and ``require_local_bundle`` say whose answers count."""

    url: Annotated[str, Field(pattern=r"^(https?://[^/\s]+/?|unix:///[^\s?#]+)$")] = "http://127.0.0.1:8181"
    token_file: Path | None = None
    ca_file: Path | None = None
    client_cert_file: Path | None = None
    client_key_file: Path | None = None
    revisions: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    require_local_bundle: bool = False
    breaker_failures: int = Field(5, ge=1)
    breaker_open_seconds: float = Field(1.0, gt=0, le=60)
    max_answer_bytes: int = Field(2**20, ge=1024)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.client_key_file is not None and self.client_cert_file is None:
            raise ValueError("client_key_file needs client_cert_file")
        if self.client_cert_file is not None and not self.url.startswith("https://"):
            raise ValueError("client_cert_file is for https addresses")
        return self


Entrypoint = Annotated[str, Field(pattern=r"^data(\.[A-Za-z_][A-Za-z0-9_]*)+$")]


class CandidateConfig(_Section):
    """``[policy.candidate]``: policies in shadow, evaluated beside those that decide and recorded without effect. What
    is not given is as in ``[policy]``; the engine is the embedded one."""

    directories: tuple[Path, ...] | None = None
    bundle: BundleConfig | None = None
    shipped: bool | None = None
    entrypoint: Entrypoint | None = None
    settings: dict[str, Any] | None = None
    share: float = Field(1.0, ge=0, le=1)
    deadline_ms: int = Field(10, ge=1, le=1000)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.directories and self.bundle is not None:
            raise ValueError("name one of directories and bundle, not both")
        return self


class PolicyConfig(_Section):
    """``[policy]``: who decides. ``directories`` are loaded together, a ``bundle`` stands in their place; ``shipped``
    adds the policies of the package."""

    engine: Literal["embedded", "opa"] = "embedded"
    shipped: bool = True
    directories: tuple[Path, ...] = ()
    bundle: BundleConfig | None = None
    entrypoint: Entrypoint = "data.guard.decision"
    settings: dict[str, Any] = {}
    opa: OpaConfig = OpaConfig()
    candidate: CandidateConfig | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.directories and self.bundle is not None:
            raise ValueError("name one of directories and bundle, not both")
        return self


class Provider(_Section):
    """``[providers.NAME]``: facts about a model provider that rules ask for."""

    region: str | None = None
    pci: bool = False
    external: bool = True


class Tenant(_Section):
    """``[tenants.NAME]``: facts about a tenant that rules ask for. An empty list means any."""

    models: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    max_tokens: int | None = Field(None, ge=1)


class Budgets(_Section):
    """``[budgets]``: the counters of ``limit`` obligations, in the memory of this process. At most ``max_keys``."""

    max_keys: int = Field(100_000, ge=100)


class SignerChoice(_Section):
    """Where a signing key lies, if not in a file here: behind ``command``, in the token of a PKCS#11 ``module``, or
    where ``uri`` says (securesystemslib). ``public_key`` is a vkey, base64 or a PEM file."""

    command: tuple[str, ...] = ()
    module: Path | None = None
    token: str = ""
    key: str = ""
    pin_file: Path | None = None
    uri: str = ""
    public_key: str = ""
    deadline_ms: int = Field(2_000, ge=10, le=60_000)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [bool(self.command), self.module is not None, bool(self.uri)]
        if sum(kinds) > 1:
            raise ValueError("name one of command, module and uri")
        if (self.command or self.uri) and not self.public_key:
            raise ValueError("command and uri need public_key, to prove each signature with")
        if self.module is not None and not (self.token and self.key):
            raise ValueError("module needs token and key, two labels")
        given = {"token", "key", "pin_file", "public_key", "deadline_ms"} & self.model_fields_set
        if not any(kinds) and any(getattr(self, name) != type(self).model_fields[name].default for name in given):
            raise ValueError("name command, module or uri; leave the section out for the key file of this deployment")
        return self


class SignerConfig(SignerChoice):
    """``[record.signer]``: who signs the log. ``previous`` signs the change away from itself, then never again."""

    previous: SignerChoice | None = None


class RecordConfig(_Section):
    """``[record]``: the signed log."""

    mode: Literal["strict", "buffered"] = "strict"
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")] = "policy-guard"
    heartbeat_seconds: float = Field(60.0, gt=0)
    segment_records: int = Field(65_536, ge=16)
    queue_records: int = Field(10_000, ge=1)
    audit_reads: bool = True
    key_per: Literal["deployment", "boot", "day"] = "deployment"
    tenant_keys: bool = False
    signer: SignerConfig = SignerConfig()
    anchors: AnchorsConfig = AnchorsConfig()
    witnesses: tuple[WitnessConfig, ...] = ()


class VaultConfig(_Section):
    """``[vault]``: how long pseudonyms live. ``conversation`` keeps them, sealed, for the conversations of one
    principal, named by ``conversation_header`` or by a member of the body."""

    scope: Literal["exchange", "conversation"] = "exchange"
    conversation_header: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")] | None = None
    conversation_pointers: tuple[Annotated[str, Field(pattern=r"^(/[^/~]+)+$")], ...] = (
        "/conversation",
        "/conversation/id",
        "/metadata/conversation_id",
    )
    ttl_seconds: int = Field(86_400, ge=60, le=31 * 86_400)
    max_values: int = Field(2_000, ge=1, le=20_000)
    max_conversations: int = Field(100, ge=1)
    max_bytes: int = Field(256 * 2**20, ge=4 * 2**20)


class GuardConfig(BaseSettings):
    """The whole configuration, validated and frozen."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="GUARD_", env_nested_delimiter="__", case_sensitive=False
    )

    fail: Literal["closed"] = "closed"
    reload: bool = False
    health_path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)+$")] | None = None
    state_directory: Path = Path(".guard")
    limits: Limits = Limits()
    routes: tuple[Route, ...] = (Route(path="/**"),)
    identity: IdentityConfig = IdentityConfig()
    detectors: DetectorsConfig = DetectorsConfig()
    policy: PolicyConfig = PolicyConfig()
    providers: dict[Name, Provider] = {}
    tenants: dict[Name, Tenant] = {}
    networks: dict[Name, tuple[Cidr, ...]] = {}
    budgets: Budgets = Budgets()
    record: RecordConfig = RecordConfig()
    vault: VaultConfig = VaultConfig()

    @classmethod
    def settings_customise_sources(  # type: ignore[override] # the sources that are not used are not named
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        **_: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Construction validates what it is given; ``load_config`` gathers the sources so that none is read twice."""
        del settings_cls
        return (init_settings,)
