"""From claimed deliveries to settlements: look up, plan, write, judge; what fails unexpectedly is isolated.

A failure that rows share halves them until it is one row's; that row is parked as a dead letter of
class `poison` while the others go on. Rows that are handled again were perhaps written already, so
they are in doubt and looked up first: after a halving, in a later round, and after a replay.
"""

from __future__ import annotations

import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from msgspec.structs import replace

from headwater.connectors.base import Failed, Outcome
from headwater.kernel.telemetry import TraceContext
from headwater.policy.document import ConnectorPolicy
from headwater.sync.approvals.door import ApprovalDoor
from headwater.sync.delivery.outcomes import Judge
from headwater.sync.delivery.sending import Failure, Sender, Sent
from headwater.sync.domain.bulking import Fate, Recall
from headwater.sync.domain.delivering import (
    Claimed,
    Hold,
    Plan,
    Send,
    Settled,
    Wait,
    choose_outbound,
    plan_delivery,
)
from headwater.sync.domain.isolating import Suspects, choose_parked
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.settling import Settlement, State
from headwater.sync.domain.veiling import veiled

_log = logging.getLogger(__name__)

POISON: Final = "poison"
"""Error class of a row whose handling raises what nobody expected."""
AGAIN_S: Final = 1.0
"""Pause before a row is handled again that failed together with one that is parked."""
STRETCH: Final = 25
"""Deliveries that are planned at a stretch where others may go first."""
Traces = Mapping[uuid.UUID, TraceContext | None]
"""Entity to the context of its attempt."""


async def _at_a_stretch() -> None:
    """Let nobody go first."""


class NothingHandled(Exception):
    """Not one row of a batch could be handled: the fault is most likely not in the rows."""


@dataclass(slots=True)
class Round:
    """What a round has come to so far."""

    settlements: list[Settlement] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def judged(self, item: Claimed, judge: Callable[[], Settlement]) -> None:
        """Add a settlement; a row that cannot be judged fails by itself."""
        try:
            self.settlements.append(judge())
        except Exception as error:  # noqa: BLE001 - one row's fault must not stop the others
            self.failures.append(Failure((item,), error))


