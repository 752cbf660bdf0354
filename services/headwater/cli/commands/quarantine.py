"""`headwater quarantine`: events that break the contract and wait for a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headwater.cli.options import AsJson, DataDir, PageSize, Tenant, Yes
from headwater.cli.output import table
from headwater.cli.plain import moment, plain
from headwater.cli.services import Services
from headwater.cli.session import Session, ask
from headwater.cli.wording import quarantine_state
from headwater.ingest.v1 import ingest_pb2

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Events that break the contract: the task list, release, discard.",
)

Key = Annotated[str, typer.Argument(help="Key of the quarantined event, a UUID.")]


@app.command("list")
def list_quarantine(
    every: Annotated[bool, typer.Option("--all", help="Also those released or discarded.")] = False,
    limit: PageSize = 50,
    page_token: Annotated[str, typer.Option("--page-token", help="next_page_token of the page before.")] = "",
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List quarantined events, oldest first, with every rule that each breaks."""

    async def work(session: Session, services: Services) -> None:
        request = ingest_pb2.ListQuarantineRequest(
            tenant_id=session.tenant_id, page_size=limit, page_token=page_token, include_closed=every
        )
        found = await services.ask(services.ingest.ListQuarantine, request)
        rows = [
            (
                item.event.event_key,
                f"{item.event.event.source} / {item.event.event.object} / {item.event.event.external_id}",
                moment(item.event.record_time),
                quarantine_state(item.state),
                "; ".join(
                    f"{rule.field}: {rule.description} (has {rule.value!r})" for rule in item.violations
                ),
            )
            for item in found.events
        ]
        more = f"more: --page-token {found.next_page_token}" if found.next_page_token else ""
        session.output.result(
            plain(found), table(("event key", "record", "recorded", "state", "broken rules"), rows), more
        )

    ask(work, as_json=as_json, data_dir=data_dir, tenant=tenant)


@app.command()
def release(
    key: Key,
    payload: Annotated[
        Path | None,
        typer.Option(
            "--payload", help="File with the corrected payload, a JSON object.", exists=True, dir_okay=False
        ),
    ] = None,
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put an event into the log, as recorded or with a corrected payload; it must hold the contract by then.

    Example:

      headwater quarantine release 01994e0a-5c3b-7c52-9b0f-3f0f0f3f0f3f --payload fixed.json
    """

    async def work(session: Session, services: Services) -> None:
        request = ingest_pb2.ReleaseQuarantinedRequest(
            tenant_id=session.tenant_id,
            event_key=key,
            payload=payload.read_bytes() if payload else b"",
            actor=session.actor,
        )
        found = await services.ask(services.ingest.ReleaseQuarantined, request)
        session.output.result(plain(found), f"released as {found.released_as}")

    ask(work, as_json=as_json, data_dir=data_dir, tenant=tenant)


@app.command()
def discard(
    key: Key,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit.")],
    yes: Yes = False,
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """End a quarantined event with a reason. Cannot be undone: without --yes it only says what it would do."""

    async def work(session: Session, services: Services) -> None:
        asked = ingest_pb2.GetEventRequest(tenant_id=session.tenant_id, event_key=key)
        found = await services.ask(services.ingest.GetEvent, asked)
        said = found.event.event
        record = f"{said.source} / {said.object} / {said.external_id}"
        if yes:
            request = ingest_pb2.DiscardQuarantinedRequest(
                tenant_id=session.tenant_id, event_key=key, discard_reason=reason, actor=session.actor
            )
            await services.ask(services.ingest.DiscardQuarantined, request)
        done = f"{record} {'is discarded' if yes else 'would be discarded; add --yes to do it'}"
        session.output.result({"event_key": key, "discarded": yes, "dry_run": not yes}, done)

    ask(work, as_json=as_json, data_dir=data_dir, tenant=tenant)
