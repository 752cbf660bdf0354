"""The part of the policy document about retention: how long the log keeps what a tenant's events say.

Owns the words. When a day is old enough is ingest's to say (`ingest.domain.days`).
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from headwater.policy.words import Part

DAYS_MAX: Final = 36_500


class Retention(Part):
    """How long events are kept: shorter than ingest keeps its days, never longer."""

    days: Annotated[int, Field(ge=1, le=DAYS_MAX)]
    """Days after which a day's events of this tenant leave the log; their keys stay, so a repeat is known."""
    archive: bool = True
    """Whether they are archived before, where ingest archives its days; false: they are gone."""
