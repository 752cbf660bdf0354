"""`headwater deletes`: records of deleted entities, and what becomes of them in the CRMs."""

from __future__ import annotations

from typing import Annotated

import typer

from headwater.cli.asking import asking
from headwater.cli.options import PageSize, PageToken
from headwater.cli.output import table
from headwater.cli.plain import moment, plain
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.sync.v1 import deletes_pb2 as pb

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Records whose entity was deleted: marked in the CRMs, and removed after `grace_days` where the policy says so.",
)


@app.callback()
def deletes() -> None:
    """Keep `list` a command of its own."""


@app.command("list")
@asking
async def list_deletes(
    session: Session,
    services: Services,
    connector: Annotated[str, typer.Option("--connector", help="Only this account.")] = "",
    limit: PageSize = 50,
    page_token: PageToken = "",
) -> None:
    """List marked records and when each would be removed; removes nothing.

    What a source states anew before that is no longer deleted, and its record stays.

    Example:

      headwater deletes list --connector salesforce
    """
    request = pb.ListDeletesRequest(
        tenant_id=session.tenant_id, connector=connector, page_size=limit, page_token=page_token
    )
    found = await services.ask(services.deletes.ListDeletes, request)
    rows = [
        (
            item.connector,
            item.object,
            item.entity_id,
            item.crm_object,
            item.crm_id,
            moment(item.flag_time),
            item.action,
            moment(item.due_time),
        )
        for item in found.records
    ]
    names = ("connector", "object", "entity", "CRM object", "CRM id", "marked", "then", "at")
    more = f"more: --page-token {found.next_page_token}" if found.next_page_token else ""
    session.output.result(plain(found), table(names, rows), more)
