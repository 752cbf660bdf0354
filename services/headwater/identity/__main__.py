"""Starts the identity service: `python -m headwater.identity`. The only place that reads the environment."""

from __future__ import annotations

import logging
import os
import sys

from headwater.identity.app import SERVICE, serve
from headwater.identity.settings import read_settings
from headwater.kernel.errors import StartRefused
from headwater.kernel.lifecycle import Shutdown, run_process
from headwater.kernel.telemetry import configure_logging

_log = logging.getLogger(SERVICE)


def main() -> int:
    """Run the service until it is told to end; return its exit code."""
    configure_logging(SERVICE, "info")
    try:
        settings = read_settings(os.environ)
    except StartRefused as refused:
        _log.critical("start refused: %s", refused)
        return StartRefused.exit_code
    configure_logging(SERVICE, settings.log_level)
    _log.info("settings", extra={"settings": settings.printed()})

    async def run(shutdown: Shutdown) -> None:
        await serve(settings, shutdown)

    return run_process(run)


if __name__ == "__main__":
    sys.exit(main())
