"""Tables of a run for people: a set each, all systems below one another. Prints, decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

from tests.load.figures import print_table, shown
from tests.load.identity.metrics import Rates
from tests.load.identity.outcome import Outcome
from tests.load.identity.speed import Speed
from tests.load.identity.systems import SERVICE

COLUMNS: Final = (
    "system", "P", "R", "F1", "B3 P", "B3 R", "B3 F1", "largest", "wrong/1,000", "merge P", "merge R", "wall s", "CPU s",
    "MB", "note",
)  # fmt: skip


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Print a table a set."""
    for name in dict.fromkeys(one.set_name for one in outcomes):
        rows = [row_of(one) for one in outcomes if one.set_name == name]
        records = next(one.records for one in outcomes if one.set_name == name)
        print_table(f"{name}: {records:,} records", COLUMNS, rows)


def row_of(one: Outcome) -> list[str]:
    """Return a line of a table."""
    cost = [f"{one.wall_s:.1f}", f"{one.cpu_s:.1f}", str(one.rss_bytes >> 20)]
    if one.failure:
        return [one.system, *[""] * 10, *cost, one.failure[:60]]
    return [
        one.system,
        *_three(one.pairs),
        *_three(one.cubed),
        f"{one.largest}/{one.largest_true}",
        f"{one.wrong_per_1000:.1f}",
        *([f"{one.merge.precision:.4f}", f"{one.merge.recall:.3f}"] if one.merge else ["", ""]),
        *cost,
        note_of(one),
    ]


def note_of(one: Outcome) -> str:
    """Return what must be known to read a line."""
    if "labels" in one.told:
        return f"{one.told['labels']} labels of {one.told.get('teacher', 'another set')}"
    if one.system == SERVICE:
        return f"groups by {one.told.get('field')}, service {int(one.told.get('service_bytes', 0)) >> 20} MB"
    refused = one.told.get("refused")
    return f"{len(refused)} training steps refused" if refused else ""


def print_speed(speeds: Sequence[Speed]) -> None:
    """Print what the service did at each size."""
    if not speeds:
        return
    facts = [asdict(one) for one in speeds]
    rows = [[name, *(shown(float(one[name])) for one in facts)] for name in facts[0] if name != "contacts"]
    print_table("Over gRPC", ("contacts", *(f"{one['contacts']:,}" for one in facts)), rows)


def print_names(rates: Mapping[str, Rates]) -> None:
    """Print what pairs of names gave."""
    if rates:
        print_table(
            "name_bench", ("kind", "P", "R", "F1"), [[kind, *_three(one)] for kind, one in rates.items()]
        )


def _three(rates: Rates) -> list[str]:
    return [f"{rates.precision:.4f}", f"{rates.recall:.4f}", f"{rates.f1:.4f}"]
