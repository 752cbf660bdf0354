"""`headwater rebuild`: have the projection made again from the log: of one entity at once, or whole with sync stopped."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import anyio
import typer

from headwater.cli.commands.migrate import database_of
from headwater.cli.options import AsJson, DataDir
from headwater.cli.output import facts, table
from headwater.cli.plain import plain
from headwater.cli.rebuilding import Policies, begin_rebuild, extent
from headwater.cli.services import Services
from headwater.cli.session import Session, act, ask
from headwater.sync.v1 import rebuild_pb2 as pb

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def rebuild(
    entity: Annotated[
        str, typer.Option("--entity", help="Of this entity alone, beside live traffic.", show_default=False)
    ] = "",
    tenant: Annotated[
        str,
        typer.Option(
            "--tenant", help="Of this tenant alone; with --entity, whose it is.", show_default=False
        ),
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="Of all tenants.")] = False,
    newest: Annotated[
        bool,
        typer.Option(
            "--newest-policy", help="By the policy in force; without, each event by that of its moment."
        ),
    ] = False,
    drop_missing: Annotated[
        bool,
        typer.Option(
            "--drop-missing", help="With --entity: let go of values whose events the log does not hold."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what it would be.")] = False,
    database: Annotated[
        str | None,
        typer.Option("--database-url", help="Server (or HEADWATER_DATABASE_URL).", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make entities, records and timelines again from the log, byte for byte.

    With --entity, one entity while everything runs: the events of its records are read again, and what comes out otherwise
    is written; CRMs hear of values that changed. Where its records belong stays as identity said.

    Of a tenant, or of all: they are emptied, to be made again. Sync must be stopped for this; it does the work when it
    starts, and writes nothing to a CRM until it is through. What is not in the log stays: deliveries, assignments,
    approvals, providers' answers, the audit. Identity is asked where a record belongs once; with --newest-policy it is told
    all of every event again.

    Examples:

      headwater rebuild --entity 0f6b1d3e-6a4e-5b7e-9a56-1c6c1f0e9d11

      headwater rebuild --tenant acme

      headwater rebuild --all --newest-policy --yes
    """
    if entity:
        if everything or newest or database:
            raise typer.BadParameter("--entity goes with --tenant, --drop-missing and --yes alone")

        async def one(session: Session, services: Services) -> None:
            await _rebuild_entity(session, services, entity, drop_missing=drop_missing, yes=yes)

        ask(one, as_json=as_json, data_dir=data_dir, tenant=tenant or None)
        return
    if drop_missing:
        raise typer.BadParameter("--drop-missing goes with --entity")
    if bool(tenant) == everything:
        raise typer.BadParameter("name an --entity or a --tenant, or say --all")

    def work(session: Session) -> None:
        url = database_of(session, database)
        found = anyio.run(extent, url, tenant)
        told = {"tenant": tenant or "all", **asdict(found), "begun": yes}
        if yes:
            policies: Policies = "newest" if newest else "recorded"
            told["events"] = anyio.run(begin_rebuild, url, tenant, f"user:{session.actor.id}", policies)
        more = "start sync: it projects them again" if yes else "nothing is done yet; stop sync and add --yes"
        session.output.result(told, facts(told), more)

    act(work, as_json=as_json, data_dir=data_dir)


async def _rebuild_entity(
    session: Session, services: Services, entity_id: str, *, drop_missing: bool, yes: bool
) -> None:
    request = pb.RebuildEntityRequest(
        tenant_id=session.tenant_id,
        entity_id=entity_id,
        validate_only=not yes,
        drop_missing=drop_missing,
        actor=session.actor,
    )
    found = await services.ask(services.rebuilds.RebuildEntity, request)
    told = {
        "entity": found.entity_id,
        "object": found.object,
        "records": found.record_count,
        "events": found.event_count,
        "otherwise": _summary(found),
        "version": found.version if found.written else None,
        "accounts told": ", ".join(found.connectors),
        "without an event": "; ".join(found.missing),
    }
    fields = [(item.field, item.before_json, item.after_json) for item in found.changed_fields]
    records = [(item.source, item.object, item.external_id) for item in found.changed_records]
    shown = [facts(told)]
    shown += [table(("field", "before", "after"), fields)] if fields else []
    shown += [table(("source", "object", "record that differs"), records)] if records else []
    session.output.result(
        {**plain(found), "dry_run": not yes}, *shown, "" if yes else "nothing is done yet; add --yes"
    )


def _summary(found: pb.RebuildEntityResponse) -> str:
    if found.changed_fields:
        return f"{len(found.changed_fields)} values"
    if found.changed:
        return "state, provenance or references"
    return "records alone" if found.changed_records else "nothing"
