"""`headwater test-connection`: one account, asked from here, and what to do when it does not work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from headwater.cli import failures
from headwater.cli.asking import asking
from headwater.cli.output import facts
from headwater.cli.policies import policy_in_force
from headwater.cli.policy_files import read_policy
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.connectors.base import Account, Report, load_vendor
from headwater.connectors.base.asking import OpenGate
from headwater.connectors.base.trying import try_account
from headwater.kernel.errors import InvalidInput, NotFound
from headwater.policy.document import PolicyDocument
from headwater.policy.scoping import access_of
from headwater.sync.v1 import connections_pb2

VAULT: Final = "vault:"
app = typer.Typer(rich_markup_mode="rich", no_args_is_help=True)


@app.command(name="test-connection")
@asking
async def try_connection(
    session: Session,
    services: Services,
    connector: Annotated[str, typer.Argument(help="Connector account, as the policy names it.")],
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            exists=True,
            help="A policy file or folder; else the one in force.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Try an account and say what is right and what is wrong with it. A handful of calls, from this machine.

    Credentials in a variable are read from this shell's environment; those in the vault are opened by sync, which then
    makes the calls itself. They do not pass the account's limiter. Where the vendor tells what the grant allows, it is held
    against what the policy's mappings and scopes need: a narrower one does not work, a wider one is told.

    Example:

      headwater test-connection hubspot --policy policy.yaml
    """
    document = await _document(session, services, policy)
    if connector not in document.connectors:
        known = ", ".join(document.connectors) or "none"
        raise NotFound(
            f"the policy has no connector {connector!r} (known: {known})", reason="UNKNOWN_CONNECTOR"
        )
    item = document.connectors[connector]
    if item.credentials.startswith(VAULT) and policy is None:
        report = await _tried_by_sync(services, session.tenant_id, connector)
    else:
        report = await _tried(document, connector, session.environment)
    shown = facts({"connector": connector, "vendor": item.vendor, "works": report.ok})
    told = "\n".join(f"- {finding}" for finding in report.findings)
    found = {
        "connector": connector,
        "vendor": item.vendor,
        "ok": report.ok,
        "findings": list(report.findings),
    }
    session.output.result(found, shown, told)
    if not report.ok:
        raise typer.Exit(failures.FAILED)


async def _document(session: Session, services: Services, file: Path | None) -> PolicyDocument:
    if file is not None:
        return read_policy(file).document
    return (await policy_in_force(services, session.tenant_id)).document()


async def _tried_by_sync(services: Services, tenant_id: str, connector: str) -> Report:
    request = connections_pb2.TryConnectionRequest(tenant_id=tenant_id, connector=connector)
    answer = await services.ask(services.connections.TryConnection, request)
    return Report(answer.ok, tuple(answer.findings))


async def _tried(document: PolicyDocument, name: str, environment: dict[str, str]) -> Report:
    item = document.connectors[name]
    try:
        credentials = _credentials(item.credentials, environment)
        account = Account(name, item.base_url.rstrip("/"), credentials, item.timeout_s, item.networks)
        connector = load_vendor(item.vendor).open(account, OpenGate())
    except InvalidInput as refused:
        return Report(ok=False, findings=(refused.message,))
    try:
        return await try_account(name, item.vendor, access_of(document, name), connector)
    finally:
        await connector.aclose()


def _credentials(reference: str, environment: dict[str, str]) -> dict[str, str]:
    """Return the secret that the policy names; what is said of it never holds it."""
    if reference.startswith(VAULT):
        raise InvalidInput(
            f"{reference} is sealed: only sync opens it, for accounts of the policy in force. Leave out --policy to try "
            "that one, or put the secret into a variable and name that in the file"
        )
    variable = reference.removeprefix("env:")
    text = environment.get(variable)
    if text is None:
        raise InvalidInput(f"the environment variable {variable} is not set here; it holds the credentials")
    decoded: Any = None
    try:
        decoded = json.loads(text)
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict) or not all(isinstance(value, str) for value in decoded.values()):
        raise InvalidInput(f"the environment variable {variable} must hold a JSON object of texts")
    return decoded
