"""``python -m tests.rego.differential [--evaluations N] [--seed S] [--show K]``: the job from a seeded random source.

Prints the first ``K`` differences and the totals. Exits 1 where there is a difference that is not known.
"""

from __future__ import annotations

import argparse
import random
import sys

from .dice import Dice
from .engines import opa
from .job import Job, case


def main() -> int:
    """Run until so many evaluations were compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=10, help="how many differences to print whole")
    options = parser.parse_args()
    differences = 0
    with opa() as server:
        job = Job(server)
        number = 0
        while job.tally.evaluations < options.evaluations:
            source = random.Random(f"{options.seed}/{number}")
            for difference in job.differences(case(Dice(source.randrange))):
                differences += 1
                if differences <= options.show:
                    print(f"--- module {number} of seed {options.seed}\n{difference}\n")
            number += 1
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(job.tally.kinds.items()))
    known = ", ".join(f"{count} {name}" for name, count in sorted(job.tally.known.items())) or "none"
    print(f"{job.tally.evaluations} evaluations of {number} modules: {kinds}")
    print(f"known differences: {known}; others: {differences}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
