"""The parts of the policy document about one connector account: limits, retries, breaker, lanes, pace, polling, rollouts.

Numbers are defaults of the requirements and belong here, never as literals in code.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from headwater.kernel.ids import ObjectName
from headwater.policy.words import EndpointClass, Part, RetryClass, Seconds, Share


class Window(Part):
    """At most *calls*, or *tokens*, in any *window_s* seconds; one of the two is given."""

    calls: Annotated[int, Field(ge=1)] | None = None
    tokens: Annotated[int, Field(ge=1)] | None = None
    window_s: Annotated[float, Field(gt=0, le=86_400)]
    classes: tuple[EndpointClass, ...] = ()
    """Endpoint classes whose calls count; empty for all of them."""


class QuotaShares(Part):
    """From which used share of the day's quota on a lane may only use the rest as fast as the day passes."""

    backfill: Share = 0.6
    reconcile: Share = 0.75
    retry: Share = 0.9
    live: Share = 1.0


class Limits(Part):
    """What the vendor allows, less what others use."""

    window: Window | None = None
    """Short form of `windows` with one element."""
    windows: Annotated[tuple[Window, ...], Field(max_length=8)] = ()
    costs: dict[EndpointClass, Annotated[int, Field(ge=0)]] = {}
    """Tokens that one call of a class costs; 1 where nothing is said."""
    daily_calls: Annotated[int, Field(ge=0)] = 0
    """0 means the vendor states none."""
    daily_tokens: Annotated[int, Field(ge=0)] = 0
    """0 means the vendor states none."""
    day_starts_utc: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = "00:00"
    """When the vendor's day begins, as HH:MM, in quotes."""
    daily_alert_share: Annotated[float, Field(gt=0, le=1)] = 0.6
    quota_shares: QuotaShares = QuotaShares()
    concurrency: Annotated[int, Field(ge=1, le=64)] = 2
    """Calls that we keep under way."""
    class_concurrency: dict[EndpointClass, Annotated[int, Field(ge=1, le=1000)]] = {}
    """Calls of one class that the vendor lets run side by side, those that we gave up among them."""
    lost_call_s: Seconds = 5.0
    """How long after we gave it up a call may still reach the vendor, or run there."""
    batch_records: Annotated[int, Field(ge=1, le=1000)] = 100

    @property
    def all_windows(self) -> tuple[Window, ...]:
        """Every window, however it is written."""
        return (*(() if self.window is None else (self.window,)), *self.windows)


class ClassRetry(Part):
    """What one class of errors gets instead of the two tiers."""

    after_s: Annotated[tuple[Seconds, ...], Field(max_length=100)] = ()
    """Caps of the pauses, one a try; empty: no try after the first. Of limits, the first is the pause where
    the vendor states none."""


class Retry(Part):
    """When a failed delivery is tried again; jitter is full, drawn after the cap."""

    fast_s: tuple[Seconds, ...] = (1.0, 2.0, 4.0)
    slow_s: tuple[Seconds, ...] = (60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0)
    """About 4 hours in all before the dead letter."""
    reference_wait_s: Seconds = 120.0
    """How long a delivery waits for the record it refers to before it goes without."""
    in_doubt_s: Seconds = 2.0
    """Pause before the first look-up of a write whose answer never came."""
    repeat_in_doubt: bool = False
    """Whether a write in doubt is sent again without a look-up where the vendor promises that this is safe."""
    retry_after_s_max: Annotated[float, Field(gt=0, le=604_800)] = 86_400.0
    """Longest pause that a vendor's wish is believed."""
    by_class: dict[RetryClass, ClassRetry] = {}
    """Classes of errors that do not follow the two tiers, or that are retried although they are not by default."""


class Breaker(Part):
    """When an account's calls stop."""

    failures: Annotated[int, Field(ge=1, le=100)] = 5
    """Countable failures in a row that open it."""
    hold_s: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    """Until the first probe; each failed probe doubles it."""
    hold_s_max: Annotated[float, Field(gt=0, le=86_400)] = 900.0
    scope: Literal["account", "endpoint"] | None = None
    """One breaker for all calls, or one per class of endpoints; None: as the vendor declares."""


