"""From what the vendor answered to how the delivery stands: pure, one settlement per claimed row."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec import structs

from headwater.connectors.base import ErrorClass, Failed, Outcome, VendorError, Written
from headwater.kernel.telemetry import TraceContext
from headwater.policy.account import Retry as RetryPolicy
from headwater.sync.domain.delivering import (
    Claimed,
    Hold,
    Holder,
    Send,
    Settled,
    Wait,
    field_changes,
    known_after,
)
from headwater.sync.domain.doubting import LOOK_UP_ALWAYS, Doubts
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.retrying import (
    Adopt,
    Bury,
    Cause,
    Forget,
    LookUp,
    TryAgain,
    cause_of,
    decide,
    is_spent,
)
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.domain.veiling import veiled


def refuse_taken(
    answers: Sequence[tuple[Send, Outcome]], holders: Mapping[str, Holder]
) -> list[tuple[Send, Outcome]]:
    """Return *answers* without offers to adopt a CRM record that is another entity's already.

    Two entities must never write to one CRM record: the later one is told whose it is, for a person
    to merge the two or to correct the value that both claim. Where the other one's record is being written, the
    value may be about to change hands, and a later try may succeed.

    Args:
        answers: of one target.
        holders: CRM id to the entity whose record it is.
    """
    written = {
        outcome.crm_id: Holder(str(send.claimed.entity_id))
        for send, outcome in answers
        if isinstance(outcome, Written) and outcome.crm_id not in holders
    }
    taken = {**holders, **written}
    judged: list[tuple[Send, Outcome]] = []
    for send, outcome in answers:
        crm_id = existing_crm_id(outcome)
        own = Holder(str(send.claimed.entity_id))
        holder = taken.setdefault(crm_id, own) if crm_id else own
        if isinstance(outcome, Failed) and holder.entity_id != own.entity_id:
            message = f"CRM record {crm_id} belongs to entity {holder.entity_id}: {outcome.error.message}"
            error_class = ErrorClass.CLAIMED if holder.coming else outcome.error.error_class
            error = replace(outcome.error, error_class=error_class, existing_crm_id="", message=message)
            judged.append((send, Failed(error)))
        else:
            judged.append((send, outcome))
    return judged


def existing_crm_id(outcome: Outcome) -> str:
    """Return the CRM record that *outcome* offers to adopt; empty when it offers none."""
    return outcome.error.existing_crm_id if isinstance(outcome, Failed) else ""


def offered_object(send: Send, outcome: Outcome) -> str:
    """Return the CRM's name of the object that *outcome* offers a record of: the write's own unless it says another."""
    other = outcome.error.existing_crm_object if isinstance(outcome, Failed) else ""
    return other or send.target.crm_object


def not_written(outcome: Outcome, crm_object: str) -> Outcome:
    """Return *outcome* without its offer: the policy does not write that object."""
    if not isinstance(outcome, Failed):
        return outcome
    message = f"{outcome.error.message}; the policy does not write {crm_object}"
    return Failed(replace(outcome.error, existing_crm_id="", existing_crm_object="", message=message))


def refused_by_store(settlement: Settlement, reason: str) -> Settlement:
    """Return *settlement* as a dead letter: what the CRM answered cannot be stored."""
    claimed = settlement.claimed
    reason = veiled(reason, claimed.values, claimed.known)
    return structs.replace(
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
        changes=_dead(reason, Cause.DATA),
    )


@dataclass(frozen=True, slots=True)
class Judge:
    """What all settlements of one cycle share."""

    retry: RetryPolicy
    chance: random.Random
    policy_version: str
    start_time: dt.datetime
    doubts: Doubts = LOOK_UP_ALWAYS

    def of_outcome(self, send: Send, outcome: Outcome, trace: TraceContext | None) -> Settlement:
        """Return how *send* stands after *outcome*."""
        if isinstance(outcome, Written):
            return self._written(send, outcome, trace)
        failed = self._failed(send, outcome.error, trace)
        return structs.replace(failed, endpoint=f"upsert {send.target.crm_object}")

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

    def of_hold(self, hold: Hold) -> Settlement:
        """Return how a delivery stands that the policy holds; nothing was tried."""
        claimed = hold.claimed
        return self._base(
            claimed, State.HELD, "", None, try_count=claimed.tries_before, error_message=hold.why
        )

    def of_refused(self, hold: Hold) -> Settlement:
        """Return how a delivery stands that a person or the policy has refused: ended until it changes."""
        claimed = hold.claimed
        return self._base(
            claimed, State.DISCARDED, "", None, try_count=claimed.tries_before, error_message=hold.why
        )

    def of_interrupted(self, claimed: Claimed) -> Settlement:
        """Return how a delivery stands whose call broke off and could not be looked into: in doubt, no try counted."""
        return self._base(
            claimed,
            State.IN_DOUBT,
            "",
            None,
            failure_count=claimed.failure_count,
            try_count=claimed.tries_before,
        )

    def of_doubt(self, claimed: Claimed, error: VendorError, trace: TraceContext | None) -> Settlement:
        """Return how a delivery stands whose look-up failed: still in doubt, for as long as retries last."""
        if error.error_class is ErrorClass.HELD:
            return self._held(claimed, error)
        decision = decide(error, claimed.failure_count, self.retry, self.chance, crm_id=claimed.crm_id)
        counted = claimed.failure_count + 1
        match decision:
            case TryAgain() | LookUp():
                keeps = isinstance(decision, TryAgain) and not decision.counts
                return self._error(
                    claimed, State.IN_DOUBT, "in_doubt", error, trace, after_s=decision.after_s,
                    failure_count=claimed.failure_count if keeps else counted,
                )  # fmt: skip
            case Adopt() | Forget() | Bury():
                reason = f"the look-up of a write in doubt failed: {error.error_class.value}"
                doubt = replace(
                    error, error_class=ErrorClass.IN_DOUBT, message=f"{reason}: {error.message}"[:512]
                )
                return self._error(
                    claimed, State.DEAD, "in_doubt", doubt, trace, failure_count=counted,
                    changes=_dead(reason, Cause.DOUBT),
                )  # fmt: skip

    def is_spent(self, claimed: Claimed) -> bool:
        """Return whether *claimed* was in doubt, was looked up, and has no try left to be sent again."""
        return claimed.verdict == "not_applied" and is_spent(claimed.failure_count, self.retry)

    def of_spent(self, send: Send, trace: TraceContext | None) -> Settlement:
        """Return the dead letter of a write that was in doubt to the last and is not in the CRM."""
        claimed = send.claimed
        reason = "in_doubt: all retries used; the last look-up shows that it was not applied"
        return self._base(
            claimed, State.DEAD, "failed", trace,
            failure_count=claimed.failure_count, try_count=claimed.tries_before + 1,
            error_class=ErrorClass.TIMEOUT.value, error_code="NOT_APPLIED", error_message=reason,
            changes=_dead(reason, cause_of(ErrorClass.TIMEOUT)),
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
            changes=tuple(field_changes(claimed.known, send.write)),
            error_message=send.note,
        )

    def _failed(self, send: Send, error: VendorError, trace: TraceContext | None) -> Settlement:
        claimed, crm_object = send.claimed, send.target.crm_object
        if error.error_class is ErrorClass.HELD:
            return self._held(claimed, error)
        decision = decide(
            error,
            claimed.failure_count,
            self.retry,
            self.chance,
            crm_id=claimed.crm_id,
            repeat_safe=self.doubts.repeat_safe(send.target, send.write),
        )
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
                    failure_count=claimed.failure_count + 1,
                )
            case Adopt():
                moved = error.existing_crm_object not in {"", crm_object}
                return self._error(
                    claimed, State.RETRYING, "failed", error, trace, crm_id=decision.crm_id,
                    crm_object=error.existing_crm_object or crm_object, known={} if moved else claimed.known,
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
                    changes=_dead(decision.reason, decision.cause),
                )  # fmt: skip

    def _held(self, claimed: Claimed, error: VendorError) -> Settlement:
        """Return how a delivery stands whose call the breaker held back: as before, nothing was tried."""
        retrying = State.RETRYING if claimed.failure_count else State.PENDING
        unsettled = claimed.in_doubt and claimed.verdict in {"", "repeated"}
        return self._base(
            structs.replace(claimed, verdict="") if unsettled else claimed,
            State.IN_DOUBT if unsettled else retrying,
            "",
            None,
            after_s=error.retry_after_s or 0.0,
            lane=claimed.lane,
            failure_count=claimed.failure_count,
            try_count=claimed.tries_before,
        )

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
            "endpoint": f"look_up {claimed.crm_object or claimed.object}",
            "failure_count": claimed.failure_count,
            "try_count": claimed.tries_before + 1,
            "error_class": error.error_class.value,
            "error_code": error.code,
            "error_message": veiled(error.message, claimed.values, claimed.known),
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


def _dead(reason: str, cause: Cause) -> tuple[dict[str, Any], ...]:
    """Return what the audit says of a dead letter: why, and what has to change before it can be delivered."""
    return (
        {"field": "", "before": None, "after": reason, "rule": "dead_letter"},
        {"field": "#cause", "before": None, "after": cause.value, "rule": "dead_letter"},
    )
