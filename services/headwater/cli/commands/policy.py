"""`headwater policy`: the tenant's policy, as text that is checked before it can be applied."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from headwater.cli import failures
from headwater.cli.asking import asking
from headwater.cli.differences import differences
from headwater.cli.options import Acknowledged, AsJson
from headwater.cli.output import table
from headwater.cli.plain import moment
from headwater.cli.policies import apply_policy, policy_history, policy_in_force
from headwater.cli.rolling import roll_out
from headwater.cli.services import Services
from headwater.cli.session import Session, act
from headwater.kernel.clock import SystemClock
from headwater.kernel.errors import NotFound
from headwater.policy.loading import PolicyRefused, load_policy, policy_digest
from headwater.sync.v1 import rollouts_pb2

app = typer.Typer(
    rich_markup_mode="rich", no_args_is_help=True, help="The tenant's policy: check, show, diff, apply."
)

File = Annotated[Path, typer.Argument(help="Policy document, YAML.", exists=True, dir_okay=False)]


@app.command()
def check(file: File, as_json: AsJson = False) -> None:
    """Check a document without any service: every fault with line, path and rule. Exit code 1 when there is one.

    Example:

      headwater policy check policy.yaml
    """

    def work(session: Session) -> None:
        text = file.read_text(encoding="utf-8")
        try:
            document = load_policy(text)
        except PolicyRefused as refused:
            rows = [(item.line, item.path, item.rule, item.message) for item in refused.faults]
            found = {
                "file": str(file),
                "applicable": False,
                "faults": [asdict(item) for item in refused.faults],
            }
            session.output.result(found, table(("line", "path", "rule", "what is wrong"), rows))
            raise typer.Exit(failures.FAILED) from None
        digest = policy_digest(text)
        found = {
            "file": str(file),
            "applicable": True,
            "version": document.version,
            "digest": digest,
            "faults": [],
        }
        session.output.result(found, f"{file}: version {document.version} (digest {digest}) can be applied")

    act(work, as_json=as_json, data_dir=None)


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
    await _print_diff(session, services, file.read_text(encoding="utf-8"))


@app.command("apply")
@asking
async def apply_file(
    session: Session,
    services: Services,
    file: File,
    canary: Annotated[
        bool,
        typer.Option(
            "--canary", help="Deliver what looks different again, a few records first; see `rollouts`."
        ),
    ] = False,
    connector: Annotated[str, typer.Option("--connector", help="With --canary: only to this account.")] = "",
    acknowledged: Acknowledged = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --canary: do it, instead of saying what it would do.")
    ] = False,
) -> None:
    """Put FILE in force. Applying the same again changes nothing; the one before can be applied again at any time.

    Without --canary a change of mappings shows in a CRM as its entities change next. With it, every record that
    looks different is delivered again in stages, and the policy before is put back when too many fail. Changes of
    single entities follow the new policy meanwhile. Each account is asked for automations that may fire and for
    required fields that no mapping writes; it begins when each of these is acknowledged by its name.

    Example:

      headwater policy diff policy.yaml && headwater policy apply policy.yaml --canary
    """
    text = file.read_text(encoding="utf-8")
    if canary:
        load_policy(text)
        wish = rollouts_pb2.RolloutWish(
            policy_document=text, connector=connector, acknowledged=acknowledged or ()
        )
        await roll_out(session, services, wish, yes=yes)
        return
    key, changed = await apply_policy(
        services, session.tenant_id, text, clock=SystemClock(), actor=session.actor
    )
    said = "in force" if changed else "was in force already"
    document = {
        "tenant_id": session.tenant_id,
        "digest": policy_digest(text),
        "event_key": key,
        "changed": changed,
    }
    session.output.result(document, f"{policy_digest(text)} {said} for {session.tenant_id} (event {key})")


async def _print_diff(session: Session, services: Services, text: str) -> None:
    after = load_policy(text).as_json()
    try:
        before = (await policy_in_force(services, session.tenant_id)).document().as_json()
    except NotFound:
        before = {}
    found = list(differences(before, after))
    rows = [(item.change, item.path, item.before, item.after) for item in found]
    shown = table(("change", "path", "before", "after"), rows) if rows else "no difference"
    session.output.result([asdict(item) for item in found], shown)
