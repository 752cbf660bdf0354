"""The newcomer's connector through the same suite as all the others, in under 150 lines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tests.contract.connectors.newcomer import rolodex
from tests.contract.connectors.newcomer.double import API_KEY, Rolodex

from headwater.connectors.base import Account, Target
from headwater.connectors.base.testing import RecordingGate
from headwater.connectors.base.testing.conformance import ConnectorConformance
from headwater.connectors.base.testing.lab import TRACEPARENT, Lab, Subject
from headwater.connectors.base.testing.wire import Wire

pytestmark = pytest.mark.anyio

LINES_MAX = 150
CARDS = Target("contact", "cards", "ref", ("name", "email", "text"))


@dataclass(slots=True)
class RolodexLab(Lab):
    """The double, and what it holds."""

    double: Rolodex = field(kw_only=True)

    def count(self) -> int:
        return len(self.double.cards)

    def effects(self) -> list[str]:
        return self.double.effects

    def delete(self, crm_id: str) -> None:
        self.double.delete(crm_id)


async def _nobody(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody listens", request=request)


class TestRolodex(ConnectorConformance):
    """Rolodex."""

    subject = Subject(
        vendor=rolodex.VENDOR,
        evidence="own sandbox only",
        person=CARDS,
        email="email",
        name="name",
        text="text",
        results=lambda body: [body],
    )

    @pytest.fixture
    async def lab(self, anyio_backend: str) -> AsyncIterator[RolodexLab]:
        """An empty Rolodex."""
        assert anyio_backend == "asyncio"
        vendor, double = rolodex.RolodexVendor(), Rolodex()
        wire = Wire(double, lambda request: request.method == "PUT")
        gate = RecordingGate(headers={"traceparent": TRACEPARENT})
        account = Account("r", "https://api.rolodex.example", {"api_key": API_KEY})
        wrong = Account("r", account.base_url, {"api_key": "another"})
        connector = vendor.open(account, gate, transport=wire)
        nobody = vendor.open(account, RecordingGate(), transport=httpx.MockTransport(_nobody))
        refused = vendor.open(wrong, RecordingGate(), transport=double)
        yield RolodexLab(self.subject, gate, connector, wire, nobody, refused, double=double)
        await connector.aclose()


def test_it_takes_less_than_150_lines() -> None:
    """What the kit does not do for a newcomer is counted here."""
    assert len(Path(rolodex.__file__).read_text().splitlines()) < LINES_MAX
