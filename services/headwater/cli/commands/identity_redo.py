"""`headwater identity redo` and `group`: what the rules changed since, and groups by ids that they had."""

from __future__ import annotations

from typing import Annotated, Any, Final

import anyio
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from headwater.cli import bits
from headwater.cli.asking import asking
from headwater.cli.output import Output, facts, table
from headwater.cli.plain import moment, plain
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.identity.v1 import identity_pb2 as pb

LOOK_S: Final = 0.5
"""Pause between two looks at a going over that is followed."""
PAGE_RECORDS: Final = 200
"""Records of one page of a preview."""
_PHASES: Final = {
    pb.REDO_PHASE_UNSPECIFIED: "",
    pb.REDO_PHASE_REWRITE: "reading again",
    pb.REDO_PHASE_RESOLVE: "resolving again",
    pb.REDO_PHASE_DONE: "done",
}


@asking
async def redo(
    session: Session,
    services: Services,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would change; nothing is changed.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Only say how far it is; begin nothing.")] = False,
) -> None:
    """Go over a tenant's records by the present rules of normalisation, and follow it to its end.

    The service does this by itself when its rules are newer than a record; this begins one now. Records are read
    again from what they said, then resolved again, while live calls go on. Interrupted here, it goes on in the
    service; stopped there, another process goes on where it was. What the new rules tie together is linked, or
    merged as any resolve would; what they would part stays one entity, and a person is asked.

    Examples:

      headwater identity redo --dry-run

      headwater identity redo --tenant acme --json
    """
    if dry_run:
        await _preview(session, services)
        return
    if not status:
        await services.ask(services.identity.StartRedo, pb.StartRedoRequest(tenant_id=session.tenant_id))
        await _follow(services, session.output, session.tenant_id)
    found = await services.ask(services.identity.GetRedo, pb.GetRedoRequest(tenant_id=session.tenant_id))
    session.output.result(plain(found), facts(_about(found)))


@asking
async def group(
    session: Session,
    services: Services,
    group_id: Annotated[str, typer.Argument(help="An id that a group has, or had.")],
) -> None:
    """Show a group by any id that it had: the records that are likely one thing now.

    Example:

      headwater identity group 5f0c7a52-6a0e-5d6b-9a53-8d6f2b1e4a90
    """
    request = pb.GetGroupRequest(tenant_id=session.tenant_id, group_id=group_id)
    found = await services.ask(services.identity.GetGroup, request)
    rows = [(bits.record_name(one.record), one.entity_id) for one in found.members]
    about = {
        "asked for": group_id,
        "group": found.group_id,
        "split into": ", ".join(found.split_into),
    }
    session.output.result(plain(found), facts(about), table(("record", "entity"), rows))


async def _preview(session: Session, services: Services) -> None:
    """Count page by page what would change."""
    counts = dict.fromkeys(("records", "behind", "changed", "changed_keys"), 0)
    request = pb.PreviewRedoRequest(tenant_id=session.tenant_id, page_size=PAGE_RECORDS)
    status = await services.ask(
        services.identity.GetIdentityStatus, pb.GetIdentityStatusRequest(tenant_id=session.tenant_id)
    )
    with _bar(session.output) as bar:
        task = bar.add_task("looking", total=sum(one.records for one in status.counts))
        while True:
            page = await services.ask(services.identity.PreviewRedo, request)
            for name in counts:
                counts[name] += getattr(page, name)
            bar.update(task, completed=counts["records"])
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
    about = {
        "records": f"{counts['records']:,}",
        "by older rules": f"{counts['behind']:,}",
        "would say something else": f"{counts['changed']:,}",
        "would be found by other keys": f"{counts['changed_keys']:,}",
    }
    session.output.result(counts | {"dry_run": True}, facts(about), "nothing was changed")


async def _follow(services: Services, output: Output, tenant_id: str) -> None:
    """Show a bar until the going over is through; an interruption here leaves it running."""
    request = pb.GetRedoRequest(tenant_id=tenant_id)
    with _bar(output) as bar:
        task = bar.add_task("waiting")
        while True:
            found = (await services.ask(services.identity.GetRedo, request)).redo
            done = found.phase == pb.REDO_PHASE_DONE
            steps = max(found.steps, found.steps_done)
            bar.update(
                task,
                description=_PHASES[found.phase],
                completed=steps if done else found.steps_done,
                total=steps or None,
            )
            if done:
                return
            await anyio.sleep(LOOK_S)


def _bar(output: Output) -> Progress:
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=output.err, disable=output.as_json)


def _about(found: pb.GetRedoResponse) -> dict[str, str]:
    one = found.redo
    return {
        "rules": f"version {found.normalisation_version}",
        "records by older rules": "yes" if found.behind else "no",
        "gone over by": f"version {one.normalisation_version}" if found.HasField("redo") else "none yet",
        "phase": _PHASES[one.phase],
        "steps": f"{one.steps_done:,} / {max(one.steps, one.steps_done):,}",
        "changed records": f"{one.changed_records:,}",
        "merged entities": f"{one.merged_entities:,}",
        "begun": moment(one.start_time),
        "through": moment(one.finish_time),
    }
