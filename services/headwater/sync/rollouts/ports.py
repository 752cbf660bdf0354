"""What rollouts need of the store and of the log, in their own words."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from headwater.sync.domain.changing import PolicyChange
from headwater.sync.domain.foreseeing import EntityPage
from headwater.sync.domain.inspecting import Inspection
from headwater.sync.domain.operating import Steering
from headwater.sync.domain.renewing import RenewalState
from headwater.sync.domain.rollout import Fate, Rollout, Stage
from headwater.sync.domain.staging import InForce
from headwater.sync.domain.workbench import Standing


@dataclass(frozen=True, slots=True)
class Member:
    """A record of a rollout that is under way.

    Args:
        returns: how often it was settled and had to go again.
    """

    entity_id: uuid.UUID
    fate: Fate
    returns: int


@dataclass(frozen=True, slots=True)
class FailedMember:
    """A record of a rollout that failed, and what was said of it last."""

    entity_id: uuid.UUID
    stage: int
    fate: Fate
    error_class: str
    error: str


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A question to an account: what meets records of these CRM objects that are written."""

    tenant_id: str
    connector: str
    inspection_id: uuid.UUID
    crm_objects: tuple[str, ...]


class Inspections(Protocol):
    """Asks accounts what a bulk change would run into."""

    async def inspect(self, tenant_id: str, asked: Mapping[str, Sequence[str]]) -> Mapping[str, Inspection]:
        """Return what each account of *asked* tells of its CRM objects; a hindrance where it cannot be asked.

        Raises: Unavailable.
        """
        ...


class InspectionBook(Protocol):
    """Where questions to accounts and their answers are kept."""

    async def ask(self, inquiry: Inquiry) -> None:
        """Post a question and wake who answers. Raises: Unavailable."""
        ...

    async def answer_of(self, inquiry: Inquiry) -> Inspection | None:
        """Take the answer to a question; None while there is none. Raises: Unavailable."""
        ...

    async def waiting(self, accounts: Sequence[tuple[str, str]]) -> tuple[Inquiry, ...]:
        """Return the questions that wait for an answer of *accounts*. Raises: Unavailable, StoreRaced."""
        ...

    async def answer(self, inquiry: Inquiry, inspection: Inspection) -> None:
        """Note the answer to a question, unless it has one. Raises: Unavailable, StoreRaced."""
        ...


class RolloutUnit(Protocol):
    """One rollout in one transaction, under its row's lock."""

    rollout: Rollout
    change: PolicyChange | None

    def staging(self) -> StagingUnit:
        """Return the same transaction for a rollout of which values are staged."""
        ...

    async def policy_in_force(self) -> str:
        """Return the text of the tenant's policy; empty when there is none."""
        ...

    async def finding(self) -> str:
        """Return what keeps the account from being used; empty when nothing does."""
        ...

    async def scan(self, objects: Sequence[str], limit: int) -> tuple[Standing, ...]:
        """Return the next entities of *objects* behind the rollout's place, as the account has them."""
        ...

    async def add(self, entities: Mapping[uuid.UUID, int]) -> None:
        """Note records that the rollout is for, with the place of each in its order."""
        ...

    async def turn_back(self) -> int:
        """Put every record that was admitted in line again; return how many."""
        ...

    async def admit(self, stage: int, count: int, *, back: bool, now: dt.datetime) -> tuple[int, int]:
        """Make the next *count* records due; return how many are under way, and how many are left out."""
        ...

    async def open_members(self) -> tuple[Member, ...]:
        """Return the records that are under way."""
        ...

    async def standing(self, entities: Sequence[uuid.UUID]) -> tuple[Standing, ...]:
        """Return deliveries as they stand."""
        ...

    async def judge(self, fates: Mapping[uuid.UUID, Fate]) -> None:
        """Note where records stand."""
        ...

    async def send_again(self, entities: Sequence[uuid.UUID]) -> None:
        """Make settled records due again."""
        ...

    async def relapsed(self, stage: int) -> int:
        """Note which delivered records of *stage* are dead since; return how many."""
        ...

    async def save(self, rollout: Rollout) -> None:
        """Store how the rollout stands, and tell the audit when its state or stage is another one."""
        ...


