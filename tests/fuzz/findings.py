"""A finding: a request and what it brought about; as a file that the regression test replays; made smaller.

Files are JSON, named by method and by a hash of the request, so that the same finding is the same file.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "findings"
"""Findings of the past, each replayed by `tests/fuzz/test_findings.py`."""
TRIES_MAX: Final = 400
"""Requests sent to make one finding smaller."""

Fails = Callable[[bytes], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a request brought about.

    Args:
        method: name of the method, or of the pure target.
        wire: the request, or the target's input.
        breach: the rule that was broken.
    """

    method: str
    wire: bytes
    breach: str
    service: str = "IngestService"

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return f"{self.method}-{hashlib.sha256(self.wire).hexdigest()[:12]}.json"


def write(finding: Finding, folder: Path) -> Path:
    """Write a finding to its file and return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / finding.file_name
    text = {
        "service": finding.service,
        "method": finding.method,
        "breach": finding.breach,
        "wire_base64": base64.b64encode(finding.wire).decode(),
    }
    path.write_text(json.dumps(text, indent=2) + "\n", encoding="utf-8")
    return path


def load(path: Path) -> Finding:
    """Return the finding of a file."""
    text = json.loads(path.read_text(encoding="utf-8"))
    wire = base64.b64decode(text["wire_base64"])
    return Finding(text["method"], wire, text["breach"], text["service"])


async def smaller(wire: bytes, fails: Fails, tries_max: int = TRIES_MAX) -> bytes:
    """Return a shorter input that still *fails*: halves, then quarters and so on are left out while it does.

    Source: Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input (2002).
    """
    parts = 2
    tries = 0
    while len(wire) > 1 and parts <= 2 * len(wire) and tries < tries_max:
        for candidate in _without_one(wire, min(parts, len(wire))):
            tries += 1
            if await fails(candidate):
                wire, parts = candidate, max(parts - 1, 2)
                break
            if tries >= tries_max:
                break
        else:
            if parts >= len(wire):
                break
            parts = min(parts * 2, len(wire))
    return wire


def _without_one(wire: bytes, parts: int) -> Iterator[bytes]:
    size = -(-len(wire) // parts)
    for start in range(0, len(wire), size):
        yield wire[:start] + wire[start + size :]
