"""`headwater erase`: a person, here and in every CRM; what proves it; taking one in again."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from headwater.cli.asking import asking
from headwater.cli.options import PageSize, Reason, Yes
from headwater.cli.output import facts, table
from headwater.cli.plain import moment, plain
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.kernel.errors import InvalidInput
from headwater.sync.v1 import erasures_pb2 as pb

DAY_S = 86_400.0
_SUBJECT = "subject"


class _SubjectOrCommand(TyperGroup):
    """Takes whatever is no command for a person."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command to run; `headwater erase SUBJECT` is `headwater erase subject SUBJECT`."""
        if args and args[0] not in self.commands:
            args = [_SUBJECT, *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_SubjectOrCommand,
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="""Erase a person, here and in every CRM that ever had one: [bold]headwater erase SUBJECT[/bold].

SUBJECT is an entity's id, an e-mail address, a telephone number as +46812345678, or source/object/external id. Without --yes
nothing is done: it shows what is held, where, what would go and what stays.

Examples:

  headwater erase ada@example.com

  headwater erase ada@example.com --reason "request 4711" --yes

  headwater erase show 01994e0a-5c3b-7c52-9b0f-3f0f0f3f0f3f
""",
)


@app.command(_SUBJECT)
@asking
async def subject(
    session: Session,
    services: Services,
    who: Annotated[str, typer.Argument(metavar="SUBJECT", help="The person.")],
    reason: Reason = "",
    yes: Yes = False,
    days: Annotated[
        float, typer.Option("--deadline-days", min=0.0001, max=90, help="Until every CRM is to have done it.")
    ] = 30.0,
    request_id: Annotated[
        str, typer.Option("--request-id", help="A UUID of your own: the same order twice is one.")
    ] = "",
) -> None:
    """Show what is held of a person; with --yes erase it, for good: log, identity, entities, audit values, every CRM.

    From the answer on nothing of the person is taken in or delivered. Proofs, hashes and counts stay, and so does a keyed hash
    of each identifier, by which the person is not taken in again. Backups, the write-ahead log and archived days keep
    what they have until they expire.
    """
    if not yes:
        request = pb.PreviewErasureRequest(tenant_id=session.tenant_id, subject=who)
        found = await services.ask(services.erasures.PreviewErasure, request)
        rows = [(item.place, item.what, f"{item.count:,}", item.fate, item.why) for item in found.parts]
        places = [(item.connector, item.crm_object, item.crm_id) for item in found.targets]
        session.output.result(
            {**plain(found), "dry_run": True},
            table(("where", "what", "count", "then", "why"), rows),
            table(("account", "CRM object", "CRM id"), places),
            f"{len(found.entity_ids):,} entities; nothing was done: add --reason and --yes to erase",
        )
        return
    if not reason:
        raise InvalidInput('--reason says why, for the audit: as --reason "request 4711", without the name')
    order = pb.StartErasureRequest(
        tenant_id=session.tenant_id,
        subject=who,
        reason=reason,
        actor=session.actor,
        deadline_s=days * DAY_S,
        request_id=request_id or str(uuid.uuid4()),
    )
    started = await services.ask(services.erasures.StartErasure, order)
    erasure = started.erasure
    session.output.result(
        plain(started),
        f"erasure {erasure.erasure_id} is ordered: nothing of the person is taken in or delivered from now on",
        f"follow it: headwater erase show {erasure.erasure_id}",
    )


@app.command("list")
@asking
async def list_erasures(
    session: Session,
    services: Services,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are not done.")] = False,
    limit: PageSize = 50,
) -> None:
    """List erasures, the newest first.

    Example:

      headwater erase list --open
    """
    request = pb.ListErasuresRequest(tenant_id=session.tenant_id, open_only=open_only, page_size=limit)
    found = await services.ask(services.erasures.ListErasures, request)
    rows = [
        (
            one.erasure_id, _state(one), one.reason, one.actor, moment(one.request_time), moment(one.deadline_time),
            moment(one.end_time), one.finding,
        )
        for one in found.erasures
    ]  # fmt: skip
    names = ("erasure", "state", "why", "by", "ordered", "deadline", "done", "in the way")
    session.output.result(plain(found), table(names, rows))


