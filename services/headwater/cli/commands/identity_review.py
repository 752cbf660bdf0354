"""`headwater identity review`: pairs that a person should look at, worth most first; decide, undo, assign, audit."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table
from rich.text import Text

from headwater.cli import bits
from headwater.cli.asking import asking
from headwater.cli.durations import seconds_of
from headwater.cli.options import PageSize, PageToken, Reason, Yes
from headwater.cli.output import facts, table
from headwater.cli.plain import moment, plain
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.cli.who import read_who
from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2 as pb
from headwater.kernel.clock import SystemClock
from headwater.kernel.errors import InvalidInput

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Pairs that a person should look at: list, show, decide, undo, assign, audit.",
)

Candidate = Annotated[int, typer.Argument(min=1, help="The candidate's number, as `list` shows it.")]
Request = Annotated[
    str,
    typer.Option(
        "--request-id",
        help="A UUID of yours: typed again with the same one, nothing is done twice.",
        show_default=False,
    ),
]
QUESTIONS: Final = {
    pb.CANDIDATE_QUESTION_UNSPECIFIED: "",
    pb.CANDIDATE_QUESTION_MERGE: "merge?",
    pb.CANDIDATE_QUESTION_SPLIT: "split?",
}


class Verdict(StrEnum):
    """What can be answered."""

    MERGE = "merge"
    KEEP_APART = "keep-apart"
    SKIP = "skip"
    KEEP_TOGETHER = "keep-together"
    SPLIT = "split"


@app.command("list")
@asking
async def list_reviews(
    session: Session,
    services: Services,
    object_name: Annotated[str, typer.Option("--object", help="Only this object.")] = "",
    assignee: Annotated[str, typer.Option("--assignee", help="Only those given to this person.")] = "",
    skipped: Annotated[bool, typer.Option("--skipped", help="Those put off until later, too.")] = False,
    limit: PageSize = 50,
    page_token: PageToken = "",
) -> None:
    """List open questions, those first whose answer is worth most.

    Worth is how close the bits are to the threshold (each 3 bits away halve it), times what hangs on it: log2 of
    the records, times the systems that have one.

    Example:
      headwater identity review list --assignee kim --limit 10
    """
    request = pb.ListReviewsRequest(
        tenant_id=session.tenant_id,
        page_size=limit,
        page_token=page_token,
        object=object_name,
        assignee=assignee,
        include_skipped=skipped,
    )
    found = await services.ask(services.identity.ListReviews, request)
    more = f"more: --page-token {found.next_page_token}" if found.next_page_token else ""
    session.output.result(plain(found), _reviews_table(found.reviews), more)


@app.command()
@asking
async def show(session: Session, services: Services, candidate: Candidate) -> None:
    """Show one question side by side: both entities' records, the bits field by field, and what was done about it."""
    request = pb.GetReviewRequest(tenant_id=session.tenant_id, candidate_id=candidate)
    found = await services.ask(services.identity.GetReview, request)
    drawn = bits.waterfall(found.explanation) if found.explanation.fields else ""
    session.output.result(
        plain(found),
        _reviews_table([found.review]),
        bits.side_by_side((found.left, found.right)),
        Text(found.explanation.verdict),
        drawn,
        _actions_table(found.actions) if found.actions else "",
    )


@app.command()
@asking
async def decide(
    session: Session,
    services: Services,
    candidate: Candidate,
    verdict: Annotated[
        Verdict,
        typer.Argument(
            help="merge, keep-apart or skip; of a question to split: split, keep-together or skip."
        ),
    ],
    winner: Annotated[
        str, typer.Option("--winner", help="With merge: the entity that stays, by its id.")
    ] = "",
    skip_for: Annotated[str, typer.Option("--for", help="With skip: how long, as 90s, 2h or 7d.")] = "7d",
    reason: Reason = "",
    request_id: Request = "",
    yes: Yes = False,
) -> None:
    """Answer a question. Without --yes it shows what would move, and changes nothing.

    Ends with 1 when somebody decided before: the message says who, what and when, and which action to undo.

    Examples:
      headwater identity review decide 12 merge --reason "same person, new job" --yes

      headwater identity review decide 13 skip --for 2d --yes
    """
    request = pb.DecideReviewRequest(
        tenant_id=session.tenant_id,
        candidate_id=candidate,
        verdict=pb.ReviewVerdict.Value(f"REVIEW_VERDICT_{verdict.name}"),
        skip_time=_after(skip_for) if verdict is Verdict.SKIP else None,
        winner_entity_id=_entity_id(winner),
        actor=session.actor,
        decision_reason=reason,
        request_id=request_id or str(uuid.uuid4()),
        validate_only=not yes,
    )
    found = await services.ask(services.identity.DecideReview, request)
    _tell(session, plain(found), found.action, found.moved_records, yes=yes)


