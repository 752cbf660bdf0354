"""`make test-security`: prints the matrix of methods and bad credentials; exits 1 when one was not refused as it should be."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.integration.security.matrix import DOOR, Case, Result, faults, main_of
from tests.integration.security.webhooks import Tally, kinds_of, tally_of

from headwater.kernel.security.table import DOORS, METHODS


def main() -> int:
    """Run the matrix and print it."""
    logging.disable(logging.WARNING)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        results = main_of(Path(directory))
        tallies = tally_of(Path(directory))
    _print(results)
    wrong = faults(results)
    for line in wrong:
        sys.stdout.write(f"WRONG  {line}\n")
    refused = [one for one in results if one.case.expected != "let in"]
    leaks = sum(one.leaked for one in refused)
    told = (
        f"{len(refused)} calls with bad credentials: {len(refused) - len(wrong)} refused with the right code"
    )
    took = f"{time.monotonic() - began:.1f} s"
    sys.stdout.write(f"\n{told}, {leaks} reached a handler; {len(wrong)} wrong answers in all, {took}\n")
    _print_webhooks(tallies)
    return 0 if not wrong and all(one.is_right for one in tallies) else 1


def _print_webhooks(tallies: Sequence[Tally]) -> None:
    for one in tallies:
        verdict = "PASS" if one.is_right else "FAIL"
        sys.stdout.write(
            f"{verdict}  {one.scheme}: {one.calls:,} {', '.join(kinds_of(one.scheme))} webhooks: {one.accepted} accepted\n"
        )
        for answer, count in one.answers.items():
            sys.stdout.write(f"        {count:>5}  {answer}\n")


def _print(results: Sequence[Result]) -> None:
    cases: list[Case] = list(dict.fromkeys(one.case for one in results))
    by_place = {(one.method, one.case): one for one in results}
    for number, case in enumerate(cases, 1):
        sys.stdout.write(f"{number:>3}  {case.name:<30} {case.expected}\n")
    width = max(len(one.method) for one in results)
    sys.stdout.write(f"\n{'':<{width}} {' '.join(f'{number:>2}' for number in range(1, len(cases) + 1))}\n")
    for method in dict.fromkeys(one.method for one in results):
        marks = (_mark(by_place.get((method, case))) for case in cases)
        sys.stdout.write(f"{method:<{width}} {' '.join(f'{mark:>2}' for mark in marks)}\n")
    sys.stdout.write("\n=: as expected, !: not, -: does not apply\n\npublic, and why:\n")
    for method, rule in METHODS.items():
        if rule.public:
            sys.stdout.write(f"  {method}: {rule.reason}\n")
    for (verb, route), rule in DOORS.items():
        if rule.public:
            sys.stdout.write(f"  {verb} {route}: {rule.reason}\n")
    assert any(one.method == DOOR for one in results)


def _mark(result: Result | None) -> str:
    if result is None:
        return "-"
    return "=" if result.is_right else "!"


if __name__ == "__main__":
    sys.exit(main())
