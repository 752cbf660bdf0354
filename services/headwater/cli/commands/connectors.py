"""`headwater connectors`: CRM accounts and their switches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated, Any

import typer
from google.protobuf import duration_pb2

from headwater.cli.asking import asking
from headwater.cli.durations import seconds_of
from headwater.cli.kinds import COLUMNS, Kind, document, markdown, row_of
from headwater.cli.options import AsJson, Yes
from headwater.cli.output import table
from headwater.cli.plain import plain
from headwater.cli.services import Services
from headwater.cli.session import Session, act
from headwater.connectors.base.evidence import evidence_file, level_of_writing, levels_of, read_proofs
from headwater.connectors.base.registry import Installed, installed
from headwater.sync.v1 import sync_pb2

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="What can be connected, the CRM accounts, who answers for them, and their switches.",
)


class Order(StrEnum):
    """What may be ordered of a breaker."""

    OPEN = "open"
    CLOSED = "closed"
    RESET = "reset"


Name = Annotated[str, typer.Argument(help="Connector account, as the policy names it.")]


@app.command("list")
def list_kinds(
    as_markdown: Annotated[bool, typer.Option("--markdown", help="As the README has it.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what can be connected: objects, capabilities, and what each operation was proven against.

    The evidence is written by the tests that ran: real server, recorded, vendor contract, own sandbox only. Connectors
    of other packages stand beside ours. For the tenant's accounts see `headwater connectors accounts`.
    """

    def show(session: Session) -> None:
        found = [_kind(item) for item in installed()]
        if as_markdown and not as_json:
            typer.echo(markdown(found))
            return
        session.output.result(document(found), table(COLUMNS, map(row_of, found)))

    act(show, as_json=as_json, data_dir=None)


def _kind(item: Installed) -> Kind:
    if item.vendor is None:
        return Kind(item.name, item.package, fault=item.fault)
    able = item.vendor.capabilities
    proofs = read_proofs(evidence_file(item.vendor))
    return Kind(
        name=item.name,
        package=item.package,
        objects=able.objects,
        can=able.named(),
        batch_records_max=able.batch_records_max,
        limits=able.limits,
        level=level_of_writing(proofs),
        proven=tuple(levels_of(proofs).items()),
    )


@app.command("accounts")
@asking
async def list_accounts(session: Session, services: Services) -> None:
    """List the tenant's connector accounts with breaker, quota and queue."""
    request = sync_pb2.ListConnectorsRequest(tenant_id=session.tenant_id)
    found = await services.ask(services.sync.ListConnectors, request)
    session.output.result(plain(found), _shown(found.connectors))


@app.command()
@asking
async def pause(session: Session, services: Services, connector: Name) -> None:
    """Stop writing to an account; what is due stays due."""
    await _switch(
        session, services, services.sync.PauseConnector, sync_pb2.PauseConnectorRequest(connector=connector)
    )


@app.command()
@asking
async def resume(session: Session, services: Services, connector: Name) -> None:
    """Write to a paused account again."""
    await _switch(
        session, services, services.sync.ResumeConnector, sync_pb2.ResumeConnectorRequest(connector=connector)
    )


@app.command("reset-breaker")
@asking
async def reset_breaker(session: Session, services: Services, connector: Name) -> None:
    """Close an account's breaker and forget its failures."""
    await _switch(
        session, services, services.sync.ResetBreaker, sync_pb2.ResetBreakerRequest(connector=connector)
    )


@app.command()
@asking
async def breaker(
    session: Session,
    services: Services,
    connector: Name,
    order: Annotated[Order, typer.Argument(help="open: no call starts; closed: every call may; or reset.")],
    hold: Annotated[
        str, typer.Option("--for", help="How long, as 30m; without it until a reset.", show_default=False)
    ] = "",
    reason: Annotated[
        str, typer.Option("--reason", help="Why, for the audit; needed to force.", show_default=False)
    ] = "",
    yes: Yes = False,
) -> None:
    """Force an account's breaker open or closed, or reset it.

    Example:

      headwater connectors breaker hubspot open --for 30m --reason "maintenance at the vendor" --yes
    """
    request = sync_pb2.SetBreakerRequest(
        tenant_id=session.tenant_id,
        connector=connector,
        order=sync_pb2.BreakerOrder.Value(f"BREAKER_ORDER_{order.name}"),
        ttl=_ttl(hold),
        reason=reason,
        dry_run=not yes,
        actor=session.actor,
    )
    found = await services.ask(services.sync.SetBreaker, request)
    told = _told(connector, order, hold, yes=yes, changed=found.changed)
    session.output.result(plain(found) | {"dry_run": not yes}, told, _shown([found.connector]))


def _ttl(hold: str) -> duration_pb2.Duration | None:
    return duration_pb2.Duration(seconds=round(seconds_of("--for", hold))) if hold else None


def _told(connector: str, order: Order, hold: str, *, yes: bool, changed: bool) -> str:
    """Return in one sentence what the order did, or would do."""
    if not changed:
        return f"the breaker of {connector} stands so already; nothing {'was' if yes else 'would be'} changed"
    until = f"for {hold}" if hold else "until it is reset"
    effects = {
        Order.OPEN: f"no call to {connector} {'starts' if yes else 'would start'} {until}; what is due stays due",
        Order.CLOSED: f"every call to {connector} {'may' if yes else 'might'} start {until}, and no failure counts",
        Order.RESET: f"the breaker of {connector} {'is' if yes else 'would be'} closed, its failures and orders forgotten",
    }
    return effects[order] if yes else f"{effects[order]}; add --yes to do it"


async def _switch(
    session: Session, services: Services, method: Callable[..., Awaitable[Any]], request: Any
) -> None:
    request.tenant_id = session.tenant_id
    request.actor.CopyFrom(session.actor)
    found = await services.ask(method, request)
    session.output.result(plain(found), _shown([found.connector]))


def _state(item: Any) -> str:
    if item.paused:
        return "paused"
    if not item.closed_by:
        return "running"
    return f"closed until {item.closed_until.ToDatetime():%Y-%m-%d %H:%M} UTC, {item.closed_by}"


def _quota(item: Any) -> str:
    """Say how the day will end."""
    alert = "alert" if item.quota_alert else "ok"
    if not item.HasField("quota_forecast_time"):
        return alert
    return f"{alert}, used up {item.quota_forecast_time.ToDatetime():%H:%M} UTC"


def _shown(connectors: Any) -> Any:
    rows = [
        (
            item.connector,
            item.vendor,
            _state(item),
            f"{item.breaker_state} (forced)" if item.breaker_forced else item.breaker_state,
            f"{item.quota_used:,} / {item.quota_limit:,}" if item.quota_limit else f"{item.quota_used:,}",
            _quota(item),
            ", ".join(f"{window.used} / {window.limit} {window.window}" for window in item.windows),
            item.pending_count,
            item.dead_count,
            item.oldest_pending_s,
            item.owner,
            item.runbook,
        )
        for item in connectors
    ]
    names = (
        "connector",
        "vendor",
        "state",
        "breaker",
        "used today",
        "quota",
        "windows",
        "pending",
        "dead",
        "oldest s",
        "owner",
        "runbook",
    )
    return table(names, rows)
