"""From what the vendor answered to how the delivery stands: pure, one settlement per claimed row."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headwater.connectors.base import ErrorClass, Failed, Outcome, VendorError, Write, Written
from headwater.kernel.telemetry import TraceContext
from headwater.policy.document import Retry as RetryPolicy
from headwater.sync.domain.delivering import REFERENCES_KEY, Claimed, Send, Settled, Wait, known_after
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.retrying import Adopt, Bury, Forget, LookUp, TryAgain, decide
from headwater.sync.domain.settling import Settlement, State


def refuse_taken(
    answers: Sequence[tuple[Send, Outcome]], holders: Mapping[str, str]
) -> list[tuple[Send, Outcome]]:
    """Return *answers* without offers to adopt a CRM record that is another entity's already.

    Two entities must never write to one CRM record: the later one is told whose it is, for a person
    to merge the two or to correct the value that both claim.

    Args:
        answers: of one target.
        holders: CRM id to the entity that the record is.
    """
    written = {
        outcome.crm_id: str(send.claimed.entity_id)
        for send, outcome in answers
        if isinstance(outcome, Written)
    }
    taken = {**holders, **written}
    judged: list[tuple[Send, Outcome]] = []
    for send, outcome in answers:
        crm_id = existing_crm_id(outcome)
        own = str(send.claimed.entity_id)
        holder = taken.setdefault(crm_id, own) if crm_id else own
        if isinstance(outcome, Failed) and holder != own:
            message = f"CRM record {crm_id} belongs to entity {holder}: {outcome.error.message}"
            judged.append((send, Failed(replace(outcome.error, existing_crm_id="", message=message))))
        else:
            judged.append((send, outcome))
    return judged


def existing_crm_id(outcome: Outcome) -> str:
    """Return the CRM record that *outcome* offers to adopt; empty when it offers none."""
    return outcome.error.existing_crm_id if isinstance(outcome, Failed) else ""


def refused_by_store(settlement: Settlement, reason: str) -> Settlement:
    """Return *settlement* as a dead letter: what the CRM answered cannot be stored."""
    claimed = settlement.claimed
    return replace(
        settlement,
        state=State.DEAD,
        outcome="failed",
        crm_id=claimed.crm_id,
        known=claimed.known,
        failure_count=claimed.failure_count + 1,
        try_count=claimed.tries_before + 1,
        error_class=ErrorClass.CONFLICT.value,
        error_code="STORE_REFUSED",
        error_message=reason,
        created=False,
        changes=({"field": "", "before": None, "after": reason, "rule": "dead_letter"},),
    )


@dataclass(frozen=True, slots=True)
class Judge:
    """What all settlements of one cycle share."""

    retry: RetryPolicy
    chance: random.Random
    policy_version: str
    start_time: dt.datetime

    def of_outcome(self, send: Send, outcome: Outcome, trace: TraceContext | None) -> Settlement:
        """Return how *send* stands after *outcome*."""
        if isinstance(outcome, Written):
            return self._written(send, outcome, trace)
        return self._failed(send, outcome.error, trace)

    def of_settled(self, settled: Settled, crm_object: str, trace: TraceContext | None) -> Settlement:
        """Return how a delivery stands that needed no write."""
        claimed = settled.claimed
        looked_up = claimed.in_doubt and settled.outcome == "unchanged"
        return self._base(
            claimed,
            State.DELIVERED,
            "looked_up" if looked_up else settled.outcome,
            trace,
            crm_object=crm_object,
            lacks_reference=settled.lacks_reference,
            error_message=settled.rule,
        )

    def of_wait(self, wait: Wait) -> Settlement:
        """Return how a delivery stands that waits for another one; nothing was tried."""
        claimed = wait.claimed
        return self._base(
            claimed,
            State.PENDING,
            "",
            None,
            after_s=wait.after_s,
            waits=True,
            failure_count=claimed.failure_count,
            try_count=claimed.tries_before,
        )

    def of_doubt(self, claimed: Claimed, error: VendorError, trace: TraceContext | None) -> Settlement:
        """Return how a delivery stands whose look-up failed: still in doubt, for as long as retries last."""
        decision = decide(error, claimed.failure_count, self.retry, self.chance, crm_id=claimed.crm_id)
        counted = claimed.failure_count + 1
        match decision:
            case TryAgain():
                count = counted if decision.counts else claimed.failure_count
                return self._error(
                    claimed,
                    State.IN_DOUBT,
                    "in_doubt",
                    error,
                    trace,
                    after_s=decision.after_s,
                    failure_count=count,
                )
            case LookUp():
                return self._error(
                    claimed,
                    State.IN_DOUBT,
                    "in_doubt",
                    error,
                    trace,
                    after_s=decision.after_s,
                    failure_count=counted,
                )
            case Adopt() | Forget() | Bury():
                reason = f"the look-up of a write in doubt failed: {error.error_class.value}"
                return self._error(
                    claimed, State.DEAD, "in_doubt", error, trace, failure_count=counted,
                    changes=({"field": "", "before": None, "after": reason, "rule": "dead_letter"},),
                )  # fmt: skip

    def _written(self, send: Send, outcome: Written, trace: TraceContext | None) -> Settlement:
        claimed = send.claimed
        return self._base(
            claimed,
            State.DELIVERED,
            "created" if outcome.created else "updated",
            trace,
            crm_object=send.target.crm_object,
            crm_id=outcome.crm_id,
            known=known_after(claimed, send.write),
            lacks_reference=send.lacks_reference,
            created=outcome.created,
            changes=tuple(_changes(claimed.known, send.write)),
        )

    def _failed(self, send: Send, error: VendorError, trace: TraceContext | None) -> Settlement:
        claimed, crm_object = send.claimed, send.target.crm_object
        decision = decide(error, claimed.failure_count, self.retry, self.chance, crm_id=claimed.crm_id)
        match decision:
            case TryAgain():
                counted = claimed.failure_count + (1 if decision.counts else 0)
                return self._error(
                    claimed,
                    State.RETRYING,
                    "failed",
                    error,
                    trace,
                    after_s=decision.after_s,
                    failure_count=counted,
                )
            case LookUp():
                return self._error(
                    claimed,
                    State.IN_DOUBT,
                    "in_doubt",
                    error,
                    trace,
                    after_s=decision.after_s,
                    crm_object=crm_object,
                )
            case Adopt():
                return self._error(
                    claimed, State.RETRYING, "failed", error, trace, crm_id=decision.crm_id, crm_object=crm_object,
                    failure_count=claimed.failure_count + 1,
                )  # fmt: skip
            case Forget():
                return self._error(
                    claimed, State.RETRYING, "failed", error, trace, crm_id="", known={},
                    failure_count=claimed.failure_count + 1,
                )  # fmt: skip
            case Bury():
                return self._error(
                    claimed, State.DEAD, "failed", error, trace, failure_count=claimed.failure_count + 1,
                    changes=({"field": "", "before": None, "after": decision.reason, "rule": "dead_letter"},),
                )  # fmt: skip

    def _error(
        self,
        claimed: Claimed,
        state: State,
        outcome: str,
        error: VendorError,
        trace: TraceContext | None,
        **changed: Any,
    ) -> Settlement:
        fields: dict[str, Any] = {
            "failure_count": claimed.failure_count,
            "try_count": claimed.tries_before + 1,
            "error_class": error.error_class.value,
            "error_code": error.code,
            "error_message": error.message,
            "http_status": error.http_status,
            **changed,
        }
        return self._base(claimed, state, outcome, trace, **fields)

    def _base(
        self, claimed: Claimed, state: State, outcome: str, trace: TraceContext | None, **changed: Any
    ) -> Settlement:
        fields: dict[str, Any] = {
            "version": claimed.version,
            "crm_object": claimed.crm_object,
            "crm_id": claimed.crm_id,
            "known": claimed.known,
            "failure_count": 0,
            "try_count": 0,
            "policy_version": self.policy_version,
            "lane": Lane.RETRY if state in {State.RETRYING, State.IN_DOUBT} else claimed.lane,
            **changed,
        }
        return Settlement(
            claimed=claimed, state=state, start_time=self.start_time, outcome=outcome, trace=trace, **fields
        )


def _changes(known: Mapping[str, Any], write: Write) -> Iterable[dict[str, Any]]:
    for name, value in write.fields.items():
        yield {"field": name, "before": known.get(name), "after": value, "rule": "minimal_patch"}
    held = known.get(REFERENCES_KEY, {})
    for item in write.references:
        yield {
            "field": item.name,
            "before": held.get(item.name),
            "after": list(item.crm_ids),
            "rule": "reference",
        }
