"""Configuration: ``guard.toml``, ``GUARD_SECTION__KEY`` and keywords become one validated ``GuardConfig``.

Keywords win over the environment, the environment over the file. Every key is described in ``docs/configuration.md``.
"""

from guard.config.bundle import BundleConfig
from guard.config.load import load_config
from guard.config.model import (
    ApiKey,
    CandidateConfig,
    DetectorsConfig,
    GuardConfig,
    IdentityConfig,
    JwtConfig,
    Limits,
    OpaConfig,
    PolicyConfig,
    Provider,
    RecordConfig,
    Route,
    SignerChoice,
    Tenant,
    TrustedHeader,
)

__all__ = [
    "ApiKey",
    "BundleConfig",
    "CandidateConfig",
    "DetectorsConfig",
    "GuardConfig",
    "IdentityConfig",
    "JwtConfig",
    "Limits",
    "OpaConfig",
    "PolicyConfig",
    "Provider",
    "RecordConfig",
    "Route",
    "SignerChoice",
    "Tenant",
    "TrustedHeader",
    "load_config",
]
