"""How long a small commit waits for others: a pure estimate from the commits before it.

A commit costs nearly the same for one row as for ten. Callers that wait for their answer before they send again
drip in one by one behind a short commit; a pause of about one commit lets them gather. A single caller never waits.
"""

from __future__ import annotations

from typing import Final

SHARE: Final = 0.8
"""Share of the rows seen around the last commit that the next one waits for."""
PATIENCE: Final = 1.5
"""The longest pause, in durations of the last commit."""
PATIENCE_S_MAX: Final = 0.01


class Company:
    """What the next commit may expect.

    Args:
        rows: rows that are worth a commit, at least one.
        patience_s: how long to wait for them once a row is there.
    """

    __slots__ = ("_begun_rows", "_begun_s", "patience_s", "rows")

    def __init__(self) -> None:
        self.rows = 1.0
        self.patience_s = 0.0
        self._begun_rows = 0
        self._begun_s = 0.0

    def begin(self, rows: int, now_s: float) -> None:
        """Note that a commit of *rows* begins."""
        self._begun_rows = rows
        self._begun_s = now_s

    def end(self, waiting_rows: int, now_s: float) -> None:
        """Note that it has ended, and how many rows came meanwhile."""
        self.rows = max(1.0, (self._begun_rows + waiting_rows) * SHARE)
        self.patience_s = min(PATIENCE_S_MAX, (now_s - self._begun_s) * PATIENCE)

    def give_up(self) -> None:
        """Note that the wait was in vain: those who were here are gone."""
        self.rows = 1.0
