"""`python -m tests.bench`, which is `make bench`. It ends with 1 where a target was missed."""

from __future__ import annotations

import sys

from tests.bench.bench import Scale, run


def main() -> int:
    table = run(Scale())
    print(table.text())
    print(f"\n{table.missed} missed." if table.missed else "\nAll reached.")
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
