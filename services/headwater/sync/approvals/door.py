"""The door that an account's writes pass before they are sent: it asks, and holds what nobody has approved.

Owns no decision (`domain.approving` has them) and calls no CRM. An account without approvals costs nothing here.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from headwater.policy.document import PolicyDocument
from headwater.sync.approvals.ports import ApprovalBook
from headwater.sync.domain.approving import (
    ApprovalState,
    Judged,
    Verdict,
    ask_of,
    ask_of_merge,
    ask_of_removal,
    bare_needs,
    judged,
    needed,
)
from headwater.sync.domain.delivering import Send
from headwater.sync.domain.following import RecordMerge
from headwater.sync.removing.ports import Flagged


class ApprovalDoor:
    """The door of one account under one policy.

    Args:
        book: where is asked; without one, what has to be approved is held for good.
    """

    def __init__(self, document: PolicyDocument, connector: str, book: ApprovalBook | None) -> None:
        self._policy = document.connectors[connector]
        self._connector = connector
        self._version = document.version
        self._approvals = document.approvals_of(connector)
        self._counts = any(item.records_min > 1 for _, item in self._approvals)
        self._book = book

    async def pass_through(self, sends: Sequence[Send]) -> Judged:
        """Return which of *sends* may go out now; of one tenant and account.

        Raises: Unavailable, StoreRaced: from the store; nothing was sent.
        """
        if not (self._approvals and sends):
            return Judged(tuple(sends))
        tenant_id, book = sends[0].claimed.tenant_id, self._book
        waiting = await book.waiting(tenant_id, self._connector) if self._counts and book else {}
        rules = needed(self._approvals, self._policy, sends, waiting)
        if not rules:
            return Judged(tuple(sends))
        known = dict(self._approvals)
        asks = {
            send.claimed.entity_id: ask_of(send, rule, known[rule], self._version)
            for send in sends
            if (rule := rules.get(send.claimed.entity_id)) is not None
        }
        verdicts = await book.ask(list(asks.values())) if book else {}
        return judged(sends, asks, verdicts)

    async def may_merge(self, merge: RecordMerge) -> Verdict | None:
        """Return how the merge of two records in the CRM stands; None where nobody is asked.

        Raises: Unavailable, StoreRaced.
        """
        named = bare_needs(self._approvals, merge.object, "merge")
        if named is None:
            return None
        rule, approval = named
        ask = ask_of_merge(
            (merge.tenant_id, merge.connector),
            (merge.object, merge.winner_id, merge.loser_id),
            merge.merge_id,
            merge.event_key,
            (rule, approval, self._version),
        )
        verdicts = await self._book.ask([ask]) if self._book else {}
        return verdicts.get(ask.approval_id, Verdict(ApprovalState.ASKED))

    async def may_remove(self, tenant_id: str, flagged: Sequence[Flagged]) -> frozenset[uuid.UUID]:
        """Return the entities among *flagged*, of one object, whose records may be removed from the CRM now.

        Raises: Unavailable, StoreRaced.
        """
        named = bare_needs(self._approvals, flagged[0].object, "delete") if flagged else None
        if named is None:
            return frozenset(item.entity_id for item in flagged)
        asks = {
            item.entity_id: ask_of_removal(
                (tenant_id, self._connector),
                (item.object, item.crm_object, item.crm_id),
                (item.entity_id, item.version, item.event_key),
                (*named, self._version),
            )
            for item in flagged
        }
        verdicts = await self._book.ask(list(asks.values())) if self._book else {}
        return frozenset(
            entity_id
            for entity_id, ask in asks.items()
            if (found := verdicts.get(ask.approval_id)) and found.state is ApprovalState.APPROVED
        )
