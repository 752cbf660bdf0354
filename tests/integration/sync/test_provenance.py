"""Why an entity shows what it shows, asked over gRPC of rows on Postgres."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from tests.integration.sync.world import World, refusal
from tests.unit.sync.tenant import NOON, POLICY, TENANT, key

from headwater.event.v1 import event_pb2
from headwater.sync.v1 import provenance_pb2 as pb

pytestmark = pytest.mark.anyio

FIRST: dict[str, list[Any]] = {"first_name": ["Bob", "most_recent", "site", str(key(9002)), 5_000_000_000]}


async def asked(world: World, number: int, field: str = "") -> pb.ExplainEntityResponse:
    """Return the explanation of an entity."""
    request = pb.ExplainEntityRequest(tenant_id=TENANT, entity_id=str(key(number)), field=field)
    return await world.provenance.ExplainEntity(request, timeout=10)


async def contact(world: World) -> None:
    """Put a contact in that three systems know, one of which has deleted it, and two CRMs hold differently."""
    await world.enforce(POLICY)
    await world.add_entity(2, fields=FIRST, policy_version="7")
    await world.add_record(2, "site", "s2", at=5000, first_name="Bob")
    await world.add_record(2, "crm", "c2", at=3, first_name="Robert")
    await world.add_record(2, "mail", "m2", at=9, first_name="Bobby", deleted=True)
    await world.add_record(2, "salesforce", "003", at=9, first_name="B.")


async def test_winner_and_losers_are_named_with_what_they_lost_by(world: World) -> None:
    """The newest owner wins; an older one, a deleted record and a system that owns nothing lose."""
    await contact(world)
    (field,) = (await asked(world, 2, "first_name")).fields
    assert (field.value_json, field.rule, list(field.owners)) == (
        '"Bob"',
        "most_recent",
        ["crm", "site", "mail"],
    )
    said = {item.source: (item.won, item.reason, json.loads(item.value_json)) for item in field.statements}
    assert said == {
        "site": (True, "", "Bob"),
        "crm": (False, "older", "Robert"),
        "mail": (False, "record deleted", "Bobby"),
        "salesforce": (False, "not an owner", "B."),
    }
    assert field.statements[0].source == "site"
    assert field.statements[0].event_key == str(key(9002))


async def test_what_each_crm_holds_is_told_with_what_it_should_hold(world: World) -> None:
    """One has an older value and is dead, with its error; an account without a delivery is not listed."""
    await contact(world)
    await world.add_delivery(
        2,
        5,
        desired_version=4,
        delivered_version=2,
        crm_object="Contact",
        crm_id="0031",
        known={"FirstName": "Rob"},
        last_error_class="validation",
        last_error="no",
    )
    found = await asked(world, 2, "first_name")
    (held,) = found.fields[0].held
    assert (held.connector, held.crm_object, held.crm_field) == ("salesforce", "Contact", "FirstName")
    assert (held.value_json, held.wanted_json, held.differs) == ('"Rob"', '"Bob"', True)
    (account,) = found.accounts
    delivery = account.delivery
    assert (delivery.delivered_version, delivery.desired_version) == (2, 4)
    assert (delivery.last_error, delivery.crm_id) == ("validation: no", "0031")


async def test_a_correction_stands_above_all_and_is_named(world: World) -> None:
    """An operator's value wins by its own rule; the owners lost to it."""
    await contact(world)
    await world.add_record(2, "operator", str(key(2)), at=1, first_name="Robin")
    (field,) = (await asked(world, 2, "first_name")).fields
    assert (field.rule, field.statements[0].source, field.statements[0].value_json) == (
        "operator",
        "operator",
        '"Robin"',
    )
    assert field.renewal_pending, "the entity shows another value than the records now decide"