class StagingUnit(Protocol):
    """One rollout of which values are staged in one transaction, under its row's lock."""

    rollout: Rollout
    change: PolicyChange

    async def in_force(self) -> InForce:
        """Return the newest policy event of the tenant."""
        ...

    async def renewal(self) -> tuple[RenewalState, uuid.UUID, str] | None:
        """Return how far entities are under that event: state, the entity renewed last, why not; None: not begun."""
        ...

    async def scan(self, connectors: Sequence[str], limit: int) -> EntityPage:
        """Return the next entities behind the rollout's place, with records and standings."""
        ...

    async def add(self, found: Sequence[tuple[uuid.UUID, int, Sequence[str]]]) -> None:
        """Note entities that the change reaches: each with its place in the draw, and by what it changes."""
        ...

    async def candidates(self, count: int) -> Sequence[tuple[str, int, uuid.UUID]]:
        """Return of each kind of change up to *count* entities that are drawn first: kind, place, entity."""
        ...

    async def put_first(self, entities: Sequence[uuid.UUID]) -> None:
        """Put these first, in their order."""
        ...

    async def first(self) -> Sequence[uuid.UUID]:
        """Return the entities that were put first."""
        ...

    async def last_draw(self, number: int) -> int:
        """Return the place in the draw of the last of the first *number* entities."""
        ...

    async def want(self, stage: int, staged: Mapping[str, Any] | None) -> None:
        """Note what the log is to be told next."""
        ...

    async def turn_back(self) -> int:
        """Put every entity that was admitted in line again; return how many."""
        ...

    async def go_back_with(self, entities: Sequence[uuid.UUID]) -> None:
        """Put these in line, too, whether they are of the rollout or not."""
        ...

    async def count_planned(self) -> int:
        """Count the entities that are in line."""
        ...

    async def admit(self, count: int, upto: uuid.UUID | None, now: dt.datetime) -> int:
        """Note the next *count* entities as under way; return how many.

        Args:
            upto: only entities up to this one, in their own order; None: in the order of the draw.
        """
        ...

    async def open_members(self) -> tuple[Member, ...]:
        """Return the entities that are under way."""
        ...

    async def standing(self, connector: str, entities: Sequence[uuid.UUID]) -> tuple[Standing, ...]:
        """Return entities as an account has them, those that it does not have among them."""
        ...

    async def judge(self, fates: Mapping[uuid.UUID, Fate]) -> None:
        """Note where entities stand."""
        ...

    async def make_due(self, connector: str, entities: Sequence[uuid.UUID]) -> None:
        """Have an account write what is settled, dead or unknown there."""
        ...

    async def count_returns(self, entities: Sequence[uuid.UUID]) -> None:
        """Count that entities had to be delivered again."""
        ...

    async def relapsed(self, connectors: Sequence[str]) -> int:
        """Note which delivered entities of the present stage have a dead delivery since; return how many."""
        ...

    async def finding(self, connectors: Sequence[str]) -> str:
        """Return what keeps one of the accounts from being used; empty when nothing does."""
        ...

    async def save(self, rollout: Rollout) -> None:
        """Store how the rollout stands, and tell the audit when its state or stage is another one."""
        ...


class RolloutStore(Protocol):
    """Where rollouts are kept. Every method raises Unavailable; those that write StoreRaced too."""

    def taken(self, now: dt.datetime) -> AbstractAsyncContextManager[RolloutUnit | None]:
        """Begin a transaction on the open rollout that is due first; None when none is due."""
        ...

    async def now(self) -> dt.datetime:
        """Return the time by which rollouts go: one clock for all processes."""
        ...

    async def next_time(self) -> dt.datetime | None:
        """Return when an open rollout is due next; None when none is open."""
        ...

    async def waiting_changes(self) -> tuple[PolicyChange, ...]:
        """Return the policy changes that are to be put into the log, or taken back."""
        ...

    async def begin_change(self, change: PolicyChange, now: dt.datetime) -> bool:
        """Note that the new policy may be in the log from now on; False when it was aborted before."""
        ...

    async def applied(self, change: PolicyChange, now: dt.datetime) -> None:
        """Note that the new policy is in the log."""
        ...

    async def told(self, change: PolicyChange, now: dt.datetime) -> None:
        """Note that the log was told the stage that was wanted."""
        ...

    async def in_force(self, tenant_id: str) -> InForce:
        """Return the newest policy event of a tenant."""
        ...

    async def taken_back(self, change: PolicyChange, now: dt.datetime, *, replaced: bool) -> None:
        """Note that an abort is through with the policy; its finished rollouts take back what they wrote."""
        ...

    async def text_in_force(self, tenant_id: str) -> str:
        """Return the text of the tenant's policy; empty when there is none."""
        ...


class RolloutDesk(Protocol):
    """Rollouts as operators see and steer them."""

    async def text_in_force(self, tenant_id: str) -> str:
        """Return the text of the tenant's policy; empty when there is none."""
        ...

    async def scan_page(
        self, tenant_id: str, connector: str, objects: Sequence[str], after: uuid.UUID, limit: int
    ) -> tuple[Standing, ...]:
        """Return the next entities of *objects* behind *after*, as the account has them; writes nothing."""
        ...

    async def start(self, rollouts: Sequence[Rollout], change: PolicyChange | None) -> None:
        """Begin rollouts together, unless they were begun before.

        Raises: PreconditionFailed (ROLLOUT_OPEN): an account has one under way.
        """
        ...

    async def read(self, tenant_id: str, rollout_id: uuid.UUID) -> Rollout | None:
        """Return one rollout; None when there is none."""
        ...

    async def stages(self, tenant_id: str, rollout_id: uuid.UUID) -> tuple[Stage, ...]:
        """Return the stages of a rollout that have begun."""
        ...

    async def failed(self, rollout: Rollout, limit: int) -> tuple[FailedMember, ...]:
        """Return up to *limit* records of a rollout that failed."""
        ...

    async def texts(self, rollout: Rollout) -> tuple[str, str]:
        """Return the policies of a rollout: the one before, and the new one; empty for a re-delivery."""
        ...

    async def first(
        self, rollout: Rollout, connectors: Sequence[str]
    ) -> tuple[EntityPage, Mapping[uuid.UUID, tuple[str, ...]]]:
        """Return the entities that a change of values reaches first, and by what each changes, in their order."""
        ...

    async def list_rollouts(
        self, tenant_id: str, before: tuple[dt.datetime, uuid.UUID], limit: int
    ) -> tuple[Rollout, ...]:
        """Return up to *limit* rollouts begun before *before*, the newest first."""
        ...

    def held(self, order: Steering, rollout_id: uuid.UUID) -> AbstractAsyncContextManager[RolloutUnit | None]:
        """Begin a transaction on one rollout, for an operator's order; None when there is none."""
        ...


class PolicyLog(Protocol):
    """Where policies come into force."""

    async def put(
        self,
        tenant_id: str,
        text: str,
        *,
        request_id: str,
        actor: str,
        event_time: dt.datetime,
        staged: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a policy event; the same request again changes nothing.

        Args:
            staged: the newer policy that holds for some entities already, and for whom.

        Raises:
            Unavailable: the log does not answer; nobody knows whether it is recorded.
            InvalidInput: the log refuses it.
        """
        ...