@app.command()
@asking
async def show(
    session: Session,
    services: Services,
    erasure: Annotated[str, typer.Argument(help="The erasure's id.")],
) -> None:
    """Show how far an erasure is; once it is done this is its certificate, of which the audit has a proof.

    Example:

      headwater --json erase show 01994e0a-5c3b-7c52-9b0f-3f0f0f3f0f3f > certificate.json
    """
    request = pb.GetErasureRequest(tenant_id=session.tenant_id, erasure_id=erasure)
    found = await services.ask(services.erasures.GetErasure, request)
    one = found.erasure
    shown = {
        "erasure": one.erasure_id,
        "state": _state(one),
        "why": one.reason,
        "by": one.actor,
        "ordered": moment(one.request_time),
        "deadline": moment(one.deadline_time),
        "done": moment(one.end_time),
        "suppressed identifiers": f"{one.suppressed_count:,}",
    }
    steps = [
        (
            step.step, moment(step.step_time),
            ", ".join([*(f"{name} {count:,}" for name, count in sorted(step.counts.items())), *step.records]),
        )
        for step in one.steps
    ]  # fmt: skip
    targets = [
        (
            item.connector, item.crm_object, item.crm_id, item.state, item.method, moment(item.erase_time),
            moment(item.verify_time), item.finding,
        )
        for item in one.targets
    ]  # fmt: skip
    session.output.result(
        plain(found),
        facts(shown),
        table(("step", "at", "what went"), steps),
        table(
            ("account", "CRM object", "CRM id", "state", "how", "erased", "looked for", "in the way"), targets
        ),
    )


@app.command()
@asking
async def confirm(
    session: Session,
    services: Services,
    erasure: Annotated[str, typer.Argument(help="The erasure's id.")],
    connector: Annotated[str, typer.Option("--connector", help="Account.")],
    reason: Reason,
) -> None:
    """Say that the open records of an account were erased by hand: its vendor has no way, or the account is gone.

    Example:

      headwater erase confirm 01994e0a-5c3b-7c52-9b0f-3f0f0f3f0f3f --connector legacy --reason "deleted by its admin"
    """
    request = pb.ConfirmErasedRequest(
        tenant_id=session.tenant_id,
        erasure_id=erasure,
        connector=connector,
        reason=reason,
        actor=session.actor,
    )
    found = await services.ask(services.erasures.ConfirmErased, request)
    session.output.result(plain(found), f"{found.confirmed_count:,} records of {connector} are confirmed")


@app.command()
@asking
async def lift(
    session: Session,
    services: Services,
    reason: Reason,
    who: Annotated[
        str, typer.Argument(metavar="[SUBJECT]", help="Address, number or source/object/external id.")
    ] = "",
    erasure: Annotated[str, typer.Option("--erasure", help="All identifiers of this erasure.")] = "",
) -> None:
    """Take a person in again who has agreed to it: from now on. What was erased stays so.

    Example:

      headwater erase lift ada@example.com --reason "consent of 2026-05-01"
    """
    request = pb.LiftSuppressionRequest(
        tenant_id=session.tenant_id, subject=who, erasure_id=erasure, reason=reason, actor=session.actor
    )
    found = await services.ask(services.erasures.LiftSuppression, request)
    session.output.result(plain(found), f"{found.lifted_count:,} identifiers are suppressed no more")


def _state(one: pb.Erasure) -> str:
    name = pb.ErasureState.Name(one.state).removeprefix("ERASURE_STATE_").lower()
    return f"{name}, overdue" if one.overdue else name
