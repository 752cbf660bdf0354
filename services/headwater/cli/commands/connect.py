"""`headwater connect`: a person lets Headwater use an account of a CRM; the grant goes into the vault."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
import typer

from headwater.cli.commands.migrate import database_of
from headwater.cli.options import AsJson, DataDir, Tenant
from headwater.cli.output import facts
from headwater.cli.policies import policy_in_force
from headwater.cli.policy_files import read_policy
from headwater.cli.services import open_services
from headwater.cli.session import Session, act
from headwater.cli.vaulting import asked_fields, run_vault
from headwater.connectors.base.trying import needed_scopes
from headwater.kernel.errors import NotFound
from headwater.policy.document import PolicyDocument
from headwater.policy.scoping import access_of

app = typer.Typer(rich_markup_mode="rich")

CALLBACK_PORT: Final = 7480
"""Port of the redirect where nothing else is said: vendors want to know the redirect's URL beforehand."""
FIELDS: Final = {
    "refresh_token": ("client_secret",),
    "client_credentials": ("client_secret",),
    "jwt_bearer": (),
}
"""What is asked for, by grant."""


@app.command()
def connect(
    vendor: Annotated[str, typer.Argument(help="Which CRM, as `headwater connectors list` names it.")],
    client_id: Annotated[str, typer.Option("--client-id", help="Id of your application at the vendor.")],
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name of the connection; the vendor's by default.", show_default=False),
    ] = None,
    base_url: Annotated[
        str, typer.Option("--base-url", help="The account's API, where it is not the vendor's usual one.")
    ] = "",
    grant: Annotated[
        str,
        typer.Option("--grant", help="refresh_token (a person agrees), client_credentials or jwt_bearer."),
    ] = "refresh_token",
    username: Annotated[str, typer.Option("--username", help="For jwt_bearer: whom to act for.")] = "",
    private_key: Annotated[
        Path | None,
        typer.Option(
            "--private-key", help="For jwt_bearer: PEM file.", exists=True, dir_okay=False, show_default=False
        ),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="Instead of the usual ones; may be repeated.", show_default=False),
    ] = None,
    account: Annotated[
        str,
        typer.Option(
            "--account",
            help="Account in the policy: asks exactly for the scopes that its mappings and scopes need.",
        ),
    ] = "",
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            exists=True,
            help="With --account: a policy file or folder; else the one in force.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Of the redirect; 0 for any.")
    ] = CALLBACK_PORT,
    wait_s: Annotated[
        float, typer.Option("--wait", min=1, max=3_600, help="Seconds that you may take.")
    ] = 300.0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the page to open.")] = False,
    tenant: Tenant = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Connect an account of a CRM: agree in the browser, and the grant is stored in the vault.

    Register http://127.0.0.1:7480/callback (or your --port) as a redirect URL of your application at the vendor. The
    client secret is asked for unseen, or read from stdin as {"client_secret": "…"}. The policy then says
    `credentials: vault:NAME`.

    Example:

      headwater connect hubspot --client-id 1234 --name hubspot-main

      headwater connect hubspot --client-id 1234 --account hubspot --policy policy.yaml
    """

    def work(session: Session) -> None:
        fields = {"client_id": client_id, **_secrets(grant, username, private_key)}
        order = {
            "command": "connect",
            "tenant_id": session.tenant_id,
            "actor": session.actor.id,
            "vendor": vendor,
            "connection": name or vendor,
            "fields": fields,
            "grant": grant,
            "base_url": base_url,
            "scopes": scope or (_needed(session, vendor, account, policy) if account else []),
            "port": port,
            "wait_s": wait_s,
        }
        report = run_vault(
            session, database_of(session, None), order, _visiting(session, no_browser=no_browser)
        )
        reference = f"vault:{report['connection']}"
        session.output.result(
            {**report, "credentials": reference},
            facts({"connected": vendor, "API": report["base_url"], "scopes": report["scopes"], "in the policy": f"credentials: {reference}"}),
        )  # fmt: skip

    act(work, as_json=as_json, data_dir=data_dir, tenant=tenant)


def _needed(session: Session, vendor: str, account: str, file: Path | None) -> list[str]:
    """Return the scopes that an account needs by a policy, and say them."""

    async def in_force() -> PolicyDocument:
        async with open_services(session.addresses, security=session.security) as services:
            return (await policy_in_force(services, session.tenant_id)).document()

    document = read_policy(file).document if file is not None else anyio.run(in_force)
    known = document.connectors.get(account)
    if known is None or known.vendor != vendor:
        named = ", ".join(name for name, item in document.connectors.items() if item.vendor == vendor)
        raise NotFound(
            f"the policy has no {vendor} account {account!r} (known: {named or 'none'})",
            reason="UNKNOWN_CONNECTOR",
        )
    scopes = list(needed_scopes(vendor, access_of(document, account)))
    session.output.say(f"asking for {' '.join(scopes)}")
    return scopes


def _secrets(grant: str, username: str, private_key: Path | None) -> dict[str, str]:
    if grant == "jwt_bearer":
        pem = private_key.read_text(encoding="utf-8") if private_key else ""
        return {"username": username, "private_key": pem}
    return asked_fields(FIELDS.get(grant, ()))


def _visiting(session: Session, *, no_browser: bool) -> Any:
    def hear(kind: str, content: Any) -> None:
        if kind != "visit":
            return
        session.output.say(f"Open this page and agree (waiting {content['wait_s']:g} s):")
        session.output.err.print(content["visit"], soft_wrap=True, highlight=False, markup=False)
        if not no_browser:
            webbrowser.open(content["visit"])

    return hear
