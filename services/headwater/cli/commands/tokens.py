"""`headwater tokens`: API tokens for set-ups without an identity provider: make, list, take back."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from headwater.cli.options import AsJson, DataDir
from headwater.cli.output import table
from headwater.cli.session import Session, act
from headwater.kernel.clock import SystemClock
from headwater.kernel.errors import InvalidInput
from headwater.kernel.ids import TENANT_PATTERN
from headwater.kernel.security.principal import EVERY_TENANT
from headwater.kernel.security.scopes import breadth, scopes_of
from headwater.kernel.security.tokens import VARIABLE, TokenEntry, TokenFile, mint

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="API tokens for set-ups without an identity provider: make, list, take back.",
)

DAYS_DEFAULT: Final = 90
DAYS_MAX: Final = 3_650
SUBJECT_CHARS_MAX: Final = 128

TokensFile = Annotated[
    Path | None,
    typer.Option(
        "--file", help=f"The file (or {VARIABLE}); tokens.json in the data directory.", show_default=False
    ),
]
TokenId = Annotated[str, typer.Argument(help="Id of a token, as `headwater tokens list` shows it.")]


@app.command()
def create(
    subject: Annotated[str, typer.Argument(help="Who is to have it, for the audit.")],
    role: Annotated[
        list[str] | None,
        typer.Option("--role", help="producer, reader, operator, steward, auditor, admin, service; repeat."),
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="A single scope besides, as audit:read; repeat.")
    ] = None,
    tenant: Annotated[
        list[str] | None, typer.Option("--tenant", help="A tenant it is for; repeat.", show_default=False)
    ] = None,
    every_tenant: Annotated[bool, typer.Option("--every-tenant", help="It is for every tenant.")] = False,
    person: Annotated[bool, typer.Option("--person", help="A person has it, not a program.")] = False,
    days: Annotated[int, typer.Option("--days", min=1, max=DAYS_MAX, help="Its validity.")] = DAYS_DEFAULT,
    file: TokensFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and show it, once: what is kept is its hash.

    Services that read the file take it within a second; HEADWATER_TOKEN gives it to this command.

    Example:

      headwater tokens create gateway --role producer --tenant acme --days 30
    """

    def work(session: Session) -> None:
        tenants = (EVERY_TENANT,) if every_tenant else tuple(tenant or ())
        _check(subject, scopes_of(role or (), scope or ()), tenants)
        now = SystemClock().now()
        text, entry = mint(
            subject,
            roles=role or (),
            scopes=scope or (),
            tenants=tenants,
            created_time=now,
            expires_time=now + dt.timedelta(days=days),
            is_person=person,
        )
        _file(session, file).add(entry)
        session.output.result({"token": text, **_document(entry, now)}, text)
        session.output.say("this is the only time it is shown")

    act(work, as_json=as_json, data_dir=data_dir)


@app.command("list")
def list_tokens(file: TokensFile = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the tokens: whose, what for, until when, and what of them is broader than most work needs."""

    def work(session: Session) -> None:
        now = SystemClock().now()
        found = [_document(entry, now) for entry in _file(session, file).entries().values()]
        columns = ("token_id", "subject", "state", "expires_time", "roles", "tenants", "broad")
        rows = [[_cell(item[name]) for name in columns] for item in found]
        session.output.result({"tokens": found}, table(columns, rows) if rows else "there are none")

    act(work, as_json=as_json, data_dir=data_dir)


@app.command()
def revoke(
    token_id: TokenId, file: TokensFile = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Take a token back: services refuse it within a second, open streams too.

    Example:

      headwater tokens revoke 3f2a9c01b7de
    """

    def work(session: Session) -> None:
        now = SystemClock().now()
        entry = _file(session, file).revoke(token_id, now)
        session.output.result(_document(entry, now), f"the token of {entry.subject} is revoked")

    act(work, as_json=as_json, data_dir=data_dir)


@app.command()
def prune(file: TokensFile = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Remove what is revoked or expired from the file."""

    def work(session: Session) -> None:
        count = _file(session, file).prune(SystemClock().now())
        session.output.result({"removed": count}, f"{count} removed")

    act(work, as_json=as_json, data_dir=data_dir)


def _check(subject: str, scopes: frozenset[str], tenants: tuple[str, ...]) -> None:
    if not 1 <= len(subject.strip()) <= SUBJECT_CHARS_MAX or not subject.isprintable():
        raise InvalidInput(f"name who is to have it, in 1..{SUBJECT_CHARS_MAX} characters")
    if not scopes or not tenants:
        raise InvalidInput("a token needs a role or scope, and a tenant (--tenant NAME, or --every-tenant)")
    if bad := [name for name in tenants if name != EVERY_TENANT and not TENANT_PATTERN.fullmatch(name)]:
        raise InvalidInput(f"{', '.join(bad)}: a tenant is 1..63 of [a-z0-9_-]")


def _file(session: Session, given: Path | None) -> TokenFile:
    named = given or session.environment.get(VARIABLE, "").strip() or session.layout.data_dir / "tokens.json"
    return TokenFile(Path(named).expanduser().absolute())


def _document(entry: TokenEntry, now: dt.datetime) -> dict[str, Any]:
    return {
        "token_id": entry.token_id,
        "subject": entry.subject,
        "state": entry.state(now),
        "created_time": entry.created_time.isoformat(timespec="seconds"),
        "expires_time": entry.expires_time.isoformat(timespec="seconds") if entry.expires_time else None,
        "roles": [*entry.roles, *entry.scopes],
        "tenants": list(entry.tenants),
        "broad": list(breadth(entry.principal.scopes, entry.tenants, ends=entry.expires_time is not None)),
    }


def _cell(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value or "-")
