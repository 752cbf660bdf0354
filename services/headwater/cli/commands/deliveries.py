"""`headwater deliveries`: what is to be written to the CRMs, and the dead ones among it."""

from __future__ import annotations

from typing import Annotated

import typer

from headwater.cli.options import AsJson, DataDir, Follow, PageSize, Rate, Reason, Tenant, Yes
from headwater.cli.output import table
from headwater.cli.plain import moment, plain
from headwater.cli.replaying import DISCARD_RATE_PER_S, begin
from headwater.cli.rolling import roll_out
from headwater.cli.services import Services
from headwater.cli.session import Session, ask
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
def list_deliveries(
    connector: Annotated[str, typer.Option("--connector", help="Only this account.")] = "",
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Only this state, as dead; may be repeated.")
    ] = None,
    entity: Annotated[str, typer.Option("--entity", help="Only this entity.")] = "",
    limit: PageSize = 50,
    page_token: Annotated[str, typer.Option("--page-token", help="next_page_token of the page before.")] = "",
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List deliveries by connector, object and entity.

    Example:

      headwater deliveries list --state dead --connector hubspot
    """

    async def work(session: Session, services: Services) -> None:
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

    ask(work, as_json=as_json, data_dir=data_dir, tenant=tenant)


@app.command()
def replay(
    connector: Connector,
    entity: Entities = None,
    rate: Rate = 10.0,
    follow_it: Follow = False,
    yes: Yes = False,
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make dead or discarded deliveries due again, so many a second; without --entity every dead one of the account.

    Example:

      headwater deliveries replay hubspot --yes
    """

    async def work(session: Session, services: Services) -> None:
        request = sync_pb2.StartReplayRequest(connector=connector, entity_ids=entity or [], rate_per_s=rate)
        await begin(session, services, request, yes=yes, follow_it=follow_it)

    ask(work, as_json=as_json, data_dir=data_dir, tenant=tenant)


@app.command()
def discard(
    connector: Connector,
    reason: Reason,
    entity: Entities = None,
    follow_it: Follow = False,
    yes: Yes = False,
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """End dead deliveries with a reason; a later change of the entity makes them due again.

    Without --entity every dead one of the account, which the policy need not name any more.
    """

    async def work(session: Session, services: Services) -> None:
        request = sync_pb2.StartReplayRequest(
            connector=connector,
            entity_ids=entity or [],
            rate_per_s=DISCARD_RATE_PER_S,
            discard_reason=reason,
        )
        await begin(session, services, request, yes=yes, follow_it=follow_it)

    ask(work, as_json=as_json, data_dir=data_dir, tenant=tenant)


@app.command()
def redeliver(
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
    yes: Yes = False,
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare delivered records with the CRM again, and write what differs; in stages, see `rollouts`.

    Example:

      headwater deliveries redeliver --connector hubspot --object contact --where country=DE
    """

    async def work(session: Session, services: Services) -> None:
        wish = rollouts_pb2.RolloutWish(
            connector=connector,
            object=object_name,
            where=dict(_condition(item) for item in where or ()),
            look_up=not differing,
            at_once=not canary,
        )
        await roll_out(session, services, wish, yes=yes)

    ask(work, as_json=as_json, data_dir=data_dir, tenant=tenant)


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
