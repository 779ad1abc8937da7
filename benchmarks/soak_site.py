"""The files of a run of ``benchmarks.soak``: its configuration, its policy, and what became of its log."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import ROOT
from benchmarks.soak_mix import API_KEYS
from guard.identity.apikeys import hash_api_key

_POLICY: Final = """\
# METADATA
# title: Soak
package guard.rules.soak

# METADATA
# title: Nothing is denied by this
# custom:
#   id: SOAK-001
#   severity: low
#   remediation: None is needed.
#   mode: shadow
deny contains {{"id": "SOAK-001", "message": "Edition {edition}.", "pointers": []}} if {{
	input.context.size_bytes == 0 - {edition}
}}
"""
_CONFIG: Final = """\
state_directory = "{state}"
policy.directories = ["{policies}"]
record.segment_records = 4096
limits.detect_deadline_ms = 20000
limits.policy_deadline_ms = 20000
detectors.options.behaviour.max_principals = 1000
detectors.options.behaviour.max_anonymous = 1000
identity.trusted_header.peers = ["127.0.0.0/8"]

[providers.model]
external = true

[providers.local]
external = false

[[routes]]
path = "/health"
inspect = false

[[routes]]
path = "/v1/**"
provider = "model"

[[routes]]
path = "/local/**"
provider = "local"

[[routes]]
path = "/**"
"""


def prepare(directory: Path) -> None:
    """Write the configuration and the policy that is edited later."""
    policies = directory / "policies"
    policies.mkdir()
    write_policy(directory, 0)
    keys = [
        f'[[identity.api_keys]]\nid = "service-{number}"\nhash = "{hash_api_key(key)}"\n'
        for number, key in enumerate(API_KEYS)
    ]
    config = _CONFIG.format(state=directory / "state", policies=policies) + "\n" + "\n".join(keys)
    (directory / "guard.toml").write_text(config, encoding="utf-8")


def write_policy(directory: Path, edition: int | None) -> None:
    """Write an edition of the policy, each with another digest; ``None`` is a broken one."""
    text = "package guard.rules.soak\n\ndeny contains {" if edition is None else _POLICY.format(edition=edition)
    (directory / "policies" / "soak.rego").write_text(text, encoding="utf-8")


def verify_log(directory: Path) -> dict[str, Any]:
    """What ``guard log verify`` says of the log of a run that has ended."""
    command = [sys.executable, "-c", "from guard.cli import main; main()", "log", "verify", "--json"]
    done = subprocess.run([*command, str(directory / "state")], capture_output=True, text=True, check=False, cwd=ROOT)
    origins = json.loads(done.stdout)["origins"] if done.returncode < 3 else []
    accounts = [origin["accounts"] for origin in origins]
    segments = sorted((directory / "state" / "log").rglob("*.jsonl"))
    return {
        "segments": len(segments),
        "bytes": sum(segment.stat().st_size for segment in segments),
        "verify_exit": done.returncode,
        "records": [account["records"] for account in accounts],
        "unanswered_total": sum(account["unanswered_total"] for account in accounts),
        "unanswered": [name for account in accounts for name in account["unanswered"]],
    }
