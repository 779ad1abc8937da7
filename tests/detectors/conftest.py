"""One PII detector for all tests: its construction imports presidio."""

from __future__ import annotations

import pytest

from detectors.injection import InjectionDetector
from detectors.pii import PiiDetector
from detectors.secrets import SecretsDetector


@pytest.fixture(scope="session")
def pii() -> PiiDetector:
    """The PII detector with its defaults."""
    return PiiDetector()


@pytest.fixture(scope="session")
def secrets() -> SecretsDetector:
    """The secrets detector with its defaults."""
    return SecretsDetector()


@pytest.fixture(scope="session")
def injection() -> InjectionDetector:
    """The injection detector with its defaults."""
    return InjectionDetector()
