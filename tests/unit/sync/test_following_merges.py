"""Merges of records followed and undone, by the real connectors against CRMs in memory."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Iterator
from typing import Final

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.sync.following_lab import CONTACTS, Lab, policy_of

from headwater.connectors.base import Failed, Target, Write
from headwater.sync.domain.delivering import to_target
from headwater.sync.domain.following import FollowState

EXAMPLES: Final = int(os.environ.get("HEADWATER_MERGE_EXAMPLES", "12"))
"""Histories of one property; a hundred take half a minute."""
VENDORS: Final = ("hubspot", "salesforce")
pytestmark = [pytest.mark.evidence(vendor, "merge", "own sandbox only") for vendor in VENDORS]
NAMES: Final = {
    "hubspot": ("email", "lastname", "firstname", "phone", "jobtitle", "city"),
    "salesforce": ("Email", "LastName", "FirstName", "Phone", "Title", "MailingCity"),
}


def person(lab: Lab, number: int, chance: random.Random) -> uuid.UUID:
    """Make an entity whose record has its own address and name, and some of the other fields."""
    email, last, *others = NAMES[lab.vendor]
    some = {name: f"{name} {number}" for name in others if chance.random() < 0.5}
    return lab.entity({email: f"p{number}@example.org", last: f"Person {number}", **some})


def ties(lab: Lab, people: list[uuid.UUID], chance: random.Random) -> None:
    """Tie records to others, some of them to the same ones."""
    if lab.vendor == "hubspot":
        firms = [lab.make("companies", {"name": f"Firm {number}"}) for number in range(3)]
        deals = [lab.make("deals", {"dealname": f"Deal {number}"}) for number in range(3)]
        for entity in people:
            for kind, ids in (("companies", firms), ("deals", deals)):
                for other in chance.sample(ids, chance.randint(0, 2)):
                    lab.tie(lab.book.records[entity], kind, other)
        return
    for entity in people:
        for number in range(chance.randint(0, 2)):
            lab.make("Task", {"Subject": f"Task {number}", "WhoId": lab.book.records[entity]})


def world(vendor: str, seed: int, people: int = 4) -> tuple[Lab, list[uuid.UUID]]:
    """Return a CRM with a few people and what they are tied to."""
    chance = random.Random(seed)
    lab = Lab(vendor, seed)
    made = [person(lab, number, chance) for number in range(people)]
    ties(lab, made, chance)
    return lab, made


def steps(lab: Lab, people: list[uuid.UUID], chance: random.Random, count: int) -> Iterator[uuid.UUID]:
    """Yield merges that were ordered or split, at random, and at last every split that is left."""
    standing: list[uuid.UUID] = []
    for _ in range(count):
        alone = [one for one in people if one not in lab.book.merged_into]
        if standing and (len(alone) < 2 or chance.random() < 0.4):
            merge_id = standing.pop(chance.randrange(len(standing)))
            lab.split(merge_id)
        else:
            merge_id = lab.order(*chance.sample(alone, 2))
            standing.append(merge_id)
        yield merge_id
    chance.shuffle(standing)
    for merge_id in standing:
        lab.split(merge_id)
        yield merge_id


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_merge_makes_one_record_of_two(vendor: str) -> None:
    """The CRM holds one record fewer, and it is the survivor's."""

    async def run() -> None:
        lab, (first, second, *_) = world(vendor, 1)
        before = len(lab.bench.account.records.scan(CONTACTS[vendor]))
        state = await lab.follow(lab.order(first, second))
        live = [one for one in lab.bench.account.records.scan(CONTACTS[vendor]) if not one.archived]
        assert (state, len(live)) == (FollowState.MERGED, before - 1)
        assert lab.book.records[first] in {one.record_id for one in live}
        assert lab.book.records[second] == ""

    anyio.run(run)


