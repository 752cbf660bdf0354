"""Sync as it starts keeps the audit by itself, and serves what proves it."""

from __future__ import annotations

import pytest
from tests.integration.sync.whole import CALL_S, looking, syncing, until

from headwater.audit.checkpoints import keys_of, read_checkpoint, read_key
from headwater.audit.exports import read_entries
from headwater.audit.verifying import verify
from headwater.kernel.rpc import open_channel
from headwater.sync.v1 import audit_pb2, audit_pb2_grpc

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_a_running_sync_numbers_signs_and_serves(migrated_database_url: str) -> None:
    """What is written while it runs is soon under a checkpoint that whoever reads can verify."""
    async with (
        syncing(migrated_database_url, "127.0.0.1:1") as port,
        looking(migrated_database_url) as connection,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = audit_pb2_grpc.AuditServiceStub(channel)
        await connection.execute(
            "insert into sync.audit (tenant_id, action, actor) select 'acme', 'looked', 'x' from generate_series(1, 300)"
        )

        async def sealed() -> bool:
            head = await stub.GetAuditHead(audit_pb2.GetAuditHeadRequest(tenant_id="acme"), timeout=CALL_S)
            return bool(head.sealed_size == 300)

        await until(sealed, 15.0)
        head = await stub.GetAuditHead(audit_pb2.GetAuditHeadRequest(tenant_id="acme"), timeout=CALL_S)
        listed = await stub.ListAuditCheckpoints(
            audit_pb2.ListAuditCheckpointsRequest(tenant_id="acme"), timeout=CALL_S
        )
        page = await stub.ReadAudit(audit_pb2.ReadAuditRequest(tenant_id="acme"), timeout=CALL_S)
    checkpoints = [read_checkpoint(line) for line in listed.checkpoints]
    verdict = verify(
        lambda: read_entries(page.entries), [checkpoints], keys_of(read_key(line) for line in head.keys)
    )
    assert (verdict.is_sound, verdict.entries, verdict.sealed) == (True, 300, 300)
    assert page.next_after_seq == 0
