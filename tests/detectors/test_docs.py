"""``docs/detectors.md`` names every option, every type and every default of ours."""

from __future__ import annotations

from pathlib import Path

import msgspec

from detectors.anomaly.model import COLD_CAP, SCALES, BehaviourOptions
from detectors.pii import PiiDetector, PiiOptions
from detectors.pii.options import OFF_BY_DEFAULT
from detectors.secrets import SecretsDetector, SecretsOptions

PAGE = (Path(__file__).parents[2] / "docs" / "detectors.md").read_text(encoding="utf-8")


def test_page_names_everything(pii: PiiDetector, secrets: SecretsDetector) -> None:
    """Options, types on and off by default, features and the newcomers' cap stand on the page."""
    names = {
        field.name for kind in (PiiOptions, SecretsOptions, BehaviourOptions) for field in msgspec.structs.fields(kind)
    }
    for name in names | pii.entities | secrets.entities | OFF_BY_DEFAULT | set(SCALES) | {str(COLD_CAP)}:
        assert f"`{name}`" in PAGE or f"**{name}**" in PAGE, name