@pytest.mark.parametrize("vendor", VENDORS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 10))
def test_random_merges_and_splits_leave_the_crm_as_it_was(vendor: str, seed: int, count: int) -> None:
    """Whatever was merged and split in whatever order: once all is split, fields and ties are those of before."""

    async def run() -> None:
        lab, people = world(vendor, seed)
        before = lab.contents()
        for merge_id in steps(lab, people, lab.chance, count):
            assert await lab.follow(merge_id) in {FollowState.MERGED, FollowState.UNDONE}
        assert lab.contents() == before

    anyio.run(run)


@pytest.mark.parametrize("vendor", VENDORS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 6))
def test_lost_answers_and_crashes_between_steps_change_nothing(vendor: str, seed: int, count: int) -> None:
    """Answers of writes are lost after the CRM has done them, the process ends between steps: the same outcome."""

    async def run() -> None:
        lab, people = world(vendor, seed)
        before = lab.contents()
        lab.transport.lose = lambda _method, _path: lab.chance.random() < 0.2
        lab.book.crash = lambda: lab.chance.random() < 0.2
        for merge_id in steps(lab, people, lab.chance, count):
            assert await lab.follow(merge_id) in {FollowState.MERGED, FollowState.UNDONE}
        assert lab.contents() == before

    anyio.run(run)


@pytest.mark.parametrize("vendor", VENDORS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 10))
def test_a_crm_that_lags_behind_ends_as_it_was(vendor: str, seed: int, count: int) -> None:
    """Merges and splits come faster than they are followed: what was not begun is not done, the rest is undone."""

    async def run() -> None:
        lab, people = world(vendor, seed)
        before = lab.contents()
        for _ in steps(lab, people, lab.chance, count):
            await lab.follow_some(0.5)
        await lab.follow_some(2.0)
        ends = {row.state for row in lab.book.rows.values()}
        assert ends <= {FollowState.UNDONE, FollowState.NOT_NEEDED}
        assert lab.contents() == before

    anyio.run(run)


async def deliver(lab: Lab, own: dict[uuid.UUID, dict[str, str]]) -> list[str]:
    """Write what entities that stand should hold, those refused again after the others; return who is refused for good.

    A value changes hands when whoever had it is written, too: until then it is claimed, and that is tried again.
    """
    refused = await deliver_once(lab, own)
    while refused:
        left = await deliver_once(lab, own)
        if len(left) >= len(refused):
            return left
        refused = left
    return refused


async def deliver_once(lab: Lab, own: dict[uuid.UUID, dict[str, str]]) -> list[str]:
    """Write what entities that stand should hold, as their deliveries do once nothing holds them back; return refusals.

    An entity takes the address and the title of whoever of its members came last: often another one's. Where an entity
    that a merge holds back has that in its record, the refusal is no finding: it is claimed until that one is written.
    """
    busy = {
        one
        for row in lab.book.rows.values()
        if lab.is_open(row)
        for one in (row.winner_id, row.loser_id, row.course.holder_id)
    }
    held_back = {crm_id for one, crm_id in lab.book.records.items() if one in busy and crm_id}
    refused: list[str] = []
    for entity, crm_id in lab.book.records.items():
        if entity in busy or entity in lab.book.merged_into or not crm_id:
            continue
        members = {entity}
        while more := {one for one, into in lab.book.merged_into.items() if into in members} - members:
            members |= more
        write = Write(str(entity), crm_id, own[max(members)])
        (outcome,) = await lab.connector.upsert(target_of(lab), [write])
        if isinstance(outcome, Failed) and outcome.error.existing_crm_id not in held_back:
            refused.append(f"{entity}: {outcome.error.message}")
    return refused


def target_of(lab: Lab) -> Target:
    """Return where contacts go."""
    (outbound,) = policy_of(lab.vendor).written["contact"]
    return to_target("contact", outbound)


