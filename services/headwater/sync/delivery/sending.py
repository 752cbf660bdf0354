"""Writes a slot's deliveries to the CRM, batch by batch, and asks it about those in doubt.

Owns the order of the calls of one round. What an unexpected error hit is handed back as a failure,
with the rows that shared it; what was not tried is in no result and stays due.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import anyio
from msgspec import structs

from headwater.connectors.base import CallFailed, Connector, ErrorClass, Failed, Outcome, Target, VendorError
from headwater.kernel.errors import Unavailable
from headwater.policy.document import ConnectorPolicy
from headwater.policy.outbound_mapping import OutboundObject
from headwater.sync.delivery.desk import Desk
from headwater.sync.delivery.guard import WITHHELD, Begun, Guard
from headwater.sync.delivery.looking import looked_first
from headwater.sync.delivery.outcomes import existing_crm_id, not_written, offered_object, refuse_taken
from headwater.sync.delivery.racing import again_when_raced
from headwater.sync.delivery.timing import VendorTime, vendor_time
from headwater.sync.domain.adaptive import Answer, Sign
from headwater.sync.domain.delivering import (
    Claimed,
    Holder,
    Send,
    choose_outbound,
    chunks,
    to_look_first,
    to_read,
    to_target,
)
from headwater.sync.domain.doubting import Doubts, looked_up, repeated
from headwater.sync.domain.leasing import FenceLost
from headwater.sync.ports import Deliveries, StoreRaced, StoreRefused

_log = logging.getLogger(__name__)

STORE_FAULTS: Final = (FenceLost, Unavailable, StoreRaced, StoreRefused)
"""What ends the actor: the store's faults are no row's fault."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Rows whose handling raised what nobody expected."""

    items: tuple[Claimed, ...]
    error: Exception


