"""A headless Chromium driven over its own pipe (Chrome DevTools Protocol): nothing but the browser itself is needed.

Owns finding it, its flags, its end. Must not know any page.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = next(folder for folder in Path(__file__).parents if (folder / "Makefile").is_file())
UNPACKED: Final = ROOT / ".chromium" / "run"
NAMES: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--force-color-profile=srgb", "--remote-debugging-pipe",
)  # fmt: skip
PLACED: Final = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
"""Starts a program with the pipe where Chromium looks for it: it reads from 3 and writes to 4."""
ANSWER_S: Final = 20.0
END_S: Final = 5.0


def find_chromium() -> str:
    """Return the path of a Chromium; the test is skipped where there is none."""
    found = str(UNPACKED) if UNPACKED.is_file() else next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium: `make test-browser` fetches it where there is apt-get, or put it on PATH")
    return found


class Page:
    """One tab."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        self._rest = b""
        self._last_id = 0
        self._happened: list[dict[str, Any]] = []
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and return its result."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self._last_id:
                assert "error" not in told, told["error"]
                result: dict[str, Any] = told["result"]
                return result
            self._happened.append(told)

    def open(self, url: str, width: int, height: int) -> None:
        """Go to *url* in a window of that size and return once it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self._happened.clear()
        self.call("Page.navigate", url=url)
        while not any(item.get("method") == "Page.loadEventFired" for item in self._happened):
            self._happened.append(self._next())

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page, as JSON has it."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def screenshot(self, x: float, y: float, width: float, height: float) -> bytes:
        """Return what is painted in a rectangle of the page, as PNG."""
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
        return base64.b64decode(
            self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)["data"]
        )

    def _next(self) -> dict[str, Any]:
        give_up_at = time.monotonic() + ANSWER_S
        while b"\0" not in self._rest:
            readable, _, _ = select.select([self._reading], [], [], max(0.0, give_up_at - time.monotonic()))
            part = os.read(self._reading, 1 << 20) if readable else b""
            assert part, "the browser does not answer" if not readable else "the browser has ended"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        told: dict[str, Any] = json.loads(line)
        return told


@contextmanager
def open_page() -> Iterator[Page]:
    """A browser with a profile of its own and one tab; ended at the end."""
    program = find_chromium()
    to_browser, ours_out = _high(os.pipe())
    ours_in, from_browser = _high(os.pipe())
    with tempfile.TemporaryDirectory(prefix="headwater-chromium-", ignore_cleanup_errors=True) as profile:
        placed = [sys.executable, "-c", PLACED, str(to_browser), str(from_browser)]
        command = [*placed, program, *FLAGS, f"--user-data-dir={profile}"]
        with subprocess.Popen(
            command, pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, "HOME": profile},
        ) as process:  # fmt: skip
            os.close(to_browser)
            os.close(from_browser)
            try:
                yield Page(ours_in, ours_out)
            finally:
                process.terminate()
                try:
                    process.wait(END_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                os.close(ours_in)
                os.close(ours_out)


def _high(pair: tuple[int, int]) -> tuple[int, int]:
    """Move both ends of a pipe out of the way of the numbers that the browser wants."""
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in pair)
    for end in pair:
        os.close(end)
    return moved[0], moved[1]
