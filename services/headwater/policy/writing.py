"""The parts of the policy document about what may be written to a CRM, by whom and when.

Roles, approvals before a write, consent, schedules. What they decide is in `authority`, `consenting` and `opening`.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from headwater.kernel.ids import ObjectName
from headwater.policy.words import FieldName, Name, Overriders, Part, Text

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WriteKind = Literal["create", "update", "delete", "merge"]
"""What a write does to a record of the CRM; `delete` and `merge` are the marks of an entity that ended, and the merge
of two records there."""
ClockTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]


def _written_out(given: Any) -> Any:
    """Return a date or a moment as text: YAML makes one of what looks like it."""
    return given.isoformat() if isinstance(given, dt.date) else given


LocalMoment = Annotated[
    str,
    BeforeValidator(_written_out),
    Field(pattern=r"^\d{4}-\d{2}-\d{2}([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?)?$"),
]
"""A day, or a moment of the schedule's time zone."""


class Role(Part):
    """Actors under one name, to be named as `role:NAME` wherever actors are."""

    members: Annotated[tuple[Text, ...], Field(min_length=1, max_length=1_000)]
    """Actors by id; `*` stands for any characters, as in `user:*@acme.com`."""


class Approval(Part):
    """Writes that wait for a person. Of what is not said, any write; the first approval that names a write counts."""

    accounts: tuple[Name, ...] = ()
    """Connector accounts."""
    objects: tuple[ObjectName, ...] = ()
    fields: tuple[FieldName, ...] = ()
    """Canonical fields: only writes that change one of them."""
    kinds: tuple[WriteKind, ...] = ()
    records_min: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Writes from which it asks: those that go out together, and those that wait for it already."""
    approvers: Annotated[Overriders, Field(min_length=1)] = ("operator",)
    """Who may decide: `operator` is everybody, else actors by name, or roles as `role:NAME`."""
    expire_s: Annotated[float, Field(ge=1, le=31_536_000)] = 604_800.0
    """How long it waits."""
    on_expiry: Literal["reject", "approve"] = "reject"
    """What happens then."""
    reason: Annotated[str, Field(max_length=255)] = ""
    """Why, for those who decide."""


class Consent(Part):
    """A purpose or a channel, and the fields that say whether somebody agrees to it."""

    object: ObjectName
    opted_out: dict[FieldName, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    """Field to the values of which each refuses; of a boolean field "true" or "false"."""
    granted: dict[FieldName, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    """Field to the values of which one is needed; without any, nobody agrees. Empty: agreed until refused."""


class Withhold(Part):
    """What is not written of somebody who does not agree to a purpose."""

    withhold: Literal["record", "fields", "nothing"] = "record"
    """`record`: nothing but the flags, and those only where the CRM has the record; `fields`: all but some."""
    fields: tuple[FieldName, ...] = ()
    """Canonical fields that are not written then; what the CRM holds of them stays."""
    flags: dict[Text, Text] = {}
    """CRM field to what is written into it then; it is cleared when they agree again."""


class WeekTime(Part):
    """A time of the week; where it ends before it begins it goes on past midnight."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True
    )

    days: Annotated[tuple[Weekday, ...], Field(min_length=1)] = WEEKDAYS
    """Days on which it begins."""
    begin: ClockTime = Field(default="00:00", alias="from")
    end: ClockTime = Field(default="24:00", alias="to")

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        """Refuse one without length, and one that begins when its day is over."""
        if self.begin in {self.end, "24:00"}:
            raise ValueError(f"from {self.begin} to {self.end} is no time of a day")
        return self


class Freeze(Part):
    """Days on which nothing is written."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True
    )

    begin: LocalMoment = Field(alias="from")
    end: LocalMoment = Field(alias="to")
    """The end; a day counts whole."""
    reason: Annotated[str, Field(max_length=255)] = ""

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        """Refuse what is no moment, and an end before the beginning."""
        if moment_of(self.end, is_end=True) <= moment_of(self.begin):
            raise ValueError(f"to {self.end} does not come after from {self.begin}")
        return self


class Schedule(Part):
    """When accounts may be written to."""

    accounts: tuple[Name, ...] = ()
    """Connector accounts; empty: all."""
    time_zone: Text = "UTC"
    """Name of the tz database, as Europe/Berlin."""
    open: tuple[WeekTime, ...] = ()
    """When it may be written; empty: always."""
    blackouts: tuple[WeekTime, ...] = ()
    """When not, every week."""
    freezes: tuple[Freeze, ...] = ()
    """When not, once."""

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, given: str) -> str:
        """Refuse a zone that nobody knows."""
        try:
            ZoneInfo(given)
        except (ValueError, OSError, LookupError):
            raise ValueError("must be a name of the tz database, as Europe/Berlin or UTC") from None
        return given


def moment_of(text: str, *, is_end: bool = False) -> dt.datetime:
    """Return a local moment without its zone; of a day its beginning, or its end.

    Raises:
        ValueError: it is no day of the calendar.
    """
    moment = dt.datetime.fromisoformat(text)
    whole_day = len(text) == len("2026-01-31")
    return moment + dt.timedelta(days=1) if is_end and whole_day else moment
