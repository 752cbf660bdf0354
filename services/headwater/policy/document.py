"""The policy document: what a tenant has decided about systems, fields, owners and CRMs.

One frozen model per part. Shapes and ranges only; what must agree across parts is in `checks`.
Numbers are defaults of REQUIREMENTS and belong here, never as literals in code.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from headwater.kernel.ids import ObjectName
from headwater.policy.account import Adaptive, Breaker, Lanes, Limits, Poll, Retry, Rollout
from headwater.policy.objects import ObjectPolicy
from headwater.policy.ruling import ObjectRules, compile_rules
from headwater.policy.systems import System
from headwater.policy.words import (
    EXPRESSION_CHARS_MAX,
    Conflict,
    CredentialsReference,
    Direction,
    FieldName,
    Name,
    Overriders,
    Part,
    Text,
    TransformName,
)


class OutboundField(Part):
    """How one field of the CRM is filled."""

    field: FieldName | None = None
    transform: TransformName = "text"
    expr: Annotated[str, Field(max_length=EXPRESSION_CHARS_MAX)] = ""
    """CEL expression of `value` that is written in its place; not asked about a missing value."""
    values: dict[str, str] = {}
    """Canonical value to the CRM's value; values not listed pass unchanged."""
    default: str | None = None
    """Written when the canonical value is missing."""
    conflict: Conflict | None = None
    """Of a mapping that is read as well: instead of the mapping's."""


class OutboundObject(Part):
    """How a canonical object is written to a connector."""

    direction: Direction = "out"
    """`out`: only written; `in`: only read; `two_way`: both."""
    conflict: Conflict | None = None
    """What becomes of a person's change in the CRM; a mapping in two ways must say it. `policy`: it counts by the
    field's rule, for which the CRM is among the field's owners; `overwrite`: Headwater's value is written over it,
    and the CRM is no owner."""
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
    credentials: CredentialsReference
    """Where the secret is: `env:NAME` of a variable that holds a JSON object, or `vault:NAME`."""
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
    override: Overriders = ("operator",)
    """Who may correct fields that say nothing of their own: `operator` is everybody, else actors by name."""
    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    rollout: Rollout = Rollout()

    @cached_property
    def rules(self) -> dict[ObjectName, ObjectRules]:
        """The rules of every object, compiled once: what the decision core works with."""
        return {
            name: compile_rules(item, self.systems, name, self.override)
            for name, item in self.objects.items()
        }

    def retry_of(self, connector: str) -> Retry:
        """Return the retries in force for a connector account."""
        return self.connectors[connector].retry or self.retry

    def breaker_of(self, connector: str) -> Breaker:
        """Return the breaker in force for a connector account."""
        return self.connectors[connector].breaker or self.breaker

    def as_json(self) -> dict[str, Any]:
        """Return the document as plain JSON values, defaults filled in."""
        return self.model_dump(mode="json", by_alias=True)
