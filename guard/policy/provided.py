"""Types of findings that a policy counts on, and that only some configurations of detectors give.

A misspelt type is a remark of ``guard check``. A rule on names of persons while nothing looks for names is worse: it
reads as protection, and never holds. The guard does not start so.
"""

from __future__ import annotations

from typing import Final

from guard.errors import Diagnostic, PolicyInvalid
from guard.policy.bundle import Bundle, shipped_directory
from guard.policy.inference import Inference, resolved
from guard.policy.references import References, Vocabulary, replacements
from guard.policy.shapes import document_shape
from guard.rego import CompileError

DEMANDED: Final = frozenset({"PERSON"})
"""Types whose absence is an error in a policy that compares with them."""
MEND: Final = 'set names = "basic", or ner = {...}, in [detectors.options.pii], or take the rule out'
_TYPES: Final = "input.findings[].type"


def check_provided(bundle: Bundle, types: frozenset[str]) -> None:
    """Holds the author's own rules against the types that the loaded detectors give.

    Raises ``PolicyInvalid``, with the places, if a rule asks for a type of ``DEMANDED`` that is not among ``types``.
    """
    missing = DEMANDED - types
    asked = [module for name, module in bundle.modules.items() if name in bundle.own]
    if not any(f'"{word}"' in module for word in missing for module in asked):
        return
    try:
        rules = resolved(bundle.modules)
    except CompileError:
        return  # the engine says so, with the place
    if any(True for _ in replacements(rules)):
        return
    vocabulary = Vocabulary(types, "no enabled detector finds", MEND, demanded=missing)
    inference = Inference(rules, document_shape(shipped_directory()), {})
    remarks = References(inference, {_TYPES: vocabulary}).remarks(
        [rule for rule in rules if rule.loc.file in bundle.own]
    )
    # The rest is for `guard check` to say.
    errors = [remark for remark in remarks if remark.level == "error" and remark.mend == MEND]
    if errors:
        raise PolicyInvalid([Diagnostic(e.code, f"{e.message} ({e.mend})", e.file, e.row, e.col) for e in errors])