class Handler:
    """Handles the batches of one actor.

    Args:
        door: what every write passes before it is sent.
        recall: what bulk jobs of before did: such rows need no look-up, and no second write.
    """

    def __init__(
        self,
        policy: ConnectorPolicy,
        reference_wait_s: float,
        sender: Sender,
        suspects: Suspects,
        door: ApprovalDoor,
        recall: Recall | None = None,
    ) -> None:
        self._policy = policy
        self._reference_wait_s = reference_wait_s
        self._sender = sender
        self._suspects = suspects
        self._door = door
        self._recall = Recall() if recall is None else recall

    async def handle(self, judge: Judge, claimed: Sequence[Claimed], traces: Traces) -> list[Settlement]:
        """Return how the tries ended; rows that were not tried are left out.

        Raises:
            NothingHandled: every row failed unexpectedly.
            FenceLost, StoreRaced, Unavailable: from the store.
        """
        settlements: list[Settlement] = []
        alone: list[tuple[Claimed, Exception]] = []
        halved: dict[uuid.UUID, Claimed] = {}
        pending = deque([tuple(claimed)])
        while pending:
            done = await self._handle_once(judge, pending.popleft(), traces)
            settlements += done.settlements
            for failure in done.failures:
                if len(failure.items) == 1:
                    alone.append((failure.items[0], failure.error))
                else:
                    halves = _halves(failure.items)
                    halved.update((item.entity_id, item) for half in halves for item in half)
                    pending.extend(halves)
        self._suspects.clear(item.claimed.entity_id for item in settlements)
        if alone:
            settlements += self._judge_alone(judge, alone, len(settlements), traces)
        settled = {item.claimed.entity_id for item in settlements}
        # what was not tried again, as calls were held back meanwhile, was tried once
        settlements += [judge.of_interrupted(item) for key, item in halved.items() if key not in settled]
        return settlements

    async def _handle_once(self, judge: Judge, items: Sequence[Claimed], traces: Traces) -> Round:
        sends, done = await self.prepare(judge, items, traces)
        sent = await self._sender.send(sends)
        self._judge_sent(judge, sent, traces, done)
        return done

    async def send(self, judge: Judge, sends: Sequence[Send], traces: Traces) -> Sequence[Settlement]:
        """Write *sends* by ordinary calls and return how they ended; what was not tried is left out.

        What fails unexpectedly is in doubt: looked up, and isolated, as what is tried again.

        Raises: FenceLost, StoreRaced, Unavailable: from the store.
        """
        done = Round()
        self._judge_sent(judge, await self._sender.send(sends), traces, done)
        doubtful = [judge.of_interrupted(item) for failure in done.failures for item in failure.items]
        return (*done.settlements, *doubtful)

    async def conclude(
        self, judge: Judge, answers: Sequence[tuple[Send, Outcome]], traces: Traces
    ) -> Sequence[Settlement]:
        """Return how writes ended that a bulk job has answered; what fails unexpectedly is in doubt.

        Raises: FenceLost, StoreRaced, Unavailable: from the store.
        """
        done = Round()
        self._judge_sent(judge, await self._sender.check(Sent(list(answers))), traces, done)
        doubtful = [judge.of_interrupted(item) for failure in done.failures for item in failure.items]
        return (*done.settlements, *doubtful)

    async def prepare(
        self,
        judge: Judge,
        items: Sequence[Claimed],
        traces: Traces,
        pause: Callable[[], Awaitable[None]] = _at_a_stretch,
    ) -> tuple[Sequence[Send], Round]:
        """Return what is to be sent of *items*; the others are judged, or failed.

        Args:
            pause: called now and then, for others to go first.

        Raises: FenceLost, StoreRaced, Unavailable: from the store.
        """
        done = Round()
        known, items = self._recalled(items)
        looked_up = await self._sender.look_up([item for item in items if item.in_doubt])
        done.failures += looked_up.failures
        for item, error in looked_up.unanswered:
            done.judged(item, partial(judge.of_doubt, item, error, traces[item.entity_id]))
        sends: list[Send] = []
        certain = [item for item in items if not item.in_doubt]
        for number, item in enumerate((*certain, *looked_up.cleared), 1):
            if number % STRETCH == 0:
                await pause()
            send = self._judge_plan(judge, item, traces, done)
            if send is not None:
                sends.append(send)
        for item, fate in known:
            send = self._judge_plan(judge, item, traces, done)
            if send is not None and fate.written is None:
                sends.append(send)
            elif send is not None and fate.written is not None:
                told = partial(judge.of_outcome, send, fate.written, traces[item.entity_id])
                done.judged(item, told)
        sends = await self._looked_first(judge, sends, traces, done)
        return await self._admitted(judge, sends, done), done

    async def _looked_first(
        self, judge: Judge, sends: Sequence[Send], traces: Traces, done: Round
    ) -> list[Send]:
        """Return *sends* without what would fill fields that are not empty; none goes out that nobody has looked for."""
        unsure = {send.claimed.entity_id: send for send in sends if send.unsure}
        if not unsure:
            return list(sends)
        seen = await self._sender.look_first(list(unsure.values()))
        done.failures += seen.failures
        for item, error in seen.unanswered:
            send = unsure[item.entity_id]
            done.judged(item, partial(judge.of_outcome, send, Failed(error), traces[item.entity_id]))
        planned = (self._judge_plan(judge, item, traces, done) for item in seen.cleared)
        sure = [send for send in planned if send is not None and not send.unsure]
        return [send for send in sends if not send.unsure] + sure

    def _recalled(self, items: Sequence[Claimed]) -> tuple[Sequence[tuple[Claimed, Fate]], Sequence[Claimed]]:
        """Return rows whose fate in a bulk job is known, in doubt no more, and the others."""
        if not len(self._recall):
            return (), items
        fates = [(item, self._recall.take(item)) for item in items]
        known = [(replace(item, in_doubt=False), fate) for item, fate in fates if fate is not None]
        return known, [item for item, fate in fates if fate is None]

    def _judge_plan(self, judge: Judge, item: Claimed, traces: Traces, done: Round) -> Send | None:
        """Return what is to be written of *item*; where nothing is, it is judged."""
        match self._plan(item, done):
            case Send() as send if judge.is_spent(send.claimed):
                done.judged(item, partial(judge.of_spent, send, traces[item.entity_id]))
            case Send() as send:
                return send
            case Wait() as wait:
                done.judged(item, partial(judge.of_wait, wait))
            case Hold() as hold:
                done.judged(item, partial(judge.of_hold, hold))
            case Settled() as settled:
                done.judged(item, partial(self._of_settled, judge, settled, traces))
        return None

    def _judge_sent(self, judge: Judge, sent: Sent, traces: Traces, done: Round) -> None:
        done.failures += sent.failures
        for send, outcome in sent.answers:
            trace = traces[send.claimed.entity_id]
            done.judged(send.claimed, partial(judge.of_outcome, send, outcome, trace))

    async def _admitted(self, judge: Judge, sends: Sequence[Send], done: Round) -> Sequence[Send]:
        """Return which of *sends* may go out now; the others are judged."""
        passed = await self._door.pass_through(sends)
        for hold in passed.holds:
            done.judged(hold.claimed, partial(judge.of_hold, hold))
        for hold in passed.refused:
            done.judged(hold.claimed, partial(judge.of_refused, hold))
        return passed.sends

    def _plan(self, item: Claimed, done: Round) -> Plan | None:
        try:
            return plan_delivery(self._policy, item, self._reference_wait_s)
        except Exception as error:  # noqa: BLE001 - one row's fault must not stop the others
            done.failures.append(Failure((item,), error))
            return None

    def _of_settled(self, judge: Judge, settled: Settled, traces: Traces) -> Settlement:
        outbound = choose_outbound(self._policy, settled.claimed)
        crm_object = outbound.target if outbound else settled.claimed.crm_object
        return judge.of_settled(settled, crm_object, traces[settled.claimed.entity_id])

    def _judge_alone(
        self, judge: Judge, alone: Sequence[tuple[Claimed, Exception]], passed: int, traces: Traces
    ) -> list[Settlement]:
        entities = [item.entity_id for item, _ in alone]
        parked = choose_parked(self._suspects.failed(entities), passed)
        if not parked:
            error = alone[0][1]
            raise NothingHandled(f"{len(alone)} of {len(alone)} deliveries: {_told(error)}") from error
        self._suspects.clear(entities)
        settlements: list[Settlement] = []
        for number, (item, cause) in enumerate(alone):
            settled = poisoned(item, cause, judge, traces[item.entity_id])
            if number in parked:
                _log.error("delivery of %s is parked as poison", item.entity_id, exc_info=cause)
                settlements.append(settled)
            else:
                settlements.append(put_off(settled))
        return settlements


