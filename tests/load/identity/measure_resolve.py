"""Measures ResolveBatch: `python -m tests.load.identity.measure_resolve`, under a minute.

The service runs as its own process on an embedded Postgres; records are those of the synthetic CRM
set, once per tenant. Prints records/s of first sight and of records known before, by calls under way.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio

from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2 as pb
from headwater.identity.v1 import identity_pb2_grpc
from headwater.kernel.rpc import open_channel
from headwater.kernel.testing.postgres import create_template, shared_server

BATCH_RECORDS = 500
FIELDS = ("first_name", "last_name", "email", "phone", "linkedin_url", "company", "website", "country")


def shared_directory() -> Path:
    """Find the shared data beside the repository, or where HEADWATER_SHARED says."""
    if named := os.environ.get("HEADWATER_SHARED"):
        return Path(named)
    return next(
        parent / "shared" for parent in Path(__file__).resolve().parents if (parent / "shared").is_dir()
    )


def read_records() -> list[pb.ResolveRecord]:
    """Read the synthetic contacts as records to resolve."""
    path = shared_directory() / "data" / "er" / "crm_synth_dev" / "records.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return [
            pb.ResolveRecord(
                record=event_pb2.RecordRef(source=row["source"], object="contact", external_id=row["rec_id"]),
                event_key=str(uuid.uuid4()),
                attributes={name: row[name] for name in FIELDS if row[name]},
            )
            for row in csv.DictReader(file)
        ]


@contextmanager
def service(database_url: str) -> Iterator[int]:
    """Run the service as its own process; yield its port."""
    environment = {
        **os.environ,
        "HEADWATER_DATABASE_URL": database_url,
        "HEADWATER_IDENTITY_ADDRESS": "127.0.0.1:0",
        "HEADWATER_LOG_LEVEL": "warning",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "headwater.identity"], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["port"]
        finally:
            process.terminate()


async def rate(
    stub: identity_pb2_grpc.IdentityServiceAsyncStub,
    tenants: Sequence[str],
    records: Sequence[pb.ResolveRecord],
) -> float:
    """Resolve all records once per tenant, tenants side by side; return records/s in all."""

    async def bring(tenant: str) -> None:
        for start in range(0, len(records), BATCH_RECORDS):
            batch = records[start : start + BATCH_RECORDS]
            await stub.ResolveBatch(pb.ResolveBatchRequest(tenant_id=tenant, records=batch))

    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for tenant in tenants:
            tasks.start_soon(bring, tenant)
    return len(records) * len(tenants) / (time.perf_counter() - began)


async def measure(port: int) -> dict[str, int]:
    """Run the four measurements."""
    records = read_records()
    async with open_channel(f"127.0.0.1:{port}") as channel:
        stub: identity_pb2_grpc.IdentityServiceAsyncStub = identity_pb2_grpc.IdentityServiceStub(channel)
        await rate(stub, ["warm"], records[:BATCH_RECORDS])
        figures = {}
        for calls in (1, 4):
            tenants = [f"t{calls}-{number}" for number in range(calls)]
            figures[f"first_sight_{calls}_calls_per_s"] = round(await rate(stub, tenants, records))
            figures[f"known_{calls}_calls_per_s"] = round(await rate(stub, tenants, records))
        return figures


def main() -> None:
    """Print the figures."""
    with shared_server() as server, service(anyio.run(create_template, server, ("identity",))) as port:
        sys.stdout.write(json.dumps(anyio.run(measure, port)) + "\n")


if __name__ == "__main__":
    main()
