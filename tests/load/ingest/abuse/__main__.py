"""Abuses an ingest service in every way we know: `python -m tests.load.ingest.abuse` (`make load-abuse`).

Prints name, value, unit, goal and verdict of each figure; the exit code is 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import sys

import anyio
from tests.load.ingest.abuse.measuring import FULL, SHORT, abuse_all

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="the sizes of the test suite")
    parser.add_argument("--only", help="one attack")
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    plan = SHORT if given.short else FULL
    failures = 0
    for figure in anyio.run(abuse_all, plan, given.processes, given.only):
        sys.stdout.write(figure.line() + "\n")
        failures += not figure.passed
    sys.exit(1 if failures else 0)
