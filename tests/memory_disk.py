"""Where tests keep their files: in memory, where there is plenty of it.

A throw-away database is made, written and dropped for each of a thousand tests, and syncing it to a disk is most of what
the kernel does meanwhile. In memory the server keeps every setting of durability and only waits less; what a killed
process leaves behind is the same. Benches are not led here: they measure the disk too.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

MEMORY_DISK: Final = Path("/dev/shm")  # noqa: S108 - a file system of Linux, not a file name that one could guess
FREE_BYTES_MIN: Final = 6 * 1024**3
"""Left on that disk, and of the machine's memory, before it is used: several times what the whole suite holds at once."""


def use_memory_disk(disk: Path = MEMORY_DISK, meminfo: Path = Path("/proc/meminfo")) -> bool:
    """Lead temporary files of this process and its children there, unless the user leads them elsewhere; tell whether."""
    if "TMPDIR" in os.environ or min(_free_bytes(disk), _available_bytes(meminfo)) < FREE_BYTES_MIN:
        return False
    os.environ["TMPDIR"], tempfile.tempdir = str(disk), None
    return True


def _free_bytes(disk: Path) -> int:
    try:
        found = os.statvfs(disk)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


def _available_bytes(meminfo: Path) -> int:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
