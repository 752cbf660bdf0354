"""What was answered is kept, whatever happens to the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.sandbox.process import SandboxProcess

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

UPSERT = "/services/data/v59.0/composite/sobjects/Contact/Headwater_Id__c"


def _rows(count: int) -> dict[str, Any]:
    rows = [
        {"attributes": {"type": "Contact"}, "Headwater_Id__c": f"k-{n}", "LastName": f"Name {n}"}
        for n in range(count)
    ]
    return {"allOrNone": False, "records": rows}


def test_answered_batch_is_there_after_sigkill(tmp_path: Path) -> None:
    """Records, arrival log, call count and token of before SIGKILL are there after a restart."""
    with SandboxProcess(tmp_path) as sandbox:
        sandbox.empty("salesforce", "acme")
        with sandbox.session("salesforce", "acme") as client:
            token = client.headers["authorization"]
            answered = client.patch(UPSERT, json=_rows(200), headers={"traceparent": "00-aa-bb-01"}).json()
        before = sandbox.arrivals("salesforce", "acme")
        assert sandbox.kill() == -9
        sandbox.start()
        records = sandbox.client.get(sandbox.admin("salesforce", "acme", "records?object=Contact")).json()
        kept = {one["id"]: one["fields"]["Headwater_Id__c"] for one in records["records"]["Contact"]}
        assert kept == {one["id"]: f"k-{n}" for n, one in enumerate(answered)}
        assert sandbox.arrivals("salesforce", "acme") == before
        assert {one["traceparent"] for one in before} == {"00-aa-bb-01"}
        url = f"{sandbox.url}/salesforce/acme{UPSERT}"
        again = sandbox.client.patch(url, json=_rows(200), headers={"authorization": token}).json()
        assert {one["created"] for one in again} == {False}
        assert [one["effect"] for one in sandbox.arrivals("salesforce", "acme")[200:]] == ["unchanged"] * 200


def test_limit_window_is_remembered_after_sigkill(tmp_path: Path) -> None:
    """A restart does not give a caller a fresh window."""
    with SandboxProcess(tmp_path) as sandbox:
        sandbox.options("hubspot", "acme", calls_max=2, calls_window_ms=600_000)
        with sandbox.session("hubspot", "acme") as client:
            token = client.headers["authorization"]
            assert [client.get("/crm/v3/objects/contacts").status_code for _ in range(2)] == [200, 200]
        sandbox.kill()
        sandbox.start()
        url = f"{sandbox.url}/hubspot/acme/crm/v3/objects/contacts"
        assert sandbox.client.get(url, headers={"authorization": token}).status_code == 429


def test_stop_is_graceful(tmp_path: Path) -> None:
    """SIGTERM ends the process with code 0 and the state folded into one file."""
    with SandboxProcess(tmp_path) as sandbox:
        sandbox.token("hubspot", "acme")
        assert sandbox.stop() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["sandbox.db"]
