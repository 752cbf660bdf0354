"""`headwater identity learn` and `headwater identity weights`: what scores rest on, learnt, shown, chosen, taken back."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final

import grpc
import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from headwater.cli.asking import asking
from headwater.cli.options import Reason, Yes
from headwater.cli.output import facts, table
from headwater.cli.plain import moment, plain
from headwater.cli.services import Services, told
from headwater.cli.session import Session
from headwater.identity.v1 import weights_pb2 as pb

LEARNING_TIMEOUT_S: Final = 900.0
"""Longest wait for a run; the service has its own limit."""
SHOWN_BITS_MIN: Final = 0.05
"""A level that moves less is not shown to people; programs get all."""

app = typer.Typer(
    rich_markup_mode="rich", no_args_is_help=True, help="Weights of scoring: list, show, choose, roll back."
)


class WeightedObject(StrEnum):
    """Objects that have weights."""

    CONTACT = "contact"
    LEAD = "lead"
    ACCOUNT = "account"


ObjectOption = Annotated[WeightedObject, typer.Option("--object", help="Whose weights.")]
_OUTCOMES: Final = {
    pb.WEIGHTS_OUTCOME_KEPT: "nothing new: too little to learn from",
    pb.WEIGHTS_OUTCOME_UNCHANGED: "nothing new: no level moves",
    pb.WEIGHTS_OUTCOME_DOUBTFUL: "for a person to look at",
    pb.WEIGHTS_OUTCOME_FIT: "nothing speaks against it",
}


@asking
async def learn(
    session: Session,
    services: Services,
    objects: Annotated[
        list[WeightedObject] | None, typer.Option("--object", help="Only this object; may be repeated.")
    ] = None,
    activate: Annotated[
        bool, typer.Option("--activate", help="Use each version at once that nothing speaks against.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would come of it; keep nothing.")
    ] = False,
) -> None:
    """Learn weights from the tenant's own records and from people's answers, and keep them as a new version.

    Learnt without labels from pairs that share a strong key; answers of the review queue improve it, few of them
    little. A version that agrees less with answers held out to judge, or that moves a level far, waits for a
    person in any case; so do all without --activate: `weights show` and `weights activate` follow.

    Examples:

      headwater identity learn --dry-run

      headwater identity learn --object contact --activate
    """
    request = pb.LearnWeightsRequest(
        tenant_id=session.tenant_id,
        objects=[one.value for one in objects or ()],
        activate=activate,
        validate_only=dry_run,
        actor=session.actor,
    )
    found = await _follow(session, services, request)
    shown = [item for one in found for item in _result(one, dry_run=dry_run)]
    document = {"dry_run": dry_run, "results": [plain(one) for one in found]}
    session.output.result(document, *(shown or ["no records to learn from"]))


@app.command("list")
@asking
async def list_weights(
    session: Session,
    services: Services,
    object_name: Annotated[
        WeightedObject | None, typer.Option("--object", help="Only this object.", show_default=False)
    ] = None,
) -> None:
    """List the versions that are kept, newest first; where none is active, the shipped weights count."""
    request = pb.ListWeightsRequest(
        tenant_id=session.tenant_id, object=object_name.value if object_name else ""
    )
    found = await services.ask(services.weights.ListWeights, request)
    rows = [
        (
            one.object,
            str(one.version),
            "active" if one.active else "",
            pb.WeightsMaker.Name(one.made_by).removeprefix("WEIGHTS_MAKER_").lower(),
            one.source.records,
            one.source.pairs,
            one.source.answers,
            _agreed(one.source),
            moment(one.create_time),
            "; ".join(one.source.findings),
        )
        for one in found.versions
    ]
    columns = ("object", "version", "", "made by", "records", "pairs", "answers", "held out", "when", "look")
    none = "only the shipped weights, version 0"
    session.output.result(plain(found), table(columns, rows) if rows else none)


@app.command()
@asking
async def show(
    session: Session,
    services: Services,
    version: Annotated[
        int | None,
        typer.Argument(min=0, help="0 for the shipped weights; the one that counts by default."),
    ] = None,
    object_name: ObjectOption = WeightedObject.CONTACT,
) -> None:
    """Show one version: every level's bits beside those it was held against, and who made which version count.

    Example:

      headwater identity weights show 3 --object account
    """
    request = pb.GetWeightsRequest(tenant_id=session.tenant_id, object=object_name.value)
    if version is not None:
        request.version = version
    found = await services.ask(services.weights.GetWeights, request)
    one = found.version
    about = {
        "object": one.object,
        "version": f"{one.version} ({one.weights_version})",
        "active": one.active,
        "held against": str(one.base_version) if one.version else "",
        "records": one.source.records or None,
        "pairs": one.source.pairs or None,
        "answers": one.source.answers or None,
        "held-out answers": _agreed(one.source),
        "to look at": "; ".join(one.source.findings),
    }
    levels = _levels_table(found.levels, every=True)
    session.output.result(plain(found), facts(about), levels, _activations(found.activations))


@app.command()
@asking
async def activate(
    session: Session,
    services: Services,
    version: Annotated[int, typer.Argument(min=0, help="0 for the shipped weights.")],
    object_name: ObjectOption = WeightedObject.CONTACT,
    reason: Reason = "",
    yes: Yes = False,
) -> None:
    """Make a version count from the next batch on. Without --yes it shows what would change.

    Groups that stand are judged anew when a record of theirs is touched, not before. `weights rollback` undoes it.
    """
    look = pb.GetWeightsRequest(tenant_id=session.tenant_id, object=object_name.value, version=version)
    shown = await services.ask(services.weights.GetWeights, look)
    levels = _levels_table(shown.levels, every=False)
    if not yes:
        document = {"dry_run": True, **plain(shown)}
        session.output.result(document, levels, f"would activate version {version}; add --yes to do it")
        return
    request = pb.ActivateWeightsRequest(
        tenant_id=session.tenant_id,
        object=object_name.value,
        version=version,
        actor=session.actor,
        activation_reason=reason,
    )
    found = await services.ask(services.weights.ActivateWeights, request)
    done = f"version {version} counts for {object_name.value}; undo with: headwater identity weights rollback"
    if not found.HasField("activation"):
        done = f"version {version} counts already"
    session.output.result(plain(found) | {"dry_run": False}, done)


@app.command()
@asking
async def rollback(
    session: Session,
    services: Services,
    object_name: ObjectOption = WeightedObject.CONTACT,
    reason: Reason = "",
    yes: Yes = False,
) -> None:
    """Take the last activation back: the version that it replaced counts again. Without --yes nothing is changed."""
    look = pb.GetWeightsRequest(tenant_id=session.tenant_id, object=object_name.value)
    counts = (await services.ask(services.weights.GetWeights, look)).version.version
    if not yes:
        document = {"dry_run": True, "version": counts}
        session.output.result(document, f"would take back version {counts}; add --yes to do it")
        return
    request = pb.RollbackWeightsRequest(
        tenant_id=session.tenant_id,
        object=object_name.value,
        version=counts,
        actor=session.actor,
        rollback_reason=reason,
    )
    found = await services.ask(services.weights.RollbackWeights, request)
    done = f"version {found.activation.version} counts for {object_name.value} again"
    session.output.result(plain(found) | {"dry_run": False}, done)


async def _follow(
    session: Session, services: Services, request: pb.LearnWeightsRequest
) -> list[pb.LearningResult]:
    """Follow a run to its end; a line of progress for who watches."""
    console = session.output.err
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    results: list[pb.LearningResult] = []
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        line = bars.add_task("reading records")
        try:
            async for one in services.weights.LearnWeights(request, timeout=LEARNING_TIMEOUT_S):
                if one.HasField("result"):
                    results.append(one.result)
                    continue
                said = one.progress
                words = f"{said.stage} {said.object}".strip()
                bars.update(line, description=f"{words}: {said.records:,} records")
        except grpc.aio.AioRpcError as error:
            raise told(error, services.addresses, type(request).__module__) from error
    return results


def _result(one: pb.LearningResult, *, dry_run: bool) -> Iterable[Table | Text | str]:
    state = "active now" if one.active else _OUTCOMES.get(one.outcome, "")
    about = {
        "object": one.object,
        "outcome": state,
        "records": one.source.records,
        "pairs": one.source.pairs,
        "answers": one.source.answers,
        "held-out answers": _agreed(one.source),
        "to look at": "; ".join(one.source.findings),
    }
    yield facts(about)
    if one.levels:
        yield _levels_table(one.levels, every=False)
    if one.version and not one.active:
        yield (
            f"kept as version {one.version}: headwater identity weights activate {one.version} "
            f"--object {one.object} --yes"
        )
    elif dry_run:
        yield "nothing was kept"


def _agreed(source: pb.WeightsSource) -> str:
    if not source.held_answers:
        return ""
    return f"{source.agreed_after} of {source.held_answers} as people said, {source.agreed_before} before"


def _levels_table(levels: Iterable[pb.LevelBits], *, every: bool) -> Table:
    rows = [
        (one.field, one.level, f"{one.bits_before:.2f}", f"{one.bits:.2f}", f"{moved:+.2f}" if moved else "")
        for one in levels
        if abs(moved := round(one.bits - one.bits_before, 4)) >= SHOWN_BITS_MIN or every
    ]
    return table(("field", "level", "bits before", "bits", "moves"), rows)


def _activations(found: Iterable[pb.WeightsActivation]) -> Table | str:
    rows = [
        (
            moment(one.activate_time),
            one.actor.display_name or one.actor.id,
            "rollback" if one.rollback else "activate",
            str(one.previous_version),
            str(one.version),
            one.reason,
        )
        for one in found
    ]
    return table(("when", "who", "what", "from", "to", "why"), rows) if rows else ""
