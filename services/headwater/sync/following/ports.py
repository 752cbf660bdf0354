"""What following merges needs of the store, in its own words."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Protocol

import msgspec

from headwater.sync.domain.following import RecordMerge
from headwater.sync.domain.forecasting import Forecast
from headwater.sync.domain.leasing import Lease


class Place(msgspec.Struct, frozen=True):
    """Where an entity is in an account.

    Args:
        crm_id: empty while it has no record there, as far as is known.
        coming: its delivery waits.
    """

    crm_object: str
    crm_id: str
    coming: bool


class Places(msgspec.Struct, frozen=True):
    """The two entities of a merge in an account.

    Args:
        holder_id: the entity that has the winner's record: itself, or one that it went into.
        busy: a delivery of one of them is under way.
        survivor, loser: None where there is no delivery.
    """

    holder_id: uuid.UUID
    busy: bool
    survivor: Place | None = None
    loser: Place | None = None


class Waiting(msgspec.Struct, frozen=True):
    """A merge that is open, and the seconds until it is due."""

    merge: RecordMerge
    due_s: float


class Taken(msgspec.Struct, frozen=True):
    """Which CRM record an entity has from now on."""

    entity_id: uuid.UUID
    crm_object: str
    crm_id: str


class Question(msgspec.Struct, frozen=True):
    """What would be done in an account.

    Args:
        merge_id: a merge to undo; None: a merge of the two entities.
    """

    tenant_id: str
    connector: str
    question_id: uuid.UUID
    object: str
    winner_id: uuid.UUID
    loser_id: uuid.UUID
    merge_id: uuid.UUID | None = None


class MergeBook(Protocol):
    """The merges that accounts follow. Every method may raise Unavailable and StoreRaced; those with a lease, FenceLost."""

    async def waiting(self, accounts: Sequence[tuple[str, str]]) -> Sequence[Waiting]:
        """Return the open merge of each of *accounts* that is due first."""
        ...

    async def hold(self, merge: RecordMerge, lease: Lease) -> Places:
        """Hold the deliveries of both entities back, and return where these are; no claim comes after it."""
        ...

    async def let_go(self, merge: RecordMerge, entity_id: uuid.UUID) -> None:
        """Let the delivery of one entity go on, until it is held again."""
        ...

    async def places(
        self, tenant_id: str, connector: str, winner_id: uuid.UUID, loser_id: uuid.UUID
    ) -> Places:
        """Return where two entities are, without holding anything."""
        ...

    async def related(self, merge: RecordMerge, holder_id: uuid.UUID) -> Sequence[RecordMerge]:
        """Return the merges into *holder_id* and into all that went into it, whether they stand or were undone."""
        ...

    async def write(
        self, merge: RecordMerge, lease: Lease, pause_s: float = 0.0, notes: Sequence[object] = ()
    ) -> None:
        """Note how far *merge* is; *notes* are the changes of an audit entry, if there are any."""
        ...

    async def finish(
        self, merge: RecordMerge, lease: Lease, taken: Sequence[Taken] = (), left: Sequence[uuid.UUID] = ()
    ) -> None:
        """Note the end of *merge*, say who has which record now, let the deliveries go on, and wake their actor.

        Args:
            left: entities that have no record any more.
        """
        ...

    async def read(self, tenant_id: str, merge_id: uuid.UUID | None) -> Sequence[RecordMerge]:
        """Return what accounts did about one merge, or about all, newest first."""
        ...

    async def retry(self, tenant_id: str, connector: str, merge_id: uuid.UUID, actor: str) -> bool:
        """Let a merge that failed go on; return False when none of that name has failed."""
        ...


class QuestionBook(Protocol):
    """Questions to accounts about merges: asked by any process, answered by the one that holds the account."""

    async def ask(self, question: Question) -> None:
        """Post a question and wake who answers. Raises: Unavailable."""
        ...

    async def answer_of(self, question: Question) -> Forecast | None:
        """Take the answer; None while there is none. Raises: Unavailable."""
        ...

    async def questions(self, accounts: Sequence[tuple[str, str]]) -> Sequence[Question]:
        """Return the questions that wait for an answer of *accounts*."""
        ...

    async def answer(self, question: Question, forecast: Forecast) -> None:
        """Note the answer to a question, unless it has one."""
        ...
