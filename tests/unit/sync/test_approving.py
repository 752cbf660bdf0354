"""Approval before a write: what has to be approved, by which rule, and that nothing goes out without it."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.tenant import key, policy

from headwater.policy.writing import Approval
from headwater.sync.approvals.door import ApprovalDoor
from headwater.sync.domain.approving import (
    ApprovalState,
    Ask,
    Verdict,
    ask_of,
    bare_needs,
    judged,
    kind_of,
    needed,
)
from headwater.sync.domain.delivering import Send, plan_delivery

pytestmark = pytest.mark.anyio

ACCOUNT = policy().connectors["salesforce"]
KNOWN = {"Email": "old@x.io", "LastName": "Lovelace"}


def send(number: int = 1, **changed: Any) -> Send:
    """Return the write of a delivery."""
    plan = plan_delivery(ACCOUNT, claimed(entity_id=key(number), **changed), 0.0)
    assert isinstance(plan, Send)
    return plan


def update(number: int = 1, **changed: Any) -> Send:
    """Return the write of an e-mail address into a record that the CRM has."""
    return send(number, **{"crm_object": "Contact", "crm_id": "003", "known": KNOWN, **changed})


def asks_for(approval: dict[str, Any], *sends: Send, waiting: Mapping[str, int] | None = None) -> set[int]:
    """Return the numbers of the entities of which *approval* asks."""
    given_ = [("careful", Approval.model_validate(approval))]
    return {entity_id.int for entity_id in needed(given_, ACCOUNT, sends, waiting or {})}


ENDED: dict[str, Any] = {"crm_object": "Contact", "crm_id": "003", "values": {}}


@pytest.mark.parametrize(
    ("write", "kind"),
    [
        (send(), "create"),
        (update(), "update"),
        (send(state="deleted", **ENDED), "delete"),
        (send(state="merged", merged_into=key(2), **ENDED), "merge"),
    ],
)
def test_a_write_is_of_the_kind_that_it_is_to_the_crm(write: Send, kind: str) -> None:
    """Of records that the CRM lacks, has, or whose entity ended."""
    assert kind_of(write) == kind
    assert asks_for({"kinds": [kind]}, write) == {1}
    assert (
        asks_for(
            {"kinds": [other for other in ("create", "update", "delete", "merge") if other != kind]}, write
        )
        == set()
    )


@pytest.mark.parametrize(
    ("approval", "wanted"),
    [
        ({}, {1, 2}),
        ({"objects": ["account"]}, set()),
        ({"fields": ["last_name"]}, {1}),
        ({"fields": ["email"]}, {1, 2}),
        ({"fields": ["title"]}, set()),
        ({"records_min": 2}, {1, 2}),
        ({"records_min": 3}, set()),
    ],
)
def test_an_approval_asks_of_what_it_names(approval: dict[str, Any], wanted: set[int]) -> None:
    """By object, by canonical fields that change, by how many go together."""
    assert asks_for(approval, send(1), update(2)) == wanted


def test_what_follows_a_bulk_that_waits_is_asked_too() -> None:
    """The tail of a bulk is smaller than the bulk: while some of it waits, so does the rest."""
    assert asks_for({"records_min": 50}, send(1), waiting={"careful": 60}) == {1}


def test_the_first_approval_that_names_a_write_asks() -> None:
    """In the policy's order."""
    both = [("first", Approval(kinds=("update",))), ("second", Approval())]
    found = needed(both, ACCOUNT, [send(1), update(2)], {})
    assert found == {key(1): "second", key(2): "first"}


def test_merges_of_records_are_asked_by_approvals_of_merges() -> None:
    """Not by those of single fields or of many writes."""
    assert bare_needs([("any", Approval())], "contact", "merge") is not None
    assert (
        bare_needs([("merges", Approval(kinds=("merge",), objects=("contact",)))], "contact", "merge")
        is not None
    )
    others = [
        Approval(kinds=("create",)),
        Approval(objects=("account",)),
        Approval(fields=("email",)),
        Approval(records_min=2),
    ]
    assert bare_needs([("other", item) for item in others], "contact", "merge") is None


