"""Learns what one directory holds: `python -m headwater.identity.learning DIRECTORY`.

Prints a line of JSON for each stage, and ends when its standard input is closed: then who started it is gone.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Final

from headwater.identity.domain.clustering.sharing import shared_values
from headwater.identity.domain.scoring.soundness import read_weights
from headwater.identity.domain.scoring.weights import dump
from headwater.identity.domain.teaching import Subject, teach
from headwater.identity.learning.spool import Spool
from headwater.kernel.replicas import watch_parent

NICENESS: Final = 10
"""How far it stands back behind those who resolve."""
ORPHANED: Final = 70
"""Exit code when who started it is gone (EX_SOFTWARE of sysexits.h)."""


def run(spool: Spool) -> None:
    """Learn, and leave in the directory what came of it."""
    task = spool.read_task()
    active = read_weights(spool.read_active(), task.object, task.active_number)
    records = list(spool.read_records())
    _say("learning", len(records))
    shared = frozenset(task.shared) | shared_values(records)
    subject = Subject(
        task.object, task.number, records, spool.read_answers(), active, shared, task.population
    )
    chance = random.Random(task.seed)  # noqa: S311 - a sample, not a secret
    lesson = teach(subject, chance, task.bounds)
    _say("learnt", len(records))
    spool.write_lesson(lesson, b"" if lesson.weights is None else dump(lesson.weights))


def _say(stage: str, count: int) -> None:
    sys.stdout.write(json.dumps({"stage": stage, "count": count}) + "\n")
    sys.stdout.flush()


def _leave(directory: Path) -> None:
    """End at once, and leave nothing behind of what records say."""
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(ORPHANED)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    os.nice(NICENESS)
    watch_parent(lambda: _leave(place), end_s=0.0)
    run(Spool(place))
