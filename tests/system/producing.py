"""Compiles the protos afresh and runs the independent client on what comes out. Asserts nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from tests.system.tenant import Tenant

ROOT: Final = next(folder for folder in Path(__file__).parents if (folder / "proto").is_dir())
PROGRAM: Final = Path(__file__).with_name("independent_client.py")
RUN_S_MAX: Final = 40.0


@dataclass(frozen=True, slots=True)
class Produced:
    """One event as its producer saw it."""

    event_key: str
    disposition: str
    trace_id: str
    span_id: str


def compile_protos(directory: Path) -> Path:
    """Generate Python from every proto into *directory*, packages of its own, and return it."""
    protos = [str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto")]
    known = resources.files("grpc_tools") / "_proto"
    command = [
        sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", f"-I{known}",
        f"--python_out={directory}", f"--grpc_python_out={directory}", *protos,
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=RUN_S_MAX)
    for folder in {parent for path in protos for parent in Path(path).parents if parent != Path()}:
        (directory / folder / "__init__.py").touch()
    return directory


def produce(generated: Path, tenant: Tenant, *steps: str) -> dict[str, Produced]:
    """Run the independent client for these steps; step to what it saw."""
    world = tenant.world
    endpoint = f"http://{world.address('otlp')}"
    command = [
        sys.executable,
        str(PROGRAM),
        str(generated),
        world.address("ingest"),
        endpoint,
        tenant.id,
        *steps,
    ]
    hidden = {"PYTHONPATH", "OTEL_EXPORTER_OTLP_ENDPOINT"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=RUN_S_MAX, check=False
    )
    assert done.returncode == 0, done.stderr
    return {step: Produced(**told) for step, told in json.loads(done.stdout).items()}
