"""`headwater errors`: failed deliveries by cause; what they would write, and putting them right."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headwater.cli.asking import asking
from headwater.cli.correcting import correct, read_corrections
from headwater.cli.error_groups import (
    changes_table,
    group_facts,
    groups_table,
    previews_table,
    without_values,
)
from headwater.cli.options import Follow, PageSize, PageToken, Rate, Reason, Yes
from headwater.cli.plain import plain
from headwater.cli.replaying import DISCARD_RATE_PER_S, begin
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.kernel.errors import InvalidInput
from headwater.sync.v1 import sync_pb2

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Failed deliveries grouped by cause: list, show, preview, edit, replay, discard.",
)

Group = Annotated[str, typer.Argument(help="The group, a UUID: see `headwater errors list`.")]
SomeGroup = Annotated[str, typer.Argument(help="The group, a UUID; none for other scopes.")]
Connector = Annotated[str, typer.Option("--connector", help="Connector account, as the policy names it.")]
Entities = Annotated[
    list[str] | None, typer.Option("--entity", help="Entity id; may be repeated.", show_default=False)
]


@app.command("list")
@asking
async def list_errors(
    session: Session,
    services: Services,
    connector: Connector = "",
    state: Annotated[str, typer.Option("--state", help="open, resolved or all.")] = "open",
    limit: PageSize = 50,
    page_token: PageToken = "",
) -> None:
    """List causes of failed deliveries, the newest failure first, with owner and runbook."""
    request = sync_pb2.ListErrorGroupsRequest(
        tenant_id=session.tenant_id,
        connector=connector,
        state=_state(state),
        page_size=limit,
        page_token=page_token,
    )
    found = await services.ask(services.sync.ListErrorGroups, request)
    more = f"more: --page-token {found.next_page_token}" if found.next_page_token else ""
    session.output.result(plain(found), groups_table(found.groups), more)


@app.command()
@asking
async def show(
    session: Session,
    services: Services,
    group: Group,
    limit: PageSize = 5,
    values: Annotated[
        bool, typer.Option("--values", help="Show the records' values too: personal data.")
    ] = False,
) -> None:
    """Show a cause: who answers for it, what to do, and which fields its deliveries would write now.

    The records' values are left out unless asked for: a cause is shown to more people than a record is.
    """
    request = sync_pb2.GetErrorGroupRequest(
        tenant_id=session.tenant_id, group_id=group, page_size=min(limit, 100)
    )
    found = await services.ask(services.sync.GetErrorGroup, request)
    entities = [item.entity_id for item in found.deliveries]
    seen = sync_pb2.PreviewDeliveriesResponse()
    if entities:
        seen = await _preview(services, session, group, found.group.connector, entities)
    previews = plain(seen)["previews"]
    document = plain(found) | {"previews": previews if values else without_values(previews)}
    fields = changes_table(seen.previews, values=values)
    session.output.result(document, group_facts(found.group), previews_table(seen.previews), fields)


@app.command()
@asking
async def preview(
    session: Session,
    services: Services,
    group: SomeGroup = "",
    connector: Connector = "",
    entity: Entities = None,
) -> None:
    """Say what deliveries would write now, field by field, and how many calls that takes; writes nothing.

    Example:

      headwater errors preview --connector hubspot --entity 0199...
    """
    found = await _preview(services, session, group, connector, entity or [])
    calls = f"{found.predicted_calls:,} batch calls; {found.quota_used:,} used today"
    limit = f" of {found.quota_limit:,}" if found.quota_limit else ""
    fields = changes_table(found.previews, values=True)
    session.output.result(plain(found), previews_table(found.previews), fields, calls + limit)


@app.command()
@asking
async def replay(
    session: Session,
    services: Services,
    group: SomeGroup = "",
    connector: Connector = "",
    entity: Entities = None,
    every: Annotated[bool, typer.Option("--all", help="Every dead delivery of the tenant.")] = False,
    rate: Rate = 10.0,
    follow_it: Follow = False,
    yes: Yes = False,
) -> None:
    """Make dead deliveries due again, so many a second: a group's, an account's, named ones, or all.

    The engine works it off, also after restarts: `headwater replays` shows, pauses and cancels it.
    Without --yes it only counts.

    Example:

      headwater errors replay 5f0c0ac5-2f0f-5f5e-9d0b-6a7a4f1c2a11 --rate 5 --yes --follow
    """
    if bool(group) + bool(connector) + every != 1:
        raise InvalidInput("name one of: a group, --connector (with --entity for some of it), --all")
    request = sync_pb2.StartReplayRequest(
        connector=connector, group_id=group, entity_ids=entity or [], rate_per_s=rate
    )
    await begin(session, services, request, yes=yes, follow_it=follow_it)


@app.command()
@asking
async def discard(
    session: Session,
    services: Services,
    group: Group,
    reason: Reason,
    follow_it: Follow = False,
    yes: Yes = False,
) -> None:
    """End a group's dead deliveries with a reason; a later change of an entity makes its own due again."""
    request = sync_pb2.StartReplayRequest(
        group_id=group, rate_per_s=DISCARD_RATE_PER_S, discard_reason=reason
    )
    await begin(session, services, request, yes=yes, follow_it=follow_it)


@app.command()
@asking
async def edit(
    session: Session,
    services: Services,
    entity: Annotated[str, typer.Argument(help="The entity, a UUID.")],
    values: Annotated[
        list[str] | None, typer.Option("--set", help="FIELD=VALUE: pin a field; may be repeated.")
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", help="FIELD: give a pinned field back to its sources.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Correct an entity: the value is an event of source `operator` in the log, and stands until it is unset.

    Every account that is to hold the entity is due again with the new value, dead deliveries too.

    Example:

      headwater errors edit 0199... --set phone=+4930123456 --yes
    """
    fields = read_corrections(values or [], unset or [])
    done = await correct(services, session, entity, fields, apply=yes)
    session.output.result(*done)


async def _preview(
    services: Services, session: Session, group: str, connector: str, entities: list[str]
) -> sync_pb2.PreviewDeliveriesResponse:
    request = sync_pb2.PreviewDeliveriesRequest(
        tenant_id=session.tenant_id, connector=connector, group_id=group, entity_ids=entities
    )
    answer: Any = await services.ask(services.sync.PreviewDeliveries, request)
    found: sync_pb2.PreviewDeliveriesResponse = answer
    return found


def _state(name: str) -> sync_pb2.ErrorGroupState.ValueType:
    known = {
        "all": sync_pb2.ERROR_GROUP_STATE_UNSPECIFIED,
        "open": sync_pb2.ERROR_GROUP_STATE_OPEN,
        "resolved": sync_pb2.ERROR_GROUP_STATE_RESOLVED,
    }
    if name not in known:
        raise InvalidInput(f"--state {name!r} is not one of {', '.join(known)}")
    return known[name]
