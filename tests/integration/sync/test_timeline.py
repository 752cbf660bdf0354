"""Timelines on Postgres: whom activities concern, through merges and splits, in any order; by pages and filters."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.sync.timelines import NOON, POLICY, TENANT, Desk, desk, entity

from headwater.kernel.errors import NotFound
from headwater.policy.loading import load_policy
from headwater.sync.domain.log import LogEvent, RecordKey
from headwater.sync.timeline.ports import Entry

pytestmark = pytest.mark.anyio

ANN, BEN, EVE = "ann@firm.example", "ben@firm.example", "eve@other.example"


@pytest.fixture
async def world(migrated_database_url: str) -> AsyncIterator[Desk]:
    """Projector, worker and reader."""
    async with desk(migrated_database_url) as opened:
        yield opened


def contact(address: str) -> uuid.UUID:
    """Return the entity of a person."""
    return entity("contact", address)


def business(world: Desk) -> list[LogEvent]:
    """Return an account with an open and a lost deal, and one whose contact says its name only."""
    return [
        world.event("crm", "account", "a1", name="Firm Ltd", website="https://www.firm.example/about"),
        world.event("crm", "account", "a2", name="Other & Sons"),
        world.event("crm", "contact", "c9", email=EVE, company="other, sons"),
        world.event("crm", "deal", "d1", name="Big", stage="open", account="a1", engage_date="2026-01-01"),
        world.event(
            "crm", "deal", "d2", name="Old", stage="lost", account="a1", engage_date="2025-01-01",
            close_date="2025-06-01",
        ),
    ]  # fmt: skip


async def test_an_activity_concerns_contacts_accounts_and_open_deals(world: Desk) -> None:
    """Each with its reason and how sure it is; a deal that was closed by then is left out."""
    await world.take(*business(world), world.mail(1, ANN, EVE))
    (entry,) = await world.read(contact(ANN))
    told = {(item.object, item.entity_id): (item.reason, item.confidence) for item in entry.associations}
    assert told == {
        ("contact", contact(ANN)): ("participant", 1.0),
        ("contact", contact(EVE)): ("participant", 1.0),
        ("account", entity("account", "crm", "a1")): ("domain", 0.8),
        ("account", entity("account", "crm", "a2")): ("company_name", 0.6),
        ("deal", entity("deal", "crm", "d1")): ("open_deal", 0.56),
    }
    assert entry.activity.actor == ANN


async def test_any_order_of_events_gives_the_same_timeline(world: Desk) -> None:
    """Accounts, deals and contacts that come after the activities associate them all the same."""
    mails = [
        world.mail(number, ANN, EVE, answers=f"m{number - 1}" if number % 3 else "") for number in range(9)
    ]
    events = [*business(world), *mails, world.mail(20, BEN, f"ann+list@{ANN.partition('@')[2]}", EVE)]
    await world.take(*events)
    expected = await world.whole()
    assert len(expected) > 40
    for seed in range(3):
        await world.pool.execute(
            "truncate sync.record, sync.entity, sync.entity_reference, sync.projection, sync.timeline_due,"
            " sync.timeline_spread, sync.activity, sync.activity_person, sync.activity_domain, sync.activity_thread,"
            " sync.association, sync.timeline_key"
        )
        random.Random(seed).shuffle(events)
        for start in range(0, len(events), 4):
            await world.take(*events[start : start + 4])
        assert await world.whole() == expected


async def test_a_split_gives_activities_back_to_whom_they_are_of(world: Desk) -> None:
    """Also one that came while the two were merged: its timeline and what it refers to; audited page by page."""
    world.page = 2
    moved = [RecordKey(TENANT, "contact", "mail", BEN)]
    await world.take(world.mail(1, ANN, EVE), world.mail(2, BEN, EVE))
    alone = await world.whole()
    await world.take(world.change("merged", contact(ANN), contact(BEN), moved))
    assert len(await world.read(contact(ANN))) == 2
    assert len(await world.read(contact(BEN))) == 2, "the former name leads to who stands for it"
    await world.take(world.mail(3, BEN, EVE))
    assert len(await world.read(contact(ANN))) == 3
    split = world.change("split", contact(ANN), contact(BEN), moved)
    await world.take(split)
    assert [entry.activity.message_id for entry in await world.read(contact(BEN))] in (
        ["m2", "m3"],
        ["m3", "m2"],
    )
    assert [entry.activity.message_id for entry in await world.read(contact(ANN))] == ["m1"]
    third = entity("activity", "mail", "m3")
    assert [row for row in await world.whole() if row[0] != third] == alone
    targets = await world.pool.fetch(
        "select to_entity_id from sync.entity_reference where from_entity_id = $1", third
    )
    assert {row["to_entity_id"] for row in targets} == {contact(BEN), contact(EVE)}
    pages = await world.pool.fetch(
        "select changes from sync.audit where action = 'reassociated' and event_key = $1 and entity_id = $2",
        split.event_key, contact(ANN),
    )  # fmt: skip
    told = [
        change for row in pages for change in row["changes"] if change["field"] not in {"examined", "moved"}
    ]
    assert len(pages) == 2
    assert {change["field"] for change in told} == {str(third), str(entity("activity", "mail", "m2"))}
    assert all(str(contact(BEN)) in change["after"] for change in told)


async def test_a_timeline_is_read_by_pages_and_filters(world: Desk) -> None:
    """The newest first, none twice, none left out; by kind, source, time, thread and confidence."""
    await world.take(
        *business(world),
        *(
            world.mail(n, ANN, at=NOON + dt.timedelta(hours=n // 2), answers="m1" if n < 4 else "")
            for n in range(1, 8)
        ),
    )
    every = await world.read(contact(ANN))
    seen: list[Entry] = []
    before: dict[str, Any] = {}
    while page := await world.read(contact(ANN), limit=2, **before):
        seen += page
        before = {"before": (page[-1].activity.time, page[-1].activity.activity_id)}
    assert seen == list(every)
    assert len(seen) == 7
    assert {entry.activity.message_id for entry in await world.read(contact(ANN), thread_id="m1")} == {
        "m1",
        "m2",
        "m3",
    }
    assert len(await world.read(contact(ANN), since=NOON + dt.timedelta(hours=3))) == 2
    assert len(await world.read(contact(ANN), until=NOON + dt.timedelta(hours=3))) == 5
    assert await world.read(contact(ANN), kinds=("call",)) == []
    assert await world.read(contact(ANN), sources=("form",)) == []
    account = entity("account", "crm", "a1")
    assert len(await world.read(account)) == 7
    assert await world.read(account, confidence_min=0.9) == []


async def test_a_policy_without_the_section_pays_and_tells_nothing(world: Desk) -> None:
    """Nothing is left behind the projection; what is asked for is refused by name; a section that comes later takes all up."""
    words = POLICY.partition("timeline:")[0]
    world.policies[TENANT] = load_policy(words)
    await world.take(*business(world), world.mail(1, ANN, EVE))
    assert await world.pool.fetchval("select count(*) from sync.timeline_due") == 0
    with pytest.raises(NotFound) as told:
        await world.read(contact(ANN))
    assert told.value.reason == "NO_TIMELINE"
    world.policies[TENANT] = load_policy(POLICY)
    await world.associate()
    assert len(await world.read(contact(ANN))) == 1


async def test_touches_are_kept_as_they_came(world: Desk) -> None:
    """First and last show in canonical fields; a later policy changes neither; missing ones are found and kept once asked."""
    touches = [
        world.event("form", "contact", "f1", NOON + dt.timedelta(days=n), email=ANN, form=name)
        for n, name in ((3, "pricing"), (0, "demo"), (9, "newsletter"))
    ]
    await world.take(*touches, world.mail(1, ANN))
    found = await world.timelines.attribution(TENANT, contact(ANN), ())
    assert [touch.detail for touch in found.touches] == ["demo", "pricing", "newsletter"]
    assert found.credits["first"] == (1.0, 0.0, 0.0)
    assert found.credits["position"] == pytest.approx((0.4, 0.2, 0.4))
    later = POLICY.replace("channel: web form", "channel: website").replace('version: "1"', 'version: "2"')
    world.policies[TENANT] = load_policy(later)
    await world.take(
        world.event("form", "contact", "f1", NOON + dt.timedelta(days=20), email=ANN, form="demo")
    )
    found = await world.timelines.attribution(TENANT, contact(ANN), ("linear",))
    assert [(t.channel, t.policy_version) for t in found.touches] == [("web form", "1")] * 3 + [
        ("website", "2")
    ]
    fields = await world.pool.fetchval("select fields from sync.entity where entity_id = $1", contact(ANN))
    assert (fields["first_touch"][0], fields["last_touch"][0]) == ("web form", "website")
    with pytest.raises(Exception, match="append-only"):
        await world.pool.execute("update sync.touch set channel = 'x'")
