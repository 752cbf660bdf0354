"""The door that an account's writes pass before they are sent: it asks, and holds what nobody has approved.

Owns no decision (`domain.approving` has them) and calls no CRM. An account without approvals costs nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence

from headwater.policy.document import PolicyDocument
from headwater.sync.approvals.ports import ApprovalBook
from headwater.sync.domain.approving import (
    ApprovalState,
    Judged,
    Verdict,
    ask_of,
    ask_of_merge,
    judged,
    merge_needs,
    needed,
)
from headwater.sync.domain.delivering import Send
from headwater.sync.domain.following import RecordMerge


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
        named = merge_needs(self._approvals, merge.object)
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
