"""One account of a vendor under test, and how the vendor's records look. Decides nothing.

Whoever tests a connector subclasses `Lab` with what stands at the other end: a double, a sandbox, the real thing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headwater.connectors.base import Connector, Found, Outcome, Target, Vendor, Write, Written
from headwater.connectors.base.testing.gates import RecordingGate
from headwater.connectors.base.testing.wire import Fault, Wire
from headwater.kernel.clock import SystemClock

TRACEPARENT: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Evidence = str


def _itself(body: Any) -> list[Any]:
    results: list[Any] = body
    return results


@dataclass(frozen=True, slots=True)
class Subject:
    """How one vendor's records look.

    Args:
        evidence: what stands at the other end: `real server`, `recorded`, `vendor contract` or `own sandbox only`.
        person: target of people, with `email`, `name` and `text` among its fields.
        company: target that people refer to by `link`; with the capability `references`.
        company_fields: smallest fields of a company.
        missing_id: a well-formed CRM id that no record has.
        bad: a field and a value that the vendor refuses; with the capability `validates`.
        results: returns, from the decoded answer to a batch, the list of results, to be changed in place.
    """

    vendor: Vendor
    evidence: Evidence
    person: Target
    email: str
    name: str
    text: str
    company: Target | None = None
    link: str = ""
    company_fields: Mapping[str, Any] = field(default_factory=dict)
    missing_id: str = "0"
    bad: tuple[str, Any] = ("", "not-an-address")
    results: Callable[[Any], list[Any]] = _itself

    def fields(self, number: int) -> dict[str, Any]:
        """Return valid fields of person *number*."""
        return {self.name: f"Person {number}", self.email: f"person{number}@example.org"}

    @property
    def bad_field(self) -> str:
        """The field that the vendor checks."""
        return self.bad[0] or self.email


@dataclass(slots=True)
class Lab:
    """One empty, prepared account; what a capability does not ask for need not be there.

    Args:
        wire: between connector and vendor; None where calls do not go over HTTP.
        nobody: the same account at an address where nobody listens.
        refused: the same account with credentials that the vendor refuses.
    """

    subject: Subject
    gate: RecordingGate
    connector: Connector
    wire: Wire | None = None
    nobody: Connector | None = None
    refused: Connector | None = None

    def count(self) -> int:
        """Return how many people the vendor holds."""
        raise NotImplementedError

    def effects(self) -> list[str]:
        """Return what each write that arrived did, in order: `created`, `updated` or `unchanged`."""
        raise NotImplementedError

    def plant(self, fields: Mapping[str, Any]) -> str:
        """Make a person that was there before Headwater; return its CRM id. For `conflicts`."""
        raise NotImplementedError

    def delete(self, crm_id: str) -> None:
        """Delete a person behind Headwater's back. For `delete`."""
        raise NotImplementedError

    def links(self) -> list[str]:
        """Return the companies that the only person is linked to, as the vendor holds them. For `references`."""
        raise NotImplementedError

    def fail_some(self) -> None:
        """Let the vendor fail some records of the next batch by a fault of its own; True records stay."""
        raise NotImplementedError

    def spend_day(self) -> None:
        """Use up the day's allowance. For the limit `daily`."""
        raise NotImplementedError

    def now(self) -> dt.datetime:
        """Return the time of whoever asks for changes: a little later, so that no change is too young to be told."""
        return SystemClock().now() + dt.timedelta(seconds=10)

    def fault(self, fault: Fault) -> None:
        """Break the next writes; a lab with a vendor that can break by itself lets it."""
        assert self.wire is not None
        self.wire.arm(fault)

    async def write(self, *writes: Write, target: Target | None = None) -> Sequence[Outcome]:
        """Upsert into the person's target unless told otherwise."""
        return await self.connector.upsert(target or self.subject.person, writes)

    async def person(self, number: int, crm_id: str = "", more: Mapping[str, Any] | None = None) -> Written:
        """Upsert one valid person."""
        fields = {**self.subject.fields(number), **(more or {})}
        [outcome] = await self.write(Write(f"ext-{number}", crm_id, fields))
        assert isinstance(outcome, Written), outcome
        return outcome

    async def held(self, *external_ids: str) -> Mapping[str, Found]:
        """Return people as the vendor holds them."""
        return await self.connector.look_up(self.subject.person, external_ids)

    async def found(self, *external_ids: str) -> dict[str, str]:
        """Return CRM ids by external id, of those that are there."""
        return {
            external_id: record.crm_id for external_id, record in (await self.held(*external_ids)).items()
        }
