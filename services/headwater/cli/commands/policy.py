"""`headwater policy`: the tenant's policy, as text that is checked before it can be applied."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.text import Text

from headwater.cli import failures
from headwater.cli.asking import asking
from headwater.cli.foreseeing import difference_table, foresee, impact_tables
from headwater.cli.options import Acknowledged, AsJson, PageSize, PageToken
from headwater.cli.output import table
from headwater.cli.plain import moment, plain
from headwater.cli.policies import policy_history, policy_in_force
from headwater.cli.policy_files import fault_lines, read_policy, schema, starter_text
from headwater.cli.reforming import (
    earlier_version,
    look_ahead,
    policy_difference,
    put_in_force,
    versions_table,
)
from headwater.cli.reviewing import last_reviews, order_review, review_document, review_page, review_tables
from headwater.cli.rolling import roll_out
from headwater.cli.services import Services
from headwater.cli.session import Session, act
from headwater.cli.staging import look_ahead_staged, show_status
from headwater.policy.loading import PolicyRefused, policy_digest
from headwater.sync.v1 import policies_pb2, rollouts_pb2

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="The tenant's policy: init, check, show, diff, impact, apply, status, versions, rollback, review.",
)

File = Annotated[Path, typer.Argument(help="Policy document: a YAML file, or a folder of them.", exists=True)]


@app.command()
def check(file: File, as_json: AsJson = False) -> None:
    """Check a document without any service: every fault with line, column, rule and what to do about it.

    Exit code 1 when there is one. A folder's files are one document.

    Example:

      headwater policy check policy.yaml
    """

    def work(session: Session) -> None:
        try:
            read = read_policy(file)
        except PolicyRefused as refused:
            found = {
                "file": str(file),
                "applicable": False,
                "faults": [asdict(item) for item in refused.faults],
            }
            session.output.result(found, *(Text(line) for line in fault_lines(file, refused.faults)))
            raise typer.Exit(failures.FAILED) from None
        document, digest = read.document, policy_digest(read.text)
        notes = [f"{item.place}: {item.why}" for item in document.left_out]
        found = {
            "file": str(file),
            "applicable": True,
            "version": document.version,
            "digest": digest,
            "faults": [],
            "notes": notes,
        }
        said = f"{file}: version {document.version} (digest {digest}) can be applied"
        session.output.result(found, said, *(Text(f"note: {note}") for note in notes))

    act(work, as_json=as_json, data_dir=None)


@app.command()
def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.", dir_okay=False)] = Path("policy.yaml"),
    as_json: AsJson = False,
) -> None:
    """Write a policy to begin with, for HubSpot, Salesforce, Gmail, forms and enrichment; it says what each part means.

    A file that is there already is left alone, and the command ends with code 1.

    Example:

      headwater policy init policy.yaml && headwater policy check policy.yaml
    """

    def work(session: Session) -> None:
        text = starter_text()
        with file.open("x", encoding="utf-8") as made:
            made.write(text)
        said = f"{file}: written; put in your base URLs, then `headwater policy check {file}`"
        session.output.result({"file": str(file), "digest": policy_digest(text)}, Text(said))

    act(work, as_json=as_json, data_dir=None)


@app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of policies, for editors: completion, hints and the shape's faults while typing.

    Example:

      headwater policy schema > headwater-policy.schema.json
    """
    typer.echo(json.dumps(schema(), ensure_ascii=False, indent=2))


@app.command()
@asking
async def show(
    session: Session,
    services: Services,
    history: Annotated[bool, typer.Option("--history", help="List every version instead.")] = False,
) -> None:
    """Print the policy in force."""
    if history:
        listed = await policy_history(services, session.tenant_id)
        rows = [(moment(item.recorded.record_time), item.digest, item.event_key) for item in listed]
        names = ("recorded", "digest", "event_key")
        session.output.result([dict(zip(names, row, strict=True)) for row in rows], table(names, rows))
        return
    found = await policy_in_force(services, session.tenant_id)
    document = {
        "digest": found.digest,
        "event_key": found.event_key,
        "document": found.document().as_json(),
    }
    if session.output.as_json:
        session.output.result(document)
    else:
        typer.echo(found.text, nl=not found.text.endswith("\n"))


@app.command()
@asking
async def diff(session: Session, services: Services, file: File) -> None:
    """Show what FILE would change in the policy in force, path by path, defaults filled in."""
    await _print_diff(session, services, read_policy(file).text)


@app.command()
@asking
async def impact(session: Session, services: Services, file: File) -> None:
    """Say what FILE would change on the live data; changes nothing.

    Every entity is computed under it as it would be: which change, in which fields, what each CRM would be told, in
    how many calls. Exact up to 200,000 entities, beyond that from a sample, with the interval it lies in.

    Example:

      headwater policy impact policy.yaml
    """
    text = read_policy(file).text
    found = await foresee(session, services, text)
    session.output.result(plain(found), *impact_tables(found))


