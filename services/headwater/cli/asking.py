"""Commands that ask the services: written as coroutines, with the options that all of them have added here."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, get_type_hints

from headwater.cli.options import AsJson, DataDir, Tenant
from headwater.cli.services import Services
from headwater.cli.session import Session, ask

_Given = ParamSpec("_Given")

_SHARED: Final = {"tenant": (Tenant, None), "data_dir": (DataDir, None), "as_json": (AsJson, False)}
"""Options of every such command, behind its own: type and default."""
_INNER: Final = 2
"""Parameters that the command gets from here: session and services."""


def asking(
    command: Callable[Concatenate[Session, Services, _Given], Awaitable[None]],
) -> Callable[..., None]:
    """Return *command* as typer takes it: with --tenant, --data-dir and --json, connected, ending with its exit code.

    Args:
        command: takes session and services first, then what is typed.
    """
    own = list(inspect.signature(command).parameters.values())[_INNER:]
    hints = get_type_hints(command, include_extras=True)
    shared = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)
        for name, (kind, default) in _SHARED.items()
    ]
    typed = [*(item.replace(annotation=hints[item.name]) for item in own), *shared]

    @wraps(command)
    def run(**given: Any) -> None:
        tenant, data_dir, as_json = (given.pop(name) for name in _SHARED)

        async def work(session: Session, services: Services) -> None:
            await command(session, services, **given)  # type: ignore[call-arg]

        ask(work, as_json=as_json, data_dir=data_dir, tenant=tenant)

    del run.__wrapped__
    run.__signature__ = inspect.Signature(typed, return_annotation=None)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in typed} | {"return": None}
    return run
