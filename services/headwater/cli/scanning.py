"""Runs an identity scan as its own process and follows it: a bar per stage on stderr, its figures at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from headwater.kernel.errors import HeadwaterError, InvalidInput

STAGES: Final = {
    "copy": "reading",
    "prepare": "normalising",
    "block": "pairing by keys",
    "weigh": "weights",
    "bound": "leaving out hopeless pairs",
    "link": "scoring and linking",
}
"""The scan's stages in words."""
_END_TIMEOUT_S: Final = 10.0


class ScanFailed(HeadwaterError):
    """The scan's process ended without a result."""

    default_reason = "SCAN_FAILED"


def run_scan(arguments: Sequence[str], console: Console) -> Mapping[str, Any]:
    """Run a scan to its end and return its figures.

    Raises:
        InvalidInput: the scan refused the file or its options.
        ScanFailed: it ended otherwise.
    """
    command = [sys.executable, "-m", "headwater.identity.bulk", *arguments]
    with _process(command) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        with _bars(console) as bars:
            last = _follow(process.stdout, bars)
        code = process.wait()
    if "report" in last:
        return dict(last["report"])
    if "error" in last:
        raise InvalidInput(last["error"]["message"], reason=last["error"]["reason"])
    raise ScanFailed(f"the scan ended with exit code {code}; calling it again goes on from there")


@contextmanager
def _process(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a process that is ended when the caller leaves early; an interrupt reaches it only through us."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:  # noqa: S603 - our own module
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(_END_TIMEOUT_S)


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        yield bars


def _follow(lines: Iterable[str], bars: Progress) -> Mapping[str, Any]:
    """Show each line of progress; return the last line of another kind."""
    last: Mapping[str, Any] = {}
    tasks: dict[str, Any] = {}
    for line in lines:
        told = json.loads(line)
        if "progress" not in told:
            last = told
            continue
        stage, done, of = told["progress"]
        if stage not in tasks:
            tasks[stage] = bars.add_task(STAGES.get(stage, stage), total=of)
        bars.update(tasks[stage], completed=done, total=of)
    return last
