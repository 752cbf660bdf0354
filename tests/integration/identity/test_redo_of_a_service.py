"""A service whose rules are newer than its records goes over them by itself, and says how far it is."""

from __future__ import annotations

import anyio
import pytest
from tests.integration.identity.conftest import (
    Client,
    RecordingLog,
    client_of,
    ingest_of,
    record,
    settings_for,
)
from tests.integration.identity.redoing import LATER

from headwater.identity.v1 import identity_pb2 as pb

pytestmark = pytest.mark.anyio


async def _through(client: Client) -> pb.GetRedoResponse:
    """Ask until all records are by the present rules."""
    request = pb.GetRedoRequest(tenant_id=client.tenant)
    with anyio.fail_after(15):
        while True:
            found = await client.stub.GetRedo(request)
            if found.redo.phase == pb.REDO_PHASE_DONE:
                return found


async def test_a_newer_service_goes_over_what_an_older_one_left(migrated_database_url: str) -> None:
    """What only the new rules show to be one is merged, the log hears of it, and a check knows it."""
    log = RecordingLog()
    told = {"first_name": "Kaya", "last_name": "Brunnel"}
    async with ingest_of(log) as address:
        settings = settings_for(migrated_database_url, address)
        async with client_of(settings, log) as older:
            found = await older.resolve(
                record("1", email="k@acorn.test", **told),  # type: ignore[arg-type]
                record("2", email="k@acorn-old.test", first_name="Kaya", last_name="Kowalczyk"),
            )
            assert len({one.entity_id for one in found}) == 2
            status = await older.stub.GetRedo(pb.GetRedoRequest(tenant_id=older.tenant))
            assert (status.behind, status.HasField("redo")) == (False, False)
        async with client_of(settings, log, LATER) as newer:
            done = await _through(newer)
            assert (done.normalisation_version, done.behind) == (LATER.version, False)
            assert (done.redo.steps, done.redo.steps_done) == (4, 4)
            assert (done.redo.changed_records, done.redo.merged_entities) == (1, 1)
            one, two = await newer.entity_of("1"), await newer.entity_of("2")
            assert one.entity_id == two.entity_id
            await log.wait_for(1)
            asked = pb.CheckDuplicateRequest(
                tenant_id=newer.tenant,
                object="contact",
                attributes={"email": "k@acorn-old.test", "first_name": "Kaya", "last_name": "Brunnel"},
            )
            assert (await newer.stub.CheckDuplicate(asked)).answer == pb.DUPLICATE_ANSWER_EXISTS
