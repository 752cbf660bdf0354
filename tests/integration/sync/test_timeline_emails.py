"""Real emails become timelines whose threads and people equal those of an independent reading, in any order."""

from __future__ import annotations

import email.utils
import mailbox
import os
import random
import re
import uuid
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
import pytest
from tests.integration.sync.timelines import POLICY, Desk, desk, entity

from headwater.cli.feed.mail import read_message
from headwater.cli.feed.mbox import cut_mbox
from headwater.cli.feed.rows import Row
from headwater.policy.loading import load_policy
from headwater.sync.domain.log import LogEvent, Position

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(90)]

ORDERED_MAX: Final = 250
"""Messages of the set that are read in several orders."""
_ID: Final = re.compile(r"<([^<>\s]+)>")


def emails() -> Path:
    """Return the set of real emails."""
    given = os.environ.get("HEADWATER_SHARED")
    places = [Path(given)] if given else [place / "shared" for place in Path(__file__).resolve().parents]
    return next(place / "data/email/ham.mbox" for place in places if (place / "data/email").is_dir())


def rows() -> list[Row]:
    """Return the messages as they are fed."""
    with emails().open("rb") as content:
        found = [read_message(raw, "ham.mbox") for raw in cut_mbox(content)]
    return [item for item in found if isinstance(item, Row)]


def independent(wanted: set[str]) -> tuple[set[frozenset[str]], Mapping[str, set[tuple[str, str]]]]:
    """Return threads as sets of message ids, and message id to roles and addresses, by the standard modules alone."""
    neighbours: dict[str, set[str]] = defaultdict(set)
    people: dict[str, set[tuple[str, str]]] = {}
    with closing(mailbox.mbox(emails(), create=False)) as box:
        messages = list(box)
    for message in messages:
        own = next(iter(_ID.findall(str(message["message-id"] or ""))), "")
        if own not in wanted or own in people:
            continue
        named = _ID.findall(f"{message['references'] or ''} {message['in-reply-to'] or ''}")
        for other in (own, *named):
            neighbours[own].add(other)
            neighbours[other].add(own)
        people[own] = {
            (role, address.strip().lower())
            for role in ("from", "to", "cc")
            for _, address in email.utils.getaddresses([str(value) for value in message.get_all(role, [])])
            if "@" in address and address.isprintable()
        }
    return {frozenset(thread & wanted) for thread in walked(neighbours) if thread & wanted}, people


def walked(neighbours: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the connected sets."""
    left, found = set(neighbours), []
    while left:
        reached, edge = set(), {left.pop()}
        while edge:
            one = edge.pop()
            reached.add(one)
            edge |= neighbours[one] - reached
        left -= reached
        found.append(reached)
    return found


async def take(world: Desk, tenant_id: str, found: list[Row]) -> None:
    """Feed *found* to a tenant of its own, in this order, associating now and then."""
    world.policies[tenant_id] = load_policy(POLICY)
    events = [
        LogEvent(
            tenant_id, uuid.uuid5(uuid.NAMESPACE_OID, row.external_id), "mail", "activity", row.external_id,
            row.event_time, row.event_time, 1, "", msgspec.json.encode(row.payload), None, 0, Position(1, number),
        )
        for number, row in enumerate(found)
    ]  # fmt: skip
    for start in range(0, len(events), 100):
        await world.take(*events[start : start + 100])


async def test_threads_and_people_are_those_of_an_independent_reading(migrated_database_url: str) -> None:
    """Every thread and every participant of all messages of the set that have an id."""
    found = rows()
    ids = {str(row.payload["message_id"]) for row in found} - {""}
    threads, people = independent(ids)
    async with desk(migrated_database_url) as world:
        world.page = 200
        await take(world, "straight", found)
        rows_held = await world.pool.fetch(
            "select one.message_id, two.thread_id, one.people from sync.activity as one"
            " join sync.activity_thread as two using (tenant_id, message_id) where tenant_id = 'straight'"
        )
        held: dict[str, set[str]] = defaultdict(set)
        for row in rows_held:
            held[row["thread_id"]].add(row["message_id"])
        assert {frozenset(one & ids) for one in held.values() if one & ids} == threads
        assert (len(found), len(ids), len(threads)) == (2365, 2364, 1485)
        assert max(map(len, threads)) > 5
        told = {
            row["message_id"]: {(role, address) for role, address, _, _ in row["people"]} for row in rows_held
        }
        assert told.keys() >= people.keys() == ids
        differing = {key: (told[key], people[key]) for key in people if told[key] != people[key]}
        assert not differing, list(differing.items())[:3]
        sender = str(found[0].payload["participants"][0]["address"]).lower()
        entries = await world.read(entity("contact", sender), "straight")
        assert entries
        assert all(sender in {one.address for one in entry.activity.people} for entry in entries)


async def test_real_emails_in_any_order_give_the_same_timelines(migrated_database_url: str) -> None:
    """Three random orders, each with associations made between the portions."""
    found = rows()[:ORDERED_MAX]
    async with desk(migrated_database_url) as world:
        await take(world, "straight", found)
        straight = await world.whole("straight")
        assert len(straight) > 2 * ORDERED_MAX
        for seed in range(3):
            shuffled = list(found)
            random.Random(seed).shuffle(shuffled)
            await take(world, f"order{seed}", shuffled)
            assert await world.whole(f"order{seed}") == straight
