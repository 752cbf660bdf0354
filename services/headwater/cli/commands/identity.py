"""`headwater identity`: which records are the same, why, the two ways to correct it, and a whole file at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.table import Table
from rich.text import Text

from headwater.cli import bits
from headwater.cli.asking import asking
from headwater.cli.commands import identity_merging, identity_redo, identity_review, identity_weights
from headwater.cli.entities import find_entity, member_row
from headwater.cli.options import AsJson, DataDir, PageSize, PageToken, Tenant, Yes
from headwater.cli.output import facts, table
from headwater.cli.plain import moment, plain
from headwater.cli.scanning import run_scan
from headwater.cli.services import Services
from headwater.cli.session import Session, act, ask
from headwater.cli.surveying import Survey, survey
from headwater.cli.who import Who, read_fields, read_who
from headwater.identity.v1 import identity_pb2
from headwater.kernel.errors import InvalidInput

app = typer.Typer(
    rich_markup_mode="rich", no_args_is_help=True, help="Who is who: look, explain, merge, split."
)
app.add_typer(identity_review.app, name="review")
app.add_typer(identity_weights.app, name="weights")
app.command()(identity_weights.learn)
app.command()(identity_redo.redo)
app.command()(identity_redo.group)
for _merging in (identity_merging.merge, identity_merging.split, identity_merging.followed):
    app.command()(_merging)
app.command("follow-again")(identity_merging.follow_again)


@app.command()
@asking
async def entity(session: Session, services: Services, who: Who) -> None:
    """Show an entity: its records, and the rule that joined each.

    Example:

      headwater identity entity hubspot/contact/42
    """
    found = await find_entity(session, services, who)
    rows = [member_row(item) for item in found.members]
    about = {
        "entity": found.entity_id,
        "object": found.object,
        "merged into": found.merged_into,
        "since": moment(found.create_time),
    }
    session.output.result(plain(found), facts(about), table(("record", "rule", "resolved"), rows))


@app.command()
@asking
async def explain(
    session: Session,
    services: Services,
    left: Who,
    right: Who,
    page: Annotated[
        Path | None,
        typer.Option(
            "--html", dir_okay=False, help="Write it as a page, too; the file needs nothing beside it."
        ),
    ] = None,
) -> None:
    """Say why two records or entities are one or two: field by field, in bits that add up to the score exactly.

    A bar to the right speaks for their being one, to the left against; the length is the weight. 1 bit doubles
    the odds, 10 bits make them 1,000 to 1. Rarity is the part that a value's being rare makes: two Kellers
    say less than two Santanovs. Of entities, the best pair of their records is compared.

    Examples:

      headwater identity explain hubspot/contact/42 salesforce/contact/003A

      headwater identity explain hubspot/contact/42 salesforce/contact/003A --html why.html
    """
    left_id, left_record = read_who(left)
    right_id, right_record = read_who(right)
    request = identity_pb2.ExplainRequest(
        tenant_id=session.tenant_id,
        left_entity_id=left_id,
        left_record=left_record,
        right_entity_id=right_id,
        right_record=right_record,
    )
    found = await services.ask(services.identity.Explain, request)
    if page is not None:
        await anyio.Path(page).write_text(bits.page(found, left, right), encoding="utf-8")
        session.output.say(f"written to {page}")
    rows = [(key.kind, key.value, key.joins, key.blocked_by) for key in found.shared_keys]
    keys = table(("key", "value", "joins", "blocked by"), rows, title="shared identifiers") if rows else ""
    drawn = bits.waterfall(found) if found.fields else ""
    session.output.result(plain(found), Text(found.verdict), Text(bits.pair_line(found)), drawn, keys)


@app.command()
@asking
async def check(
    session: Session,
    services: Services,
    fields: Annotated[
        list[str], typer.Argument(help="FIELD=VALUE of the record to be created, as email=ann@firm.io.")
    ],
    object_name: Annotated[str, typer.Option("--object", help="Canonical object.")] = "contact",
) -> None:
    """Ask before a create: is there one already? Says which entity, its records per system, and what matched.

    Writes nothing. Ends with 0 whatever the answer is: programs read `answer` of --json.

    Example:

      headwater identity check email=ann@firm.io first_name=Ann last_name=Lee
    """
    request = identity_pb2.CheckDuplicateRequest(
        tenant_id=session.tenant_id, object=object_name, attributes=read_fields(fields)
    )
    found = await services.ask(services.identity.CheckDuplicate, request)
    session.output.result(plain(found), _ANSWERS[found.answer], _candidates_table(found.candidates))


@app.command()
@asking
async def candidates(
    session: Session,
    services: Services,
    limit: PageSize = 50,
    page_token: PageToken = "",
) -> None:
    """List pairs that share a key but were not merged, oldest first; `review list` ranks them."""
    request = identity_pb2.ListMergeCandidatesRequest(
        tenant_id=session.tenant_id, page_size=limit, page_token=page_token
    )
    found = await services.ask(services.identity.ListMergeCandidates, request)
    rows = [
        (item.object, item.entity_id, item.other_entity_id, item.rule, bits.record_name(item.record))
        for item in found.candidates
    ]
    more = f"more: --page-token {found.next_page_token}" if found.next_page_token else ""
    session.output.result(plain(found), table(("object", "entity", "other", "rule", "record"), rows), more)


@app.command()
def scan(
    into: Annotated[
        Path,
        typer.Option("--into", file_okay=False, help="Directory for the results; made if it is not there."),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="CSV with a header, JSON lines, or Parquet; without it the tenant's own records.",
        ),
    ] = None,
    object_name: Annotated[str, typer.Option("--object", help="contact, lead or account.")] = "contact",
    id_column: Annotated[
        str,
        typer.Option("--id-column", help="Column with the record's id; id, rec_id, record_id, external_id."),
    ] = "",
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", help="COLUMN that says nothing about who it is; may be repeated."),
    ] = None,
    mapped: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help="COLUMN=FIELD where a heading is unusual, as Vorname=first_name; repeatable."
        ),
    ] = None,
    region: Annotated[
        str,
        typer.Option(
            "--region", help="Two letters: where numbers and dates are read when a record does not tell."
        ),
    ] = "",
    learn: Annotated[
        bool,
        typer.Option("--learn", help="Learn the weights from this file; without it the shipped ones count."),
    ] = False,
    cores: Annotated[
        int, typer.Option("--cores", min=1, max=64, help="Worker processes; all cores by default.")
    ] = os.cpu_count() or 1,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the scratch directory.")] = False,
    tenant: Tenant = None,
    propose: Annotated[
        bool, typer.Option("--propose", help="Of a tenant: put what was found on the list for review.")
    ] = False,
    merge_them: Annotated[
        bool,
        typer.Option(
            "--merge", help="Of a tenant: merge what the merge rule allows, with --yes; each can be split."
        ),
    ] = False,
    yes: Yes = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Find the duplicates of a whole file or tenant: the groups that the service would come to, record by record.

    It only reports, unless --propose or --merge is given for a tenant: nothing else is sent to a service or a CRM.
    Entities that a person told apart are neither proposed nor merged. DIR then holds clusters.parquet and clusters.csv
    (record_id, group_id, merge_id, bits: records of one group are one thing; those with one merge_id may
    be merged in a CRM as well), review.csv (pairs a person should see, closest to the threshold first), and
    the figures as report.json, report.txt and report.html.

    Stopped or killed, it goes on where it was when it is called again with the same file and options.

    Examples:

      headwater identity scan contacts.csv --into scan --cores 2

      headwater identity scan firms.parquet --object account --id-column crm_id --into scan --learn

      headwater identity scan --tenant acme --into scan --propose
    """
    arguments = ["--cores", str(cores), "--region", region]
    arguments += [part for column in ignore or () for part in ("--ignore", column)]
    arguments += [part for pair in mapped or () for part in ("--map", pair)]
    arguments += [flag for flag, given in (("--learn", learn), ("--keep", keep)) if given]
    if file is None:
        how = Survey(object_name, into, arguments, propose=propose, merge=merge_them, yes=yes)
        ask(partial(_survey, how), as_json=as_json, data_dir=data_dir, tenant=tenant)
        return
    own = [str(file), "--into", str(into), "--object", object_name, "--id-column", id_column]

    def work(session: Session) -> None:
        if tenant or propose or merge_them:
            raise InvalidInput(
                "--tenant, --propose and --merge are for a tenant's own records: leave FILE out"
            )
        document = run_scan([*own, *arguments], session.output.err)
        shown = (into / "report.txt").read_text(encoding="utf-8")
        session.output.result(document, Text(shown), f"written to {into}; nothing else was changed")

    act(work, as_json=as_json, data_dir=data_dir)


