"""Whether records that a CRM did not list may be gone, or its listing is not to be believed. Pure.

A listing can be cut short: by a fault, a lost permission, a filter that somebody added. So what is not in it is only a
question, put to the CRM record by record; and a listing that lacks too much is not even that.
"""

from __future__ import annotations

from typing import Final

ABSENT_MIN: Final = 50
"""So few may be absent whatever their share: a small account loses a few by one hand."""
ABSENT_SHARE_MAX: Final = 0.1
"""Share of the records that we hold, above which a listing that lacks them is not believed."""
SHORT_SHARE_MAX: Final = 0.02
"""Share of the records that the CRM itself counted, by which a listing may be short: some change meanwhile."""


def disbelief(*, held: int, absent: int, expected: int, listed: int) -> str:
    """Return why a listing is not believed; empty when it is.

    Args:
        held: records that we have of the object, not deleted.
        absent: those of them that were not listed.
        expected: records that the CRM counted before it listed them.
        listed: records that it listed.
    """
    if listed < expected * (1 - SHORT_SHARE_MAX):
        return f"the listing was cut short: {listed:,} of {expected:,} records"
    if absent > max(ABSENT_MIN, held * ABSENT_SHARE_MAX):
        return f"{absent:,} of {held:,} records were not listed: too many to be believed"
    return ""
