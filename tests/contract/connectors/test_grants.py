"""What a token was granted, as the vendors' token answers tell it, held against what is read and written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.sandbox.process import SandboxProcess

from headwater.connectors.base import Account, load_vendor
from headwater.connectors.base.asking import OpenGate
from headwater.connectors.base.trying import try_account

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A sandbox."""
    place: Path = tmp_path_factory.mktemp("sandbox")
    process = SandboxProcess(place).start()
    try:
        yield process
    finally:
        process.client.close()
        process.stop()


CONTACTS = [("contacts", True, True), ("companies", True, True), ("deals", True, True), ("leads", True, True)]
EXACT = "the grant is exactly what the policy needs"


@pytest.mark.parametrize(
    ("vendor", "accesses", "ok", "told"),
    [
        ("hubspot", CONTACTS, True, EXACT),
        (
            "hubspot",
            [*CONTACTS[:3], ("leads", True, False)],
            True,
            "wider than the policy needs, by crm.objects.leads.write; what to do: headwater connect hubspot --account crm",
        ),
        (
            "hubspot",
            [*CONTACTS, ("emails", True, False)],
            False,
            "narrower than the policy needs: it lacks sales-email-read",
        ),
        ("salesforce", [("Contact", True, True)], True, EXACT),
        ("pipedrive", [("persons", True, True), ("deals", False, True)], True, EXACT),
        ("pipedrive", [("persons", True, True)], True, "wider than the policy needs, by deals:full"),
        ("pipedrive", [("leads", True, False), ("persons", True, True), ("deals", True, True)], False, "lacks leads:read"),
    ],
)  # fmt: skip
async def test_a_grant_is_held_against_what_is_needed(
    sandbox: SandboxProcess, vendor: str, accesses: list[tuple[str, bool, bool]], told: str, *, ok: bool
) -> None:
    """Right, too wide, which works and is told, or too narrow, which does not."""
    credentials = {
        "client_id": "headwater", "client_secret": "sandbox-secret",
        "refresh_token": "sandbox-refresh-acme",
    }  # fmt: skip
    account = Account("crm", f"{sandbox.url}/{vendor}/acme", credentials)
    connector = load_vendor(vendor).open(account, OpenGate())
    try:
        report = await try_account("crm", vendor, accesses, connector)
    finally:
        await connector.aclose()
    assert report.ok is ok, report
    assert any(told in line for line in report.findings), report
