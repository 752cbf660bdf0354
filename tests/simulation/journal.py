"""The journal of a run: every effect in order, as text lines and as a hash that names the whole run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

LINES_MAX: Final = 200_000
"""Lines kept; the hash goes on beyond them."""


class Journal:
    """Takes notes under virtual time.

    Args:
        keep: whether lines are kept for a bundle; the hash is made either way.
    """

    def __init__(self, now: Callable[[], float], *, keep: bool) -> None:
        self._now = now
        self.keeps = keep
        self._hash = hashlib.blake2b(digest_size=16)
        self.lines: list[str] = []
        self.count = 0

    def note(self, process: str, kind: str, *facts: Any) -> None:
        """Write one line."""
        line = f"{self._now():.6f} {process} {kind} {' '.join(map(str, facts))}"
        self._hash.update(line.encode())
        self.count += 1
        if self.keeps and len(self.lines) < LINES_MAX:
            self.lines.append(line)

    def remark(self, text: str) -> None:
        """Write a line for readers only: it is no part of the hash."""
        if self.keeps and len(self.lines) < LINES_MAX:
            self.lines.append(f"{self._now():.6f} # {text}")

    def digest(self) -> str:
        """Return the hash of all lines so far."""
        return self._hash.hexdigest()
