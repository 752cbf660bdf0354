"""What every peer's program shares: reading the columns, which of them say anything, closing pairs, writing clusters.

Runs in the peers' own environment and so imports nothing of ours.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

FILLED_MIN = 0.03
"""A column with a value in fewer records is left out: nothing can be learned from it."""

Row = dict[str, str]


def read(path: Path) -> list[Row]:
    """Return the rows of a file of columns."""
    csv.field_size_limit(1 << 24)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def filled(rows: Sequence[Row]) -> list[str]:
    """Return the columns that enough rows have a value of."""
    least = FILLED_MIN * len(rows)
    return [name for name in rows[0] if name != "unique_id" and sum(bool(row[name]) for row in rows) >= least]


def close(records: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the group of each record: what pairs connect, named by one of its records."""
    parent = {record: record for record in records}

    def root(one: str) -> str:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for left, right in pairs:
        parent[root(left)] = root(right)
    return {record: root(record) for record in parent}


def write(path: Path, group_of: dict[str, str]) -> None:
    """Write which group each record is in."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("rec_id", "group"))
        writer.writerows(group_of.items())


def say(**facts: Any) -> None:
    """Tell the harness what is worth telling of the run."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
