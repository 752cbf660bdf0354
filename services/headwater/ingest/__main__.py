"""`python -m headwater.ingest`: reads the environment, serves until SIGTERM."""

from __future__ import annotations

import logging
import sys

from headwater.ingest.app import SERVICE, serving
from headwater.ingest.settings import read_settings
from headwater.kernel.lifecycle import Shutdown, announce_ready, run_process
from headwater.kernel.telemetry import configure_logging

_log = logging.getLogger(__name__)


async def serve(shutdown: Shutdown) -> None:
    """Serve until *shutdown* is requested and everything accepted is answered."""
    settings = read_settings()
    configure_logging(SERVICE, settings.log_level)
    _log.info("settings", extra={"settings": settings.printable()})
    async with serving(settings) as port:
        announce_ready(port=port)
        _log.info("serving", extra={"port": port})
        await shutdown.wait()
        _log.info("shutting down")
    _log.info("stopped")


def main() -> int:
    """Run the service; return the process's exit code."""
    configure_logging(SERVICE, "info")
    return run_process(serve)


if __name__ == "__main__":
    sys.exit(main())