async def _survey(how: Survey, session: Session, services: Services) -> None:
    document = await survey(session, services, how)
    shown = await anyio.Path(how.into / "report.txt").read_text(encoding="utf-8")
    rest = "nothing was changed; add --propose, or --merge --yes" if document["dry_run"] else "done"
    about = {
        "pairs safe to merge": document["safe_to_merge"],
        **{f"pairs {outcome.replace('_', ' ')}": count for outcome, count in document["proposals"].items()},
        "merged": document["merged"],
    }
    session.output.result(document, Text(shown), facts(about), f"written to {how.into}; {rest}")


_ANSWERS = {
    identity_pb2.DUPLICATE_ANSWER_UNSPECIFIED: "no answer",
    identity_pb2.DUPLICATE_ANSWER_EXISTS: "it exists: update the first entity instead of creating another",
    identity_pb2.DUPLICATE_ANSWER_SIMILAR: "something similar exists: look before you create",
    identity_pb2.DUPLICATE_ANSWER_NEW: "nothing like it is known: create it",
}


def _candidates_table(found: Sequence[identity_pb2.DuplicateCandidate]) -> Table | str:
    rows = [
        (
            one.entity.entity_id,
            bits.TIERS.get(one.tier, ""),
            one.bits,
            one.rule,
            ", ".join(f"{key.kind} {key.value}" for key in one.matched_keys),
            "\n".join(bits.record_name(member.record) for member in one.entity.members),
        )
        for one in found
    ]
    return table(("entity", "match", "bits", "rule", "matched on", "records"), rows) if rows else ""
