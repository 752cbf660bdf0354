"""`headwater routing`: who was given which lead and why, who would be by another policy, how the people stand."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from headwater.cli.asking import asking
from headwater.cli.options import AsJson, PageSize, PageToken
from headwater.cli.plain import plain
from headwater.cli.policy_files import read_policy, routing_text
from headwater.cli.routes import assignments_table, shown_lead, shown_loads, shown_preview
from headwater.cli.services import Services
from headwater.cli.session import Session, act
from headwater.cli.stepping import last_step
from headwater.cli.who import read_who
from headwater.kernel.errors import InvalidInput
from headwater.sync.v1 import provenance_pb2
from headwater.sync.v1 import routing_pb2 as pb

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Who is given which lead: init, show, what-if, loads. The policy's parts routing and sla say how.",
)

PREVIEW_TIMEOUT_S: Final = 600.0


@app.command()
def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.", dir_okay=False)] = Path("routing.yaml"),
    as_json: AsJson = False,
) -> None:
    """Write a part of a policy about routing and SLAs to begin with; it says what each setting means.

    It goes beside the file of `headwater policy init` in a folder: the files of a folder are one policy. A file that
    is there already is left alone, and the command ends with code 1.

    Example:

      headwater policy init policy/base.yaml && headwater routing init policy/routing.yaml && headwater policy check policy
    """

    def work(session: Session) -> None:
        with file.open("x", encoding="utf-8") as made:
            made.write(routing_text())
        said = f"{file}: written; put in your people, then `headwater policy check {file.parent}`"
        session.output.result({"file": str(file)}, Text(said))

    act(work, as_json=as_json, data_dir=None)


@app.command()
@asking
async def show(
    session: Session,
    services: Services,
    lead: Annotated[
        str,
        typer.Argument(help="An entity id, or a record as source/object/external-id; without it all leads."),
    ] = "",
    person: Annotated[str, typer.Option("--person", help="Only leads of this person.")] = "",
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state", help="Only leads in this state, as waiting; may be repeated.", show_default=False
        ),
    ] = None,
    limit: PageSize = 50,
    page_token: PageToken = "",
) -> None:
    """Show who has a lead, by which rule and why, with its timers; or list leads with their owners.

    States: waiting (nobody could take it yet), assigned, kept (its owner is from a CRM or an operator), suppressed,
    done, ended (merged or deleted; listed only when asked for).

    Examples:

      headwater routing show form/contact/42

      headwater routing show --state waiting

      headwater routing show --person ann --json
    """
    if lead:
        request = pb.GetAssignmentRequest(
            tenant_id=session.tenant_id, entity_id=await _entity(session, services, lead)
        )
        found = await services.ask(services.routing.GetAssignment, request)
        session.output.result(plain(found), *shown_lead(found))
        return
    asked = pb.ListAssignmentsRequest(
        tenant_id=session.tenant_id,
        states=[_state(name) for name in state or ()],
        person=person,
        page_size=limit,
        page_token=page_token,
    )
    page = await services.ask(services.routing.ListAssignments, asked)
    more = f"more: --page-token {page.next_page_token}" if page.next_page_token else ""
    session.output.result(plain(page), assignments_table(page.assignments), more)


@app.command("what-if")
@asking
async def what_if(
    session: Session,
    services: Services,
    file: Annotated[
        Path, typer.Argument(help="A policy: a YAML file, or a folder of them.", exists=True, readable=True)
    ],
    days: Annotated[
        float, typer.Option("--days", min=0, max=36_500, help="Only leads of the last so many days; 0: all.")
    ] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=5000, help="Changes to show at most.")] = 50,
) -> None:
    """Say who would have got past leads by the policy in FILE; changes nothing.

    Leads are taken in the order in which they came, with working hours and days off as of then, beginning without any
    load. They are judged by what they look like today; owners from a CRM or an operator stay. Shown: what each person
    would have against today, how many leads each rule gives away, and the leads with another owner. Exact up to
    50,000 leads, beyond that from a sample.

    Examples:

      headwater routing what-if policy.yaml

      headwater routing what-if policy.yaml --days 30 --json
    """
    request = pb.PreviewRoutingRequest(
        tenant_id=session.tenant_id, policy_document=read_policy(file).text, changes_max=limit
    )
    if days:
        request.since_time.FromDatetime(dt.datetime.now(dt.UTC) - dt.timedelta(days=days))
    steps = services.routing.PreviewRouting(request, timeout=PREVIEW_TIMEOUT_S)
    found = (await last_step(session, services, steps, "leads", "preview")).preview
    session.output.result(plain(found), *shown_preview(found))


@app.command()
@asking
async def loads(session: Session, services: Services) -> None:
    """Show what each person has, who can take more now, and whose turn is next in each pool.

    Open leads are those that are neither done nor suppressed; leads that a CRM gave to somebody count as well.

    Example:

      headwater routing loads
    """
    found = await services.ask(services.routing.GetLoads, pb.GetLoadsRequest(tenant_id=session.tenant_id))
    session.output.result(plain(found), *shown_loads(found))


async def _entity(session: Session, services: Services, lead: str) -> str:
    """Return the entity that was named, by itself or by a record."""
    entity_id, record = read_who(lead)
    if record is None:
        return entity_id
    request = provenance_pb2.ExplainEntityRequest(tenant_id=session.tenant_id)
    request.record.CopyFrom(record)
    return (await services.ask(services.provenance.ExplainEntity, request)).entity_id


def _state(name: str) -> pb.LeadState.ValueType:
    known = [item.removeprefix("LEAD_STATE_").lower() for item in pb.LeadState.keys()[1:]]
    if name not in known:
        raise InvalidInput(f"--state {name!r}: must be one of {', '.join(known)}")
    return pb.LeadState.Value(f"LEAD_STATE_{name.upper()}")
