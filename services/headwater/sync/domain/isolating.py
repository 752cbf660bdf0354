"""Whether a row whose handling fails unexpectedly is parked, or the account is to blame. Pure.

A row is parked when others of its batch went through, or when it failed alone again and again. When
nothing of a batch goes through, the cause is most likely not in the rows: parking them all would bury
a whole queue under one fault of ours, so the actor starts again, with growing pauses, and says why.
"""

from __future__ import annotations

from typing import Final, Literal

ALONE_TRIES: Final = 3
"""Unexpected failures in a row after which a row that is all there is to do is parked."""

Verdict = Literal["park", "start_again"]


def judge_failures(failed: int, passed: int, tries: int) -> Verdict:
    """Return what becomes of the *failed* rows of a batch.

    Args:
        failed: rows whose handling raised even alone, 1 or more.
        passed: rows of the same batch that were handled.
        tries: how often the row has failed in a row, this time included, when it is the only one.
    """
    if passed or (failed == 1 and tries >= ALONE_TRIES):
        return "park"
    return "start_again"