@pytest.mark.parametrize("vendor", VENDORS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 8))
@example(seed=17_162, count=3)
@example(seed=12_109_691, count=2)
@example(seed=7981, count=8)
def test_deliveries_in_between_are_not_refused_and_end_as_before(vendor: str, seed: int, count: int) -> None:
    """A merged entity shows another member's address: the CRM takes it, and gives it back when it is split."""

    async def run() -> None:
        lab, people = world(vendor, seed)
        names = NAMES[vendor][:2]
        own = {
            one: {names[0]: f"p{number}@example.org", names[1]: f"Person {number}"}
            for number, one in enumerate(people)
        }
        before = lab.contents()
        for _ in steps(lab, people, lab.chance, count):
            await lab.follow_some(0.6)
            assert await deliver(lab, own) == []
        await lab.follow_some(2.0)
        assert await deliver(lab, own) == []
        assert lab.contents() == before

    anyio.run(run)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_merge_whose_answer_was_lost_is_sent_once(vendor: str) -> None:
    """The lost merge is looked at, found done, and not sent again."""

    async def run() -> None:
        lab, (first, second, *_) = world(vendor, 2)
        lost: list[str] = []

        def lose(_method: str, path: str) -> bool:
            lost.append(path)
            return len(lost) == 1

        lab.transport.lose = lose
        assert await lab.follow(lab.order(first, second)) is FollowState.MERGED
        sent = [path for _, path in lab.transport.writes if path.endswith("merge") or "/Soap/" in path]
        assert len(sent) == 1

    anyio.run(run)


def test_a_split_before_the_merge_was_begun_calls_nobody() -> None:
    """What was never merged needs no undoing."""

    async def run() -> None:
        lab, (first, second, *_) = world("hubspot", 3)
        merge_id = lab.order(first, second)
        lab.split(merge_id)
        assert await lab.follow(merge_id) is FollowState.NOT_NEEDED
        assert lab.transport.writes == []

    anyio.run(run)


def test_a_record_that_left_the_bin_is_made_anew() -> None:
    """Sixteen days later Salesforce undeletes nothing: the record comes back with a new id, and its tasks with it."""

    async def run() -> None:
        lab, (first, second, *_) = world("salesforce", 4)
        task = lab.make("Task", {"Subject": "late", "WhoId": lab.book.records[second]})
        before, former = lab.contents(), lab.book.records[second]
        merge_id = lab.order(first, second)
        await lab.follow(merge_id)
        lab.bench.now_ms += 16 * 86_400_000
        lab.split(merge_id)
        assert await lab.follow(merge_id) is FollowState.UNDONE
        assert lab.book.records[second] != former
        held = lab.bench.account.records.find("Task", task)
        assert held is not None
        assert held.fields["WhoId"] == lab.book.records[second]
        assert lab.contents() == before

    anyio.run(run)


def test_what_a_person_changed_since_the_merge_stays() -> None:
    """A field of the survivor that was changed after the merge is not put back, one that the merge filled is."""

    async def run() -> None:
        lab = Lab("hubspot")
        first = lab.entity({"email": "a@example.org", "lastname": "A"})
        second = lab.entity({"email": "b@example.org", "lastname": "B", "city": "Bonn", "phone": "1"})
        merge_id = lab.order(first, second)
        await lab.follow(merge_id)
        path = f"/crm/v3/objects/contacts/{lab.book.records[first]}"
        lab.bench.call("PATCH", path, {"properties": {"phone": "2"}})
        lab.split(merge_id)
        await lab.follow(merge_id)
        found = lab.bench.account.records.live("contacts", lab.book.records[first])
        assert found is not None
        assert (found.fields.get("city"), found.fields.get("phone")) == (None, "2")

    anyio.run(run)


def test_a_long_history_is_undone_in_no_time() -> None:
    """Forty merges and splits of the same two people: what each brought is worked out once."""

    async def run() -> None:
        lab, (first, second, *_) = world("hubspot", 5)
        before = lab.contents()
        for _ in range(20):
            for winner, loser in ((first, second), (second, first)):
                merge_id = lab.order(winner, loser)
                await lab.follow(merge_id)
                lab.split(merge_id)
                await lab.follow(merge_id)
        assert lab.contents() == before

    anyio.run(run)
