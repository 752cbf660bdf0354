"""One empty organization of a real BottleCRM as a lab of the conformance suite. Decides nothing."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from tests.realcrm.server import BottleCrm, Org

from headwater.connectors.base import Account, Target
from headwater.connectors.base.http import tls_settings
from headwater.connectors.base.testing import RecordingGate
from headwater.connectors.base.testing.lab import TRACEPARENT, Lab, Subject
from headwater.connectors.base.testing.wire import Fault, Wire
from headwater.connectors.base.transport import PooledTransport
from headwater.connectors.bottlecrm import VENDOR

NOBODY: Final = "http://127.0.0.1:9"
HANG_TIMEOUT_S: Final = 5.0
_WRITES: Final = re.compile(r"(POST|PATCH) /api/(contacts|accounts)/")
_PEOPLE: Final = re.compile(r"(POST|PATCH) /api/contacts/")
_NUMBERS: Final = itertools.count(1)


@dataclass(frozen=True, slots=True)
class BottleSubject(Subject):
    """People of BottleCRM have a first name, always."""

    def fields(self, number: int) -> dict[str, Any]:
        return {"first_name": "Ada", **Subject.fields(self, number)}


SUBJECT: Final = BottleSubject(
    vendor=VENDOR,
    evidence="real server",
    person=Target(
        "contact",
        "contacts",
        "headwater_id",
        ("email", "first_name", "last_name", "description"),
        ("account",),
    ),
    company=Target("account", "accounts", "headwater_id", ("name",)),
    email="email",
    name="last_name",
    text="description",
    link="account",
    company_fields={"name": "Acme"},
    missing_id="00000000-0000-4000-8000-000000000000",
    results=lambda body: [body],
)


@dataclass(slots=True)
class Watched(httpx.AsyncBaseTransport):
    """Notes what each write of a person did, by reading all of them before and after it as somebody else."""

    inner: httpx.AsyncBaseTransport
    people: httpx.AsyncClient
    effects: list[str] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not _PEOPLE.search(f"{request.method} {request.url.path}"):
            return await self.inner.handle_async_request(request)
        before = await self._people()
        answer = await self.inner.handle_async_request(request)
        await answer.aread()
        after = await self._people()
        if answer.status_code < 300:
            grown = len(after) > len(before)
            self.effects.append("created" if grown else "unchanged" if after == before else "updated")
        return answer

    async def aclose(self) -> None:
        await self.inner.aclose()

    async def _people(self) -> dict[str, dict[str, Any]]:
        told = (await self.people.get("/api/contacts/", params={"limit": 500})).raise_for_status().json()
        return {
            row["id"]: {name: value for name, value in row.items() if name != "updated_at"}
            for row in told["results"]
        }


@dataclass(slots=True)
class BottleLab(Lab):
    """An organization, a connector to it, and a person signed in beside it."""

    org: Org = field(kw_only=True)
    person_client: httpx.Client = field(kw_only=True)
    watched: Watched = field(kw_only=True)

    def count(self) -> int:
        return len(self.people())

    def people(self) -> list[dict[str, Any]]:
        """Return all people as a person sees them."""
        told = self.person_client.get("/api/contacts/", params={"limit": 500}).raise_for_status().json()
        rows: list[dict[str, Any]] = told["results"]
        return rows

    def effects(self) -> list[str]:
        return self.watched.effects

    def links(self) -> list[str]:
        [person] = self.people()
        return [str(person["account"])]

    def plant(self, fields: Mapping[str, Any]) -> str:
        made = self.person_client.post("/api/contacts/", json=dict(fields)).raise_for_status().json()
        return str(made["id"])

    def delete(self, crm_id: str) -> None:
        self.person_client.delete(f"/api/contacts/{crm_id}/").raise_for_status()

    def fail_some(self) -> None:
        self.fault(Fault("server", after=4))


@asynccontextmanager
async def open_lab(crm: BottleCrm, *, timeout_s: float = 30.0) -> AsyncIterator[BottleLab]:
    """Make an organization and a prepared connector to it."""
    name = f"lab-{next(_NUMBERS)}"
    org = crm.org(name)
    gate = RecordingGate(headers={"traceparent": TRACEPARENT})
    account = Account(name, crm.base_url, {"api_token": org.token}, timeout_s)
    signed_in = {"Authorization": f"Bearer {org.session}"}
    async with httpx.AsyncClient(base_url=crm.base_url, headers=signed_in, timeout=60.0) as people:
        watched = Watched(PooledTransport(tls_settings(trust_env=False)), people)
        wire = Wire(watched, lambda request: bool(_WRITES.search(f"{request.method} {request.url.path}")))
        vendor: Any = VENDOR  # its own `open` takes a transport
        connector = vendor.open(account, gate, transport=wire)
        nobody = vendor.open(Account(name, NOBODY, account.credentials, timeout_s), RecordingGate())
        wrong = Account(name, crm.base_url, {"api_token": "bcrm_pat_wrong"}, timeout_s)
        refused = vendor.open(wrong, RecordingGate())
        with crm.client(org) as person_client:
            assert SUBJECT.company is not None
            report = await connector.prepare([SUBJECT.person, SUBJECT.company])
            assert report.ok, report.findings
            yield BottleLab(
                SUBJECT, gate, connector, wire, nobody, refused,
                org=org, person_client=person_client, watched=watched,
            )  # fmt: skip
        for one in (connector, connector, nobody, refused):  # closing twice is safe
            await one.aclose()