async def test_a_merged_entity_is_followed_to_who_stands_for_it(world: World) -> None:
    """By its former id, over two merges; and by a record of it."""
    await contact(world)
    await world.add_entity(3, state="merged", merged_into=key(2))
    await world.add_entity(4, state="merged", merged_into=key(3))
    found = await asked(world, 4)
    assert found.entity_id == str(key(2))
    assert list(found.former_entity_ids) == [str(key(4)), str(key(3))]
    record = event_pb2.RecordRef(source="crm", object="contact", external_id="c2")
    by_record = await world.provenance.ExplainEntity(
        pb.ExplainEntityRequest(tenant_id=TENANT, record=record), timeout=10
    )
    assert by_record.entity_id == str(key(2))


async def test_a_secret_is_never_told_and_a_personal_value_is(world: World) -> None:
    """Neither what is shown, nor what was stated, nor what a CRM holds leaves the service."""
    await contact(world)
    secret = POLICY.replace(
        "first_name: {type: text, owners: [crm, site, mail], rule: most_recent}",
        "first_name: {type: text, owners: [crm, site, mail], rule: most_recent, class: secret}",
    )
    await world.enforce(secret, 2)
    await world.add_delivery(2, 2, crm_object="Contact", crm_id="1", known={"FirstName": "Bob"})
    await world.add_record(2, "site", "s9", at=7, email="p@one.example.com")
    found = await asked(world, 2)
    by_name = {field.field: field for field in found.fields}
    assert by_name["first_name"].masked
    assert by_name["email"].field_class == "personal"
    assert by_name["email"].statements[0].value_json == '"p@one.example.com"'
    for told in ("Bob", "Robert", "Bobby"):
        assert told.encode() not in found.SerializeToString()


@pytest.mark.parametrize(
    ("line", "field", "held"),
    [
        (
            "fields: {plan: never}",
            "plan",
            ("", "scope: never written: connectors.salesforce.scopes.objects.contact.fields.plan"),
        ),
        (
            "fields: {first_name: [read, write_if_empty]}",
            "first_name",
            ("FirstName", "scope: written only where it is empty"),
        ),
        ("fields: {title: [read, write]}", "first_name", ("FirstName", "")),
    ],
)
async def test_the_scope_is_named_by_which_a_crm_lacks_a_value(
    world: World, line: str, field: str, held: tuple[str, str]
) -> None:
    """A field that is never written there, and one that a person had filled before us; nothing is told to differ."""
    await contact(world)
    limits = "    limits: {window: {calls: 100, window_s: 20}, daily_calls: 15000}\n"
    scoped = POLICY.replace(limits, f"{limits}    scopes: {{objects: {{contact: {{{line}}}}}}}\n")
    assert scoped != POLICY
    await world.enforce(scoped, 2)
    await world.add_delivery(2, 2, crm_object="Contact", crm_id="1", known={"FirstName": "Roberta"})
    (found,) = (await asked(world, 2, field)).fields
    (one,) = found.held
    assert (one.crm_field, one.scope) == held
    assert one.differs == (not held[1])


async def test_who_said_so_is_read_from_the_log(world: World) -> None:
    """The event's actor with its kind; statements of events that are gone from the log have none."""
    await contact(world)
    await world.pool.execute(
        "insert into ingest.event (event_time, event_key, content_hash, record_hash, record_day, disposition,"
        " operation, actor_type, tenant_id, source, object, external_id, payload, actor_id, actor_name)"
        " values ($1, $2, 1, 1, (now() at time zone 'UTC')::date, 1, 1, 1, $3, 'site', 'contact', 's2', '{}',"
        " 'u7', 'Jo')",
        NOON,
        key(9002),
        TENANT,
    )
    (field,) = (await asked(world, 2, "first_name")).fields
    actors = {item.source: item.actor for item in field.statements if item.HasField("actor")}
    assert actors["site"] == event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="u7", display_name="Jo")


@pytest.mark.parametrize(
    ("number", "field", "reason"), [(99, "", "UNKNOWN_ENTITY"), (2, "shoe_size", "UNKNOWN_FIELD")]
)
async def test_what_is_not_known_is_told_as_such(world: World, number: int, field: str, reason: str) -> None:
    """NOT_FOUND with a reason of its own for entity and field."""
    await contact(world)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await asked(world, number, field)
    assert refusal(refused.value)[:2] == (grpc.StatusCode.NOT_FOUND, reason)
