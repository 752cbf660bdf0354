"""The decision table of a flush."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ingest.arrivals import known, new_event

from headwater.ingest.domain.event import Disposition, LedgerKey, NewEvent
from headwater.ingest.domain.flush import (
    LOOKS_AFTER_DUPLICATE,
    PAYLOAD_CONFLICT,
    Known,
    Pace,
    decide,
    decide_after_race,
    oldest_ms,
    successor_key,
)
from headwater.kernel.errors import FieldViolation

BROKEN = (FieldViolation("event.payload.email", "x", "format.email", "must be an address"),)
A = new_event(request_id="a")
A_OTHER = new_event({"email": "other@example.com"}, request_id="a")
B = new_event(request_id="b")
C_BROKEN = new_event(request_id="c", violations=BROKEN)
ALL = (A, A_OTHER, B, C_BROKEN)
SUBSETS = st.lists(st.sampled_from(ALL), max_size=8)


def _ledger(*events: NewEvent) -> dict[LedgerKey, Known]:
    return {event.ledger_key: known(event) for event in events}


def _fates(events: list[NewEvent], *recorded: NewEvent) -> list[Disposition]:
    return [item.disposition for item in decide(events, _ledger(*recorded)).outcomes]


def test_new_events_are_accepted_or_quarantined() -> None:
    """By whether they break the contract."""
    assert _fates([A, C_BROKEN]) == [Disposition.ACCEPTED, Disposition.QUARANTINED]


def test_recorded_events_are_duplicates() -> None:
    """Whatever became of the first."""
    assert _fates([A, C_BROKEN], A, C_BROKEN) == [Disposition.DUPLICATE, Disposition.DUPLICATE]


def test_another_content_under_a_recorded_key_is_refused() -> None:
    """Both hashes are named, and the key."""
    (outcome,) = decide([A_OTHER], _ledger(A)).outcomes
    assert (outcome.disposition, outcome.reason) == (Disposition.REFUSED, PAYLOAD_CONFLICT)
    assert outcome.event_key == A.event_key
    (violation,) = outcome.violations
    assert A.content_hash.hex() in violation.description
    assert A_OTHER.content_hash.hex() in violation.description


def test_the_first_of_a_batch_wins() -> None:
    """Repetitions and contradictions inside one batch are judged like recorded ones."""
    assert _fates([A, A, A_OTHER, B]) == [
        Disposition.ACCEPTED, Disposition.DUPLICATE, Disposition.REFUSED, Disposition.ACCEPTED,
    ]  # fmt: skip


def test_keys_of_two_tenants_do_not_meet() -> None:
    """The ledger is asked for tenant and key."""
    ledger = {("another", A.event_key): known(B)}
    assert decide([A], ledger).outcomes[0].disposition is Disposition.ACCEPTED


@given(SUBSETS, SUBSETS)
def test_what_is_inserted_is_new_unique_and_sorted(events: list[NewEvent], recorded: list[NewEvent]) -> None:
    """So that no flush can violate its own constraint, nor wait for another in a circle."""
    ledger = _ledger(*recorded)
    decision = decide(events, ledger)
    keys = [event.ledger_key for event in decision.fresh]
    assert keys == sorted(set(keys))
    assert not set(keys) & set(ledger)
    assert len(decision.outcomes) == len(events)


@given(SUBSETS, SUBSETS)
def test_a_flush_done_again_changes_nothing(events: list[NewEvent], recorded: list[NewEvent]) -> None:
    """After a commit whose answer was lost everything accepted is a duplicate, and refusals stay."""
    first = decide(events, _ledger(*recorded))
    again = decide(events, {**_ledger(*recorded), **_ledger(*first.fresh)})
    assert not again.fresh
    refused = [item.disposition is Disposition.REFUSED for item in first.outcomes]
    assert [item.disposition is Disposition.REFUSED for item in again.outcomes] == refused


def test_who_lost_a_race_is_a_duplicate() -> None:
    """Our own insertions stay accepted, the faster writer's are duplicates or conflicts."""
    ledger = _ledger(A, B)
    decision = decide_after_race([A_OTHER, B], ledger, {B.ledger_key})
    assert [item.disposition for item in decision.outcomes] == [Disposition.REFUSED, Disposition.ACCEPTED]