def poisoned(claimed: Claimed, error: Exception, judge: Judge, trace: TraceContext | None) -> Settlement:
    """Return *claimed* as a dead letter whose handling raised *error*; whether it was written nobody knows."""
    reason = veiled(_told(error), claimed.values, claimed.known)
    return Settlement(
        claimed=claimed,
        state=State.DEAD,
        version=claimed.version,
        crm_object=claimed.crm_object,
        crm_id=claimed.crm_id,
        known=claimed.known,
        failure_count=claimed.failure_count + 1,
        try_count=claimed.tries_before + 1,
        start_time=judge.start_time,
        outcome="in_doubt",
        lane=claimed.lane,
        error_class=POISON,
        error_code=type(error).__name__,
        error_message=reason,
        trace=trace,
        changes=({"field": "", "before": None, "after": reason, "rule": "dead_letter"},),
        policy_version=judge.policy_version,
    )


def put_off(settlement: Settlement) -> Settlement:
    """Return a dead letter as a delivery that is looked up and tried again instead."""
    claimed = settlement.claimed
    return replace(
        settlement,
        state=State.IN_DOUBT,
        failure_count=claimed.failure_count,
        lane=Lane.RETRY,
        after_s=AGAIN_S,
        changes=(),
    )


def _halves(items: tuple[Claimed, ...]) -> list[tuple[Claimed, ...]]:
    """Return both halves, each in doubt: the call that failed may have been applied."""
    doubtful = tuple(replace(item, in_doubt=True) for item in items)
    middle = len(doubtful) // 2
    return [doubtful[:middle], doubtful[middle:]]


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:512]
