"""Starts the console: reads the environment, serves until SIGTERM or SIGINT."""

import os

from headwater.console.app import run_console
from headwater.console.settings import ConsoleSettings
from headwater.kernel.lifecycle import Shutdown, leave, run_process
from headwater.kernel.telemetry.logs import configure_logging


async def main(shutdown: Shutdown) -> None:
    """Serve as the environment says."""
    settings = ConsoleSettings.from_environ(os.environ)
    configure_logging("console", settings.log_level)
    await run_console(settings, shutdown)


if __name__ == "__main__":
    configure_logging("console", "info")
    leave(run_process(main))
