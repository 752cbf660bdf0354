"""A producer in another language, built from the protos alone, against the real service: Node with grpc-js."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from tests.integration.client.hostile import Full, serving_on
from tests.integration.ingest.world import service

from headwater.ingest.v1 import ingest_pb2

HERE: Final = Path(__file__).resolve().parent / "node_client"
PROTOS: Final = Path(__file__).resolve().parents[2] / "proto"
INSTALL_S: Final = 90.0
RUN_S: Final = 40.0
TRACE_ID: Final = "5e" * 16
TRACEPARENT: Final = f"00-{TRACE_ID}-{'7a' * 8}-01"

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.timeout(INSTALL_S + 2 * RUN_S),
    pytest.mark.skipif(
        not (shutil.which("node") and shutil.which("npm")), reason="node or npm is not installed"
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The producer with its packages, as its lock file names them, in a directory of its own."""
    directory = tmp_path_factory.mktemp("node_client")
    for name in ("package.json", "package-lock.json", ".npmrc", "producer.mjs"):
        shutil.copy(HERE / name, directory / name)
    npm = [str(shutil.which("npm")), "ci", "--ignore-scripts", "--prefer-offline", "--no-progress"]
    done = subprocess.run(npm, cwd=directory, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    assert done.returncode == 0, done.stderr
    return directory / "producer.mjs"


async def _run(program: Path, port: int) -> list[dict[str, Any]]:
    command = [str(shutil.which("node")), str(program), f"127.0.0.1:{port}", "acme", TRACEPARENT]
    with anyio.fail_after(RUN_S):
        done = await anyio.run_process(
            command, check=False, cwd=program.parent, env={**os.environ, "PROTO_DIR": str(PROTOS)}
        )
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_node_records_streams_and_reads_outcomes(program: Path, migrated_database_url: str) -> None:
    """Every outcome is what the contract says, every event is in the ledger once, with the producer's trace."""
    async with service(migrated_database_url) as caller:
        told = {item.pop("what"): item for item in await _run(program, caller.port)}
        assert told["one"]["disposition"] == "ACCEPTED"
        assert told["batch"]["dispositions"] == ["DUPLICATE", "ACCEPTED", "QUARANTINED", "REFUSED"]
        assert [len(rules) > 0 for rules in told["batch"]["rules"]] == [False, False, True, True]
        assert told["stream"]["batches"] == 10
        assert told["stream"]["dispositions"] == ["ACCEPTED"] * 500
        assert told["refused"]["code"] == "INVALID_ARGUMENT"
        assert told["refused"]["reason"] == "MALFORMED"
        assert any("source" in field for field in told["refused"]["fields"])
        counts = await caller.counts()
        assert counts == {ingest_pb2.DISPOSITION_ACCEPTED: 502, ingest_pb2.DISPOSITION_QUARANTINED: 1}
        for key in (told["one"]["event_key"], told["stream"]["keys"][0], told["stream"]["keys"][-1]):
            recorded = await caller.get(key)
            assert recorded.event.event.trace.traceparent.split("-")[1] == TRACE_ID


async def test_node_waits_as_long_as_a_full_service_asks(program: Path) -> None:
    """RetryInfo is read from the status details; everything is recorded in the end."""
    fake = Full(2, 0.2)
    async with serving_on(fake, 0) as (_, port):
        told = await _run(program, port)
    retries = [item for item in told if item["what"] == "retry"]
    assert [(item["code"], item["retry_info"]) for item in retries] == [("RESOURCE_EXHAUSTED", True)] * 2
    (stream,) = [item for item in told if item["what"] == "stream"]
    assert len(stream["keys"]) == 500
