"""The shared checks, on our detectors."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from detectors.pii import PiiDetector
from detectors.secrets import SecretsDetector
from guard.types import Detector
from tests.detectors.battery import CHECKS

POSITIVE_PII = "write to jane.doe@partner.co.uk or call +44 20 7946 1958, card 4111 1111 1111 1111"
POSITIVE_SECRET = "the key is AKIAQ3EGR5TZLVW7KD2M, keep it"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_pii(check: Callable[[Detector, str], None], pii: PiiDetector) -> None:
    """The PII detector passes the shared check."""
    check(pii, POSITIVE_PII)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_secrets(check: Callable[[Detector, str], None], secrets: SecretsDetector) -> None:
    """The secrets detector passes the shared check."""
    check(secrets, POSITIVE_SECRET)
