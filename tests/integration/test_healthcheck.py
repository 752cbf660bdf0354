"""The image's health check against real servers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from headwater.kernel.rpc import RpcServer, ServerSettings

SCRIPT = (
    next(folder for folder in Path(__file__).parents if (folder / "deploy").is_dir())
    / "deploy/healthcheck.py"
)

pytestmark = pytest.mark.slow


async def _check(port: int) -> int:
    environment = {**os.environ, "HEADWATER_HEALTH_ADDRESS": f"127.0.0.1:{port}"}
    command = [sys.executable, str(SCRIPT)]
    done = await anyio.run_process(command, env=environment, check=False, stderr=subprocess.DEVNULL)
    return done.returncode


@pytest.mark.anyio
async def test_a_serving_service_is_healthy() -> None:
    """A service that serves answers the check with 0."""
    async with RpcServer(ServerSettings(), lambda _: ()).serving() as port:
        assert await _check(port) == 0


@pytest.mark.anyio
async def test_an_absent_service_is_unhealthy() -> None:
    """A port where nobody listens fails the check."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert await _check(port) == 1