@app.command()
@asking
async def undo(
    session: Session,
    services: Services,
    action: Annotated[str, typer.Argument(help="Id of the decision, as `decide` or `audit` printed it.")],
    reason: Reason = "",
    request_id: Request = "",
    yes: Yes = False,
) -> None:
    """Take a decision back exactly; its question is open again. Without --yes it shows what would move back."""
    request = pb.UndoReviewRequest(
        tenant_id=session.tenant_id,
        action_id=action,
        actor=session.actor,
        undo_reason=reason,
        request_id=request_id or str(uuid.uuid4()),
        validate_only=not yes,
    )
    found = await services.ask(services.identity.UndoReview, request)
    _tell(session, plain(found), found.action, found.moved_records, yes=yes)


@app.command()
@asking
async def assign(
    session: Session,
    services: Services,
    candidate: Candidate,
    assignee: Annotated[str, typer.Argument(help="Who is to decide; leave it out for anybody.")] = "",
    reason: Reason = "",
    request_id: Request = "",
) -> None:
    """Give a question to a person; `list --assignee` then shows it to them."""
    request = pb.AssignReviewRequest(
        tenant_id=session.tenant_id,
        candidate_id=candidate,
        assignee=assignee,
        actor=session.actor,
        assign_reason=reason,
        request_id=request_id or str(uuid.uuid4()),
    )
    found = await services.ask(services.identity.AssignReview, request)
    session.output.result(plain(found), f"candidate {candidate} is for {assignee or 'anybody'}")


@app.command()
@asking
async def audit(
    session: Session,
    services: Services,
    candidate: Annotated[int, typer.Option("--candidate", min=0, help="Only this candidate; 0 for all.")] = 0,
    limit: PageSize = 50,
    page_token: PageToken = "",
) -> None:
    """Who decided, undid or assigned what, when and why: newest first."""
    request = pb.ListReviewActionsRequest(
        tenant_id=session.tenant_id, candidate_id=candidate, page_size=limit, page_token=page_token
    )
    found = await services.ask(services.identity.ListReviewActions, request)
    more = f"more: --page-token {found.next_page_token}" if found.next_page_token else ""
    session.output.result(plain(found), _actions_table(found.actions), more)


def _tell(
    session: Session,
    document: dict[str, object],
    action: pb.ReviewAction,
    moved: Iterable[event_pb2.RecordRef],
    *,
    yes: bool,
) -> None:
    """Print what was done, or would be."""
    about = {
        "candidate": str(action.candidate_id),
        "decision": _kind(action),
        "stays": action.entity_id,
        "other": action.other_entity_id,
        "records that move": str(action.moved_count),
        "asked again": moment(action.skip_time),
        "action": action.action_id,
    }
    rows = [(bits.record_name(one),) for one in moved]
    told = "nothing was changed; add --yes to do it"
    if yes:
        told = f"undo with: headwater identity review undo {action.action_id} --yes"
    if yes and action.undoes:
        told = "taken back; the question is open again"
    moving = table(("record",), rows, title="moves") if rows else ""
    session.output.result(document | {"dry_run": not yes}, facts(about), moving, told)


def _reviews_table(reviews: Iterable[pb.Review]) -> Table:
    rows = [
        (
            str(one.candidate_id),
            QUESTIONS.get(one.candidate.question, ""),
            one.candidate.object,
            one.worth,
            one.candidate.bits,
            one.records,
            one.systems,
            bits.record_name(one.candidate.record),
            bits.record_name(one.candidate.other_record),
            one.candidate.rule,
            one.candidate.blocked_by,
            one.assignee,
            "closed" if one.closed else moment(one.skip_time),
        )
        for one in reviews
    ]
    names = ("candidate", "question", "object", "worth", "bits", "records", "systems")
    return table((*names, "record", "other record", "rule", "against", "for whom", "put off until"), rows)


def _actions_table(actions: Iterable[pb.ReviewAction]) -> Table:
    rows = [
        (
            moment(one.action_time),
            one.actor.display_name or one.actor.id,
            _kind(one),
            str(one.candidate_id),
            one.moved_count,
            one.assignee,
            one.reason,
            one.action_id,
            f"undone by {one.undone_by}" if one.undone_by else f"undoes {one.undoes}" if one.undoes else "",
        )
        for one in actions
    ]
    return table(("when", "who", "what", "candidate", "moved", "for whom", "why", "action", ""), rows)


def _kind(action: pb.ReviewAction) -> str:
    name = pb.ReviewActionKind.Name(action.kind).removeprefix("REVIEW_ACTION_KIND_")
    return name.lower().replace("_", "-")


def _entity_id(winner: str) -> str:
    entity_id, record = read_who(winner) if winner else ("", None)
    if record is not None:
        raise InvalidInput("--winner takes an entity id: `review show` names both")
    return entity_id


def _after(duration: str) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(SystemClock().now() + dt.timedelta(seconds=seconds_of("--for", duration)))
    return stamp
