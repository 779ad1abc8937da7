"""What the words of a federation print of the sums that they wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from detectors.models.words import tell

if TYPE_CHECKING:
    from detectors.federation.events import Rows
    from detectors.federation.files import Held


def _whose(part: Held) -> str:
    """The gateways of a file, and the noise that each names."""
    return ", ".join(
        source.gateway + (f" (epsilon {source.epsilon:g}, cap {source.cap})" if source.epsilon else "")
        for source in part.sums.sources
    )


def tell_sums(
    output: Path, held: Held, rows: Rows | None, *, as_json: bool, parts: Mapping[str, Held] | None = None
) -> None:
    """Tell what was written to ``output``: of one gateway with what was left out, of several with what each file of
    ``parts`` brought. Whose events outweigh all others is seen there, or nowhere."""
    from detectors.federation.files import rows_in

    sums = held.sums
    exact = not any(source.epsilon for source in sums.sources)
    lines: dict[str, object] = {
        "wrote": output,
        "over": f"{'structure' if held.structure else 'space'} {sums.basis[:12]}",
        "events": f"{rows_in(held)}{'' if exact else ', about: noise was added'}",
    }
    if rows is None:
        lines["gateways"] = ", ".join(source.gateway for source in sums.sources)
        lines |= {f"  {name}": f"{rows_in(part)} events of {_whose(part)}" for name, part in (parts or {}).items()}
    else:
        lines["left out"] = f"{rows.missing} without a feature, {rows.capped} past the cap"
    told = {"file": str(output), "kind": sums.kind, "over": sums.basis, "events": rows_in(held), "exact": exact}
    left = {"left_out": {"missing": rows.missing, "capped": rows.capped}} if rows else {}
    counted = {name: rows_in(part) for name, part in (parts or {}).items()}
    left |= {"files": counted} if counted else {}
    tell(lines, {**told, **left, "gateways": [source.gateway for source in sums.sources]}, as_json=as_json)
