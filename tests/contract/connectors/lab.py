"""One account of a running vendor under test, and how the vendor's records look. Decides nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.contract.sandbox.process import SandboxProcess

from headwater.connectors.base import Account, Connector, Outcome, Target, Vendor, Write, Written
from headwater.connectors.base.testing import RecordingGate

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HANG_TIMEOUT_S = 0.4


@dataclass(frozen=True, slots=True)
class Subject:
    """How one vendor's records look.

    Args:
        person: target of people, with `email`, `name` and `text` among its fields.
        company: target that people refer to by `link`.
        company_fields: smallest fields of a company.
        writes_path: matches "METHOD /path" of record writes only.
        new_path: where a person is made by a plain call; `wrap` makes its body.
        options: sandbox options that make a second person of the same address a conflict.
        missing_id: a well-formed CRM id that no record has.
    """

    vendor: Vendor
    person: Target
    company: Target
    email: str
    name: str
    text: str
    link: str
    company_fields: Mapping[str, Any]
    writes_path: str
    new_path: str
    delete_path: str
    missing_id: str
    wraps: bool
    options: Mapping[str, object] = field(default_factory=dict)

    def fields(self, number: int) -> dict[str, Any]:
        """Return valid fields of person *number*."""
        return {self.name: f"Person {number}", self.email: f"person{number}@example.org"}


@dataclass(slots=True)
class Lab:
    """One account of a running vendor, and a prepared connector to it."""

    subject: Subject
    sandbox: SandboxProcess
    account: str
    gate: RecordingGate
    connector: Connector

    @property
    def _place(self) -> tuple[str, str]:
        return self.subject.vendor.name, self.account

    def faults(self, *faults: dict[str, object], writes_only: bool = True) -> None:
        """Arm faults, on record writes unless told otherwise."""
        path = {"path": self.subject.writes_path} if writes_only else {}
        self.sandbox.faults(*self._place, *({**path, **fault} for fault in faults))

    def options(self, wanted: Mapping[str, object]) -> None:
        """Set options of the account."""
        self.sandbox.client.put(self.sandbox.admin(*self._place, "options"), json=wanted).raise_for_status()

    def records(self, target: Target) -> list[dict[str, Any]]:
        """Return the live records of an object."""
        url = self.sandbox.admin(*self._place, "records")
        answer = self.sandbox.client.get(url, params={"object": target.crm_object}).json()
        return [one for one in answer["records"][target.crm_object] if not one["archived"]]

    def arrivals(self) -> list[dict[str, Any]]:
        """Return the vendor's log of writes."""
        return self.sandbox.arrivals(*self._place)

    def plant(self, fields: Mapping[str, Any]) -> str:
        """Make a person that was in the CRM before Headwater."""
        body = {"properties": dict(fields)} if self.subject.wraps else dict(fields)
        with self.sandbox.session(*self._place) as session:
            made = session.post(self.subject.new_path, json=body).raise_for_status().json()
        return str(made["id"])

    def delete(self, crm_id: str) -> None:
        """Delete a person behind Headwater's back."""
        with self.sandbox.session(*self._place) as session:
            session.delete(f"{self.subject.delete_path}/{crm_id}").raise_for_status()

    async def write(self, *writes: Write, target: Target | None = None) -> Sequence[Outcome]:
        """Upsert into the person's target unless told otherwise."""
        return await self.connector.upsert(target or self.subject.person, writes)

    async def person(self, number: int, crm_id: str = "", more: Mapping[str, Any] | None = None) -> Written:
        """Upsert one valid person."""
        [outcome] = await self.write(
            Write(f"ext-{number}", crm_id, {**self.subject.fields(number), **(more or {})})
        )
        assert isinstance(outcome, Written)
        return outcome

    async def found(self, *external_ids: str) -> dict[str, str]:
        """Return CRM ids by external id, of those that are there."""
        records = await self.connector.look_up(self.subject.person, external_ids)
        return {external_id: record.crm_id for external_id, record in records.items()}


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


@asynccontextmanager
async def open_lab(
    subject: Subject, sandbox: SandboxProcess, name: str, timeout_s: float = 5.0, **parts: str
) -> AsyncIterator[Lab]:
    """Start an empty account and a connector to it."""
    sandbox.empty(subject.vendor.name, name)
    gate = RecordingGate(headers={"traceparent": TRACEPARENT})
    account = sandbox_account(sandbox, subject.vendor.name, name, timeout_s, **parts)
    connector = subject.vendor.open(account, gate)
    yield Lab(subject, sandbox, name, gate, connector)
    await connector.aclose()
    await connector.aclose()
