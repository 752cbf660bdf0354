"""`headwater rollouts`: bulk and policy changes on their way to the CRMs, stage by stage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from headwater.cli.asking import asking
from headwater.cli.options import PageSize, PageToken
from headwater.cli.output import table
from headwater.cli.plain import plain
from headwater.cli.rolling import rollouts_table, stage_name, stages_table
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.sync.v1 import rollouts_pb2 as pb

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Bulk changes on their way, stage by stage: list, show, approve, hold, abort.\n\n"
    "They are begun by `headwater policy apply FILE --canary --yes` and `headwater deliveries redeliver --yes`.",
)

RolloutId = Annotated[str, typer.Argument(help="Rollout, as the list names it.")]


@app.command("list")
@asking
async def list_rollouts(
    session: Session,
    services: Services,
    limit: PageSize = 50,
    page_token: PageToken = "",
) -> None:
    """List rollouts, the newest first, with their present stage."""
    request = pb.ListRolloutsRequest(tenant_id=session.tenant_id, page_size=limit, page_token=page_token)
    found = await services.ask(services.rollouts.ListRollouts, request)
    more = f"more: --page-token {found.next_page_token}" if found.next_page_token else ""
    session.output.result(plain(found), rollouts_table(found.rollouts), more)


@app.command()
@asking
async def show(session: Session, services: Services, rollout: RolloutId) -> None:
    """Show a rollout, each of its stages, and the records that failed."""
    request = pb.GetRolloutRequest(tenant_id=session.tenant_id, rollout_id=rollout)
    found = await services.ask(services.rollouts.GetRollout, request)
    shown = [rollouts_table([found.rollout]), stages_table(found.stages)]
    if found.rollout.acknowledged:
        shown.append(f"acknowledged before it began: {'; '.join(found.rollout.acknowledged)}")
    if found.failures:
        shown.append(_failures(found.failures))
    session.output.result(plain(found), *shown)


@app.command()
@asking
async def approve(session: Session, services: Services, rollout: RolloutId) -> None:
    """Let a held rollout go on; of one that soaks, begin the next stage at once."""
    await _steer(
        session, services, services.rollouts.ApproveRollout, pb.ApproveRolloutRequest(rollout_id=rollout)
    )


@app.command()
@asking
async def hold(session: Session, services: Services, rollout: RolloutId) -> None:
    """Let no more records go until an approval; those under way go on."""
    await _steer(session, services, services.rollouts.HoldRollout, pb.HoldRolloutRequest(rollout_id=rollout))


@app.command()
@asking
async def abort(
    session: Session,
    services: Services,
    rollout: RolloutId,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit.")] = "",
) -> None:
    """End a rollout; the policy before is put back, and what was written under the new one is written back."""
    await _steer(
        session,
        services,
        services.rollouts.AbortRollout,
        pb.AbortRolloutRequest(rollout_id=rollout, reason=reason),
    )


async def _steer(
    session: Session, services: Services, method: Callable[..., Awaitable[Any]], request: Any
) -> None:
    request.tenant_id = session.tenant_id
    request.actor.CopyFrom(session.actor)
    found = await services.ask(method, request)
    session.output.result(plain(found), rollouts_table([found.rollout]))


def _failures(failures: Any) -> Any:
    names = ("entity", "stage", "tried again", "class", "error")
    rows = [
        (
            item.entity_id,
            stage_name(item.stage),
            "yes" if item.retrying else "no",
            item.error_class,
            item.error,
        )
        for item in failures
    ]
    return table(names, rows)
