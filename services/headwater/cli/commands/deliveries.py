"""`headwater deliveries`: what is to be written to the CRMs, and the dead ones among it."""

from __future__ import annotations

from typing import Annotated

import typer

from headwater.cli.asking import asking
from headwater.cli.options import Acknowledged, Follow, PageSize, PageToken, Rate, Reason, Yes
from headwater.cli.output import table
from headwater.cli.plain import moment, plain
from headwater.cli.replaying import DISCARD_RATE_PER_S, begin
from headwater.cli.rolling import roll_out
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.cli.wording import delivery_state
from headwater.kernel.errors import InvalidInput
from headwater.sync.v1 import rollouts_pb2, sync_pb2

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Standing orders to bring entities into CRMs: list, replay, discard, redeliver.",
)

Entities = Annotated[
    list[str] | None, typer.Option("--entity", help="Entity id; may be repeated.", show_default=False)
]
Connector = Annotated[str, typer.Argument(help="Connector account, as the policy names it.")]


@app.command("list")
@asking
async def list_deliveries(
    session: Session,
    services: Services,
    connector: Annotated[str, typer.Option("--connector", help="Only this account.")] = "",
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Only this state, as dead; may be repeated.")
    ] = None,
    entity: Annotated[str, typer.Option("--entity", help="Only this entity.")] = "",
    limit: PageSize = 50,
    page_token: PageToken = "",
) -> None:
    """List deliveries by connector, object and entity.

    Example:

      headwater deliveries list --state dead --connector hubspot
    """
    request = sync_pb2.ListDeliveriesRequest(
        tenant_id=session.tenant_id,
        connector=connector,
        states=[_state(name) for name in state or ()],
        entity_id=entity,
        page_size=limit,
        page_token=page_token,
    )
    found = await services.ask(services.sync.ListDeliveries, request)
    rows = [
        (
            item.connector,
            item.object,
            item.entity_id,
            delivery_state(item.state),
            f"{item.delivered_version}/{item.desired_version}",
            item.crm_id,
            item.failure_count,
            moment(item.next_attempt_time),
            item.last_error,
        )
        for item in found.deliveries
    ]
    names = (
        "connector",
        "object",
        "entity",
        "state",
        "version",
        "CRM id",
        "failures",
        "next attempt",
        "last error",
    )
    more = f"more: --page-token {found.next_page_token}" if found.next_page_token else ""
    session.output.result(plain(found), table(names, rows), more)


@app.command()
@asking
async def replay(
    session: Session,
    services: Services,
    connector: Connector,
    entity: Entities = None,
    rate: Rate = 10.0,
    follow_it: Follow = False,
    yes: Yes = False,
) -> None:
    """Make dead or discarded deliveries due again, so many a second; without --entity every dead one of the account.

    Example:

      headwater deliveries replay hubspot --yes
    """
    request = sync_pb2.StartReplayRequest(connector=connector, entity_ids=entity or [], rate_per_s=rate)
    await begin(session, services, request, yes=yes, follow_it=follow_it)


@app.command()
@asking
async def discard(
    session: Session,
    services: Services,
    connector: Connector,
    reason: Reason,
    entity: Entities = None,
    every: Annotated[bool, typer.Option("--all", help="Every dead delivery of the account.")] = False,
    follow_it: Follow = False,
    yes: Yes = False,
) -> None:
    """End dead deliveries with a reason; a later change of the entity makes them due again.

    The policy need not name the account any more.
    """
    if bool(entity) + every != 1:
        raise InvalidInput("name one of: --entity, --all")
    request = sync_pb2.StartReplayRequest(
        connector=connector,
        entity_ids=entity or [],
        rate_per_s=DISCARD_RATE_PER_S,
        discard_reason=reason,
    )
    await begin(session, services, request, yes=yes, follow_it=follow_it)


@app.command()
@asking
async def redeliver(
    session: Session,
    services: Services,
    connector: Annotated[str, typer.Option("--connector", help="Connector account.")],
    object_name: Annotated[str, typer.Option("--object", help="Only entities of this object.")] = "",
    where: Annotated[
        list[str] | None,
        typer.Option("--where", help="Only entities with FIELD=VALUE; may be repeated.", show_default=False),
    ] = None,
    differing: Annotated[
        bool,
        typer.Option(
            "--differing", help="Ask the CRM nothing: only what is known to differ from the policy."
        ),
    ] = False,
    canary: Annotated[
        bool, typer.Option("--canary/--no-canary", help="A few records first, or all in one stage.")
    ] = True,
    acknowledged: Acknowledged = None,
    yes: Yes = False,
) -> None:
    """Compare delivered records with the CRM again, and write what differs; in stages, see `rollouts`.

    The account is asked for automations that may fire and for required fields that no mapping writes; it begins when
    each of these is acknowledged by its name.

    Example:

      headwater deliveries redeliver --connector hubspot --object contact --where country=DE
      headwater deliveries redeliver --connector hubspot --acknowledge-workflows "Welcome mail" --yes
    """
    wish = rollouts_pb2.RolloutWish(
        connector=connector,
        object=object_name,
        where=dict(_condition(item) for item in where or ()),
        look_up=not differing,
        at_once=not canary,
        acknowledged=acknowledged or (),
    )
    await roll_out(session, services, wish, yes=yes)


def _condition(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise InvalidInput(f"--where {text!r} is not of the form field=value")
    return name, value


def _state(name: str) -> sync_pb2.DeliveryState.ValueType:
    known = [key.removeprefix("DELIVERY_STATE_").lower() for key in sync_pb2.DeliveryState.keys()][1:]  # noqa: SIM118
    if name not in known:
        raise InvalidInput(f"--state {name!r} is not one of {', '.join(known)}")
    return sync_pb2.DeliveryState.Value(f"DELIVERY_STATE_{name.upper()}")
