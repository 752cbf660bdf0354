"""Starts the sync service: `python -m headwater.sync`."""

from __future__ import annotations

from headwater.kernel.lifecycle import leave
from headwater.kernel.service import run_service
from headwater.sync.app import SERVICE, serve
from headwater.sync.settings import SyncSettings

if __name__ == "__main__":
    leave(run_service(SERVICE, SyncSettings, serve))
