"""``guard policy``: check, test, try out and hand over policies.

The shipped policies are added to the author's, because rules are decided together with them; ``--no-shipped`` leaves
them out. Exit codes: 0 done; 1 errors in policies, failed tests or no answer from the server; 3 usage. Each word has
a module of its own.
"""

from __future__ import annotations

import typer

from guard.cli import opa_status
from guard.cli.policy import bench, bundle, check, evaluate, push, testing

app = typer.Typer(
    name="policy",
    help="Check, test, try out and hand over policies.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("check")(check.check)
app.command("test")(testing.run_test_rules)
app.command("eval")(evaluate.evaluate)
app.command("bench")(bench.bench)
app.command("push")(push.push)
app.command("status")(opa_status.status)
app.add_typer(bundle.app, name="bundle")
