"""Starts the ingest service: `python -m headwater.ingest`."""

from __future__ import annotations

import sys

from headwater.ingest.app import SERVICE, serve
from headwater.ingest.settings import IngestSettings
from headwater.kernel.service import run_service

if __name__ == "__main__":
    sys.exit(run_service(SERVICE, IngestSettings, serve))
