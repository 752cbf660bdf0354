"""Whatever is done to an audit that was signed is found, with its number and kind; what was erased is told apart."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.audit.histories import (
    OURS,
    TAMPERINGS,
    History,
    Tamper,
    change,
    changes,
    erase,
    history,
    sealed,
)

from headwater.audit.checkpoints import Checkpoint
from headwater.audit.entries import Entry, leaf_of
from headwater.audit.verifying import Finding, Verdict, verify

KEYS = {OURS.key_id: OURS.public_key}
TRIALS = 10_000


def judge(found: History, *more: tuple[Checkpoint, ...]) -> Verdict:
    """Verify a history."""
    return verify(lambda: found.entries, [found.checkpoints, *more], KEYS)


def finding_of(found: History, *more: tuple[Checkpoint, ...]) -> Finding:
    """Return what is wrong; it must be something."""
    finding = judge(found, *more).finding
    assert finding is not None
    return finding


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_ten_thousand_tamperings_are_all_found() -> None:
    """Each of an entry under the last checkpoint: found, of a kind that it may be called, at its number or before it."""
    chance = random.Random(20_260_105)
    unfound: list[str] = []
    told: Counter[str] = Counter()
    for number in range(TRIALS):
        tamper = TAMPERINGS[number % len(TAMPERINGS)]
        found = history(60 + chance.randrange(3) * 40, 7 + chance.randrange(3) * 9)
        done = tamper(found, chance)
        finding = judge(done.history).finding
        if finding is None or finding.kind not in done.kinds or not reaches(finding, done.seq):
            unfound.append(f"trial {number} {tamper.__name__} at {done.seq}: {finding}")
        else:
            told[finding.kind] += 1
    assert unfound == []
    assert sum(told.values()) == TRIALS
    assert {"edited", "deleted", "reordered", "restamped", "truncated", "forked"} == set(told)


def reaches(finding: Finding, seq: int) -> bool:
    """Say whether a finding is at *seq*, or of a range with it in it."""
    return finding.seq <= seq <= max(finding.seq, finding.until_seq)


@pytest.mark.parametrize("tamper", TAMPERINGS)
@given(seed=st.integers(0, 2**32))
def test_tampering_is_found_whatever_the_history(tamper: Tamper, seed: int) -> None:
    """Of one entry, of many, with one checkpoint or one for each entry."""
    chance = random.Random(seed)
    found = history(chance.randint(2, 40), chance.randint(1, 2), 3)
    done = tamper(found, chance)
    finding = finding_of(done.history)
    assert finding.kind in done.kinds
    assert reaches(finding, done.seq)


@given(st.integers(1, 300), st.integers(1, 300))
def test_what_nobody_touched_is_sound(count: int, every: int) -> None:
    """With entries behind the last checkpoint, which no root covers yet."""
    found = history(count, min(count, every), 2)
    verdict = judge(found)
    assert verdict.is_sound
    assert (verdict.entries, verdict.sealed) == (count, found.sealed)
    assert verdict.checkpoints == len(found.checkpoints)


def test_behind_the_last_checkpoint_an_edit_without_a_new_leaf_is_found() -> None:
    """Entries there stand against their leaves, if not against a root."""
    found = history(25, 10)
    edited = change(found.entries[22], actor="nobody")
    entries = (*found.entries[:22], edited, *found.entries[23:])
    assert finding_of(History(entries, found.checkpoints)) == Finding(
        "edited", 23, f"the content of audit id {edited.audit_id} does not give its leaf"
    )


def test_erased_values_leave_an_audit_sound() -> None:
    """The leaf stands on its commitment, and the order is there."""
    found = history(30, 10)
    verdict = judge(History(erase(found.entries, 5), found.checkpoints))
    assert (verdict.is_sound, verdict.erased, verdict.unconfirmed) == (True, 1, 0)


def test_erased_values_that_nobody_ordered_are_an_edit() -> None:
    """The order is missing where it should stand."""
    found = history(30, 10)
    erased = erase(found.entries, 5)[4]
    entries = (*found.entries[:4], change(erased, order_id=7), *found.entries[5:])
    finding = finding_of(History(entries, found.checkpoints))
    assert (finding.kind, finding.seq) == ("edited", 5)


def test_an_order_that_has_no_number_yet_is_told_apart() -> None:
    """It is written with the erasure and numbered a moment later."""
    found = history(30, 10)
    verdict = judge(History(erase(found.entries, 5)[:30], found.checkpoints))
    assert (verdict.is_sound, verdict.erased, verdict.unconfirmed) == (True, 0, 1)


def test_an_erased_entry_cannot_be_given_other_values() -> None:
    """Values put back have to fit the commitment, and the salt is gone."""
    found = history(30, 10)
    entries = list(erase(found.entries, 5))
    entries[4] = change(entries[4], commitment=b"", changes=changes("title 5"), salt=bytes(16))
    finding = finding_of(History(tuple(entries), found.checkpoints))
    assert (finding.kind, finding.seq) == ("edited", 5)


def test_a_commitment_cannot_stand_in_for_an_edit() -> None:
    """A commitment to other values gives another leaf."""
    found = history(30, 10)
    entries = list(erase(found.entries, 5))
    entries[4] = change(entries[4], commitment=bytes(32))
    assert finding_of(History(tuple(entries), found.checkpoints)).kind == "edited"


def test_missing_and_stray_entries_are_told() -> None:
    """As the service tells them: numbered and not there, there and never numbered."""
    found = history(30, 10)
    gone = Entry(5, found.entries[4].audit_id, found.entries[4].leaf, missing=True)
    missing = (*found.entries[:4], gone, *found.entries[5:])
    stray = (*found.entries[:4], change(found.entries[4], seq=0, stray=True), *found.entries[4:])
    assert [finding_of(History(one, found.checkpoints)).kind for one in (missing, stray)] == [
        "deleted",
        "inserted",
    ]


def test_two_places_that_know_different_histories_show_a_fork() -> None:
    """Each is signed and bound to the checkpoint before; together they are none."""
    found = history(30, 10)
    entries = list(found.entries)
    entries[14] = change(entries[14], actor="nobody")
    entries[14] = change(entries[14], leaf=leaf_of(entries[14]))
    other = sealed(entries, [10, 20, 30])
    assert other[0] == found.checkpoints[0]
    finding = finding_of(History(tuple(entries), other), found.checkpoints)
    assert (finding.kind, finding.seq) == ("forked", 11)


def test_a_checkpoint_taken_out_of_every_place_is_missed() -> None:
    """The next one names it."""
    found = history(30, 10)
    assert finding_of(History(found.entries, (found.checkpoints[0], found.checkpoints[2]))).kind == "forked"


def test_checkpoints_of_both_places_make_one_chain() -> None:
    """What one place lacks, the other has."""
    found = history(30, 10)
    first, second, third = found.checkpoints
    assert judge(History(found.entries, (first, third)), (second,)).is_sound


@given(st.integers(0, 63 * 8 + 7))
def test_a_signature_with_a_changed_bit_is_none(bit: int) -> None:
    """Whichever bit it is."""
    found = history(20, 10)
    signature = bytearray(found.checkpoints[0].signature)
    signature[bit // 8] ^= 1 << bit % 8
    forged = change(found.checkpoints[0], signature=bytes(signature))
    assert finding_of(History(found.entries, (forged, found.checkpoints[1]))).kind == "forked"
