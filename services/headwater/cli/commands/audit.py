"""`headwater audit`: what was done by whom, and proof that the record of it was not changed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from headwater.audit.exports import EntryProof, NoExport, complaint_of, encode, read_proof
from headwater.cli.asking import asking
from headwater.cli.auditing import (
    Anchor,
    export_audit,
    moment_of,
    verdict_document,
    verdict_shown,
    verify_file,
)
from headwater.cli.failures import TAMPERED
from headwater.cli.options import PageToken, Reason, Yes
from headwater.cli.output import facts, table
from headwater.cli.plain import moment, plain
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.kernel.errors import InvalidInput
from headwater.sync.v1 import audit_pb2 as pb

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="What was done by whom, and proof that the record of it was not changed: verify, search, export, prove, erase.",
)

Places = Annotated[
    list[Path] | None,
    typer.Option(
        "--checkpoints",
        help="Directory of checkpoints kept elsewhere; may be repeated. The stack's own where it has one.",
        show_default=False,
    ),
]
KeyIds = Annotated[
    list[str] | None,
    typer.Option(
        "--key", help="Trust only this key id, in hexadecimal; may be repeated.", show_default=False
    ),
]
Export = Annotated[
    Path | None,
    typer.Option("--export", help="Verify this file, not the service.", show_default=False, exists=True, dir_okay=False),
]  # fmt: skip
Proof = Annotated[
    Path | None,
    typer.Option("--proof", help="Verify the proof of one entry.", show_default=False, exists=True, dir_okay=False),
]  # fmt: skip
Since = Annotated[str, typer.Option("--since", help="Not before: 2026-01-31, 2026-01-31T12:00, or 2h for two hours ago.")]  # fmt: skip
Until = Annotated[str, typer.Option("--until", help="Before: as --since.")]
Rows = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Entries at most.")]
_PAGE_ROWS = 500


@app.command()
@asking
async def verify(
    session: Session,
    services: Services,
    export: Export = None,
    checkpoints: Places = None,
    key: KeyIds = None,
    proof: Proof = None,
) -> None:
    """Verify that no entry was changed, taken away, put in or moved since it was numbered.

    Reads every entry from the service, or from a file that `audit export` wrote: then no service and no database is
    needed. Checkpoints from a second place find what somebody who can write the database has done.

    Exit code 0: sound. 3: tampered with; the first bad number and the kind are told: edited, deleted, inserted,
    reordered, restamped (hashes made anew over changed entries), truncated or forked (another history was signed).

    Examples:

      headwater audit verify

      headwater audit verify --checkpoints /mnt/witness/audit

      headwater audit verify --export audit.jsonl --checkpoints /mnt/witness/audit --json

      headwater audit verify --proof entry-42.json --checkpoints /mnt/witness/audit
    """
    anchor = _anchor(session, checkpoints, key, own=export is None and proof is None)
    if proof is not None:
        _verify_proof(session, proof, anchor)
    elif export is not None:
        _conclude(session, export, anchor)
    else:
        with tempfile.TemporaryDirectory(prefix="headwater-audit-") as directory:
            path = Path(directory) / "audit.jsonl"
            with path.open("wb") as file:
                await export_audit(services, session.tenant_id, file, session.output.err)
            _conclude(session, path, anchor)


@app.command()
@asking
async def search(
    session: Session,
    services: Services,
    entity: Annotated[str, typer.Option(help="Entity concerned.")] = "",
    event: Annotated[str, typer.Option(help="Event that led to it.")] = "",
    actor: Annotated[str, typer.Option(help="Who did it, exactly.")] = "",
    action: Annotated[str, typer.Option(help="What was done, exactly: field_changed, delivered, …")] = "",
    connector: Annotated[str, typer.Option(help="Connector account concerned.")] = "",
    since: Since = "",
    until: Until = "",
    limit: Rows = 50,
    page_token: PageToken = "",
) -> None:
    """Find entries, newest first.

    Examples:

      headwater audit search --actor ann --since 2d

      headwater audit search --entity 01994e0a-5c3b-7c52-9b0f-3f0f0f3f0f3f --json

      headwater audit search --connector hubspot --action delivered --since 2026-01-31 --until 2026-02-01
    """
    request = pb.SearchAuditRequest(
        tenant_id=session.tenant_id,
        entity_id=entity,
        event_key=event,
        actor=actor,
        action=action,
        connector=connector,
        since_time=moment_of("--since", since),
        until_time=moment_of("--until", until),
        page_token=page_token,
    )
    found = pb.SearchAuditResponse()
    while True:
        request.page_size = min(_PAGE_ROWS, limit - len(found.entries))
        page = await services.ask(services.audit.SearchAudit, request)
        found.entries.extend(page.entries)
        found.next_page_token = request.page_token = page.next_page_token
        if not page.next_page_token or len(found.entries) >= limit:
            break
    more = f"more: --page-token {found.next_page_token}" if found.next_page_token else ""
    session.output.result(plain(found), _shown(found.entries), more)


@app.command()
@asking
async def export(
    session: Session,
    services: Services,
    file: Annotated[Path, typer.Argument(help="File to write: JSON lines.")],
) -> None:
    """Write the whole audit to a file that can be verified without this system: entries, hashes, checkpoints, keys.

    Example:

      headwater audit export audit.jsonl && headwater audit verify --export audit.jsonl
    """
    part = file.with_name(file.name + ".part")
    with part.open("wb") as written:
        front = await export_audit(services, session.tenant_id, written, session.output.err)
    part.replace(file)
    told = {
        "file": str(file),
        "tenant_id": front.header.tenant_id,
        "entries": front.header.size,
        "checkpoints": front.header.checkpoints,
    }
    session.output.result(told, facts(told))


@app.command()
@asking
async def prove(
    session: Session,
    services: Services,
    audit_id: Annotated[int, typer.Argument(help="audit_id, as search shows it.", metavar="AUDIT_ID")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the proof to this file.", show_default=False)
    ] = None,
    checkpoints: Places = None,
) -> None:
    """Prove one entry under a signed checkpoint, and check the proof.

    What --out writes proves that entry alone to whoever knows the key, and tells nothing of any other.

    Example:

      headwater audit prove 42 --out entry-42.json && headwater audit verify --proof entry-42.json
    """
    request = pb.ProveAuditEntryRequest(tenant_id=session.tenant_id, audit_id=audit_id)
    found = await services.ask(services.audit.ProveAuditEntry, request)
    head = await services.ask(
        services.audit.GetAuditHead, pb.GetAuditHeadRequest(tenant_id=session.tenant_id)
    )
    made = msgspec.json.encode(
        {
            "format": "headwater-audit-proof/1",
            "entry": msgspec.Raw(found.entry),
            "path": list(found.path),
            "checkpoint": msgspec.Raw(found.checkpoint),
            "keys": [msgspec.Raw(key) for key in head.keys],
        }
    )
    if out is not None:
        out.write_bytes(made + b"\n")
    _tell_proof(session, read_proof(made), _anchor(session, checkpoints, None, own=True))


@app.command()
@asking
async def erase(
    session: Session,
    services: Services,
    entity: Annotated[str, typer.Argument(help="Entity whose values are erased.")],
    reason: Reason,
    yes: Yes = False,
) -> None:
    """Erase the values that the audit has of an entity, for good; that something was done, by whom and when, stays.

    Every proof stands, and `audit verify` tells erased from edited. What approvals, providers' answers, snapshots of
    merges and errors keep of the entity goes with them; the entity itself, its records and the event log stay. Without
    --yes it only says how much that is.

    Example:

      headwater audit erase 01994e0a-5c3b-7c52-9b0f-3f0f0f3f0f3f --reason "request 4711" --yes
    """
    request = pb.EraseAuditValuesRequest(
        tenant_id=session.tenant_id, entity_id=entity, reason=reason, actor=session.actor, dry_run=not yes
    )
    found = await services.ask(services.audit.EraseAuditValues, request)
    entries = f"the values of {found.erased_count:,} entries and of {found.trace_count:,} rows elsewhere"
    done = f"{entries} are erased" if yes else f"{entries} would be erased; add --yes to do it"
    if found.held_count:
        done += (
            f"; {found.held_count:,} merges of its records are under way: once they have ended, erase again"
        )
    session.output.result({**plain(found), "entity_id": entity, "dry_run": not yes}, done)


def _anchor(session: Session, places: list[Path] | None, keys: list[str] | None, *, own: bool) -> Anchor:
    """Return what is trusted: what is named, or the stack's own second place where it has one."""
    chosen = list(places or [])
    if missing := [place for place in chosen if not place.is_dir()]:
        raise InvalidInput(f"--checkpoints {missing[0]}: there is no such directory")
    if not chosen and own and session.layout.audit.is_dir():
        chosen = [session.layout.audit]
    return Anchor(chosen, [key.lower() for key in keys or []])


