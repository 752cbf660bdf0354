"""The policy document: what a tenant has decided about systems, fields, owners and CRMs.

One frozen model per part. Shapes and ranges only; what must agree across parts is in `checks`.
Numbers are defaults of REQUIREMENTS and belong here, never as literals in code.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from headwater.kernel.ids import ObjectName
from headwater.policy.account import Adaptive, Breaker, Events, Lanes, Limits, Poll, Retry, Rollout
from headwater.policy.alarms import Alarms
from headwater.policy.consenting import restricting
from headwater.policy.enrichment import Enrichment
from headwater.policy.objects import ObjectPolicy
from headwater.policy.outbound_mapping import OutboundField, OutboundObject
from headwater.policy.reconciling import Reconcile
from headwater.policy.residency import Residency
from headwater.policy.retention import Retention
from headwater.policy.routing import Routing, Sla
from headwater.policy.ruling import ObjectRules, compile_rules
from headwater.policy.scopes import LeftOut, Scopes
from headwater.policy.scoping import compile_scopes, concerns
from headwater.policy.sharing import Share
from headwater.policy.systems import Inbound, InboundField, System
from headwater.policy.timeline import Attribution, Timeline
from headwater.policy.words import (
    CredentialsReference,
    FieldName,
    Name,
    Network,
    Overriders,
    Part,
    Text,
)
from headwater.policy.writing import Approval, Consent, Role, Schedule


class ConnectorPolicy(Part):
    """One connector account: a CRM that is written to."""

    vendor: Name
    system: Name
    base_url: Text
    credentials: CredentialsReference
    """Where the secret is: `env:NAME` of a variable that holds a JSON object, or `vault:NAME`."""
    networks: Annotated[tuple[Network, ...], Field(max_length=16)] = ()
    """Private networks that the webhook sink may be led to; without them it calls public addresses only."""
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
    scopes: Scopes = Scopes()
    """What may be read and written at all."""
    poll: Poll = Poll()
    events: Events = Events()
    """What the CRM is listened to for; polling goes on beside it, by its own pace."""
    alarms: Alarms = Alarms()
    """When people are called: `headwater alerts generate` makes Prometheus's rules of it."""
    _consents: dict[str, Consent] = PrivateAttr(default_factory=dict)
    _share: Share | None = PrivateAttr(default=None)
    _newer: ConnectorPolicy | None = PrivateAttr(default=None)

    def stage(self, share: Share, newer: ConnectorPolicy) -> None:
        """Let the mappings of *newer* hold for the entities of *share*; once, when it is read."""
        self._share, self._newer = share, newer

    @cached_property
    def newer(self) -> ConnectorPolicy | None:
        """The account as the policy has it that is staged; None as a rule."""
        return self._newer

    def of(self, entity_id: uuid.UUID) -> ConnectorPolicy:
        """Return the account by whose mappings an entity is written: this one, or the staged one."""
        if self.newer is None or self._share is None or not self._share.holds(entity_id):
            return self
        return self.newer

    @property
    def consents(self) -> dict[str, Consent]:
        """The document's consents, by which the mappings withhold."""
        return self._consents

    def heed(self, consents: dict[str, Consent]) -> None:
        """Take over the document's consents; once, when it is read."""
        self._consents = consents

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


def _written_people(
    routing: Routing, account: str, connector: ConnectorPolicy
) -> dict[ObjectName, tuple[OutboundObject, ...]]:
    """Return the mappings of an account with people's ids in it wherever they write an owner."""
    ids = {name: item.accounts[account] for name, item in routing.people.items() if account in item.accounts}

    def spelled(item: OutboundField, owner: FieldName | None) -> OutboundField:
        if owner is None or item.field != owner or item.expr:
            return item
        return item.model_copy(update={"values": {**ids, **item.values}})

    return {
        name: tuple(
            target.model_copy(
                update={
                    "fields": {
                        crm: spelled(item, routing.owner_of(name)) for crm, item in target.fields.items()
                    }
                }
            )
            for target in targets
        )
        for name, targets in connector.objects.items()
    }


def _read_people(routing: Routing, system: System, accounts: tuple[str, ...]) -> dict[ObjectName, Inbound]:
    """Return the readings of a system with the people behind its accounts' ids."""
    people = {
        crm_id: person for name in accounts for crm_id, person in routing.by_account.get(name, {}).items()
    }

    def spelled(item: InboundField, owner: FieldName | None) -> InboundField:
        if owner is None or item.field != owner or item.expr:
            return item
        return item.model_copy(update={"values": {**people, **item.values}})

    return {
        name: inbound.model_copy(
            update={
                "fields": {
                    path: spelled(item, routing.owner_of(name)) for path, item in inbound.fields.items()
                }
            }
        )
        for name, inbound in system.inbound.items()
    }