@pytest.mark.parametrize(
    "other",
    [
        update(values={"email": "b@x.io", "last_name": "Lovelace"}),
        update(known={**KNOWN, "Email": "older@x.io"}),
        update(crm_id="004"),
        update(2),
        send(),
    ],
)
def test_another_write_has_another_id(other: Send) -> None:
    """Whatever of what was seen changes: values, what the CRM holds, the record, the entity."""
    approval = Approval()
    assert (
        ask_of(other, "careful", approval, "7").approval_id
        != ask_of(update(), "careful", approval, "7").approval_id
    )


def test_the_same_write_has_the_same_id_whatever_came_between() -> None:
    """A new version without another value, a failed try, another policy that asks: it is still the write that was seen."""
    same = update(version=9, failure_count=2, tries_before=2, event_key=key(77))
    first, again = ask_of(update(), "careful", Approval(), "7"), ask_of(same, "strict", Approval(), "8")
    assert first.approval_id == again.approval_id


STATES = st.none() | st.sampled_from(ApprovalState)


@given(states=st.lists(st.tuples(st.booleans(), STATES), max_size=8))
def test_only_what_is_approved_or_needs_nothing_goes_out(
    states: Sequence[tuple[bool, ApprovalState | None]],
) -> None:
    """Every write is sent, held or given up, once; one that needs a decision is sent for APPROVED alone."""
    sends = [send(number) for number in range(1, len(states) + 1)]
    asks: dict[uuid.UUID, Ask] = {}
    verdicts: dict[uuid.UUID, Verdict] = {}
    for item, (needs, state) in zip(sends, states, strict=True):
        if needs:
            ask = asks[item.claimed.entity_id] = ask_of(item, "careful", Approval(), "7")
            if state is not None:
                verdicts[ask.approval_id] = Verdict(state, "user:ann", "so")
    found = judged(sends, asks, verdicts)
    free = {item.claimed.entity_id for item in found.sends}
    assert free == {
        item.claimed.entity_id
        for item, (needs, state) in zip(sends, states, strict=True)
        if not needs or state is ApprovalState.APPROVED
    }
    others = [item.claimed.entity_id for item in (*found.holds, *found.refused)]
    assert sorted([*free, *others]) == sorted(item.claimed.entity_id for item in sends)


@dataclasses.dataclass
class Book:
    """An approval book that answers as told and counts what it is asked."""

    state: ApprovalState = ApprovalState.ASKED
    asked: list[Ask] = dataclasses.field(default_factory=list)
    counted: int = 0

    async def waiting(self, tenant_id: str, connector: str) -> Mapping[str, int]:
        """Nothing waits."""
        assert (tenant_id, connector) == ("acme", "salesforce")
        self.counted += 1
        return {}

    async def ask(self, asks: Sequence[Ask]) -> Mapping[uuid.UUID, Verdict]:
        """Answer all alike."""
        self.asked += asks
        return {item.approval_id: Verdict(self.state) for item in asks}


def door(book: Book | None, **approvals: dict[str, Any]) -> ApprovalDoor:
    """Return the door of an account with approvals."""
    given_ = {name: Approval.model_validate(item) for name, item in approvals.items()}
    return ApprovalDoor(policy().model_copy(update={"approval": given_}), "salesforce", book)


async def test_a_door_without_approvals_asks_nobody() -> None:
    """Nor one whose approvals are other accounts', nor for writes that none of them names."""
    book = Book()
    for subject in (
        door(book),
        door(book, hub={"accounts": ["hubspot"]}),
        door(book, deals={"objects": ["deal"]}),
    ):
        assert len((await subject.pass_through([send()])).sends) == 1
    assert (book.asked, book.counted) == ([], 0)


async def test_a_door_holds_until_it_is_approved() -> None:
    """And lets what needs nothing go meanwhile."""
    book = Book()
    subject = door(book, creates={"kinds": ["create"]})
    found = await subject.pass_through([send(1), update(2)])
    assert [item.claimed.entity_id for item in found.sends] == [key(2)]
    assert [item.why for item in found.holds] == ["approval: creates waits for a decision"]
    book.state = ApprovalState.APPROVED
    assert len((await subject.pass_through([send(1)])).sends) == 1


async def test_a_door_without_a_book_lets_nothing_through_that_has_to_be_approved() -> None:
    """Held, not written: a way to ask that is missing is no permission."""
    found = await door(None, all={}).pass_through([send()])
    assert (found.sends, len(found.holds)) == ((), 1)