def _conclude(session: Session, path: Path, anchor: Anchor) -> None:
    front, verdict = verify_file(path, anchor, session.output.err)
    session.output.result(verdict_document(front, verdict, anchor), *verdict_shown(front, verdict, anchor))
    if not verdict.is_sound:
        raise typer.Exit(TAMPERED)


def _verify_proof(session: Session, path: Path, anchor: Anchor) -> None:
    try:
        proof = read_proof(path.read_bytes())
    except NoExport as error:
        raise InvalidInput(f"{path}: {error}", reason="NO_PROOF") from error
    _tell_proof(session, proof, anchor)


def _tell_proof(session: Session, proof: EntryProof, anchor: Anchor) -> None:
    told = [item for place in anchor.checkpoints(proof.entry.tenant_id) for item in place]
    complaint = complaint_of(proof, anchor.keys(proof.keys), told)
    entry, sealed = proof.entry, proof.checkpoint
    document: dict[str, Any] = {
        "sound": not complaint,
        "complaint": complaint,
        "seq": entry.seq,
        "audit_id": entry.audit_id,
        "size": sealed.size,
        "root": sealed.root.hex(),
        "key_id": sealed.key_id.hex(),
        "proof": msgspec.json.decode(encode(proof)),
    }
    shown = {
        "number": entry.seq,
        "audit id": entry.audit_id,
        "when": f"{entry.audit_time:%Y-%m-%d %H:%M:%S.%f}Z",
        "who": entry.actor,
        "what": entry.action,
        "entity": entry.entity_id or "",
        "values": "erased" if entry.is_erased else "as committed to",
        "under the checkpoint of": f"{sealed.size} entries, signed {sealed.time:%Y-%m-%d %H:%M:%S}Z",
        "root": sealed.root.hex(),
        "key": sealed.key_id.hex(),
    }
    verdict = f"[bold red]proves nothing[/]: {complaint}" if complaint else "[bold green]proven[/]"
    session.output.result(document, facts(shown), verdict)
    if complaint:
        raise typer.Exit(TAMPERED)


def _shown(entries: Any) -> Any:
    rows = [
        (
            str(entry.audit_id),
            moment(entry.audit_time),
            entry.actor,
            entry.action,
            entry.connector,
            entry.entity_id,
            "; ".join(f"{one.field}: {one.before_json} → {one.after_json}" for one in entry.changes),
        )
        for entry in entries
    ]
    return table(("audit id", "time", "who", "what", "account", "entity", "changes"), rows)
