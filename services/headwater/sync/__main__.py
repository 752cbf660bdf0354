"""Starts the sync service: `python -m headwater.sync`."""

from __future__ import annotations

from headwater.kernel.lifecycle import Shutdown, leave
from headwater.kernel.service import run_service
from headwater.kernel.telemetry import Telemetry
from headwater.sync.settings import SyncSettings


async def _serve(settings: SyncSettings, telemetry: Telemetry, shutdown: Shutdown) -> None:
    from headwater.sync.app import serve  # noqa: PLC0415 - a supervisor of several processes needs none of it

    await serve(settings, telemetry, shutdown)


if __name__ == "__main__":
    leave(run_service("sync", SyncSettings, _serve))
