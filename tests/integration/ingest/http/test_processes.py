"""Several processes of ingest behind one HTTP port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import anyio
import anyio.to_thread
import httpx
import pytest
from tests.integration.ingest.http.door import JSON, item
from tests.integration.ingest.world import client, policy_event

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux spreads connections over processes")
async def test_processes_share_both_ports(migrated_database_url: str) -> None:
    """The ready line tells both; every connection is served by one of them; the end is graceful."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HEADWATER_DATABASE_URL": migrated_database_url,
        "HEADWATER_INGEST_ADDRESS": "127.0.0.1:0",
        "HEADWATER_INGEST_HTTP_ADDRESS": "127.0.0.1:0",
    }
    command = [sys.executable, "-m", "headwater.ingest", "--processes", "2"]
    with subprocess.Popen(  # noqa: ASYNC220 - starts in a millisecond
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(await anyio.to_thread.run_sync(process.stdout.readline))
            assert ready["processes"] == 2
            url = f"http://127.0.0.1:{ready['http_port']}/v1/events"
            async with client(ready["port"]) as grpc:
                await grpc.record(policy_event())
            fates: list[str] = []
            for _ in range(12):  # a connection each
                answer = await anyio.to_thread.run_sync(lambda: httpx.post(url, json=item(1), headers=JSON))
                fates.append(answer.json()["outcomes"][0]["disposition"])
            assert fates == ["ACCEPTED", *["DUPLICATE"] * 11]
            process.send_signal(signal.SIGTERM)
            with anyio.fail_after(30):
                await anyio.to_thread.run_sync(process.wait)
        finally:
            if process.poll() is None:
                process.kill()
    assert process.returncode == 0
