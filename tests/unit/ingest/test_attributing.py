"""Who may speak for which source, and in whose name."""

from __future__ import annotations

import pytest

from headwater.ingest.domain.event import NOBODY, Actor, Arrival
from headwater.ingest.usecases.attributing import attributed
from headwater.kernel.errors import PermissionDenied
from headwater.kernel.security.principal import Principal
from headwater.kernel.security.scopes import ROLES

SOMEBODY = Actor(1, "somebody else", "Else")


def _arrival(
    source: str, object_name: str = "contact", actor: Actor = NOBODY, external_id: str = "42"
) -> Arrival:
    return Arrival(source, object_name, external_id, "", None, 1, b"{}", actor, "", "", "")


def _principal(*roles: str, is_person: bool = False) -> Principal:
    scopes = frozenset().union(*(ROLES[role] for role in roles))
    return Principal("me", "token", frozenset({"acme"}), scopes, is_person=is_person)


def test_where_nobody_is_asked_nothing_changes() -> None:
    """Loopback without credentials works as it always did."""
    arrivals = [_arrival("headwater", "policy", SOMEBODY)]
    assert attributed(None, arrivals) is arrivals


def test_a_producers_events_are_left_as_they_are() -> None:
    """The actor of a source's fact is the source's business."""
    arrivals = [_arrival("shop", actor=SOMEBODY), _arrival("crm")]
    assert attributed(_principal("producer"), arrivals) is arrivals


@pytest.mark.parametrize(
    "own",
    [
        _arrival("headwater", "policy"),
        _arrival("headwater", "identity"),
        _arrival("routing", "lead"),
        _arrival("provider", external_id="entity:0198c0de-0000-7000-8000-000000000000"),
        _arrival("operator"),
    ],
    ids=["policy", "identity", "routing", "enrichment", "correction"],
)
def test_a_producer_writes_nothing_of_headwaters_or_of_operators(own: Arrival) -> None:
    """One such event refuses the whole call, wherever it stands."""
    arrivals = [_arrival("shop"), own]
    with pytest.raises(PermissionDenied):
        attributed(_principal("producer"), arrivals)


def test_a_steward_corrects_in_his_own_name_and_feeds_nothing() -> None:
    """Whatever name the correction gives."""
    steward = _principal("steward", is_person=True)
    (corrected,) = attributed(steward, [_arrival("operator", actor=SOMEBODY)])
    assert corrected.actor == Actor(1, "me")
    with pytest.raises(PermissionDenied):
        attributed(steward, [_arrival("shop")])


def test_a_service_hands_on_the_name_of_whom_it_works_for() -> None:
    """A bulk change puts a policy into force in the name of its approver."""
    (told,) = attributed(_principal("service"), [_arrival("headwater", "policy", SOMEBODY)])
    assert told.actor == SOMEBODY


def test_only_what_is_reserved_gets_the_callers_name() -> None:
    """In a batch of both."""
    admin = _principal("admin")
    plain, own = attributed(
        admin, [_arrival("shop", actor=SOMEBODY), _arrival("headwater", "policy", SOMEBODY)]
    )
    assert plain.actor == SOMEBODY
    assert own.actor == Actor(2, "me")
