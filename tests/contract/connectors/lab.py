"""One account of the running sandbox as a lab of the conformance suite. Decides nothing."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from tests.contract.sandbox.process import SandboxProcess

from headwater.connectors.base import Account, Connector, Target
from headwater.connectors.base.http import tls_settings
from headwater.connectors.base.testing import RecordingGate
from headwater.connectors.base.testing.lab import TRACEPARENT, Lab, Subject
from headwater.connectors.base.testing.wire import Decode, Encode, Fault, Wire
from headwater.connectors.base.transport import PooledTransport

HANG_TIMEOUT_S: Final = 0.4
NOBODY: Final = "http://127.0.0.1:9"
_NUMBERS: Final = itertools.count(1)
_NATIVE: Final = {
    "busy": "storm_429",
    "lost_answer": "commit_then_reset",
    "hang": "hang",
    "server": "error_5xx",
    "html": "html_error",
    "token_dead": "token_expire_now",
}
"""Faults of the suite as the sandbox commits them itself, over a real connection."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """Where the sandbox of one vendor keeps people.

    Args:
        writes_path: matches "METHOD /path" of record writes only.
        new_path: where a person is made by a plain call, and deleted below it.
        wraps: whether its body wraps the fields.
        options: sandbox options that make a second person of the same address a conflict.
        credentials: parts that the account has besides the usual ones.
        wrong: parts that the vendor refuses.
        batches: whether a batch is one call, so that the vendor can fail a part of it.
        by_id: what follows `new_path` to name one person.
        codec: how answers to writes are read and written again, where they are not JSON.
    """

    vendor: str
    writes_path: str
    new_path: str
    wraps: bool
    options: Mapping[str, object] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)
    wrong: Mapping[str, str] = field(default_factory=lambda: {"refresh_token": "wrong"})
    batches: bool = True
    by_id: str = "/{id}"
    codec: tuple[Decode, Encode] | None = None


@dataclass(slots=True)
class SandboxLab(Lab):
    """An account of the sandbox, and a prepared connector to it."""

    sandbox: SandboxProcess = field(kw_only=True)
    account: str = field(kw_only=True)
    rooms: Rooms = field(kw_only=True)

    @property
    def _place(self) -> tuple[str, str]:
        return self.rooms.vendor, self.account

    def fault(self, fault: Fault) -> None:
        """Let the sandbox break by itself where it can."""
        if fault.after:
            Lab.fault(self, fault)
            return
        status = {"status": fault.status} if fault.kind in {"server", "html"} else {}
        wish = {"retry_after_s": fault.retry_after_s} if fault.kind == "busy" else {}
        self.faults({"kind": _NATIVE[fault.kind], "count": fault.count, **status, **wish})

    def faults(self, *faults: dict[str, object], writes_only: bool = True) -> None:
        """Arm faults of the sandbox, on record writes unless told otherwise."""
        path = {"path": self.rooms.writes_path} if writes_only else {}
        self.sandbox.faults(*self._place, *({**path, **fault} for fault in faults))

    def options(self, wanted: Mapping[str, object]) -> None:
        """Set options of the account."""
        self.sandbox.client.put(self.sandbox.admin(*self._place, "options"), json=wanted).raise_for_status()

    def count(self) -> int:
        return len(self.records(self.subject.person))

    def records(self, target: Target) -> list[dict[str, Any]]:
        """Return the live records of an object."""
        url = self.sandbox.admin(*self._place, "records")
        answer = self.sandbox.client.get(url, params={"object": target.crm_object}).json()
        return [one for one in answer["records"][target.crm_object] if not one["archived"]]

    def effects(self) -> list[str]:
        return [line["effect"] for line in self.sandbox.arrivals(*self._place)]

    def links(self) -> list[str]:
        [person] = self.records(self.subject.person)
        if self.rooms.vendor == "hubspot":
            return [one["to_id"] for one in person["associations"]]
        return [str(person["fields"][self.subject.link])]

    def plant(self, fields: Mapping[str, Any]) -> str:
        self.options(self.rooms.options)
        body = {"properties": dict(fields)} if self.rooms.wraps else dict(fields)
        with self.sandbox.session(*self._place) as session:
            made = session.post(self.rooms.new_path, json=body).raise_for_status().json()
        return str(made["id"])

    def delete(self, crm_id: str) -> None:
        with self.sandbox.session(*self._place) as session:
            session.delete(self.rooms.new_path + self.rooms.by_id.format(id=crm_id)).raise_for_status()

    def fail_some(self) -> None:
        if self.rooms.batches:
            self.faults({"kind": "partial", "share": 0.5, "count": 1})
        else:
            Lab.fault(self, Fault("server", after=4))

    def spend_day(self) -> None:
        self.options({"calls_daily_max": 0})


def sandbox_account(
    sandbox: SandboxProcess, vendor: str, name: str, timeout_s: float = 5.0, **parts: str
) -> Account:
    """Return the account as the policy would describe it."""
    credentials = {
        "client_id": "headwater",
        "client_secret": "sandbox-secret",
        "refresh_token": f"sandbox-refresh-{name}",
        **parts,
    }
    return Account(name, f"{sandbox.url}/{vendor}/{name}", credentials, timeout_s)


def _is_write(rooms: Rooms) -> Any:
    pattern = re.compile(rooms.writes_path)
    return lambda request: bool(pattern.search(f"{request.method} {_path(request)}"))


def _path(request: httpx.Request) -> str:
    return "/" + request.url.path.split("/", 3)[3]  # behind vendor and account


@asynccontextmanager
async def open_lab(
    subject: Subject, rooms: Rooms, sandbox: SandboxProcess, purpose: str, timeout_s: float = 5.0
) -> AsyncIterator[SandboxLab]:
    """Start an empty account and a connector to it."""
    name = f"{purpose}-{next(_NUMBERS)}"
    sandbox.empty(rooms.vendor, name)
    gate = RecordingGate(headers={"traceparent": TRACEPARENT})
    vendor: Any = subject.vendor  # its own `open` takes a transport
    wire = Wire(PooledTransport(tls_settings(trust_env=False)), _is_write(rooms))
    if rooms.codec is not None:
        wire.decode, wire.encode = rooms.codec
    credentials = {part: text.format(url=sandbox.url, name=name) for part, text in rooms.credentials.items()}
    account = sandbox_account(sandbox, rooms.vendor, name, timeout_s, **credentials)
    connector = vendor.open(account, gate, transport=wire)
    nobody = vendor.open(Account(name, NOBODY, account.credentials, timeout_s), RecordingGate())
    wrong = sandbox_account(sandbox, rooms.vendor, name, timeout_s, **{**credentials, **rooms.wrong})
    refused = vendor.open(wrong, RecordingGate())
    yield SandboxLab(
        subject, gate, connector, wire, nobody, refused, sandbox=sandbox, account=name, rooms=rooms
    )
    for one in (connector, connector, nobody, refused):  # closing twice is safe
        closing: Connector = one
        await closing.aclose()