class PolicyDocument(Part):
    """Everything a tenant has decided, in one version."""

    format: Literal["headwater/v1"]
    version: Text
    systems: dict[Name, System]
    objects: dict[ObjectName, ObjectPolicy]
    connectors: dict[Name, ConnectorPolicy] = {}
    override: Overriders = ("operator",)
    """Who may correct fields that say nothing of their own: `operator` is everybody, else actors by name, or roles as
    `role:NAME`."""
    roles: dict[Name, Role] = {}
    approval: dict[Name, Approval] = {}
    """Writes that wait for a person."""
    consent: dict[Name, Consent] = {}
    """Purposes and channels, and which fields say whether somebody agrees."""
    schedules: dict[Name, Schedule] = {}
    """When accounts may be written to."""
    grace_days: Annotated[float, Field(ge=0, le=3_650)] = 30.0
    """How long a record is marked as deleted before it is removed, where a mapping has `deletes: remove`."""

    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    rollout: Rollout = Rollout()
    timeline: Timeline | None = None
    """Whom activities concern; None: they are associated with nobody, and cost nothing."""
    attribution: Attribution | None = None
    """What counts as a touch of a lead; None: nothing does."""
    enrichment: Enrichment | None = None
    """Which values providers are asked for; None: nobody is asked."""

    @cached_property
    def enrichers(self) -> frozenset[str]:
        """The sources that only providers of enrichment send as: their records name the entity that they enrich."""
        return self.enrichment.systems if self.enrichment is not None else frozenset()

    @model_validator(mode="after")
    def _heeded(self) -> Self:
        """Let the accounts' mappings know the consents that they name."""
        for connector in self.connectors.values():
            connector.heed(self.consent)
        return self

    _share: Share | None = PrivateAttr(default=None)
    _newer: PolicyDocument | None = PrivateAttr(default=None)

    def stage(self, share: Share, newer: PolicyDocument) -> None:
        """Let the values and mappings of *newer* hold for the entities of *share*; once, when it is read."""
        self._share, self._newer = share, newer
        for name, connector in self.connectors.items():
            if name in newer.connectors:
                connector.stage(share, newer.connectors[name])

    @cached_property
    def share(self) -> Share | None:
        """Whom a newer policy holds for already; None unless a change is staged."""
        return self._share

    def of(self, entity_id: uuid.UUID, object_name: str) -> PolicyDocument:
        """Return the policy that decides an entity's values: this one, or the staged one if that has the object."""
        if self.share is None or self._newer is None or object_name not in self._newer.objects:
            return self
        return self._newer if self.share.holds(entity_id) else self

    routing: Routing | None = None
    """Who gets which lead; None: nobody is given anything."""
    sla: Sla | None = None
    """How soon leads must be looked after."""
    reconcile: Reconcile | None = None
    """What must agree with the CRMs; None: nothing is compared."""
    residency: Residency | None = None
    """In which region records live and may go; None: nobody asks."""
    retention: Retention | None = None
    """How long the log keeps events; None: as long as ingest keeps its days."""

    @model_validator(mode="after")
    def _with_people(self) -> PolicyDocument:
        """Let every mapping of an owner speak of people as its account does."""
        routing = self.routing
        if routing is None:
            return self
        connectors = {
            name: item.model_copy(update={"objects": _written_people(routing, name, item)})
            for name, item in self.connectors.items()
        }
        systems = {
            name: item.model_copy(update={"inbound": _read_people(routing, item, self._accounts_of(name))})
            for name, item in self.systems.items()
        }
        return self.model_copy(update={"connectors": connectors, "systems": systems})

    _declared: PolicyDocument | None = PrivateAttr(default=None)
    _left_out: tuple[LeftOut, ...] = PrivateAttr(default=())
    _unread: Mapping[tuple[str, str], frozenset[FieldName]] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _within_scopes(self) -> PolicyDocument:
        """Take out of the mappings what no scope allows: there is no other way to read or to write."""
        if not concerns(self):
            return self
        found = compile_scopes(self)
        scoped = self.model_copy(update={"connectors": found.connectors, "systems": found.systems})
        scoped._declared = self  # noqa: SLF001 - of this class
        scoped._left_out, scoped._unread = found.left_out, found.unread  # noqa: SLF001
        return scoped

    @property
    def declared(self) -> PolicyDocument:
        """The document as it was written, with mappings that its scopes bar."""
        return self._declared or self

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Mapped fields that are not read or not written, as no scope allows it."""
        return self._left_out

    def unread_of(self, system: str, object_name: ObjectName) -> frozenset[FieldName]:
        """Return the fields of an object that are not read from a system, mapped or not."""
        return self._barred.get((system, object_name), frozenset())

    @cached_property
    def _barred(self) -> Mapping[tuple[str, str], frozenset[FieldName]]:
        """What is not read, at hand: asked with every event."""
        return self._unread

    def _accounts_of(self, system: str) -> tuple[str, ...]:
        return tuple(name for name, item in self.connectors.items() if item.system == system)

    @cached_property
    def tended(self) -> frozenset[str]:
        """Objects whose changes routing hears of: those that it gives to people, and activities that count as touches."""
        if self.routing is None:
            return frozenset()
        return frozenset(self.routing.objects) | ({"activity"} if self.sla is not None else set())

    @cached_property
    def rules(self) -> dict[ObjectName, ObjectRules]:
        """The rules of every object, compiled once: what the decision core works with."""
        return {
            name: compile_rules(item, self.systems, name, self.override, restricting(self.consent, name))
            for name, item in self.objects.items()
        }

    def retry_of(self, connector: str) -> Retry:
        """Return the retries in force for a connector account."""
        return self.connectors[connector].retry or self.retry

    def approvals_of(self, connector: str) -> tuple[tuple[str, Approval], ...]:
        """Return the approvals that may concern writes to a connector account, in the document's order."""
        return tuple(
            (name, item)
            for name, item in self.approval.items()
            if not item.accounts or connector in item.accounts
        )

    def schedules_of(self, connector: str) -> tuple[tuple[str, Schedule], ...]:
        """Return the schedules of a connector account."""
        return tuple(
            (name, item)
            for name, item in self.schedules.items()
            if not item.accounts or connector in item.accounts
        )

    def breaker_of(self, connector: str) -> Breaker:
        """Return the breaker in force for a connector account."""
        return self.connectors[connector].breaker or self.breaker

    def as_json(self) -> dict[str, Any]:
        """Return the document as plain JSON values, defaults filled in."""
        return self.model_dump(mode="json", by_alias=True)
