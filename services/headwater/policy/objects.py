"""The parts of the policy document about one canonical object: its fields, who decides them, what goes together."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from headwater.kernel.ids import ObjectName
from headwater.policy.normalising.rules import NormaliseRule, Steps, steps_of
from headwater.policy.words import (
    FieldClass,
    FieldFormat,
    FieldName,
    FieldType,
    Name,
    Overriders,
    Part,
    SurvivorshipRule,
    Text,
)


class Deciding(Part):
    """Who decides, and how: of one field, or of all fields of a group together."""

    owners: tuple[Name, ...] = ()
    """Systems whose values count, the strongest first. Values of others are kept, never used."""
    rule: SurvivorshipRule | None = None
    """Which of the owners' values counts. A field of a group has neither owners nor a rule: the group's count."""
    human: tuple[Name, ...] = ()
    """With rule `manual`: the owners in which people type the value. Without owners only corrections count."""
    granted: tuple[Name, ...] = ()
    """Owners that may decide although their layer has no right to: the intelligence layer has none to any field,
    the engagement layer none to contacts, accounts and deals."""
    locked_by: FieldName | None = None
    """A boolean field of the object. While it is true, the record that says so holds the value against the rule."""
    override: Overriders | None = None
    """Whose corrections count: `operator` is everybody, else actors by name, or roles as `role:NAME`; empty:
    nobody's. None: the document's."""


class FieldPolicy(Deciding):
    """One canonical field: its type, and who decides its value."""

    type: FieldType
    required: bool = False
    allowed: tuple[str, ...] = ()
    chars_max: Annotated[int, Field(ge=1, le=32_768)] = 1_024
    min: float | None = None
    """The smallest number allowed; of a date or a moment the earliest year."""
    max: float | None = None
    """The largest number allowed; of a date or a moment the latest year."""
    format: FieldFormat | None = None
    """A narrower form: `e164` of a phone number; `postal`, `state` and `country` of a text."""
    normalise: Annotated[tuple[NormaliseRule, ...], Field(max_length=8)] = ()
    """Rules that bring values into one spelling, in this order; what a source said is kept, too."""
    aliases: dict[Text, Text] = {}
    """Other spellings of a value, whatever their case, to the one that is kept."""
    country_field: FieldName | None = None
    """The field that names the country in which a number, a state or a postal code is read."""
    default_country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    """ISO 3166 code of the country where the record names none."""
    refuse_personal_mail: bool = False
    """Whether addresses at providers of private mailboxes break the contract."""
    field_class: FieldClass = Field(default="internal", alias="class")
    reference: ObjectName | None = None
    """Object a reference points to; the value is that record's external id in the same source."""
    fresh_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    """Age from which the quality report counts a value as stale; None: values of the field do not age."""
    custom: bool = False
    """Whether the field is one that a single system invented: then it bears that system's prefix."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @cached_property
    def steps(self) -> Steps | None:
        """How values are normalised; None where they are not."""
        return steps_of(self.normalise, self.aliases, self.default_country or "", self.chars_max)

    @cached_property
    def is_special(self) -> bool:
        """Whether more is asked of a value than its type."""
        return (self.min, self.max, self.format, self.refuse_personal_mail) != (None, None, None, False)


class GroupPolicy(Deciding):
    """Fields that are decided together: all come from one record, never a mixture."""

    fields: Annotated[tuple[FieldName, ...], Field(min_length=2, max_length=64)]


class ObjectPolicy(Part):
    """One canonical object and its contract."""

    fields: dict[FieldName, FieldPolicy]
    groups: dict[Name, GroupPolicy] = {}
    granted: tuple[Name, ...] = ()
    """Systems of the engagement layer that may decide fields of this object wherever they are owners."""
    require_any: tuple[tuple[FieldName, ...], ...] = ()
    """Groups of fields of which each record needs at least one value."""
    consistent: tuple[tuple[FieldName, FieldName], ...] = ()
    """Pairs that must agree where both are given: a field of format `state` or `postal`, and its country."""
    on_violation: Literal["quarantine", "refuse"] = "quarantine"

    @cached_property
    def abroad(self) -> frozenset[FieldName]:
        """Fields that are read once their country is known."""
        return frozenset(
            name for name, item in self.fields.items() if item.steps is not None and item.steps.asks_country
        )

    @cached_property
    def required(self) -> tuple[FieldName, ...]:
        """Fields that a record must have."""
        return tuple(name for name, item in self.fields.items() if item.required)

    @cached_property
    def normalises(self) -> bool:
        """Whether any field is brought into one spelling."""
        return any(item.steps is not None for item in self.fields.values())

    def units(self) -> tuple[tuple[str, str, tuple[FieldName, ...], Deciding], ...]:
        """Return path within the object, group's name, fields and rule of everything that is decided together."""
        grouped = {name for item in self.groups.values() for name in item.fields}
        return (
            *(
                (f"fields.{name}", "", (name,), item)
                for name, item in self.fields.items()
                if name not in grouped
            ),
            *((f"groups.{name}", name, item.fields, item) for name, item in self.groups.items()),
        )
