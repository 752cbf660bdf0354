"""What every command begins and ends with: its output, its tenant, its data directory, its exit code.

The one place of the command that reads the environment.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import typer

from headwater.cli import failures
from headwater.cli.addresses import Addresses, find_addresses
from headwater.cli.output import Output
from headwater.cli.services import Services, open_services
from headwater.cli.stack.control import find_stack
from headwater.cli.stack.layout import Layout, resolve_data_dir
from headwater.cli.stack.state import StackState
from headwater.cli.tenants import newest_tenant
from headwater.event.v1 import event_pb2
from headwater.kernel.errors import HeadwaterError
from headwater.kernel.security.calling import ChannelSecurity

TENANT_VARIABLE: Final = "HEADWATER_TENANT"
DEFAULT_TENANT: Final = "default"


@dataclass(frozen=True, slots=True)
class Session:
    """One call of the command."""

    output: Output
    layout: Layout
    environment: dict[str, str]
    tenant_given: str | None = None

    @property
    def stack(self) -> StackState | None:
        """The stack that runs on the data directory."""
        return find_stack(self.layout)

    @property
    def addresses(self) -> Addresses:
        """Where the services are."""
        return find_addresses(self.environment, self.stack)

    @property
    def security(self) -> ChannelSecurity:
        """What the command shows to the services: HEADWATER_TLS_*, HEADWATER_TOKEN."""
        return ChannelSecurity.from_environment(self.environment)

    @property
    def tenant_id(self) -> str:
        """The tenant given, the environment's, that of the newest `headwater run`, or `default`."""
        named = self.tenant_given or self.environment.get(TENANT_VARIABLE, "").strip()
        return named or newest_tenant(self.layout.runs) or DEFAULT_TENANT

    @property
    def actor(self) -> event_pb2.Actor:
        """Who types, for the audit."""
        return event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id=_user(self.environment))


def act(
    work: Callable[[Session], None], *, as_json: bool, data_dir: Path | None, tenant: str | None = None
) -> None:
    """Run a command and exit with its code."""
    environment = dict(os.environ)
    output = Output(as_json=as_json)
    try:
        work(Session(output, Layout(resolve_data_dir(data_dir, environment)), environment, tenant))
    except KeyboardInterrupt:
        output.say("interrupted; calling it again goes on from here")
        raise typer.Exit(failures.INTERRUPTED) from None
    except (*failures.EXPECTED, BaseExceptionGroup) as error:
        leaves = tuple(failures.expected_leaves(error))
        unexpected = next((leaf for leaf in leaves if not isinstance(leaf, failures.EXPECTED)), None)
        if unexpected is not None:
            raise
        output.failure(leaves[0])
        raise typer.Exit(failures.exit_code(leaves[0])) from None


def ask(
    work: Callable[[Session, Services], Awaitable[None]],
    *,
    as_json: bool,
    data_dir: Path | None,
    tenant: str | None,
) -> None:
    """Run a command that talks to the services, and exit with its code."""

    async def talk(session: Session) -> None:
        async with open_services(session.addresses, security=session.security) as services:
            await work(session, services)

    act(lambda session: anyio.run(talk, session), as_json=as_json, data_dir=data_dir, tenant=tenant)


class Unconfirmed(HeadwaterError):
    """The command would have done something that cannot be undone, and was not told `--yes`."""

    default_reason = "UNCONFIRMED"


def _user(environment: dict[str, str]) -> str:
    try:
        return environment.get("HEADWATER_ACTOR", "").strip() or getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"
