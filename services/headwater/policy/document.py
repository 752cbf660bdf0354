"""The policy document: what a tenant has decided about systems, fields, owners and CRMs.

One frozen model per part. Shapes and ranges only; what must agree across parts is in `checks`.
Numbers are defaults of REQUIREMENTS and belong here, never as literals in code.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from headwater.kernel.ids import ObjectName
from headwater.policy.account import Adaptive, Breaker, Lanes, Limits, Poll, Retry, Rollout
from headwater.policy.words import (
    CLOCK_SKEW_MAX_S,
    BodyPath,
    Direction,
    FieldClass,
    FieldFormat,
    FieldName,
    FieldType,
    Layer,
    Name,
    Part,
    SecretReference,
    SurvivorshipRule,
    Text,
    TransformName,
)


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
    merge: Literal["link-only", "merge"] = "link-only"
    """What follows a merge of entities: the loser's record gets its end marks, or the CRM merges both records."""


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
