"""The parts of the policy document about who gets which lead, and how soon it must be looked after.

Shapes and ranges only; what must agree across the parts is in `routing_checks`, who gets a lead in `assigning`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import Field

from headwater.kernel.ids import ObjectName
from headwater.policy.hours import Absence, Calendar, Hours
from headwater.policy.words import EXPRESSION_CHARS_MAX, FieldName, Name, Part, Seconds, Text

Lane = Literal["fast", "normal"]
Scope = Literal["never", "untouched", "all"]
Values = Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)]
FieldValues = dict[FieldName, Values]
RoutedName = Literal["lead", "contact", "account", "deal"]
NAMES_MAX: Final = 1000
"""People, pools, rules, territories: of each at most."""
Named = Annotated[tuple[Name, ...], Field(max_length=NAMES_MAX)]


class RoutedObject(Part):
    """An object whose entities are given to people: which field receives the owner, and what the rules look at."""

    owner: FieldName
    """The canonical field that receives the person; `routing` is among its owners."""
    country: FieldName | None = None
    state: FieldName | None = None
    postal: FieldName | None = None
    product: FieldName | None = None
    channel: FieldName | None = None
    """Where the lead came from, as a form or a paid campaign."""
    amount: FieldName | None = None
    done: FieldValues = {}
    """Field to the values by which nothing is left to do, as `stage: [won]`: then it no longer counts as load."""

    def field_of(self, dimension: str) -> FieldName | None:
        """Return the canonical field behind a dimension of the conditions."""
        found: FieldName | None = getattr(self, dimension)
        return found


class Person(Part):
    """Somebody who may be given leads."""

    name: str = ""
    """As people call them."""
    accounts: dict[Name, Text] = {}
    """Connector account to the id by which it knows the person, as hubspot_owner_id: read and written in its place."""
    role: Name | None = None
    capacity: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Open leads at most; None: no limit."""
    hours: Name | None = None
    """Working hours, by name; None: around the clock."""
    out: Annotated[tuple[Absence, ...], Field(max_length=200)] = ()
    """Days out of office."""
    active: bool = True


class Pool(Part):
    """People who take turns."""

    members: Named = ()
    role: Name | None = None
    """Only members of this role."""
    overflow: Name | None = None
    """The pool that takes over while nobody of this one can."""


class Territory(Part):
    """A part of the world."""

    countries: Annotated[tuple[Text, ...], Field(max_length=300)] = ()
    states: dict[Text, Values] = {}
    """Country to its states, by code or name."""
    postal: dict[Text, Values] = {}
    """Country to its postal codes: `10000-19999`, or the beginning of them, as `SW1` or `10-19`."""


class Condition(Part):
    """What must hold of a lead, all of it; what is left out always holds."""

    objects: tuple[RoutedName, ...] = ()
    territory: Named = ()
    product: tuple[Text, ...] = ()
    channel: tuple[Text, ...] = ()
    source: tuple[Name, ...] = ()
    """Systems that brought the lead."""
    lane: tuple[Lane, ...] = ()
    amount_min: float | None = None
    amount_max: float | None = None
    fields: FieldValues = {}
    """Canonical field to the values that it may have."""
    expr: Annotated[str, Field(max_length=EXPRESSION_CHARS_MAX)] = ""
    """CEL expression of `value`, the lead's fields, as `value.title.contains("VP")`; a field that is missing fails."""


class NamedCondition(Part):
    """A condition that audits speak of by its name."""

    name: Name
    when: Condition = Condition()


class RoutingRule(NamedCondition):
    """Who gets the leads of which a condition holds; the first rule that holds decides."""

    pool: Name | None = None
    person: Name | None = None


class Reassign(Part):
    """When a lead goes to somebody else by itself. `untouched`: only before its owner was first in touch."""

    out_of_office: Scope = "untouched"
    """Its owner's days away have begun."""
    role_change: Scope = "all"
    """Its owner is no longer active, of another role, or no longer in the pool that gave it to them."""
    inactivity_s: Annotated[float, Field(ge=60, le=31_536_000)] | None = None
    """Working time of the owner without a touch; None: never."""
    moves_max: Annotated[int, Field(ge=0, le=100)] = 3
    """Times that one lead moves by itself; then it stays."""


class Routing(Part):
    """Who gets which lead."""

    objects: Annotated[dict[RoutedName, RoutedObject], Field(min_length=1)]
    people: Annotated[dict[Name, Person], Field(min_length=1, max_length=NAMES_MAX)]
    hours: Annotated[dict[Name, Hours], Field(max_length=NAMES_MAX)] = {}
    pools: Annotated[dict[Name, Pool], Field(min_length=1, max_length=NAMES_MAX)]
    territories: Annotated[dict[Name, Territory], Field(max_length=NAMES_MAX)] = {}
    rules: Annotated[tuple[RoutingRule, ...], Field(max_length=NAMES_MAX)] = ()
    fallback: Name
    """The pool for leads of which no rule holds, or for whose pool nobody is there."""
    fast_lane: Annotated[tuple[NamedCondition, ...], Field(max_length=NAMES_MAX)] = ()
    """Leads that go first, and to people who are at work now where there are any."""
    suppress: Annotated[tuple[NamedCondition, ...], Field(max_length=NAMES_MAX)] = ()
    """Leads that nobody is given, as those who opted out, or whose deal was lost."""
    reassign: Reassign = Reassign()

    @cached_property
    def calendars(self) -> Mapping[str, Calendar]:
        """When each person works."""
        return {
            name: Calendar(self.hours.get(item.hours) if item.hours else None, item.out)
            for name, item in self.people.items()
        }

    @cached_property
    def by_account(self) -> Mapping[str, Mapping[str, str]]:
        """Connector account to the person behind each of its ids."""
        found: dict[str, dict[str, str]] = {}
        for name, item in self.people.items():
            for account, crm_id in item.accounts.items():
                found.setdefault(account, {})[crm_id] = name
        return found

    def owner_of(self, object_name: ObjectName | str) -> FieldName | None:
        """Return the field that receives the owner of an object's entities; None where they have none."""
        found = next((item for name, item in self.objects.items() if name == object_name), None)
        return found.owner if found else None


class SlaTarget(Part):
    """How soon leads must be looked after; the first target that fits a lead counts."""

    name: Name
    rules: Named = ()
    """Routing rules whose leads it is about; none: all."""
    lane: tuple[Lane, ...] = ()
    assignment_s: Annotated[Seconds, Field(gt=0)] | None = None
    """From the moment that the lead was recorded until somebody has it, in the team's hours."""
    first_touch_s: Annotated[Seconds, Field(gt=0)] | None = None
    """From the assignment until the owner's first touch, in the owner's hours."""
    first_reply_s: Annotated[Seconds, Field(gt=0)] | None = None
    """From the lead's first message until the next touch, in the owner's hours."""
    escalate_to: Name
    """Who is told of breaches."""


class Sla(Part):
    """How soon leads must be looked after, and what counts as doing so."""

    targets: Annotated[tuple[SlaTarget, ...], Field(min_length=1, max_length=NAMES_MAX)]
    touch: FieldValues = {}
    """Field of activities to the values by which one is a touch by us, as `direction: [outgoing]`."""
    message: FieldValues = {}
    """Field of activities to the values by which one is a message of the lead, as `direction: [incoming]`."""
    time: FieldName = "occurred_time"
    """Field of activities that says when they happened."""
    hours: Name | None = None
    """The team's hours, for assignments; None: around the clock."""
