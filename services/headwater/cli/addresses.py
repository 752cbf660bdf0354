"""Where the services are: the environment first, else the stack that runs here, else the usual ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headwater.cli.stack.state import StackState

_VARIABLES: Final = {
    "ingest": ("HEADWATER_INGEST_ADDRESS", "127.0.0.1:7401"),
    "identity": ("HEADWATER_IDENTITY_ADDRESS", "127.0.0.1:7402"),
    "sync": ("HEADWATER_SYNC_ADDRESS", "127.0.0.1:7403"),
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """host:port of each service and the console's root."""

    ingest: str
    identity: str
    sync: str
    console: str


def find_addresses(environment: Mapping[str, str], stack: StackState | None) -> Addresses:
    """Return the addresses that a command talks to."""

    def one(service: str) -> str:
        variable, usual = _VARIABLES[service]
        named = environment.get(variable, "").strip()
        return named or (stack.address(service) if stack else usual)

    console = environment.get("HEADWATER_CONSOLE_URL", "").strip()
    found = console or (stack.url("console") if stack else "http://127.0.0.1:4320")
    return Addresses(one("ingest"), one("identity"), one("sync"), found.rstrip("/"))
