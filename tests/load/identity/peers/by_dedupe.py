"""dedupe 3: `by_dedupe.py <columns> <clusters> <teacher's columns>`. It needs labels: `LABELS` pairs of a teacher.

Its own loop asks for the pairs it is least sure of, in the teacher's records; they are answered from the teacher's
truth (`<teacher>.truth.json`). What it learned then partitions the set at its default threshold. Columns are those
that both have. Blocks over indexes are off: on 5,000 records of eight fields they took more than 20 GB.
"""

from __future__ import annotations

import io
import json
import random
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.load.identity.peers import table

LABELS = 60
SEED = 7
THRESHOLD = 0.5
"""The default of `partition`."""
SHORT = ("number", "postcode", "country", "birth", "official", "phone")
EXACT = ("linkedin", "domain")

Data = dict[str, dict[str, Any]]


def data_of(rows: list[table.Row], columns: list[str]) -> Data:
    """Return records as it wants them: None for what is missing."""
    return {row["unique_id"]: {name: row[name] or None for name in columns} for row in rows}


def variables(columns: list[str]) -> list[Any]:
    """Return a variable for each column."""
    kinds = import_module("dedupe.variables")
    made = []
    for name in columns:
        if name in EXACT:
            made.append(kinds.Exact(name, has_missing=True))
        else:
            kind = kinds.ShortString if name in SHORT else kinds.String
            made.append(kind(name, has_missing=True))
    return made


def learn(dedupe: Any, columns: list[str], teacher: Path) -> tuple[io.BytesIO, int]:
    """Return what it learned from the teacher, and how many of the pairs it asked for were the same."""
    truth = json.loads(teacher.with_suffix(".truth.json").read_text(encoding="utf-8"))
    rows = table.read(teacher)
    records = data_of(rows, columns)
    owner = {id(fields): truth[record] for record, fields in records.items()}
    same_as = {record_key(fields): truth[record] for record, fields in records.items()}
    deduper = dedupe.Dedupe(variables(columns), num_cores=1, in_memory=True)
    deduper.prepare_training(records, sample_size=min(1500, len(records)))
    same = 0
    for _ in range(LABELS):
        for pair in deduper.uncertain_pairs():
            one, other = (owner.get(id(fields)) or same_as[record_key(fields)] for fields in pair)
            same += one == other
            deduper.mark_pairs(
                {"match": [pair] if one == other else [], "distinct": [] if one == other else [pair]}
            )
    if not same:
        raise ValueError(f"none of the {LABELS} pairs that it asked for was the same: it cannot learn")
    deduper.train(index_predicates=False)
    learned = io.BytesIO()
    deduper.write_settings(learned)
    learned.seek(0)
    return learned, same


def record_key(fields: dict[str, Any]) -> tuple[str, ...]:
    """Return what tells a teacher's record from the others, should it come back as a copy."""
    return tuple(str(value) for value in fields.values())


def main(source: Path, target: Path, teacher: Path) -> None:
    """Learn from the teacher, partition the set, write."""
    random.seed(SEED)
    import_module("numpy").random.seed(SEED)
    dedupe = import_module("dedupe")
    rows = table.read(source)
    columns = [name for name in table.filled(rows) if name in table.filled(table.read(teacher))]
    learned, same = learn(dedupe, columns, teacher)
    matcher = dedupe.StaticDedupe(learned, num_cores=1, in_memory=True)
    group_of = {row["unique_id"]: row["unique_id"] for row in rows}
    for members, _ in matcher.partition(data_of(rows, columns), THRESHOLD):
        group_of.update(dict.fromkeys(map(str, members), str(members[0])))
    table.write(target, group_of)
    table.say(columns=columns, labels=LABELS, same=same)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
