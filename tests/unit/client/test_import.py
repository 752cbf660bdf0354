"""What importing the client brings along: the wire contract and the kernel, no service, no SDK, nothing of servers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

SERVICES: Final = Path(__file__).resolve().parents[3] / "services"
HEAVY: Final = (
    "opentelemetry.sdk",
    "grpc_health.",
    "grpc_reflection.",
    "asyncpg",
    "pydantic",
    "rich",
    "httpx",
)
ROOMS: Final = {"client", "event", "ingest", "kernel", "sync"}
PROGRAM: Final = """
import sys, json
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("opentelemetry.sdk"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import headwater.client
print(json.dumps(sorted(sys.modules)))
"""


def _imported() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={"PYTHONPATH": str(SERVICES)}, capture_output=True, check=True
    )
    names: list[str] = json.loads(done.stdout)
    return names


def test_importing_the_client_needs_no_sdk_and_loads_no_service() -> None:
    """With the OpenTelemetry SDK made unfindable; of services nothing but their wire contracts."""
    names = _imported()
    assert not [name for name in names if name.startswith(HEAVY)]
    ours = [name.split(".") for name in names if name.startswith("headwater.")]
    assert {parts[1] for parts in ours} <= ROOMS
    services = [parts for parts in ours if parts[1] in {"event", "ingest", "sync"} and len(parts) > 2]
    assert {parts[2] for parts in services} == {"v1"}
