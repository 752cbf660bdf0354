"""One stream over many connections: what counts as a broken contract, when to resume, when to give up."""

from __future__ import annotations

import random

import pytest

from headwater.client.backoff import Backoff
from headwater.client.batch import Batch
from headwater.client.conversation import Conversation, GiveUp, Resume
from headwater.client.errors import ContractBroken
from headwater.client.retrying import Fault
from headwater.client.settings import ClientSettings
from headwater.kernel.errors import HeadwaterError, Overloaded, Unauthenticated, Unavailable

_AWAY = Fault(Unavailable("away"), passing=True)


def _conversation(**given: float) -> Conversation:
    fixed = ClientSettings(backoff=Backoff(0.1, 1.0), give_up_s=given.get("give_up_s", 10.0))
    return Conversation("acme", fixed, random.Random(1))


def _batch(count: int = 1) -> Batch:
    return Batch(bodies=[b"event"] * count, count=count)


def test_an_acknowledgement_of_another_batch_breaks_the_contract() -> None:
    """Out of order is a defect of the service, not a thing to guess about."""
    talk = _conversation()
    talk.send(_batch(), 0.0)
    talk.send(_batch(), 0.0)
    talk.opened(0.0)
    assert talk.next_message()
    assert talk.next_message()
    with pytest.raises(ContractBroken, match="batch 2 was acknowledged where 1 is due"):
        talk.acknowledged(2, 1, 0.0)


def test_an_acknowledgement_of_what_this_connection_never_saw_breaks_the_contract() -> None:
    """Only what was written can be answered."""
    talk = _conversation()
    talk.send(_batch(), 0.0)
    talk.opened(0.0)
    with pytest.raises(ContractBroken, match="none is due"):
        talk.acknowledged(1, 1, 0.0)


def test_a_wrong_number_of_outcomes_breaks_the_contract() -> None:
    """One outcome per event."""
    talk = _conversation()
    talk.send(_batch(3), 0.0)
    talk.opened(0.0)
    talk.next_message()
    with pytest.raises(ContractBroken, match="3 events sent, 2 outcomes received"):
        talk.acknowledged(1, 2, 0.0)


def test_a_second_connection_sees_the_same_bytes_from_the_first_unanswered_batch_on() -> None:
    """What was acknowledged is not sent again; the rest is, unchanged."""
    talk = _conversation()
    for _ in range(3):
        talk.send(_batch(), 0.0)
    talk.opened(0.0)
    first = [talk.next_message() for _ in range(3)]
    talk.acknowledged(1, 1, 0.0)
    assert isinstance(talk.broken(_AWAY, 0.0), Resume)
    talk.opened(0.1)
    assert [talk.next_message(), talk.next_message()] == [first[1], None]
    talk.acknowledged(2, 1, 0.2)
    assert [talk.next_message(), talk.next_message()] == [first[2], None]


def test_after_a_fault_the_first_batch_goes_alone() -> None:
    """Until it is acknowledged; then the whole window is written again."""
    talk = _conversation()
    for _ in range(3):
        talk.send(_batch(), 0.0)
    talk.broken(_AWAY, 0.0)
    talk.opened(0.0)
    assert talk.next_message()
    assert talk.next_message() is None
    assert not talk.all_written
    talk.acknowledged(1, 1, 0.0)
    assert talk.next_message()
    assert talk.next_message()
    assert talk.all_written


def test_the_pause_that_the_service_asks_for_is_the_least() -> None:
    """RetryInfo is the floor, jitter goes on top."""
    talk = _conversation()
    talk.send(_batch(), 0.0)
    fault = Fault(Overloaded("full", retry_after_s=3.0), passing=True, least_s=3.0)
    decision = talk.broken(fault, 0.0)
    assert isinstance(decision, Resume)
    assert 3.0 <= decision.after_s <= 3.1


def test_a_pause_beyond_the_clients_patience_gives_up_at_once() -> None:
    """Waiting first and giving up then would help nobody."""
    talk = _conversation()
    batch = _batch()
    talk.send(batch, 0.0)
    decision = talk.broken(Fault(Overloaded("full", retry_after_s=60.0), passing=True, least_s=60.0), 0.0)
    assert isinstance(decision, GiveUp)
    assert decision.batches == (batch,)
    assert not talk.pending_count


def test_patience_counts_from_the_last_acknowledgement() -> None:
    """A service that gets on is not given up, however often it breaks."""
    talk = _conversation(give_up_s=10.0)
    for _ in range(2):
        talk.send(_batch(), 0.0)
    talk.opened(0.0)
    talk.next_message()
    talk.acknowledged(1, 1, 8.0)
    assert isinstance(talk.broken(_AWAY, 15.0), Resume)
    assert isinstance(talk.broken(_AWAY, 18.5), GiveUp)


def test_a_credential_that_was_good_is_asked_for_once_more() -> None:
    """It may have been renewed meanwhile; one that was never good, or is not renewed, ends the stream."""
    refused = Fault(Unauthenticated("the token's key is not known"), passing=False)
    talk = _conversation()
    for _ in range(2):
        talk.send(_batch(), 0.0)
    talk.opened(0.0)
    talk.next_message()
    talk.acknowledged(1, 1, 0.0)
    assert isinstance(talk.broken(refused, 0.0), Resume)
    talk.opened(0.1)
    talk.next_message()
    assert isinstance(talk.broken(refused, 0.1), GiveUp)


def test_a_failure_that_does_not_pass_is_not_tried_again() -> None:
    """The same would fail again."""
    talk = _conversation()
    talk.send(_batch(), 0.0)
    assert isinstance(talk.broken(Fault(HeadwaterError("no"), passing=False), 0.0), GiveUp)


def test_a_stall_is_timed_from_the_last_sign_of_life() -> None:
    """Opening, sending into an empty window and acknowledgements count; a full window's age does not."""
    talk = _conversation()
    talk.send(_batch(), 1.0)
    talk.opened(5.0)
    assert talk.stall_time == 35.0
    talk.send(_batch(), 6.0)
    assert talk.stall_time == 35.0
    talk.next_message()
    talk.acknowledged(1, 1, 7.0)
    assert talk.stall_time == 37.0


def test_nothing_stalls_while_nothing_waits() -> None:
    """An idle connection may stay."""
    talk = _conversation()
    talk.opened(0.0)
    assert talk.stall_time is None
