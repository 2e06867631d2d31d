"""`python -m tests.bench`, which is `make bench`. It ends with 1 where a token was lost or doubled: a missed target may be the
machine's fault, that never is.
"""

from __future__ import annotations

import sys

from tests.bench.bench import run, say
from tests.bench.report import FULL


def main() -> int:
    found, table = run(FULL)
    say(table.text())
    say(f"\n{table.missed} missed." if table.missed else "\nAll reached.")
    return 1 if any(cost.lost or cost.doubled for costs in found.checked.values() for cost in costs) else 0


if __name__ == "__main__":
    sys.exit(main())
