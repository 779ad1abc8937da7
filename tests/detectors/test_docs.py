"""``docs/detectors.md`` and ``docs/behaviour.md`` name every option, every type and every default of ours."""

from __future__ import annotations

from pathlib import Path

import msgspec

from detectors.anomaly import BehaviourOptions
from detectors.anomaly.features import SCALES
from detectors.anomaly.model import COLD_CAP
from detectors.pii import PiiDetector, PiiOptions
from detectors.pii.options import OFF_BY_DEFAULT
from detectors.secrets import SecretsDetector, SecretsOptions

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "detectors.md").read_text(encoding="utf-8")


def test_page_names_everything(pii: PiiDetector, secrets: SecretsDetector) -> None:
    """Options, and types on and off by default, stand on the page."""
    names = {field.name for kind in (PiiOptions, SecretsOptions) for field in msgspec.structs.fields(kind)}
    for name in names | pii.entities | secrets.entities | OFF_BY_DEFAULT:
        assert f"`{name}`" in PAGE or f"**{name}**" in PAGE, name


def test_page_of_behaviour_names_everything() -> None:
    """Options, features and the newcomers' cap stand on the page of behaviour."""
    page = (DOCS / "behaviour.md").read_text(encoding="utf-8")
    options = {field.name for field in msgspec.structs.fields(BehaviourOptions)}
    for name in options | set(SCALES) | {str(COLD_CAP)}:
        assert f"`{name}`" in page or f"**{name}**" in page, name
