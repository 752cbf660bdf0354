"""What the command line of the identity bench asks for, and what a run in slices keeps."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.load.identity.bench import PARTS, Bench, Plan, plan_of, read_arguments
from tests.load.identity.metrics import Rates
from tests.load.identity.outcome import Outcome
from tests.load.identity.systems import EXACT, OURS, PEERS


def plan(*arguments: str) -> Plan:
    """Return the plan of a command line."""
    return plan_of(read_arguments(arguments))


def test_all_sets_and_parts_are_run_unless_told() -> None:
    """Nine labelled sets, and three families of three seeds in two sizes."""
    whole = plan()
    assert whole.parts == PARTS
    assert len(whole.sets) == 9 + 3 * 3 * 2
    assert (whole.orders, whole.contacts) == (20, (100_000, 1_000_000))


def test_short_run_has_every_part_on_small_sets() -> None:
    """One seed of each family, a few thousand records, half a minute a system."""
    short = plan("--short")
    assert short.parts == PARTS
    assert len(short.sets) == 5
    assert {one.size for one in short.sets} == {"", "2k"}
    assert (short.timeout_s, short.contacts) == (30.0, (10_000,))


def test_sets_are_chosen_by_parts_of_their_names() -> None:
    """Also by several."""
    chosen = plan("--sets", "febrl3,world_accounts", "--sizes", "15k", "--seeds", "501")
    assert [one.name for one in chosen.sets] == ["febrl3", "world_accounts_15k_501"]


@pytest.mark.parametrize("wrong", [["--only", "speeds"], ["--sets", "nothing"], ["--resume"]])
def test_what_cannot_be_meant_is_refused(wrong: list[str]) -> None:
    """A part that is none, sets that are none, resuming from nowhere."""
    with pytest.raises(SystemExit):
        read_arguments(wrong)


def test_slices_add_up_to_one_run(tmp_path: Path) -> None:
    """What the folder has is not run again: every system's outcome is taken as it was kept."""
    for system in (*OURS, EXACT, *PEERS):
        kept = tmp_path / f"febrl3@{system.replace(', ', '-').replace(' ', '-')}.json"
        outcome = Outcome(system, "febrl3", 9, Rates(1.0, 0.9), Rates(1.0, 0.9), None, 6, 6)
        kept.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
    chosen = plan("--only", "quality,peers", "--sets", "febrl3")
    found = Bench(chosen, tmp_path, resume=True).outcomes()
    assert sorted(one.system for one in found) == sorted((*OURS, EXACT, *PEERS))
    assert {one.records for one in found} == {9}
