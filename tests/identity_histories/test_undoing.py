"""Merges, splits and corrections in random sequences, undone: every row is as before, byte for byte."""

from __future__ import annotations

from functools import reduce

import msgspec
import pytest
from tests.identity_histories.corrections import VARIANTS, make_subjects
from tests.identity_histories.undoing import Dump, difference, with_groups_named, with_pairs_closed
from tests.identity_histories.undoing_many import undo_sequences
from tests.identity_histories.weakened import RemembersUndoneMoves, SplitsHalf

from headwater.identity.domain.identifying import combine, identify
from headwater.identity.store import PostgresIdentityStore

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

SEQUENCES = 100


async def test_what_was_undone_leaves_no_trace(migrated_database_url: str) -> None:
    """Entities, records, keys and candidates are the rows they were, whatever was done and undone in between."""
    done = await undo_sequences(migrated_database_url, SEQUENCES, seed=1)
    assert not done.failures, done.failures[0]
    assert done.sequences >= SEQUENCES
    assert min(done.merges, done.splits, done.corrections) > SEQUENCES
    assert done.refused > 0


@pytest.mark.parametrize("store", [SplitsHalf, RemembersUndoneMoves])
async def test_a_split_that_is_not_exact_is_caught(
    migrated_database_url: str, store: type[PostgresIdentityStore]
) -> None:
    """A service that leaves a record behind, or gives back what is not the loser's, does not restore the rows."""
    done = await undo_sequences(migrated_database_url, SEQUENCES, seed=2, store=store)
    assert done.failures
    assert "lacks" in done.failures[0]
    assert "seed 2000" in done.failures[0]


def test_corrections_can_be_taken_back() -> None:
    """Each variant says all that the first one says, so that the first one, said again, leaves nothing of it."""
    changes = 0
    for subject in (one for seed in range(20) for one in make_subjects(seed)):
        told = [identify("contact", variant) for variant in subject.variants]
        assert len(told) == VARIANTS
        every = reduce(combine, (*told, told[0]))
        for one in told:
            corrected = combine(every, one)
            assert combine(corrected, told[0]) == every
            changes += corrected != every
    assert changes > 100


def _dump(**closed: str | None) -> Dump:
    rows = [
        {
            "low_id": pair[0],
            "high_id": pair[1],
            "record_id": pair[0],
            "other_record_id": pair[1],
            "close_time": time,
            "seq": 1,
        }
        for pair, time in closed.items()
    ]
    return {"merge_candidate": sorted(msgspec.json.encode(row) for row in rows)}


def test_only_the_candidate_of_a_pair_that_was_split_may_be_closed() -> None:
    """What is expected follows the rows found for that pair alone, and in nothing but the time of closing."""
    before, split = _dump(ab=None, cd=None), {frozenset("ab")}
    assert with_pairs_closed(before, _dump(ab="now", cd=None), split) == _dump(ab="now", cd=None)
    assert with_pairs_closed(before, _dump(ab=None, cd="now"), split) == before
    assert with_pairs_closed(before, _dump(cd=None), split) == before
    assert with_pairs_closed({}, _dump(ab="now"), split) == _dump(ab="now")


def test_groups_are_compared_by_who_is_in_them() -> None:
    """Another id for the same group is no difference; another group is."""

    def members(**groups: str) -> list[bytes]:
        rows = [{"record_id": one, "group_id": group, "digest": 7} for one, group in groups.items()]
        return with_groups_named([msgspec.json.encode(row) for row in rows])

    assert members(a="g", b="g", c="h") == members(a="i", b="i", c="g")
    assert members(a="g", b="g", c="h") != members(a="g", b="h", c="h")


def test_a_difference_names_the_rows() -> None:
    """Rows that are missing and rows that are too much are told apart."""
    text = difference(_dump(ab=None), _dump(cd=None))
    assert text.count("merge_candidate lacks") == text.count("merge_candidate has") == 1
