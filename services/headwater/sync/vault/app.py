"""Runs one command of the vault: wires safe, ring and clock, reads the order, tells what comes of it in JSON lines.

The commands need the database and the key ring, so they run where the services run, as a process of their own. The
order comes as one JSON object on stdin, secrets among it: arguments and environments of processes are read by others.

    {"progress": [done, of]}   {"visit": URL, …}   then   {"report": …}   or   {"error": {"reason", "message"}}
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Final

import msgspec

from headwater.connectors.base import CallFailed
from headwater.connectors.base.flows import GrantKind
from headwater.kernel.clock import SystemClock
from headwater.kernel.errors import HeadwaterError, InvalidInput, NotFound, StartRefused
from headwater.kernel.secret import Secret
from headwater.kernel.service import open_database
from headwater.kernel.settings import read_settings
from headwater.sync.auditing.wiring import data_dir_of
from headwater.sync.settings import SyncSettings
from headwater.sync.store.vault import PostgresSafe
from headwater.sync.vault import rotating
from headwater.sync.vault.connecting import Wish, connect, failure_words
from headwater.sync.vault.ports import KeyView
from headwater.sync.vault.rings import ring_of
from headwater.sync.vault.vault import Vault, check_free, checked

ORDER_BYTES_MAX: Final = 1_048_576
POOL_SIZE: Final = 2


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be done; which parts are needed depends on the command."""

    command: str
    tenant_id: str = ""
    actor: str = ""
    connection: str = ""
    fields: dict[str, str] = {}
    key_id: str = ""
    batch: int = rotating.BATCH_MAX
    vendor: str = ""
    grant: GrantKind = "refresh_token"
    base_url: str = ""
    scopes: tuple[str, ...] = ()
    port: int = 0
    wait_s: float = 300.0

    def __repr__(self) -> str:
        return f"Order({self.command})"


async def run(environment: Mapping[str, str]) -> int:
    """Carry out the order on stdin; return the exit code."""
    try:
        order = _read_order()
        async with _opened(environment) as vault:
            tell("report", await COMMANDS[order.command](vault, order))
    except CallFailed as failed:
        tell("error", {"reason": failed.error.code, "message": failure_words(failed)})
    except HeadwaterError as error:
        tell("error", {"reason": error.reason, "message": error.message})
        return StartRefused.exit_code if isinstance(error, StartRefused) else 1
    else:
        return 0
    return 1


def tell(kind: str, what: Any) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps({kind: what}, default=str) + "\n")
    sys.stdout.flush()


def _read_order() -> Order:
    try:
        order = msgspec.json.decode(sys.stdin.buffer.read(ORDER_BYTES_MAX), type=Order)
    except msgspec.DecodeError as error:
        raise InvalidInput("the order is no JSON object as wanted", reason="BAD_ORDER") from error
    if order.command not in COMMANDS:
        raise InvalidInput(f"there is no command {order.command!r}", reason="BAD_ORDER")
    return order


@asynccontextmanager
async def _opened(environment: Mapping[str, str]) -> AsyncIterator[Vault]:
    settings = read_settings(SyncSettings, environment)
    ring = ring_of(settings.vault_keys, data_dir_of(environment), environment)
    async with await open_database("sync", settings, size_min=1, size_max=POOL_SIZE) as pool:
        yield Vault(PostgresSafe(pool), ring, os.urandom)


async def _init(vault: Vault, _order: Order) -> Any:
    view = await rotating.initialise(vault, SystemClock().now())
    return {"key_id": view.key_id, "ring": vault.ring.where}


async def _set(vault: Vault, order: Order) -> Any:
    check_free(order.connection)
    fields = {name: Secret(value) for name, value in order.fields.items()}
    version = await vault.put(order.tenant_id, order.connection, fields, order.actor)
    return {"connection": order.connection, "version": version, "fields": sorted(fields)}


async def _list(vault: Vault, order: Order) -> Any:
    return {"connections": [asdict(view) for view in await vault.safe.connections(order.tenant_id)]}


async def _remove(vault: Vault, order: Order) -> Any:
    check_free(order.connection)
    if not await vault.safe.remove(order.tenant_id, order.connection, order.actor):
        raise NotFound(f"the vault has no connection {order.connection!r} of tenant {order.tenant_id!r}")
    return {"connection": order.connection}


async def _rotate(vault: Vault, order: Order) -> Any:
    def progress(done: int, of: int) -> None:
        tell("progress", [done, of])

    done = await rotating.rotate(vault, SystemClock().now(), progress, batch=order.batch)
    return asdict(done)


async def _prepare(vault: Vault, _order: Order) -> Any:
    return {"key_id": await rotating.prepare(vault, SystemClock().now()), "ring": vault.ring.where}


async def _status(vault: Vault, _order: Order) -> Any:
    ring = await vault.ring.read()
    return {"ring": vault.ring.where, "keys": [_key(view, ring, vault) for view in await vault.safe.keys()]}


def _key(view: KeyView, ring: Mapping[str, Any], vault: Vault) -> dict[str, Any]:
    """Return a key as it stands, and whether it may be retired: proven unused, or why not."""
    finding = ""
    if view.state != "retired":
        try:
            checked(ring, view, vault.ring.where)
        except HeadwaterError as error:
            finding = error.message
    return {
        "key_id": view.key_id,
        "state": view.state,
        "connections": view.connections,
        "state_time": view.state_time.astimezone(dt.UTC).isoformat(),
        "in_ring": view.key_id in ring,
        "may_retire": view.state == "decrypt_only" and view.connections == 0,
        "finding": finding,
    }


async def _retire(vault: Vault, order: Order) -> Any:
    await rotating.retire(vault, order.key_id)
    return {"key_id": order.key_id, "state": "retired"}


async def _connect(vault: Vault, order: Order) -> Any:
    check_free(order.connection)
    wish = Wish(
        order.vendor,
        order.connection,
        order.fields,
        order.grant,
        order.base_url,
        order.scopes,
        order.port,
        order.wait_s,
    )

    def visit(told: Mapping[str, Any]) -> None:
        tell("visit", told)

    return asdict(await connect(vault, SystemClock(), order.tenant_id, wish, order.actor, visit))


COMMANDS: Final[Mapping[str, Callable[[Vault, Order], Coroutine[Any, Any, Any]]]] = {
    "init": _init,
    "set": _set,
    "list": _list,
    "remove": _remove,
    "prepare": _prepare,
    "rotate": _rotate,
    "status": _status,
    "retire": _retire,
    "connect": _connect,
}
