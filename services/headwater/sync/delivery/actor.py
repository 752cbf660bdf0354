"""The actor of one connector account: claim, look up what is in doubt, write, settle; then again.

One cycle at a time, so that an entity never has two writes under way. Calls of a cycle run side by
side up to the account's concurrency. Everything it must not forget is in Postgres.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import anyio

from headwater.connectors.base import CallFailed, Connector, Failed, Outcome, Target
from headwater.kernel.clock import Clock
from headwater.kernel.telemetry import SpanHandle, Spans, TraceContext, attempt_relation, names
from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.sync.delivery.breaking import AccountBreaker
from headwater.sync.delivery.gate import AccountGate
from headwater.sync.delivery.outcomes import Judge, existing_crm_id, refuse_taken, refused_by_store
from headwater.sync.domain.delivering import (
    Claimed,
    Plan,
    Send,
    Settled,
    Wait,
    choose_outbound,
    chunks,
    connector_targets,
    plan_delivery,
    to_target,
)
from headwater.sync.domain.doubting import LOOK_UP_ALWAYS, Doubts, looked_up, repeated
from headwater.sync.domain.settling import Settlement
from headwater.sync.ports import Deliveries, StoreRefused
from headwater.sync.wakeup import Wakeup

_log = logging.getLogger(__name__)

QUEUE: Final = "headwater.deliveries"
"""Name of the deliveries as a queue, in spans."""
Traces = Mapping[uuid.UUID, TraceContext | None]
"""Entity to the context of its attempt."""
POLL_S: Final = 1.0
"""Longest wait for a wake-up that may have been missed."""


class AccountNotReady(Exception):
    """The account cannot be used as it stands; the finding says what an operator has to do."""


@dataclass(frozen=True, slots=True)
class ActorParts:
    """What an actor is made of."""

    connector: Connector
    gate: AccountGate
    store: Deliveries
    spans: Spans
    clock: Clock
    chance: random.Random
    wakeup: Wakeup
    breaker: AccountBreaker
    doubts: Doubts = LOOK_UP_ALWAYS


class DeliveryActor:
    """Delivers to one connector account for as long as its lease lasts."""

    def __init__(self, tenant_id: str, name: str, document: PolicyDocument, parts: ActorParts) -> None:
        self._tenant_id = tenant_id
        self._name = name
        self._document = document
        self._policy: ConnectorPolicy = document.connectors[name]
        self._retry = document.retry_of(name)
        self._parts = parts

    async def run(self) -> None:
        """Deliver until cancelled; a call under way is then in doubt and looked up by the successor.

        Raises:
            FenceLost: another process has the account.
            AccountNotReady: the CRM lacks what the mapping needs, or refuses us.
        """
        await self._prepare()
        while True:
            wait_s = await self._cycle()
            if wait_s > 0:
                await self._parts.wakeup.wait(min(wait_s, POLL_S))

    async def _prepare(self) -> None:
        parts = self._parts
        today = parts.clock.now().date()
        parts.gate.start_day(await parts.store.read_quota(today))
        await self._wait_for_breaker()
        started = parts.breaker.now()
        try:
            with parts.breaker.round("read"):
                report = await parts.connector.prepare(connector_targets(self._policy))
                parts.breaker.succeeded("read", started)
        except CallFailed as error:
            parts.breaker.failed("read", started, error.error)
            await parts.breaker.save(parts.store)
            await parts.store.write_finding(str(error))
            raise AccountNotReady(str(error)) from error
        finally:
            await self._count_calls()
        await parts.store.write_finding("" if report.ok else "; ".join(report.findings))
        if not report.ok:
            raise AccountNotReady("; ".join(report.findings))

    async def _cycle(self) -> float:
        """Run one round; return how long to wait before the next, 0 for at once."""
        parts = self._parts
        state = await parts.store.read_state()
        parts.breaker.take(state)
        if state.paused:
            return POLL_S
        if (pause_s := parts.gate.pause_s()) > 0:
            return pause_s
        with parts.breaker.round("write") as permit:
            if permit.calls == "none":
                return POLL_S if permit.wait_s is None else permit.wait_s
            claimed = await parts.store.claim(1 if permit.calls == "probe" else self._claim_limit())
            if not claimed:
                due_s = await parts.store.next_due_s()
                return POLL_S if due_s is None else max(0.0, due_s)
            await self._deliver(claimed)
        return 0.0

    async def _wait_for_breaker(self) -> None:
        """Wait until the breaker that an earlier actor left open lets a call through."""
        while True:
            self._parts.breaker.take(await self._parts.store.read_state())
            permit = self._parts.breaker.permit("read")
            if permit.calls != "none":
                return
            await self._parts.wakeup.wait(POLL_S if permit.wait_s is None else min(permit.wait_s, POLL_S))

    def _claim_limit(self) -> int:
        return self._policy.limits.batch_records * self._policy.limits.concurrency

    async def _deliver(self, claimed: Sequence[Claimed]) -> None:
        parts = self._parts
        judge = Judge(self._retry, parts.chance, self._document.version, parts.clock.now(), parts.doubts)
        with ExitStack() as stack:
            stack.enter_context(parts.spans.receive(QUEUE, len(claimed), (item.trace for item in claimed)))
            spans = {item.entity_id: self._open_span(stack, item) for item in _sampled_last(claimed)}
            traces = {entity_id: span.context for entity_id, span in spans.items()}
            settlements = await self._try_all(judge, claimed, traces)
            for item in settlements:
                _tell(spans[item.claimed.entity_id], item)
            with parts.spans.settle(QUEUE, len(settlements), (item.trace for item in settlements)):
                await self._settle(settlements)
        await self._count_calls()

    async def _settle(self, settlements: Sequence[Settlement]) -> None:
        """Settle all; what the store refuses is settled alone, as a dead letter, so it holds up nobody."""
        store = self._parts.store
        try:
            await store.settle(settlements)
        except StoreRefused:
            for item in settlements:
                try:
                    await store.settle([item])
                except StoreRefused as refused:
                    await store.settle([refused_by_store(item, refused.message)])

    def _open_span(self, stack: ExitStack, item: Claimed) -> SpanHandle:
        relation = attempt_relation(item.mark_time, self._parts.clock.now(), item.tries_before + 1)
        attributes = {
            names.TENANT: item.tenant_id,
            names.EVENT_KEY: str(item.event_key),
            names.CONNECTOR: item.connector,
            names.ENTITY_ID: str(item.entity_id),
            names.OBJECT: item.object,
        }
        span = self._parts.spans.process(
            QUEUE, relation, created=item.trace, previous=item.last_trace, attempt=item.tries_before + 1,
            attributes=attributes,
        )  # fmt: skip
        return stack.enter_context(span)

    async def _try_all(self, judge: Judge, claimed: Sequence[Claimed], traces: Traces) -> list[Settlement]:
        settlements: list[Settlement] = []
        known = await self._look_up(judge, [item for item in claimed if item.in_doubt], traces, settlements)
        plans: list[Plan] = [
            plan_delivery(self._policy, item, self._retry.reference_wait_s)
            for item in (*(item for item in claimed if not item.in_doubt), *known)
        ]
        sends: list[Send] = []
        for plan in plans:
            match plan:
                case Send() if judge.is_spent(plan.claimed):
                    settlements.append(judge.of_spent(plan, traces[plan.claimed.entity_id]))
                case Send():
                    sends.append(plan)
                case Wait():
                    settlements.append(judge.of_wait(plan))
                case Settled():
                    outbound = choose_outbound(self._policy, plan.claimed)
                    crm_object = outbound.target if outbound else plan.claimed.crm_object
                    settlements.append(judge.of_settled(plan, crm_object, traces[plan.claimed.entity_id]))
        settlements += await self._send(judge, sends, traces)
        return settlements

    async def _send(self, judge: Judge, sends: Sequence[Send], traces: Traces) -> list[Settlement]:
        """Write all, batch by batch side by side, and judge the outcomes together."""
        answers: list[tuple[Send, Outcome]] = []
        async with anyio.create_task_group() as tasks:
            for group in chunks(sends, self._policy.limits.batch_records):
                tasks.start_soon(self._write, group, answers)
        settlements: list[Settlement] = []
        for crm_object in dict.fromkeys(send.target.crm_object for send in sends):
            answered = [pair for pair in answers if pair[0].target.crm_object == crm_object]
            for send, outcome in await self._guard_adoption(answered):
                settlements.append(judge.of_outcome(send, outcome, traces[send.claimed.entity_id]))
        return settlements

    async def _guard_adoption(self, answers: list[tuple[Send, Outcome]]) -> list[tuple[Send, Outcome]]:
        """Refuse offers to adopt a CRM record that is another entity's, by our books or by what it carries."""
        offered = [crm_id for crm_id in (existing_crm_id(outcome) for _, outcome in answers) if crm_id]
        if not offered:
            return answers
        target = answers[0][0].target
        held = await self._parts.store.holders(target.crm_object, offered)
        started = self._parts.breaker.now()
        try:
            owners = await self._parts.connector.owners(target, offered)
        except CallFailed as error:  # whose they are is not known now: neither adopt nor bury
            await self._note_failure("read", started, error)
            later = Failed(error.error)
            return [(send, later if existing_crm_id(outcome) else outcome) for send, outcome in answers]
        carried = {crm_id: owner for crm_id, owner in owners.items() if owner}
        return refuse_taken(answers, {**carried, **{crm_id: str(entity) for crm_id, entity in held.items()}})

    async def _write(self, group: list[Send], answers: list[tuple[Send, Outcome]]) -> None:
        """Write one batch of one target and note the outcomes."""
        outcomes: Sequence[Outcome]
        started = self._parts.breaker.now()
        try:
            outcomes = await self._parts.connector.upsert(group[0].target, [send.write for send in group])
            await self._note_answer("write", started)
        except CallFailed as error:
            outcomes = [Failed(error.error)] * len(group)
            await self._note_failure("write", started, error)
        answers.extend(zip(group, outcomes, strict=True))

    async def _look_up(
        self,
        judge: Judge,
        doubtful: Sequence[Claimed],
        traces: Traces,
        settlements: list[Settlement],
    ) -> list[Claimed]:
        """Ask the CRM what became of writes in doubt; return them as they are known now."""
        cleared: list[Claimed] = []
        by_target: dict[Target, list[Claimed]] = {}
        for item in doubtful:
            outbound = choose_outbound(self._policy, item)
            target = None if outbound is None else to_target(item.object, outbound)
            if target is None:
                cleared.append(item)
            elif self._parts.doubts.must_look_up(item, target):
                by_target.setdefault(target, []).append(item)
            else:
                cleared.append(repeated(item))
        for target, items in by_target.items():
            started = self._parts.breaker.now()
            try:
                found = await self._parts.connector.look_up(target, [str(item.entity_id) for item in items])
                await self._note_answer("read", started)
            except CallFailed as error:
                await self._note_failure("read", started, error)
                settlements += [judge.of_doubt(item, error.error, traces[item.entity_id]) for item in items]
                continue
            cleared += [looked_up(item, found.get(str(item.entity_id))) for item in items]
        return cleared

    async def _note_answer(self, endpoint_class: str, started: dt.datetime) -> None:
        self._parts.breaker.succeeded(endpoint_class, started)
        await self._parts.breaker.save(self._parts.store)

    async def _note_failure(self, endpoint_class: str, started: dt.datetime, error: CallFailed) -> None:
        self._parts.breaker.failed(endpoint_class, started, error.error)
        await self._parts.breaker.save(self._parts.store)

    async def _count_calls(self) -> None:
        day, calls, vendor_used, vendor_limit = self._parts.gate.take_uncounted()
        if calls:
            await self._parts.store.add_quota(day, calls, vendor_used, vendor_limit)


def _tell(span: SpanHandle, settlement: Settlement) -> None:
    """Write on the attempt's span how it ended; the vendor's words stay off it, they may quote a record."""
    span.set(names.OUTCOME, settlement.outcome or "waits")
    if settlement.error_class:
        span.error(settlement.error_class, settlement.error_code)


def _sampled_last(claimed: Sequence[Claimed]) -> list[Claimed]:
    """Order so that a sampled delivery's span is the innermost: the HTTP call becomes its child."""
    return sorted(claimed, key=lambda item: item.trace is not None and item.trace.sampled)
