"""`headwater identity merge`, `split`, `followed` and `follow-again`: two entities made one, or taken apart, and what the CRMs did about it."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from headwater.cli import following
from headwater.cli.asking import asking
from headwater.cli.entities import find_entity, member_row
from headwater.cli.options import Yes
from headwater.cli.output import table
from headwater.cli.plain import plain
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.cli.who import Who
from headwater.identity.v1 import identity_pb2
from headwater.sync.v1 import merges_pb2

MergeId = Annotated[str, typer.Argument(help="Id of the merge, as `merge` printed it.")]
Preview = Annotated[bool, typer.Option("--preview", help="Show what every CRM would do; nothing is changed.")]


@asking
async def merge(
    session: Session,
    services: Services,
    winner: Who,
    loser: Who,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit.")] = "",
    preview: Preview = False,
    yes: Yes = False,
) -> None:
    """Move every record of LOSER to WINNER; `split` undoes it exactly. Without --yes it shows what would move.

    With --preview it shows what every CRM would do as well: which record stays, what changes in it, what is sent, and
    what the vendor cannot undo. Whether a CRM merges its records, too, the policy says: `merge` of the mapping.

    Example:

      headwater identity merge hubspot/contact/42 hubspot/contact/43 --preview
    """
    stays, goes = await find_entity(session, services, winner), await find_entity(session, services, loser)
    rows = [member_row(item) for item in goes.members]
    moving = table(
        ("record", "rule", "resolved"), rows, title=f"into {stays.entity_id} from {goes.entity_id}"
    )
    if preview:
        asked = merges_pb2.PreviewMergeRequest(
            tenant_id=session.tenant_id, winner_entity_id=stays.entity_id, loser_entity_id=goes.entity_id
        )
        told = await services.ask(services.merges.PreviewMerge, asked)
        document = {"dry_run": True, "winner": plain(stays), "loser": plain(goes)} | plain(told)
        session.output.result(document, moving, *following.forecasts(told.forecasts), "nothing was changed")
        return
    if not yes:
        document = {"dry_run": True, "winner": plain(stays), "loser": plain(goes)}
        session.output.result(document, moving, "would move; add --yes to do it")
        return
    request = identity_pb2.MergeRequest(
        tenant_id=session.tenant_id,
        winner_entity_id=stays.entity_id,
        loser_entity_id=goes.entity_id,
        actor=session.actor,
        merge_reason=reason,
        request_id=str(uuid.uuid4()),
    )
    found = await services.ask(services.identity.Merge, request)
    undo = f"{found.moved_count} moved; undo with: headwater identity split {found.merge_id} --yes"
    session.output.result(plain(found) | {"dry_run": False}, moving, undo)


@asking
async def split(
    session: Session,
    services: Services,
    merge_id: MergeId,
    preview: Preview = False,
    yes: Yes = False,
) -> None:
    """Undo one merge: the records that it moved go back. Without --yes nothing is changed.

    With --preview it shows what every CRM that followed the merge would do.
    """
    if preview:
        asked = merges_pb2.PreviewSplitRequest(tenant_id=session.tenant_id, merge_id=merge_id)
        told = await services.ask(services.merges.PreviewSplit, asked)
        document = {"dry_run": True, "merge_id": merge_id} | plain(told)
        session.output.result(document, *following.forecasts(told.forecasts), "nothing was changed")
        return
    if not yes:
        document = {"dry_run": True, "merge_id": merge_id}
        session.output.result(document, f"would undo merge {merge_id}; add --yes to do it")
        return
    request = identity_pb2.SplitRequest(tenant_id=session.tenant_id, merge_id=merge_id, actor=session.actor)
    found = await services.ask(services.identity.Split, request)
    done = f"{found.moved_count} moved back to {found.restored_entity_id}"
    session.output.result(plain(found) | {"dry_run": False}, done)


@asking
async def followed(
    session: Session,
    services: Services,
    merge_id: Annotated[str, typer.Argument(help="Only this merge; all without it.")] = "",
) -> None:
    """List what the CRMs did about merges, newest first: merged, undone, not needed, failed and why."""
    request = merges_pb2.ListRecordMergesRequest(tenant_id=session.tenant_id, merge_id=merge_id)
    found = await services.ask(services.merges.ListRecordMerges, request)
    session.output.result(plain(found), following.record_merges(found.merges))


@asking
async def follow_again(
    session: Session,
    services: Services,
    connector: Annotated[str, typer.Argument(help="The account, as the policy names it.")],
    merge_id: MergeId,
) -> None:
    """Let a merge or an undoing that failed in a CRM go on where it stood; what may have been sent is looked at first."""
    request = merges_pb2.RetryRecordMergeRequest(
        tenant_id=session.tenant_id, connector=connector, merge_id=merge_id, actor=session.actor
    )
    await services.ask(services.merges.RetryRecordMerge, request)
    session.output.result(
        {"merge_id": merge_id, "connector": connector}, f"{connector} goes on with {merge_id}"
    )