WINDOW_S = 60.0
AGAIN = msgspec.structs.replace(A, dedup_window_s=WINDOW_S)
OVER_US = 61_000_000


def test_a_resend_within_its_window_is_a_duplicate() -> None:
    """The window is inclusive, and answers with the key of the newest generation."""
    later = msgspec.structs.replace(AGAIN, event_key=successor_key(A.event_key, 1))
    ledger = {A.ledger_key: known(later, age_us=60_000_000, generation=1)}
    decision = decide([AGAIN], ledger)
    assert not decision.fresh
    assert decision.outcomes[0].disposition is Disposition.DUPLICATE
    assert decision.outcomes[0].event_key == later.event_key


def test_a_resend_after_its_window_is_recorded_under_the_next_key() -> None:
    """The next generation's key leads with the same time; the base key is named for the ledger."""
    ledger = {A.ledger_key: known(A, age_us=OVER_US, generation=2)}
    decision = decide([AGAIN, AGAIN], ledger)
    (fresh,) = decision.fresh
    assert fresh.event_key == successor_key(A.event_key, 3)
    assert fresh.event_key[:6] == A.event_key[:6]
    assert decision.resends[fresh.ledger_key].base_key == A.event_key
    assert decision.resends[fresh.ledger_key].generation == 3
    assert [item.disposition for item in decision.outcomes] == [Disposition.ACCEPTED, Disposition.DUPLICATE]
    assert {item.event_key for item in decision.outcomes} == {fresh.event_key}


def test_without_a_window_a_key_blocks_for_ever() -> None:
    """However long ago."""
    decision = decide([A], {A.ledger_key: known(A, age_us=10**15)})
    assert not decision.fresh


def test_who_lost_a_race_of_resends_is_a_duplicate() -> None:
    """The other writer's successor is met on the way, and is in its own window."""
    first = decide([AGAIN], {A.ledger_key: known(A, age_us=OVER_US)})
    (fresh,) = first.fresh
    ledger = {A.ledger_key: known(A, age_us=OVER_US), fresh.ledger_key: known(fresh)}
    again = decide([AGAIN], ledger)
    assert not again.fresh
    assert again.outcomes[0].disposition is Disposition.DUPLICATE


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(0, 3))
def test_generations_end_at_the_newest(ages: list[int], window_s: int) -> None:
    """Whatever generations are met, a re-send is a duplicate of one in its window or exactly one newer."""
    event = msgspec.structs.replace(A, dedup_window_s=float(window_s) or 0.5)
    ledger = {A.ledger_key: known(A, age_us=ages[0] * 1_000_000)}
    for generation, age in enumerate(ages[1:], start=1):
        key = successor_key(A.event_key, generation)
        ledger[A.tenant_id, key] = known(msgspec.structs.replace(A, event_key=key), age_us=age * 1_000_000)
    blocking = next((n for n, age in enumerate(ages) if age <= (window_s or 0.5)), None)
    decision = decide([event, event], ledger)
    assert len(decision.fresh) == (blocking is None)
    if blocking is None:
        assert decision.fresh[0].event_key == successor_key(A.event_key, len(ages))
    else:
        wanted = successor_key(A.event_key, blocking) if blocking else A.event_key
        assert {item.event_key for item in decision.outcomes} == {wanted}


def test_a_batch_that_met_a_duplicate_makes_the_next_ones_look() -> None:
    """For a while, counted in batches."""
    pace = Pace()
    assert not pace.looks
    pace = pace.after(met_duplicate=True)
    for _ in range(LOOKS_AFTER_DUPLICATE):
        assert pace.looks
        pace = pace.after(met_duplicate=False)
    assert not pace.looks


def test_a_request_id_may_be_in_any_day() -> None:
    """Its key does not say when."""
    dated = new_event()
    assert oldest_ms([dated]) == dated.event_time_us // 1000
    assert oldest_ms([dated, A]) == 0
