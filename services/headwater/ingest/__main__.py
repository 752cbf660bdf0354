"""Starts the ingest service: `python -m headwater.ingest`."""

from __future__ import annotations

from headwater.ingest.settings import IngestSettings
from headwater.kernel.lifecycle import Shutdown, leave
from headwater.kernel.service import run_service
from headwater.kernel.telemetry import Telemetry


async def _serve(settings: IngestSettings, telemetry: Telemetry, shutdown: Shutdown) -> None:
    from headwater.ingest.app import serve  # noqa: PLC0415 - a supervisor of several processes needs none of it

    await serve(settings, telemetry, shutdown)


if __name__ == "__main__":
    leave(run_service("ingest", IngestSettings, _serve))
