"""Where a key of the configuration stands."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from guard.config import GuardConfig
from guard.config.explain import dotted_key, row_of
from guard.policy.remarks import Level, Remark

CODE: Final = "config_unfit"
_PREFIX: Final = "GUARD_"
_NEARLY: Final = 0.8


class Keys:
    """Makes remarks on keys of one configuration, with the line of its file if there is one."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._text = file.read_text(encoding="utf-8") if file else ""

    def remark(self, level: Level, key: tuple[str | int, ...], message: str, mend: str = "") -> Remark:
        """A remark on a key; one that stands nowhere in the file came from the environment or is a default."""
        row = row_of(self._text, key)
        return Remark(level, CODE, message, dotted_key(key), mend, str(self._file) if row else "", row or 0)


def check_variables(environ: Mapping[str, str]) -> Iterator[Remark]:
    """Variables that look like a key of ours and are none. Orchestrators set GUARD_PORT and the like for a service of
    that name, so only what is nearly right is told."""
    known = {"config", *GuardConfig.model_fields}
    for name in sorted(environ):
        key = name[len(_PREFIX) :].lower()
        if not name.upper().startswith(_PREFIX) or "__" in name or key in known:
            continue
        near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=_NEARLY)
        if near:
            mend = f"did you mean {_PREFIX}{near[0].upper()}?"
            yield Remark("warning", CODE, f"{name} is not read", f"environment variable {name}", mend)
