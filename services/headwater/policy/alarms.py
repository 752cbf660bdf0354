"""The part of the policy document about alarms: when people are called about one connector account.

Numbers are defaults of the requirements (F2 to F4, F7, C4) and belong here; alert rules are made from them.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from headwater.policy.words import Part, Share

Hour = Annotated[int, Field(ge=0, le=24)]


class Alarms(Part):
    """When an account's people are called."""

    failure_share_max: Share = 0.01
    """Share of deliveries of an hour that may end as dead letters."""
    failures_min: Annotated[int, Field(ge=1, le=1_000_000)] = 3
    """Dead letters of a window below which nobody is called, however large their share is."""
    success_share_floors: tuple[Share, Share] = (0.98, 0.95)
    """Share of successes of half an hour below which a ticket is written, and below which somebody is called."""
    objective: Annotated[float, Field(gt=0, lt=1)] = 0.99
    """Share of deliveries that shall succeed: what the error budget is made of."""
    silence_s: Annotated[float, Field(ge=60, le=604_800)] = 1_800.0
    """Longest time without a delivered record in the hours of traffic."""
    traffic_hours_utc: tuple[Hour, Hour] = (8, 18)
    """Hours of the day between which traffic is expected, the last one not included; [0, 24]: always."""
    traffic_days: Annotated[tuple[Annotated[int, Field(ge=0, le=6)], ...], Field(min_length=1)] = (
        1,
        2,
        3,
        4,
        5,
    )
    """Days on which it is, 0 is Sunday."""
    backlog_age_s: Annotated[float, Field(gt=0, le=604_800)] = 900.0
    """How long the first in line may have been due."""
    latency_s: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    """95th percentile from event to CRM that is an alarm; the objective is 60 s."""
    retry_share_max: Share = 0.25
    """Share of tries that may fail before somebody looks."""
    dead_letters_max: Annotated[int, Field(ge=0)] = 100
    """Dead letters that may wait for a person."""
    token_warn_days: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (7.0, 1.0)
    """Days before the end of a token, subscription or watch at which a ticket is written, and somebody called."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        """Refuse pairs that stand the wrong way round: one of their alarms could never come first."""
        ticket, page = self.success_share_floors
        if page > ticket:
            raise ValueError("success_share_floors: the second, which calls, must not lie above the first")
        if self.token_warn_days[1] > self.token_warn_days[0]:
            raise ValueError("token_warn_days: the second, which calls, must not lie above the first")
        if self.traffic_hours_utc[0] >= self.traffic_hours_utc[1]:
            raise ValueError("traffic_hours_utc: must begin before it ends")
        return self
