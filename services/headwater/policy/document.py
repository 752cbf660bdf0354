"""The policy document: what a tenant has decided about systems, fields, owners and CRMs.

One frozen model per part. Shapes and ranges only; what must agree across parts is in `checks`.
Numbers are defaults of REQUIREMENTS and belong here, never as literals in code.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from headwater.kernel.ids import ObjectName

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,62}$")]
FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Text = Annotated[str, Field(min_length=1, max_length=255)]
Seconds = Annotated[float, Field(ge=0, le=31_536_000)]
Share = Annotated[float, Field(ge=0, le=1)]

CLOCK_SKEW_MAX_S: Final = 3600.0
"""The furthest that any system's event times may lie ahead of our clock: a log partition is ready that far."""

SecretReference = Annotated[str, Field(pattern=r"^env:[A-Z][A-Z0-9_]*$")]
"""Where a secret is: the name of an environment variable."""
BodyPath = Annotated[str, Field(max_length=255)]

Layer = Literal["record", "engagement", "intelligence"]
FieldType = Literal[
    "text",
    "email",
    "phone",
    "url",
    "date",
    "datetime",
    "number",
    "integer",
    "boolean",
    "picklist",
    "reference",
    "participants",
]
EndpointClass = Literal["write", "read", "search", "auth"]
"""Classes of a vendor's endpoints that limits may tell apart; as the connectors' port has them."""
FieldFormat = Literal["e164", "postal", "state", "country"]
SurvivorshipRule = Literal["source_priority", "most_recent", "first", "longest", "max", "min", "union"]
FieldClass = Literal["public", "internal", "personal", "secret"]
RetryClass = Literal[
    "auth",
    "permission",
    "rate_limit",
    "quota",
    "timeout",
    "network",
    "in_doubt",
    "partial",
    "server",
    "format",
    "validation",
    "conflict",
    "not_found",
    "reference",
    "held",
]
"""Classes of errors of connectors, by the kit's names."""
Direction = Literal["out", "in", "two_way"]
TransformName = Literal["text", "iso_date", "iso_datetime", "epoch_ms", "upper", "lower", "integer", "join"]


class Part(BaseModel):
    """A part of the document: frozen, and strict about what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InboundField(Part):
    """How one field of a source is read."""

    field: FieldName
    date_format: str = ""
    """strptime format of the source's dates; ISO 8601 when empty."""
    values: dict[str, str] = {}
    """The source's value to the canonical one; values not listed pass unchanged."""

    @field_validator("date_format")
    @classmethod
    def _reads_dates(cls, given: str) -> str:
        """Refuse a format that strptime cannot use: it would fail on every event, and not with ValueError alone."""
        if given and not _is_date_format(given):
            raise ValueError("must be a format that strptime reads, as %Y-%m-%d, no directive twice")
        return given


def _is_date_format(given: str) -> bool:
    day = dt.datetime(2001, 2, 3)  # noqa: DTZ001 - a date has no zone
    try:
        dt.datetime.strptime(day.strftime(given), given)  # noqa: DTZ007 - a date has no zone
    except (ValueError, re.error):
        return False
    return True


class Inbound(Part):
    """How a source's record becomes a canonical one."""

    fields: dict[str, FieldName | InboundField]
    """Source field (dots reach into nested objects) to canonical field. Others are not read."""

    def readings(self) -> tuple[tuple[str, InboundField], ...]:
        """Return source path and reading of every field, short forms spelled out."""
        return self.spelled_out

    @cached_property
    def spelled_out(self) -> tuple[tuple[str, InboundField], ...]:
        """The readings, made once: asked for with every event, at 8 us each time."""
        return tuple(
            (path, item if isinstance(item, InboundField) else InboundField(field=item))
            for path, item in self.fields.items()
        )


