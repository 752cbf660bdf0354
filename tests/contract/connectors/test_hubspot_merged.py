"""Records that a person merged in HubSpot: a write by an id from before the merge meets what was made of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.contract.connectors.lab import SandboxLab, open_lab
from tests.contract.connectors.test_conformance import HUBSPOT_ROOMS, HUBSPOT_SUBJECT
from tests.contract.sandbox.process import SandboxProcess

from headwater.connectors.base import Write, Written

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.enable_socket,
    pytest.mark.slow,
    pytest.mark.evidence("hubspot", "merged ids", "own sandbox only"),
]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A running sandbox."""
    with SandboxProcess(tmp_path_factory.mktemp("fleet")) as process:
        yield process


@pytest.fixture
async def lab(sandbox: SandboxProcess, anyio_backend: str) -> AsyncIterator[SandboxLab]:
    """An empty portal."""
    assert anyio_backend == "asyncio"
    async with open_lab(HUBSPOT_SUBJECT, HUBSPOT_ROOMS, sandbox, "merged") as opened:
        await opened.connector.prepare([HUBSPOT_SUBJECT.person])
        yield opened


async def test_a_write_by_an_old_id_is_told_the_new_one(lab: SandboxLab) -> None:
    """The outcome names the merged record, so that the next write goes there at once; others of the batch are told apart."""
    written = await lab.write(*(Write(f"e{number}", "", HUBSPOT_SUBJECT.fields(number)) for number in (1, 2)))
    ours, other = [one.crm_id for one in written if isinstance(one, Written)]
    foreign = lab.plant({"email": "foreign@example.org", "firstname": "Foreign"})
    with lab.sandbox.session("hubspot", lab.account) as session:
        body = {"primaryObjectId": foreign, "objectIdToMerge": ours}
        merged = session.post("/crm/v3/objects/contacts/merge", json=body).raise_for_status().json()["id"]
    assert merged not in {ours, foreign}
    again = await lab.write(
        Write("e1", ours, {"firstname": "Later"}), Write("e2", other, {"firstname": "Too"})
    )
    assert again == [Written(merged, created=False), Written(other, created=False)]
    assert await lab.connector.owners(HUBSPOT_SUBJECT.person, [merged]) == {merged: "e1"}
    assert lab.count() == 2