@dataclass(slots=True)
class Sent:
    """How writes ended."""

    answers: list[tuple[Send, Outcome]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


@dataclass(slots=True)
class LookedUp:
    """What look-ups brought: rows as they are known now, and rows about which the CRM could not be asked."""

    cleared: list[Claimed] = field(default_factory=list)
    unanswered: list[tuple[Claimed, VendorError]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


@dataclass(slots=True)
class _Batch:
    """A write under way: when it began, by the loop's time, and how long its calls were at the vendor."""

    began_s: float
    records: int
    took: VendorTime = field(default_factory=VendorTime)


class Sender:
    """The calls of one actor.

    Args:
        ending: says whether the actor is to end; then no further call begins.
    """

    def __init__(
        self,
        policy: ConnectorPolicy,
        connector: Connector,
        store: Deliveries,
        guard: Guard,
        desk: Desk,
        chance: random.Random,
        ending: Callable[[], bool],
        doubts: Doubts,
    ) -> None:
        self._policy = policy
        self._connector = connector
        self._store = store
        self._guard = guard
        self._desk = desk
        self._chance = chance
        self._ending = ending
        self._doubts = doubts

    async def look_up(self, doubtful: Sequence[Claimed]) -> LookedUp:
        """Ask the CRM what became of writes in doubt."""
        result = LookedUp()
        by_target: dict[Target, list[Claimed]] = {}
        unread: dict[Target, frozenset[str]] = {}
        for item in doubtful:
            outbound = choose_outbound(self._policy, item)
            target = None if outbound is None else to_read(to_target(item.object, outbound), outbound)
            if outbound is not None and target is not None:
                unread[target] = outbound.unread
            if target is None:
                result.cleared.append(item)
            elif self._doubts.must_look_up(item, target):
                by_target.setdefault(target, []).append(item)
            else:
                result.cleared.append(repeated(item))
        for target, items in by_target.items():
            await self._look_up_target(target, items, unread[target], result)
        return result

    async def look_first(self, sends: Sequence[Send]) -> LookedUp:
        """Ask the CRM which fields are empty that are written only then; whoever is not asked about is left out."""
        result = LookedUp()
        groups: dict[int, tuple[OutboundObject, list[Send]]] = {}
        for send in sends:
            outbound = choose_outbound(self._policy, send.claimed)
            if outbound is not None:
                groups.setdefault(id(outbound), (outbound, []))[1].append(send)
        for outbound, group in groups.values():
            begun = self._begin("read")
            if begun is None:
                break
            items = [send.claimed for send in group]
            try:
                target = to_look_first(group[0].target, outbound)
                seen = await looked_first(self._connector, target, outbound, items)
            except CallFailed as failed:
                await self._guard.failed(begun, failed)
                result.unanswered += [(item, failed.error) for item in items]
            except STORE_FAULTS:
                raise
            except Exception as error:  # noqa: BLE001 - a connector's fault must not stop the account
                result.failures.append(Failure(tuple(items), error))
            else:
                await self._guard.succeeded(begun)
                result.cleared += seen
        return result

    async def _look_up_target(
        self, target: Target, items: Sequence[Claimed], unread: frozenset[str], result: LookedUp
    ) -> None:
        begun = self._begin("read")
        if begun is None:
            return
        try:
            found = await self._connector.look_up(target, [str(item.entity_id) for item in items])
            known = [found.get(str(item.entity_id)) for item in items]
            fresh = [looked_up(item, record, unread) for item, record in zip(items, known, strict=True)]
        except CallFailed as failed:
            await self._guard.failed(begun, failed)
            if failed.error.error_class is not ErrorClass.HELD:
                result.unanswered += [(item, failed.error) for item in items]
        except STORE_FAULTS:
            raise
        except Exception as error:  # noqa: BLE001 - a connector's fault must not stop the account
            result.failures.append(Failure(tuple(items), error))
        else:
            await self._guard.succeeded(begun)
            result.cleared += fresh

    async def send(self, sends: Sequence[Send]) -> Sent:
        """Write all, batch by batch side by side, and check offers to adopt what is there already.

        Raises:
            FenceLost, StoreRaced, Unavailable: from the store; the calls of this round have ended.
        """
        result, faults = Sent(), list[Exception]()
        async with anyio.create_task_group() as tasks:
            for group in chunks(sends, self._policy.limits.batch_records):
                tasks.start_soon(self._write, group, result, faults)
        if faults:
            raise faults[0]
        return await self.check(result)

    async def check(self, result: Sent) -> Sent:
        """Return *result* with its offers to adopt checked.

        Raises: FenceLost, StoreRaced, Unavailable: from the store.
        """
        checked = Sent(failures=result.failures)
        by_object: dict[str, list[tuple[Send, Outcome]]] = {}
        for pair in result.answers:
            by_object.setdefault(offered_object(*pair), []).append(pair)
        for crm_object, answered in by_object.items():
            target = self._target(answered[0][0], crm_object)
            if target is None:
                checked.answers += [(send, not_written(outcome, crm_object)) for send, outcome in answered]
            else:
                await self._check_adoption(answered, checked, target)
        return checked

    def _target(self, send: Send, crm_object: str) -> Target | None:
        """Return the target that an offer is of: the write's own, or where the policy writes that object, too."""
        if send.target.crm_object == crm_object:
            return send.target
        name = send.claimed.object
        account = self._policy.of(send.claimed.entity_id)
        written = [item for item in account.written.get(name, ()) if item.target == crm_object]
        return to_target(name, written[0]) if written else None

    async def _write(self, group: list[Send], result: Sent, faults: list[Exception]) -> None:
        """Write one batch of one target and note the outcomes."""
        begun = self._begin("write")
        if begun is None:
            return
        batch = _Batch(anyio.current_time(), len(group))
        try:
            try:
                with vendor_time() as batch.took:
                    outcomes = await self._connector.upsert(group[0].target, [send.write for send in group])
                pairs = list(zip(group, outcomes, strict=True))
                self._observe(Sign.ANSWERED, batch)
                await self._guard.succeeded(begun)
            except CallFailed as failed:
                self._observe_failure(failed, batch)
                await self._guard.failed(begun, failed)
                pairs = [(send, Failed(failed.error)) for send in group]
        except STORE_FAULTS as fault:
            faults.append(fault)
        except Exception as error:  # noqa: BLE001 - a connector's fault must not stop the account
            result.failures.append(Failure(tuple(send.claimed for send in group), error))
        else:
            result.answers.extend(pair for pair in pairs if not _is_withheld(pair[1]))

    async def _check_adoption(
        self, answers: list[tuple[Send, Outcome]], result: Sent, target: Target
    ) -> None:
        """Refuse offers to adopt a CRM record that is another entity's, by our books or by what it carries."""
        offered = [crm_id for crm_id in (existing_crm_id(outcome) for _, outcome in answers) if crm_id]
        begun = self._guard.begin("read") if offered else None
        if begun is None:
            later = VendorError(ErrorClass.HELD, WITHHELD, "whose the record is was not asked")
            kept = [
                (send, Failed(later) if existing_crm_id(outcome) else outcome) for send, outcome in answers
            ]
            result.answers += [pair for pair in kept if not _is_withheld(pair[1])]
            return
        held = await again_when_raced(lambda: self._store.holders(target.crm_object, offered), self._chance)
        try:
            owners = await self._connector.owners(target, offered)
            await self._guard.succeeded(begun)
        except CallFailed as failed:  # whose they are is not known now: neither adopt nor bury
            await self._guard.failed(begun, failed)
            unknown = Failed(failed.error)
            pairs = [(send, unknown if existing_crm_id(outcome) else outcome) for send, outcome in answers]
            result.answers += [pair for pair in pairs if not _is_withheld(pair[1])]
            return
        except STORE_FAULTS:
            raise
        except Exception as error:  # noqa: BLE001 - a connector's fault must not stop the account
            result.failures.append(Failure(tuple(send.claimed for send, _ in answers), error))
            return
        carried = {crm_id: Holder(owner) for crm_id, owner in owners.items() if owner}
        left = [await self._inherit(send, outcome, held, target) for send, outcome in answers]
        result.answers += refuse_taken(left, {**carried, **held})

    async def _inherit(
        self, send: Send, outcome: Outcome, held: dict[str, Holder], target: Target
    ) -> tuple[Send, Outcome]:
        """Give *send* the record that is in its way where that is of an entity which was merged into its own.

        What the record holds goes with it, the mark of its end too, which the next write takes off.
        """
        crm_id, own_id = existing_crm_id(outcome), send.claimed.entity_id
        holder = held.get(crm_id)
        if holder is None or not holder.leaves_to(str(own_id)):
            return send, outcome
        holder_id = uuid.UUID(holder.entity_id)
        known = await again_when_raced(
            lambda: self._store.inherit_record(target.crm_object, crm_id, holder_id, own_id),
            self._chance,
        )
        if known is None:
            return send, outcome
        held[crm_id] = Holder(str(own_id))
        return replace(send, claimed=structs.replace(send.claimed, known=known)), outcome

    def _begin(self, endpoint_class: str) -> Begun | None:
        return None if self._ending() else self._guard.begin(endpoint_class)

    def _observe(self, sign: Sign, batch: _Batch) -> None:
        """Let the pace follow an answer: by the time its calls were at the vendor, not by that at our gate."""
        now_s = anyio.current_time()
        self._desk.observe(Answer(sign, batch.began_s, now_s, batch.took.total_s, batch.records))

    def _observe_failure(self, failed: CallFailed, batch: _Batch) -> None:
        match failed.error.error_class:
            case ErrorClass.RATE_LIMIT:
                self._observe(Sign.THROTTLED, batch)
            case ErrorClass.IN_DOUBT | ErrorClass.TIMEOUT:
                self._observe(Sign.TIMED_OUT, batch)


def _is_withheld(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and outcome.error.error_class is ErrorClass.HELD
