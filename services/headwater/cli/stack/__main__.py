"""Starts a supervisor: `python -m headwater.cli.stack DATA_DIR`. People type `headwater up`."""

import os
import sys
from pathlib import Path

from headwater.cli.stack.layout import Layout
from headwater.cli.stack.supervisor import StackSettings, Supervisor
from headwater.kernel.lifecycle import Shutdown, run_process
from headwater.kernel.telemetry.logs import configure_logging


def main(data_dir: Path) -> int:
    """Supervise the stack of *data_dir* until told to end; return the exit code."""
    configure_logging("stack", "info")

    async def supervise(shutdown: Shutdown) -> None:
        await Supervisor(StackSettings(Layout(data_dir)), os.environ).run(shutdown)

    return run_process(supervise)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
