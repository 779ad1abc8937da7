"""The rules, one module for each family of attacks. All are written for this project from the public descriptions of
the attacks (OWASP testing guide, CWE 22, 78, 79, 89, 93, 611, 918, 943, 1321, 1336); none comes from a rule set."""

from __future__ import annotations

from typing import Final

from detectors.web.rule import Rule
from detectors.web.rules.commands import COMMANDS
from detectors.web.rules.expressions import EXPRESSIONS
from detectors.web.rules.files import FILES
from detectors.web.rules.pages import PAGES
from detectors.web.rules.protocols import PROTOCOLS
from detectors.web.rules.queries import QUERIES

FAMILIES: Final[tuple[tuple[Rule, ...], ...]] = (QUERIES, PAGES, FILES, COMMANDS, EXPRESSIONS, PROTOCOLS)
RULES: Final[tuple[Rule, ...]] = tuple(rule for family in FAMILIES for rule in family)
