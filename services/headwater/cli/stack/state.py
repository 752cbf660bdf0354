"""The state file: what runs, where it listens, who supervises. Written whole or not at all."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from headwater.cli.stack.processes import ProcessId
from headwater.kernel.errors import StartRefused


@dataclass(frozen=True, slots=True)
class Child:
    """One process of the stack."""

    process: ProcessId
    ready: bool = False
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class StackState:
    """A stack as its supervisor last described it.

    Args:
        supervisor: the process that wrote this.
        ports: port by purpose; see `ports.PURPOSES`.
        database_url: where every service keeps its data.
        account: sandbox account of the connectors' credentials, as sync has it now.
        children: process by service name.
        ready: everything serves.
        failure: why the supervisor gave up; empty otherwise.
    """

    supervisor: ProcessId
    ports: dict[str, int]
    database_url: str = ""
    embedded_database: bool = True
    account: str = ""
    children: dict[str, Child] = field(default_factory=dict)
    ready: bool = False
    failure: str = ""

    @property
    def running(self) -> bool:
        """True while its supervisor lives."""
        return self.supervisor.find() is not None

    def address(self, purpose: str) -> str:
        """Return host:port of a purpose, as `ingest`."""
        return f"127.0.0.1:{self.ports[purpose]}"

    def url(self, purpose: str) -> str:
        """Return the HTTP root of a purpose, as `console` or `sandbox`."""
        return f"http://{self.address(purpose)}"


def read_state(path: Path) -> StackState | None:
    """Return the state on file; None when there is none.

    Raises:
        StartRefused: the file is not what this release writes.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(content, type=StackState)
    except msgspec.DecodeError as error:
        raise StartRefused(f"{path} is no state file of this release: {error}") from error


def write_state(path: Path, state: StackState) -> None:
    """Replace the state on file in one step."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(state)))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place, flush it and rename it: readers see the old or the new, never half."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
