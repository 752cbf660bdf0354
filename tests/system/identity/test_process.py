"""The identity service as its own process: it says when it serves, ends in order, refuses a bad start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from headwater.identity.v1 import identity_pb2 as pb
from headwater.identity.v1 import identity_pb2_grpc
from headwater.kernel.rpc import open_channel

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

END_S = 20


@contextmanager
def started(database_url: str) -> Iterator[subprocess.Popen[str]]:
    """Start the process; end it whatever happens."""
    environment = {
        **os.environ,
        "HEADWATER_DATABASE_URL": database_url,
        "HEADWATER_IDENTITY_ADDRESS": "127.0.0.1:0",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "headwater.identity"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_the_process_serves_and_ends_in_order(migrated_database_url: str) -> None:
    """One line of JSON names the port; SIGTERM ends it with code 0, and no password was printed."""
    with started(migrated_database_url) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        async with open_channel(f"127.0.0.1:{ready['port']}") as channel:
            stub: identity_pb2_grpc.IdentityServiceAsyncStub = identity_pb2_grpc.IdentityServiceStub(channel)
            status = await stub.GetIdentityStatus(pb.GetIdentityStatusRequest(tenant_id="acme"), timeout=10)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=END_S)
    assert ready["ready"] is True
    assert not status.counts
    assert process.returncode == 0
    assert any(json.loads(line)["message"] == "settings" for line in log.splitlines())


def test_the_process_refuses_a_database_that_is_not_migrated(database_url: str) -> None:
    """Exit code 78 and what to do about it."""
    with started(database_url) as process:
        _, log = process.communicate(timeout=END_S)
    assert process.returncode == 78
    assert "headwater migrate" in log


def test_the_process_refuses_settings_that_are_wrong() -> None:
    """Exit code 78 and the name of the variable."""
    with started("nonsense") as process:
        _, log = process.communicate(timeout=END_S)
    assert process.returncode == 78
    assert "HEADWATER_DATABASE_URL" in log
