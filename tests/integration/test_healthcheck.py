"""The image's health check against real servers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest
from tests.integration.security.credentials import Credentials

from headwater.kernel.rpc import RpcServer, ServerSettings
from headwater.kernel.security.security import open_security
from headwater.kernel.security.settings import SecuritySettings

SCRIPT = (
    next(folder for folder in Path(__file__).parents if (folder / "deploy").is_dir())
    / "deploy/healthcheck.py"
)

pytestmark = pytest.mark.slow


async def _check(port: int, variables: Mapping[str, str] | None = None) -> int:
    environment = {**os.environ, "HEADWATER_HEALTH_ADDRESS": f"127.0.0.1:{port}", **(variables or {})}
    command = [sys.executable, str(SCRIPT)]
    done = await anyio.run_process(command, env=environment, check=False, stderr=subprocess.DEVNULL)
    return done.returncode


@pytest.mark.anyio
async def test_a_serving_service_is_healthy() -> None:
    """A service that serves answers the check with 0."""
    async with RpcServer(ServerSettings(), lambda _: ()).serving() as port:
        assert await _check(port) == 0


@pytest.mark.anyio
async def test_a_service_on_certificates_is_asked_with_its_own(tmp_path: Path) -> None:
    """The check needs no credential of its own; in the clear there is no answer."""
    variables = Credentials(tmp_path).settings_of_certificates
    security = open_security(SecuritySettings.model_validate(variables))
    async with RpcServer(ServerSettings(), lambda _: (), None, security).serving() as port:
        assert await _check(port, variables) == 0
        assert await _check(port) == 1


@pytest.mark.anyio
async def test_an_absent_service_is_unhealthy() -> None:
    """A port where nobody listens fails the check."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert await _check(port) == 1
