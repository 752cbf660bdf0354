"""Times in one form."""

from __future__ import annotations

import pytest

from headwater.connectors.base.moments import utc_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T10:00:00.000+0000", "2026-01-31T10:00:00Z"),
        ("2026-01-31T10:00:00.000Z", "2026-01-31T10:00:00Z"),
        ("2026-01-31T12:00:00.250+02:00", "2026-01-31T10:00:00.250Z"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T10:00:00", "2026-01-31T10:00:00"),
        ("not a time", "not a time"),
    ],
)
def test_utc_text_gives_one_form_to_every_vendors_times(text: str, expected: str) -> None:
    """Salesforce's and HubSpot's forms become ours; dates and other texts stay."""
    assert utc_text(text) == expected
