"""The file that every system writes: which group each record is in, and which one the merge tier put it in."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Groups = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a system said of a set.

    Args:
        linked: each record's group.
        merged: each record's group of the merge tier; empty where a system has no such tier.
    """

    linked: Groups
    merged: Groups = field(default_factory=dict)


def write_answer(path: Path, answer: Answer) -> None:
    """Write an answer."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("rec_id", "group", "merged"))
        for record, group in answer.linked.items():
            writer.writerow((record, group, answer.merged.get(record, "")))


def read_answer(path: Path) -> Answer:
    """Read an answer; peers' files have no merge tier."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    merged = {row["rec_id"]: row["merged"] for row in rows if row.get("merged")}
    return Answer({row["rec_id"]: row["group"] for row in rows}, merged)
