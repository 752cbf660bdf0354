"""What a system reached on a set: its answer against the truth, and what that cost. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.load.identity import metrics
from tests.load.identity.metrics import Rates
from tests.load.identity.systems import Run

NOTHING: Final = Rates(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of a set's table.

    Args:
        pairs, cubed: pairwise and B-cubed precision and recall.
        merge: of the pairs that the merge tier joins; None where a system has no such tier.
        wrong_per_1000: unions of different things, per 1,000 records.
        failure: why there is none; then all numbers are 0.
    """

    system: str
    set_name: str
    records: int = 0
    pairs: Rates = NOTHING
    cubed: Rates = NOTHING
    merge: Rates | None = None
    largest: int = 0
    largest_true: int = 0
    wrong_per_1000: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    rss_bytes: int = 0
    failure: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)


def outcome_of(run: Run, truth: Mapping[str, str]) -> Outcome:
    """Score a run."""
    if run.answer is None or run.answer.linked.keys() != truth.keys():
        failure = run.failure or "its answer does not name the set's records"
        return Outcome(
            run.system, run.set_name, len(truth), wall_s=run.wall_s, cpu_s=run.cpu_s, rss_bytes=run.rss_bytes,
            failure=failure, told=run.told,
        )  # fmt: skip
    linked, merged = run.answer.linked, run.answer.merged
    return Outcome(
        run.system,
        run.set_name,
        len(truth),
        metrics.pairwise(linked, truth),
        metrics.b_cubed(linked, truth),
        metrics.pairwise(merged, truth) if merged else None,
        metrics.largest(linked),
        metrics.largest(truth),
        metrics.wrong_merges(linked, truth) * 1_000 / len(truth),
        run.wall_s,
        run.cpu_s,
        run.rss_bytes,
        told=run.told,
    )


def from_facts(facts: Mapping[str, Any]) -> Outcome:
    """Return an outcome from what `dataclasses.asdict` made of it."""
    rates = {name: Rates(**facts[name]) for name in ("pairs", "cubed")}
    merge = Rates(**facts["merge"]) if facts["merge"] else None
    return Outcome(**{**facts, **rates, "merge": merge})
