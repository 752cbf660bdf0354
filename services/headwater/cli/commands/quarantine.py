"""`headwater quarantine`: events that break the contract and wait for a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headwater.cli.asking import asking
from headwater.cli.options import PageSize, PageToken, Yes
from headwater.cli.output import table
from headwater.cli.plain import moment, plain
from headwater.cli.releasing import Group, StillBroken, release_group
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.cli.wording import quarantine_state
from headwater.ingest.v1 import ingest_pb2

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Events that break the contract: the task list, its groups, release, discard.",
)

Key = Annotated[str, typer.Argument(help="Key of the quarantined event, a UUID.")]


Rule = Annotated[str, typer.Option("--rule", help="Only those that break this rule, as format.email.")]
Field = Annotated[str, typer.Option("--field", help="Only those with a fault in this field.")]
Source = Annotated[str, typer.Option("--source", help="Only those of this source.")]


@app.command()
@asking
async def groups(session: Session, services: Services, limit: PageSize = 50) -> None:
    """List what open events break, the largest group first, with who answers for their source."""
    request = ingest_pb2.ListQuarantineGroupsRequest(tenant_id=session.tenant_id, page_size=limit)
    found = await services.ask(services.ingest.ListQuarantineGroups, request)
    rows = [
        (
            item.rule,
            item.field,
            f"{item.source} / {item.object}",
            item.event_count,
            moment(item.first_seen_time),
            moment(item.last_seen_time),
            item.description,
            item.owner,
            item.runbook,
        )
        for item in found.groups
    ]
    names = ("rule", "field", "source", "events", "first seen", "last seen", "newest", "owner", "runbook")
    session.output.result(plain(found), table(names, rows))


@app.command("list")
@asking
async def list_quarantine(
    session: Session,
    services: Services,
    every: Annotated[bool, typer.Option("--all", help="Also those released or discarded.")] = False,
    rule: Rule = "",
    field: Field = "",
    source: Source = "",
    limit: PageSize = 50,
    page_token: PageToken = "",
) -> None:
    """List quarantined events, oldest first, with every rule that each breaks."""
    request = ingest_pb2.ListQuarantineRequest(
        tenant_id=session.tenant_id,
        page_size=limit,
        page_token=page_token,
        include_closed=every,
        rule=rule,
        field=field,
        source=source,
    )
    found = await services.ask(services.ingest.ListQuarantine, request)
    rows = [
        (
            item.event.event_key,
            f"{item.event.event.source} / {item.event.event.object} / {item.event.event.external_id}",
            moment(item.event.record_time),
            quarantine_state(item.state),
            "; ".join(f"{rule.field}: {rule.description} (has {rule.value!r})" for rule in item.violations),
        )
        for item in found.events
    ]
    more = f"more: --page-token {found.next_page_token}" if found.next_page_token else ""
    session.output.result(
        plain(found), table(("event key", "record", "recorded", "state", "broken rules"), rows), more
    )


@app.command()
@asking
async def release(
    session: Session,
    services: Services,
    key: Key,
    payload: Annotated[
        Path | None,
        typer.Option(
            "--payload", help="File with the corrected payload, a JSON object.", exists=True, dir_okay=False
        ),
    ] = None,
) -> None:
    """Put an event into the log, as recorded or with a corrected payload; it must hold the contract by then.

    Example:

      headwater quarantine release 01994e0a-5c3b-7c52-9b0f-3f0f0f3f0f3f --payload fixed.json
    """
    request = ingest_pb2.ReleaseQuarantinedRequest(
        tenant_id=session.tenant_id,
        event_key=key,
        payload=payload.read_bytes() if payload else b"",
        actor=session.actor,
    )
    found = await services.ask(services.ingest.ReleaseQuarantined, request)
    session.output.result(plain(found), f"released as {found.released_as}")


@app.command("release-all")
@asking
async def release_all(
    session: Session,
    services: Services,
    rule: Rule = "",
    field: Field = "",
    source: Source = "",
    values: Annotated[
        list[str] | None, typer.Option("--set", help="FIELD=VALUE in every payload; may be repeated.")
    ] = None,
    rate: Annotated[float, typer.Option("--rate", min=0.01, max=1000, help="Events a second.")] = 10.0,
    yes: Yes = False,
) -> None:
    """Release a group of open events, so many a second: after a fix of the policy, or with values set.

    Those that still break the contract stay, and fail the command. Interrupted, call it again: what is
    released is not open any more. Without --yes it only counts.

    Example:

      headwater quarantine release-all --rule required --field event.payload.country --set country=DE --yes
    """
    group = Group(rule, field, source)
    done = await release_group(services, session, group, values or [], rate, apply=yes)
    sentence = (
        f"{done.released:,} events {'are released' if yes else 'would be released; add --yes to do it'}"
    )
    rows = [(key, message) for key, message in done.kept.items()]
    shown = table(("event key", "stays because"), rows) if rows else ""
    session.output.result(done.document(dry_run=not yes), sentence, shown)
    if done.kept:
        raise StillBroken(f"{len(done.kept):,} events still break the contract")


@app.command()
@asking
async def discard(
    session: Session,
    services: Services,
    key: Key,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit.")],
    yes: Yes = False,
) -> None:
    """End a quarantined event with a reason. Cannot be undone: without --yes it only says what it would do."""
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
