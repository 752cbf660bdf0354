"""The parts of the policy document about one system: how its records, calls and events are read, who answers for it."""

from __future__ import annotations

import datetime as dt
import re
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, PrivateAttr, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from headwater.kernel.ids import ObjectName
from headwater.policy.words import (
    CLOCK_SKEW_MAX_S,
    EXPRESSION_CHARS_MAX,
    FIELD_PATTERN,
    BodyPath,
    FieldName,
    Layer,
    Name,
    Part,
    Text,
    WebhookSecretReference,
)


class InboundField(Part):
    """How one field of a source is read."""

    field: FieldName
    """The canonical field; where nothing else is said, its name alone stands for the whole."""
    expr: Annotated[str, Field(max_length=EXPRESSION_CHARS_MAX)] = ""
    """CEL expression of `value` that is read in its place, as `value.trim()`; not asked about null."""
    date_format: str = ""
    """strptime format of the source's dates; ISO 8601 when empty."""
    values: dict[str, str] = {}
    """The source's value to the canonical one; values not listed pass unchanged."""

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, given: Any) -> Any:
        return {"field": given} if isinstance(given, str) else given

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Show the short form in the schema that editors use."""
        return {"anyOf": [{"type": "string", "pattern": FIELD_PATTERN}, handler(core_schema)]}

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

    fields: dict[str, InboundField]
    """Source field (dots reach into nested objects) to canonical field. Others are not read."""

    def readings(self) -> tuple[tuple[str, InboundField], ...]:
        """Return source path and reading of every field."""
        return self.spelled_out

    @cached_property
    def spelled_out(self) -> tuple[tuple[str, InboundField], ...]:
        """The readings, made once: asked for with every event."""
        return tuple(self.fields.items())

    _barred: tuple[tuple[str, FieldName], ...] = PrivateAttr(default=())

    @property
    def barred(self) -> tuple[tuple[str, FieldName], ...]:
        """Source path and canonical field of what is mapped and, by the scopes, not read."""
        return self._barred

    def without(self, kept: dict[str, InboundField]) -> Inbound:
        """Return these readings with *kept* alone of the fields."""
        left = Inbound(fields=kept)
        left._barred = tuple((path, item.field) for path, item in self.fields.items() if path not in kept)
        return left

    @cached_property
    def plans(self) -> dict[int, tuple[Any, Any]]:
        """What `inbound.plan_of` has made of the readings, by identity of the object's policy, which is beside it."""
        return {}


class Webhook(Part):
    """How a system's signed HTTP calls become events, by data alone.

    Paths lead into one event's JSON, dots into nested objects; an empty path means "not there".
    """

    scheme: Name = "standard-webhooks"
    """Signature scheme, found by entry point `headwater.webhook_schemes`."""
    options: dict[Name, Text] = {}
    """Settings of the scheme, as `header` and `encoding` of hmac-sha256."""
    secrets: Annotated[tuple[WebhookSecretReference, ...], Field(min_length=1, max_length=8)]
    """Where the secrets are; all are accepted, so that the sender may change to the next one."""
    replay_window_s: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    """How far a signed time may lie from our clock, both ways."""
    notices: bool = False
    """The body is what the scheme's vendor sends of its own (`hubspot-v3`): each record that it names is fetched whole,
    as by `headwater fetch`, where an account of the system reads it. Nothing below is said then."""
    object: ObjectName | None = None
    """Of which object the events are; needed unless *notices*."""
    events: BodyPath = ""
    """Where the list of events is; empty: the body is one event, or itself the list."""
    when: dict[Text, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    """Only events whose path has one of the values; the others are answered 200 and not recorded."""
    external_id: BodyPath = ""
    """Where the record's id is; needed unless *notices*."""
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
    deletes: Literal["soft", "ignore"] = "soft"
    """What a deletion in the system does. `soft`: its record decides nothing any more, what it said is kept, and an
    entity without another record is marked as ended in the CRMs; nothing is ever removed. `ignore`: nothing."""
    participants: Literal["create", "associate"] = "associate"
    """Whether addresses on the system's activities create contacts or only find them."""
    lane: Literal["live", "backfill", "reconcile"] = "live"
    """In which line the changes that the system brings stand at the connectors: a bulk source goes behind."""
    prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}_$")] | None = None
    """How the names of custom fields begin whose first owner the system is; None: its name and an underscore."""
    inbound: dict[ObjectName, Inbound] = {}
    webhook: Webhook | None = None
    cloud_events: CloudEvents | None = None
    echo_skew_s: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """How far the system's clock may differ from ours: within it, our own write coming back is told from a change,
    and which of two systems' facts is newer is not told at all."""
