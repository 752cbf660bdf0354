"""A service whose tracing can be switched off and on while it runs, for the bench; and the switch.

`python -m tests.load.tracing.switchable headwater.sync` is `python -m headwater.sync`, except that SIGUSR1 makes all its
tracing what it is without an endpoint (the no-op tracer, the branches for tracing off), and SIGUSR2 what it was. So the
ways that are compared run in the same process, on the same database: the luck of a process with its memory and its
batches, which is as much as tracing costs, is the same for all.
"""

from __future__ import annotations

import gc
import os
import runpy
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

import anyio
from opentelemetry.trace import NoOpTracer, Tracer
from tests.load.ingest.stages import MeasurementFailed
from tests.system.processes import Child

LAUNCHER: Final = ("tests.load.tracing.switchable",)
DIRECTORY: Final = "HEADWATER_BENCH_SWITCHES"
"""Variable: where a process says in a file of its pid how its tracing stands."""
SWITCH_S_MAX: Final = 10.0
LOOK_S: Final = 0.01


async def switch(children: Sequence[Child], directory: Path, *, on: bool) -> None:
    """Switch the tracing of running services and return when each has said so.

    Raises:
        MeasurementFailed: one did not.
    """
    wanted = _word(on=on)
    give_up_at = time.monotonic() + SWITCH_S_MAX
    for child in children:
        said = directory / str(child.pid)
        os.kill(child.pid, signal.SIGUSR2 if on else signal.SIGUSR1)
        while not said.exists() or said.read_text() != wanted:
            if time.monotonic() > give_up_at:
                raise MeasurementFailed(f"{child.name} did not switch its tracing {wanted}")
            await anyio.sleep(LOOK_S)


def _word(*, on: bool) -> str:
    return "on" if on else "off"


def main() -> None:
    """Run the module named, with the switch."""
    from headwater.kernel.telemetry import Spans  # noqa: PLC0415 - in the service alone, as the next
    from headwater.kernel.telemetry.http import HttpServerTracing  # noqa: PLC0415
    from headwater.kernel.telemetry.rpc import (  # noqa: PLC0415
        ServerTracing,
        StreamClientTracing,
        UnaryClientTracing,
    )

    kinds = (Spans, ServerTracing, HttpServerTracing, UnaryClientTracing, StreamClientTracing)
    said = Path(os.environ[DIRECTORY]) / str(os.getpid())
    before: dict[int, tuple[Tracer, bool]] = {}

    def turn(number: int, frame: FrameType | None) -> None:
        del frame
        on = number == signal.SIGUSR2
        held: list[Any] = [one for one in gc.get_objects() if isinstance(one, kinds)]
        if not held:
            raise MeasurementFailed("nothing traces here")
        for one in held:
            was = before.setdefault(id(one), (one._tracer, one._enabled))  # noqa: SLF001 - what is switched
            one._tracer, one._enabled = was if on else (NoOpTracer(), False)  # noqa: SLF001 - as above
        said.with_suffix(".new").write_text(_word(on=on))
        said.with_suffix(".new").replace(said)

    signal.signal(signal.SIGUSR1, turn)
    signal.signal(signal.SIGUSR2, turn)
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
