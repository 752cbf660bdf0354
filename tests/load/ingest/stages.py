"""The one protocol of everything that is measured: a program that says, line by line, where it stands.

`measuring` when its window opens, `measured` (events, seconds, cpu_s, and latencies where it has them) when it
closes, `done` (acked, distinct, stored where it knows) at its end. Owns running such a program under the meters.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.streams.text import TextReceiveStream
from tests.load.ingest.meters import Usage

ROOT: Final = next(
    folder for folder in Path(__file__).resolve().parents if (folder / "services" / "headwater").is_dir()
)
ENDING_S_MAX: Final = 60.0
"""From the opening of the window plus its length to the end of the program."""


class MeasurementFailed(Exception):
    """A case could not be measured; says why in one line."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One case in one round.

    Args:
        events: those of the window.
        latency_ms: percentiles by name, of calls or batches; empty where calls have no meaning.
        distinct: events that must be stored at the end.
        stored: what the program found in its own table; None when it cannot know.
    """

    events: int
    seconds: float
    client_us: float
    server_us: float
    postgres_us: float
    wal_bytes: float
    latency_ms: Mapping[str, float]
    acked: int
    distinct: int
    stored: int | None
    refused: int
    rss_bytes: int = 0
    told: Mapping[str, Any] = field(default_factory=dict)
    """All that the program said at its end."""

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a program of this repository."""
    path = os.pathsep.join([str(ROOT / "services"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, **more}


def module(name: str, *arguments: str) -> list[str]:
    """Return the command of a module of this folder."""
    return [sys.executable, "-m", f"tests.load.ingest.{name}", *arguments]


async def run(
    command: Sequence[str],
    *,
    seconds: float,
    read_usage: Callable[[], Awaitable[Usage]],
    extra: Mapping[str, str] | None = None,
) -> Measurement:
    """Run a program that speaks the protocol, reading the meters when its window opens and closes.

    Raises:
        MeasurementFailed: it ended before it was done, or took too long.
    """
    told: dict[str, dict[str, Any]] = {}
    usage: dict[str, Usage] = {}
    errors: list[str] = []
    async with await anyio.open_process(
        command, stdin=subprocess.DEVNULL, cwd=ROOT, env=environment(**(extra or {}))
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None

        async def listen_to_errors(stream: TextReceiveStream) -> None:
            errors.extend([text async for text in stream])

        try:
            with anyio.fail_after(seconds + ENDING_S_MAX):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(listen_to_errors, TextReceiveStream(process.stderr, errors="replace"))
                    async for line in _lines(TextReceiveStream(process.stdout)):
                        facts = json.loads(line)
                        told[facts["stage"]] = facts
                        if facts["stage"] in {"measuring", "measured"}:
                            usage[facts["stage"]] = await read_usage()
        except TimeoutError:
            process.kill()
            raise MeasurementFailed(f"{' '.join(command[1:4])} did not end in time") from None
    if "done" not in told:
        raise MeasurementFailed(f"{Path(command[0]).name} {' '.join(command[1:4])[:60]}: {_reason(errors)}")
    return _measurement(told["measured"], told["done"], usage["measured"].since(usage["measuring"]))


def _reason(errors: Sequence[str]) -> str:
    """Return the line of a traceback that says what went wrong."""
    lines = [line.strip(" |+-") for line in "".join(errors).splitlines()]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Failed|Interrupt)\b", line)]
    return ([*[line for line in lines if line][-1:], *named[-1:]] or ["it said nothing"])[-1][:400]


async def _lines(stream: TextReceiveStream) -> Any:
    rest = ""
    async for text in stream:
        *whole, rest = (rest + text).split("\n")
        for line in whole:
            yield line


def _measurement(measured: Mapping[str, Any], done: Mapping[str, Any], used: Usage) -> Measurement:
    events = measured["events"]
    if not events:
        raise MeasurementFailed("no event was acknowledged in the window")
    return Measurement(
        events=events,
        seconds=measured["seconds"],
        client_us=measured["cpu_s"] * 1e6 / events,
        server_us=used.server_cpu_s * 1e6 / events,
        postgres_us=used.postgres_cpu_s * 1e6 / events,
        wal_bytes=used.wal_bytes / events,
        latency_ms=measured.get("latency_ms", {}),
        acked=done["acked"],
        distinct=done["distinct"],
        stored=done.get("stored"),
        refused=done.get("refused", 0),
        rss_bytes=done.get("rss_bytes", 0),
        told=done,
    )
