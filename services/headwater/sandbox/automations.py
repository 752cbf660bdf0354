"""Owns what an account's people have set up around its records: automations and required fields. Seeded by options."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class PlantedAutomation(BaseModel):
    """One automation of an account; it is told to who asks, and does nothing to records."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["workflow", "flow", "process", "trigger", "duplicate_rule"]
    """HubSpot has workflows only."""
    object: str
    """The vendor's name of the object, as `contacts` or `Contact`."""
    name: str
    active: bool = True
