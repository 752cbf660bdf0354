"""The decision table of a flush."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ingest.arrivals import new_event

from headwater.ingest.domain.event import Disposition, LedgerKey, NewEvent
from headwater.ingest.domain.flush import PAYLOAD_CONFLICT, decide, decide_after_race
from headwater.kernel.errors import FieldViolation

BROKEN = (FieldViolation("event.payload.email", "x", "format.email", "must be an address"),)
A = new_event(request_id="a")
A_OTHER = new_event({"email": "other@example.com"}, request_id="a")
B = new_event(request_id="b")
C_BROKEN = new_event(request_id="c", violations=BROKEN)
ALL = (A, A_OTHER, B, C_BROKEN)
SUBSETS = st.lists(st.sampled_from(ALL), max_size=8)


def _ledger(*events: NewEvent) -> dict[LedgerKey, bytes]:
    return {event.ledger_key: event.content_hash for event in events}


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
    ledger = {("another", A.event_key): B.content_hash}
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
    assert again.fresh == ()
    refused = [item.disposition is Disposition.REFUSED for item in first.outcomes]
    assert [item.disposition is Disposition.REFUSED for item in again.outcomes] == refused


def test_who_lost_a_race_is_a_duplicate() -> None:
    """Our own insertions stay accepted, the faster writer's are duplicates or conflicts."""
    ledger = _ledger(A, B)
    decision = decide_after_race([A_OTHER, B], ledger, {B.ledger_key})
    assert [item.disposition for item in decision.outcomes] == [Disposition.REFUSED, Disposition.ACCEPTED]