@app.command()
@asking
async def versions(
    session: Session, services: Services, limit: PageSize = 50, page_token: PageToken = ""
) -> None:
    """List the policies that came into force, the newest first, with what each has changed."""
    request = policies_pb2.ListPolicyVersionsRequest(
        tenant_id=session.tenant_id, page_size=limit, page_token=page_token
    )
    found = await services.ask(services.policies.ListPolicyVersions, request)
    more = f"more: --page-token {found.next_page_token}" if found.next_page_token else ""
    session.output.result(plain(found), versions_table(found.versions), more)


@app.command()
@asking
async def status(session: Session, services: Services) -> None:
    """Show the policy in force and the change that is staged, or was last: its stages, and the entities reached first.

    Of these each field is shown before and after, with what the entity shows and each CRM holds now. Go on or back with
    `rollouts approve`, `hold` and `abort`.
    """
    await show_status(session, services)


@app.command("apply")
@asking
async def apply_file(
    session: Session,
    services: Services,
    file: File,
    canary: Annotated[
        bool,
        typer.Option(
            "--canary",
            help="Let it hold for a few entities first, then for more, then for all; see `status`.",
        ),
    ] = False,
    connector: Annotated[str, typer.Option("--connector", help="With --canary: only to this account.")] = "",
    acknowledged: Acknowledged = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --canary: do it, instead of saying what it would do.")
    ] = False,
) -> None:
    """Put FILE in force, having said what that changes. Applying the same again changes nothing.

    Entities that show other values under it are renewed and delivered at once, behind live traffic; `versions` shows
    how far that is, `rollback` takes it back. A change of mappings alone shows in a CRM as its entities change next.
    With --canary and without --yes it says what would be reached first, field by field, in which stages, with how many
    calls. With --yes the new policy holds for those entities alone; all others go on by the one before, until it is their
    stage. When too many of their deliveries fail, or with `rollouts abort`, the one before is put back and written
    back. A change of mappings alone is in force at once, and each account's records are delivered again in stages.
    Each account is asked for automations that may fire and for required fields that no mapping writes; it begins when
    each of these is acknowledged by its name.

    Example:

      headwater policy impact policy.yaml && headwater policy apply policy.yaml
    """
    text = read_policy(file).text
    if canary:
        wish = rollouts_pb2.RolloutWish(
            policy_document=text, connector=connector, acknowledged=acknowledged or ()
        )
        await roll_out(session, services, wish, yes=yes, staged=look_ahead_staged)
        return
    foreseen = await look_ahead(session, services, text)
    foreseen.show(session.output)
    document, said = await put_in_force(session, services, text)
    session.output.result(document | foreseen.document, said)


@app.command()
@asking
async def rollback(
    session: Session,
    services: Services,
    to: Annotated[
        str, typer.Option("--to", help="Digest of the version, as `policy show --history` lists it.")
    ] = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it; without this the command only says what it would do.")
    ] = False,
) -> None:
    """Put an earlier policy in force again, by default the one before; without --yes say what that would change.

    Entities are renewed under it as after any other change. Rolling back again takes the rollback back. While a change
    is staged, the policy before it is put back for all, and the change ends.

    Example:

      headwater policy rollback --to 0123456789abcdef --yes
    """
    history = await policy_history(services, session.tenant_id)
    target = earlier_version(history, to)
    foreseen = await look_ahead(session, services, target.text)
    if not yes:
        document = {"dry_run": True, "digest": target.digest, **foreseen.document}
        foreseen.show(session.output)
        session.output.result(
            document, f"nothing was changed; add --yes to put {target.digest} in force again"
        )
        return
    foreseen.show(session.output)
    document, said = await put_in_force(session, services, target.text)
    session.output.result(document | {"dry_run": False} | foreseen.document, said)


@app.command()
@asking
async def review(
    session: Session,
    services: Services,
    connector: Annotated[str, typer.Option("--connector", help="Only this account.")] = "",
    run: Annotated[
        bool, typer.Option("--run", help="Order a review now; show it with the next call.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", dir_okay=False, help="Write it as a page, too.")
    ] = None,
) -> None:
    """Show the last quarterly review of each account: mapped fields that nobody uses, scopes and grants too wide.

    A mapped field counts as unused when no record ever had a value of it, or none that is newer than 90 days, in the
    direction in which it is mapped. Besides: lines of the scopes that allow what no mapping does, OAuth scopes that
    were granted and are not needed, secrets that are mapped and not written, accounts whose owner is their backup.

    Examples:

      headwater policy review --run && headwater policy review

      headwater policy review --html review.html
    """
    if run:
        ordered = list(await order_review(session, services, connector))
        session.output.result(
            {"ordered": ordered}, f"ordered: {', '.join(ordered)}; see headwater policy review"
        )
        return
    found = await last_reviews(session, services, connector)
    if html is not None:
        await anyio.Path(html).write_text(review_page(found, session.tenant_id), encoding="utf-8")
        session.output.say(f"written to {html}")
    session.output.result(review_document(found), *review_tables(found))


async def _print_diff(session: Session, services: Services, text: str) -> None:
    found = await policy_difference(services, session.tenant_id, text)
    session.output.result([asdict(item) for item in found], difference_table(found))
