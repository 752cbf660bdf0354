"""Why values are as they are, as a tree for people. Draws, decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rich.text import Text
from rich.tree import Tree

from headwater.cli.output import facts, table
from headwater.cli.plain import moment
from headwater.cli.wording import delivery_state
from headwater.event.v1 import event_pb2
from headwater.sync.v1 import provenance_pb2 as pb

MASKED: Final = "(secret)"


def shown_entity(found: pb.ExplainEntityResponse) -> list[Any]:
    """Return an explained entity as people read it."""
    about = {
        "entity": found.entity_id,
        "object": found.object,
        "state": found.state,
        "version": found.version,
        "asked as": " -> ".join(found.former_entity_ids),
        "decided by policy": found.decided_by,
        "policy in force": f"{found.policy_version} (digest {found.policy_digest})",
    }
    drawn: list[Any] = [facts(about), *(_field(item) for item in found.fields)]
    if not found.fields:
        drawn.append("nothing is stated of any field")
    if found.accounts:
        drawn.append(_accounts(found.accounts))
    return drawn


def shown_fields(fields: Iterable[pb.ExplainedField]) -> list[Tree]:
    """Return why fields are as they are, a tree each."""
    return [_field(item) for item in fields]


def _field(item: pb.ExplainedField) -> Tree:
    head = Text.assemble((item.field, "bold"), " = ", _value(item, item.value_json or "(none)"))
    tree = Tree(head, guide_style="dim")
    tree.add(Text(item.reason if item.reason.startswith(item.rule) else f"{item.rule}: {item.reason}"))
    if item.group:
        tree.add(Text(f"decided together: {', '.join(item.group)}"))
    if item.renewal_pending:
        tree.add(
            Text("the policy in force decides another value: the entity is being renewed", style="yellow")
        )
    for said in item.statements:
        tree.add(_statement(item, said))
    for one in item.held:
        tree.add(_held(item, one))
    return tree


def _value(item: pb.ExplainedField, shown: str) -> Text:
    return Text(MASKED, style="dim") if item.masked else Text(shown)


def _statement(item: pb.ExplainedField, said: pb.Statement) -> Text:
    mark = ("won  ", "green") if said.won else ("lost ", "red")
    line = Text.assemble(mark, _value(item, said.value_json))
    if said.raw_json:
        line.append(f"  said {said.raw_json}", style="dim")
    if said.suggestion:
        line.append(f"  probably {said.suggestion}", style="yellow")
    if said.reason:
        line.append(f"  {said.reason}", style="red")
    by = _actor(said.actor) if said.HasField("actor") else ""
    where = f"{said.source}/{said.external_id}" + (f" by {by}" if by else "")
    line.append(f"  {where}, {moment(said.field_time)}, event {said.event_key}", style="dim")
    return line


def _actor(actor: event_pb2.Actor) -> str:
    kind = event_pb2.ActorType.Name(actor.type).removeprefix("ACTOR_TYPE_").lower()
    name = actor.display_name or actor.id
    return f"{name} ({kind})" if actor.type else name


def _held(item: pb.ExplainedField, one: pb.HeldValue) -> Text:
    place = f"{one.connector} {one.crm_object}.{one.crm_field}".removesuffix(".")
    line = Text.assemble((f"{place} holds ", "dim"), _value(item, one.value_json))
    if one.differs:
        line.append("  should hold ", style="yellow")
        line.append_text(_value(item, one.wanted_json))
    if one.scope:
        line.append(f"  {one.scope}", style="yellow")
    return line


def _accounts(accounts: Iterable[pb.AccountStanding]) -> Any:
    rows = []
    for item in accounts:
        delivery = item.delivery
        versions = f"{delivery.delivered_version} of {delivery.desired_version}"
        state = delivery_state(delivery.state)
        rows.append(
            (delivery.connector, item.crm_object, delivery.crm_id, state, versions, delivery.last_error)
        )
    return table(
        ("connector", "CRM object", "CRM id", "state", "delivered version", "last error"),
        rows,
        title="deliveries",
    )