class Rollout(Part):
    """How a bulk change reaches an account's records: a few, more, all."""

    records: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Records of the first stage."""
    ramp: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(max_length=20)] = (100, 1000)
    """Records reached after each following stage, rising; the last stage is everything."""
    error_share_max: Share = 0.05
    """Share of failed records of a stage above which the rollout aborts itself."""
    errors_min: Annotated[int, Field(ge=1, le=1_000_000)] = 2
    """Failed records of a stage that this takes at least."""
    soak_s: Seconds = 60.0
    """Pause after the records of a stage are settled."""
    rate_per_s: Annotated[float, Field(ge=0.01, le=1000)] = 20.0
    """Records that are made due in a second."""
    approval: bool = False
    """Whether every stage ends held, until an operator approves."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        """Refuse a ramp that does not rise: a stage without records would follow."""
        steps = (self.records, *self.ramp)
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise ValueError("records and ramp must rise from stage to stage")
        return self


class LaneShare(Part):
    """What one lane gets of an account's turns while other lanes wait as well."""

    weight: Annotated[float, Field(ge=0, le=1000)]
    """Its part of what the minimum shares leave over, against the other waiting lanes' weights."""
    share_min: Annotated[float, Field(ge=0, le=1)]
    """The part of all rows that it gets whatever the others ask for."""


class Lanes(Part):
    """How an account's lanes share it. A lane with nothing to do leaves its share to the others."""

    live: LaneShare = LaneShare(weight=16, share_min=0.4)
    retry: LaneShare = LaneShare(weight=4, share_min=0.1)
    backfill: LaneShare = LaneShare(weight=2, share_min=0.1)
    reconcile: LaneShare = LaneShare(weight=1, share_min=0.05)

    @model_validator(mode="after")
    def _fits_in_one(self) -> Self:
        """Refuse promises that cannot be kept together."""
        promised = sum(item.share_min for item in (self.live, self.retry, self.backfill, self.reconcile))
        if promised > 1 + 1e-9:
            raise ValueError(f"the minimum shares add up to {promised:g}, more than 1")
        return self


class Adaptive(Part):
    """How an account's pace follows the vendor's health, between 1 and what `limits` allows."""

    records_step: Annotated[int, Field(ge=1, le=1000)] = 10
    """Records by which a batch grows after a healthy answer."""
    latency_multiple: Annotated[float, Field(gt=1, le=100)] = 4.0
    """An answer that took this many times its usual time counts as a sign of overload."""
    latency_s_min: Annotated[float, Field(ge=0, le=300)] = 1.0
    """Answers faster than this are never such a sign."""
    gather_s: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Shortest time from the start of one batch to that of another while nothing is left over, so that records gather."""


PUBSUB_VENDORS: Final = ("salesforce",)
"""Vendors whose CRM has an event bus that we listen to."""


class PubSub(Part):
    """How a CRM's changes are listened to over its event bus; what is told of is read by id, only mapped fields."""

    topics: Annotated[
        tuple[Annotated[str, Field(pattern=r"^/data/[A-Za-z0-9_]{1,80}$")], ...], Field(max_length=32)
    ] = ()
    """Channels of change events, as `/data/ChangeEvents`; empty: one for each object whose changes are read."""
    window_events: Annotated[int, Field(ge=1, le=100)] = 100
    """Events that may be under way to us at once."""
    address: Annotated[str, Field(pattern=r"^$|^[A-Za-z0-9.-]{1,253}:[0-9]{1,5}$")] = ""
    """Host and port, where the vendor's global one will not do."""


class Events(Part):
    """How a CRM tells of changes by itself, beside polling, which tells what that leaves out."""

    pubsub: PubSub | None = None


class Poll(Part):
    """How a CRM's changes are fetched: by asking again and again; only mapped fields are asked for."""

    objects: tuple[ObjectName, ...] = ()
    """Objects asked for besides those whose direction is `in` or `two_way`."""
    every_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    """Pause between two rounds."""
    overlap_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """How far each round goes back behind the newest change seen."""
    page_records: Annotated[int, Field(ge=1, le=1000)] = 200
    """Records of one page, and events of one batch to ingest."""
    deletions: bool = True
    """Whether deleted records are asked for."""
