"""Starts the sandbox: reads the environment, runs. `python -m headwater.sandbox`."""

from __future__ import annotations

import logging
import sys

from pydantic import ValidationError

from headwater.sandbox.app import run
from headwater.sandbox.settings import SandboxSettings


def main() -> int:
    """Run the sandbox until SIGTERM; a faulty setting ends it at once with every fault named on stderr."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    try:
        settings = SandboxSettings()
    except ValidationError as error:
        for fault in error.errors():
            name = "HEADWATER_SANDBOX_" + "_".join(str(part) for part in fault["loc"]).upper()
            sys.stderr.write(f"{name}: {fault['msg']} (seen: {fault['input']!r})\n")
        return 2
    run(settings)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