class Webhook(Part):
    """How a system's signed HTTP calls become events, by data alone.

    Paths lead into one event's JSON, dots into nested objects; an empty path means "not there".
    """

    scheme: Name = "standard-webhooks"
    """Signature scheme, found by entry point `headwater.webhook_schemes`."""
    options: dict[Name, Text] = {}
    """Settings of the scheme, as `header` and `encoding` of hmac-sha256."""
    secrets: Annotated[tuple[SecretReference, ...], Field(min_length=1, max_length=8)]
    """Where the secrets are; all are accepted, so that the sender may change to the next one."""
    replay_window_s: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    """How far a signed time may lie from our clock, both ways."""
    object: ObjectName
    events: BodyPath = ""
    """Where the list of events is; empty: the body is one event, or itself the list."""
    when: dict[Text, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    """Only events whose path has one of the values; the others are answered 200 and not recorded."""
    external_id: Text
    source_version: BodyPath = ""
    event_time: BodyPath = ""
    """Empty: the time at which the message was received first."""
    event_time_format: Literal["iso_datetime", "epoch_s", "epoch_ms"] = "iso_datetime"
    operation: BodyPath = ""
    deletes: tuple[str, ...] = ("delete", "deleted")
    """Values of `operation` that mean DELETE; every other means UPSERT."""
    payload: BodyPath = ""
    """Where the record's fields are; empty: the event itself."""


class CloudEventMeaning(Part):
    """What a type of CloudEvent says."""

    object: ObjectName
    operation: Literal["upsert", "delete"] = "upsert"


class CloudEvents(Part):
    """Which CloudEvents are this system's, and what their types mean."""

    sources: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Values of the attribute `source` that are this system."""
    types: dict[Text, CloudEventMeaning] = {}
    """Values of the attribute `type`; those not listed follow the default of /v1/events."""


class System(Part):
    """A system that data comes from or goes to, and who answers for it."""

    layer: Layer
    owner: Text
    backup: Text
    runbook: Text
    clock_skew_s: Annotated[float, Field(ge=0, le=CLOCK_SKEW_MAX_S)] = 300.0
    """How far ahead of our clock the system's event times may be."""
    dedup_window_s: Annotated[float, Field(gt=0, le=315_576_000)] | None = None
    """How long an event's key blocks a re-send of the same; None: for ever."""
    participants: Literal["create", "associate"] = "associate"
    """Whether addresses on the system's activities create contacts or only find them."""
    lane: Literal["live", "backfill", "reconcile"] = "live"
    """In which line the changes that the system brings stand at the connectors: a bulk source goes behind."""
    inbound: dict[ObjectName, Inbound] = {}
    webhook: Webhook | None = None
    cloud_events: CloudEvents | None = None
    echo_skew_s: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """How far the system's clock may differ from ours where our own write coming back is told from a change."""


class FieldPolicy(Part):
    """One canonical field: its type, and who decides its value."""

    type: FieldType
    owners: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Systems whose values count, the strongest first. Values of others are kept, never used."""
    rule: SurvivorshipRule
    required: bool = False
    allowed: tuple[str, ...] = ()
    chars_max: Annotated[int, Field(ge=1, le=32_768)] = 1_024
    min: float | None = None
    """The smallest number allowed; of a date or a moment the earliest year."""
    max: float | None = None
    """The largest number allowed; of a date or a moment the latest year."""
    format: FieldFormat | None = None
    """A narrower form: `e164` of a phone number; `postal`, `state` and `country` of a text."""
    refuse_personal_mail: bool = False
    """Whether addresses at providers of private mailboxes break the contract."""
    field_class: FieldClass = Field(default="internal", alias="class")
    reference: ObjectName | None = None
    """Object a reference points to; the value is that record's external id in the same source."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @property
    def is_special(self) -> bool:
        """Whether more is asked of a value than its type."""
        return (self.min, self.max, self.format, self.refuse_personal_mail) != (None, None, None, False)


class ObjectPolicy(Part):
    """One canonical object and its contract."""

    fields: dict[FieldName, FieldPolicy]
    require_any: tuple[tuple[FieldName, ...], ...] = ()
    """Groups of fields of which each record needs at least one value."""
    consistent: tuple[tuple[FieldName, FieldName], ...] = ()
    """Pairs that must agree where both are given: a field of format `state` or `postal`, and its country."""
    on_violation: Literal["quarantine", "refuse"] = "quarantine"


class OutboundField(Part):
    """How one field of the CRM is filled."""

    field: FieldName | None = None
    transform: TransformName = "text"
    values: dict[str, str] = {}
    """Canonical value to the CRM's value; values not listed pass unchanged."""
    default: str | None = None
    """Written when the canonical value is missing."""


class OutboundObject(Part):
    """How a canonical object is written to a connector."""

    direction: Direction = "out"
    """`out`: only written; `in`: only read; `two_way`: both."""
    target: Text
    """The CRM's name of the object, as `contacts` or `Contact`."""
    external_id: Text
    """The CRM field that holds the entity id; unique there."""
    when: dict[FieldName, tuple[str, ...]] = {}
    """Only entities whose field has one of the values: by it one object has several targets."""
    fields: dict[Text, OutboundField]
    references: dict[Text, FieldName] = {}
    """The CRM's reference (a field, or an associated object) to the canonical reference field."""
    end_marks: dict[Text, Literal["state", "winner_entity_id"]] = {}
    """Written when the entity ends (merged or deleted; nothing is ever hard-deleted): CRM field to meaning."""


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


class ConnectorPolicy(Part):
    """One connector account: a CRM that is written to."""

    vendor: Name
    system: Name
    base_url: Text
    credentials: Annotated[str, Field(pattern=r"^env:[A-Z][A-Z0-9_]*$")]
    """Where the secret is: the name of an environment variable that holds a JSON object."""
    owner: Text
    backup: Text
    runbook: Text
    enabled: bool = True
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 15.0
    limits: Limits
    retry: Retry | None = None
    """Instead of the document's, as a whole."""
    breaker: Breaker | None = None
    """Instead of the document's, as a whole."""
    lanes: Lanes = Lanes()
    adaptive: Adaptive = Adaptive()
    objects: dict[ObjectName, tuple[OutboundObject, ...]]
    poll: Poll = Poll()

    @cached_property
    def written(self) -> dict[ObjectName, tuple[OutboundObject, ...]]:
        """The mappings by which entities are written: all but those that are only read."""
        kept = {
            name: tuple(item for item in items if item.direction != "in")
            for name, items in self.objects.items()
        }
        return {name: items for name, items in kept.items() if items}

    def polled(self) -> tuple[tuple[ObjectName, str], ...]:
        """Return canonical object and CRM object of everything whose changes are fetched."""
        return tuple(
            dict.fromkeys(
                (name, item.target)
                for name, items in self.objects.items()
                for item in items
                if item.direction != "out" or name in self.poll.objects
            )
        )


class PolicyDocument(Part):
    """Everything a tenant has decided, in one version."""

    format: Literal["headwater/v1"]
    version: Text
    systems: dict[Name, System]
    objects: dict[ObjectName, ObjectPolicy]
    connectors: dict[Name, ConnectorPolicy] = {}
    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    rollout: Rollout = Rollout()

    def retry_of(self, connector: str) -> Retry:
        """Return the retries in force for a connector account."""
        return self.connectors[connector].retry or self.retry

    def breaker_of(self, connector: str) -> Breaker:
        """Return the breaker in force for a connector account."""
        return self.connectors[connector].breaker or self.breaker

    def as_json(self) -> dict[str, Any]:
        """Return the document as plain JSON values, defaults filled in."""
        return self.model_dump(mode="json", by_alias=True)
