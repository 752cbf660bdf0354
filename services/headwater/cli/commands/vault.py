"""`headwater vault`: credentials of connector accounts, sealed in the database. Nothing here prints a secret."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headwater.cli.commands.migrate import database_of
from headwater.cli.options import AsJson, DataDir, Tenant
from headwater.cli.output import facts, table
from headwater.cli.session import Session, Unconfirmed, act
from headwater.cli.vaulting import VaultFailed, asked_fields, rewrapping, run_vault
from headwater.kernel.pg.dsn import DATABASE_URL_VARIABLE

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Credentials of connector accounts, sealed in the database under keys that are not in it. "
    f"Runs where the services run: it needs the database (or {DATABASE_URL_VARIABLE}) and the key ring.",
)

Connection = Annotated[str, typer.Argument(help="Name of the connection; a policy says `vault:NAME`.")]
KeyId = Annotated[str, typer.Argument(help="Id of the key, as `vault status` lists it.")]
FIELDS = ("client_id", "client_secret", "refresh_token")


@app.command()
def init(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Make the first key, in the key ring (vault-keys.json in the data directory, readable by this account alone).

    Back the key ring up, apart from the database: without it nothing in the vault can be opened. Safe to repeat.

    Example:

      headwater vault init
    """

    def work(session: Session) -> None:
        report = _ordered(session, command="init")
        session.output.result(report, facts({"active key": report["key_id"], "key ring": report["ring"]}))

    act(work, as_json=as_json, data_dir=data_dir)


@app.command(name="set")
def set_(
    name: Connection,
    field: Annotated[
        list[str] | None,
        typer.Option(
            "--field", help="Field to ask for; may be repeated. OAuth's by default.", show_default=False
        ),
    ] = None,
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Store a secret in place of what NAME held: typed unseen, or a JSON object of texts on stdin.

    Accounts that use it go on with it at once, without a restart.

    Example:

      headwater vault set hubspot-main < credentials.json
    """

    def work(session: Session) -> None:
        fields = asked_fields(tuple(field or FIELDS))
        report = _ordered(session, command="set", connection=name, fields=fields)
        shown = facts(
            {
                "connection": f"vault:{name}",
                "version": report["version"],
                "fields": ", ".join(report["fields"]),
            }
        )
        session.output.result(report, shown)

    act(work, as_json=as_json, data_dir=data_dir, tenant=tenant)


@app.command(name="list")
def list_(tenant: Tenant = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List a tenant's connections: names of fields, never their values.

    Example:

      headwater vault list --tenant acme
    """

    def work(session: Session) -> None:
        report = _ordered(session, command="list")
        columns = ("connection", "fields", "version", "key", "state", "finding")
        rows = [
            (item["connection"], ", ".join(item["fields"]), item["version"], item["key_id"], item["state"], item["finding"])
            for item in report["connections"]
        ]  # fmt: skip
        session.output.result(
            report, table(columns, rows) if rows else "the vault holds nothing of this tenant"
        )

    act(work, as_json=as_json, data_dir=data_dir, tenant=tenant)


@app.command()
def remove(
    name: Connection,
    yes: Annotated[bool, typer.Option("--yes", help="Do it.")] = False,
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Remove a connection for good. Accounts that use it stop until it is set again.

    Example:

      headwater vault remove hubspot-old --yes
    """

    def work(session: Session) -> None:
        if not yes:
            raise Unconfirmed(f"connection {name!r} would be gone for good; say --yes to do it")
        report = _ordered(session, command="remove", connection=name)
        session.output.result(report, f"connection {name} is removed")

    act(work, as_json=as_json, data_dir=data_dir, tenant=tenant)


@app.command()
def rotate(
    batch: Annotated[
        int, typer.Option("--batch", min=1, max=2_000, help="Data keys of one transaction.")
    ] = 200,
    prepare: Annotated[
        bool,
        typer.Option(
            "--prepare", help="Only make the next key in the key ring, to be copied to other machines first."
        ),
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let a new key wrap, and wrap every data key with it while deliveries go on.

    Interrupted or killed, it goes on where it was when it is called again: no second key is made meanwhile.
    Afterwards `headwater vault retire KEY` takes the old key away, once it is proven unused. Where services run on
    several machines, say --prepare first, bring the key ring to all of them, then rotate.

    Example:

      headwater vault rotate
    """

    def work(session: Session) -> None:
        if prepare:
            report = _ordered(session, command="prepare")
            session.output.result(report, facts({"next key": report["key_id"], "key ring": report["ring"]}))
            return
        with rewrapping(session) as hear:
            report = _ordered(session, hear, command="rotate", batch=batch)
        told = {name: report[name] for name in ("key_id", "rewrapped", "left")}
        failed = [(item[1], item[0], item[2]) for item in report["failed"]]
        session.output.result(
            report, facts(told), *([table(("connection", "tenant", "why"), failed)] if failed else [])
        )
        if report["left"]:
            raise VaultFailed(
                f"{report['left']:,} data keys are still wrapped by an old key", reason="ROTATION_LEFT"
            )

    act(work, as_json=as_json, data_dir=data_dir)


@app.command()
def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show every key: its state, how many data keys it wraps, and whether it may be retired.

    Example:

      headwater vault status
    """

    def work(session: Session) -> None:
        report = _ordered(session, command="status")
        columns = ("key", "state", "connections", "in the ring", "may be retired", "finding")
        names = ("key_id", "state", "connections", "in_ring", "may_retire", "finding")
        rows = [tuple(item[name] for name in names) for item in report["keys"]]
        session.output.result(report, facts({"key ring": report["ring"]}), table(columns, rows))

    act(work, as_json=as_json, data_dir=data_dir)


@app.command()
def retire(key: KeyId, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Retire a key that is proven unused, and take it out of the key ring for good.

    Refused while any data key is wrapped by it. The database itself lets nobody wrap with a key that is not the
    active one, so a count of 0 stays 0. Backups of the database from before the rotation need the key: keep a copy
    as long as you keep those.

    Example:

      headwater vault retire key-20260131-1
    """

    def work(session: Session) -> None:
        report = _ordered(session, command="retire", key_id=key)
        session.output.result(report, f"key {key} is retired and out of the key ring")

    act(work, as_json=as_json, data_dir=data_dir)


def _ordered(session: Session, hear: Any = None, **order: Any) -> Any:
    full = {"tenant_id": session.tenant_id, "actor": session.actor.id, **order}
    return run_vault(session, database_of(session, None), full, hear)
