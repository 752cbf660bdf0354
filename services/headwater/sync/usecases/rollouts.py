"""Looking ahead at bulk changes, beginning them stage by stage, and steering them. Orders effects, holds no state.

NotFound            UNKNOWN_ROLLOUT, UNKNOWN_CONNECTOR, NO_POLICY
PreconditionFailed  ROLLOUT_OPEN, ROLLOUT_ENDED, NOTHING_TO_APPROVE, NOTHING_TO_HOLD, NO_MAPPING_CHANGED,
                    FINDINGS_OPEN, VALUES_CHANGE
InvalidInput        POLICY_REFUSED
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from headwater.kernel.clock import Clock
from headwater.kernel.errors import NotFound, PreconditionFailed
from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.policy.loading import load_policy, policy_digest
from headwater.sync.desk_ports import OperationsStore
from headwater.sync.domain.changing import PolicyChange
from headwater.sync.domain.foreseeing import compared_all
from headwater.sync.domain.impact import Impact, changed_accounts, terms_of
from headwater.sync.domain.inspecting import (
    Finding,
    Inspection,
    findings_of,
    objects_written,
    unacknowledged,
)
from headwater.sync.domain.operating import Steering, view_account
from headwater.sync.domain.quota import allowance_of, day_of
from headwater.sync.domain.reaching import Compared, both
from headwater.sync.domain.rollout import (
    Rollout,
    RolloutKind,
    Selection,
    Stage,
    Terms,
    aborted,
    held,
    stage_ends,
)
from headwater.sync.domain.staging import alters_values, approved_stages
from headwater.sync.rollouts.ports import FailedMember, Inspections, RolloutDesk

PAGE_RECORDS: Final = 500
SCAN_MAX: Final = 200_000
"""Entities of an account that a dry run looks at: some seconds."""
FINDINGS_SHOWN: Final = 20
"""Findings that a refusal names; a dry run shows them all."""
_NOT_IN_FORCE: Final = Inspection(hindrance="the account is not in force yet, so nobody can ask it")
EVERYWHERE: Final = ""
"""The account of a rollout that concerns all of them."""
FAILED_SHOWN: Final = 50
"""Failed records that are shown of a rollout."""
_NAMESPACE: Final = uuid.UUID("6f0d2f53-61a6-5ddc-9a8b-6f7a33b9c0de")
"""Ids of the rollouts of one order are made of its request id and their accounts."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be rolled out.

    Args:
        document: text of the new policy; empty: the policy in force is delivered again.
        connector: the account of a re-delivery; empty with a policy: every account whose mapping changes.
        where: field to value.
        at_once: one stage of everything.
        acknowledged: names of findings that are known and accepted.
    """

    document: str = ""
    connector: str = ""
    object_name: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    look_up: bool = False
    at_once: bool = False
    acknowledged: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a rollout to one account would do, and what it would run into."""

    impact: Impact
    findings: tuple[Finding, ...]
    unacknowledged: tuple[Finding, ...]
    calls: int
    quota_share: float
    terms: Terms
    ends: tuple[int, ...]
    values: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A rollout as operators see it.

    Args:
        entities: of a change of values those that it reaches first, under both policies.
    """

    rollout: Rollout
    stages: tuple[Stage, ...]
    failed: tuple[FailedMember, ...]
    entities: Sequence[Compared]


@dataclass(frozen=True, slots=True)
class _Plan:
    former: str
    in_force: PolicyDocument
    document: PolicyDocument
    accounts: Mapping[str, ConnectorPolicy]
    selection: Selection
    terms: Terms
    values: bool = False
    """Values change with it, so that it is staged for all accounts together."""


class Rollouts:
    """The rollouts of one sync process, for any tenant."""

    def __init__(
        self, desk: RolloutDesk, operations: OperationsStore, clock: Clock, inspections: Inspections
    ) -> None:
        self._desk = desk
        self._inspections = inspections
        self._operations = operations
        self._clock = clock

    async def preview(self, tenant_id: str, wish: Wish) -> tuple[Forecast, ...]:
        """Return what *wish* would do, by account; writes nothing.

        Raises: NotFound, InvalidInput, PreconditionFailed (NO_MAPPING_CHANGED).
        """
        plan = await self._plan(tenant_id, wish)
        found = await self._inspect(tenant_id, plan)
        if plan.values:  # what it would write is computed with the values: `Versions.preview`
            return tuple(
                Forecast(
                    Impact(name), items, unacknowledged(items, wish.acknowledged), 0, 0.0, plan.terms, (),
                    values=True,
                )
                for name, items in found.items()
            )  # fmt: skip
        forecasts = [
            await self._forecast(tenant_id, plan, name, found[name], wish.acknowledged)
            for name in plan.accounts
        ]
        return tuple(forecasts)

    async def start(
        self, tenant_id: str, request_id: uuid.UUID, wish: Wish, actor: str
    ) -> tuple[Rollout, ...]:
        """Begin the rollouts of *wish*, or return them as they stand when *request_id* began them before.

        Raises: NotFound, InvalidInput, PreconditionFailed (NO_MAPPING_CHANGED, ROLLOUT_OPEN, FINDINGS_OPEN).
        """
        known = await self._of_request(tenant_id, request_id)
        if known:
            return known
        plan = await self._plan(tenant_id, wish)
        found = await self._inspect(tenant_id, plan)
        _refuse_open(found, wish.acknowledged)
        now = self._clock.now()
        change = None
        if wish.document:
            former, new = policy_digest(plan.former), policy_digest(wish.document)
            change = PolicyChange(
                tenant_id,
                request_id,
                plan.former,
                former,
                wish.document,
                new,
                actor,
                now,
                by_stages=plan.values,
            )
        whole = RolloutKind.POLICY if change else RolloutKind.REDELIVERY
        labels = [f"{name}: {one.label}" for name, items in found.items() for one in items]
        seen = {name: [one.label for one in items] for name, items in found.items()} | {EVERYWHERE: labels}
        selection = replace(plan.selection, change_id=change.change_id if change else None)
        rollouts = [
            Rollout(
                tenant_id=tenant_id,
                rollout_id=_rollout_id(request_id, number),
                connector=name,
                kind=RolloutKind.VALUES if plan.values else whole,
                selection=selection,
                terms=plan.terms,
                actor=actor,
                policy_version=plan.document.version,
                next_time=now,
                rate_time=now,
                acknowledged=tuple(seen[name]),
            )
            for number, name in enumerate([EVERYWHERE] if plan.values else plan.accounts)
        ]
        await self._desk.start(rollouts, change)
        return await self._of_request(tenant_id, request_id)

    async def listed(
        self, tenant_id: str, before: tuple[dt.datetime, uuid.UUID], page_size: int
    ) -> tuple[tuple[Rollout, ...], bool]:
        """Return one page of rollouts, the newest first, and whether there are more."""
        found = await self._desk.list_rollouts(tenant_id, before, page_size + 1)
        return found[:page_size], len(found) > page_size

    async def shown(self, tenant_id: str, rollout_id: uuid.UUID) -> Shown:
        """Return a rollout, its stages so far, records of it that failed, and its first entities. Raises: NotFound."""
        found = await self._known(tenant_id, rollout_id)
        stages = await self._desk.stages(tenant_id, rollout_id)
        return Shown(found, stages, await self._desk.failed(found, FAILED_SHOWN), await self._compared(found))

    async def _compared(self, rollout: Rollout) -> Sequence[Compared]:
        """Return the entities that a change of values reaches first, as they are, under both policies."""
        if rollout.kind is not RolloutKind.VALUES or not rollout.planned:
            return ()
        former, new = await self._desk.texts(rollout)
        before, after = load_policy(former), load_policy(new)
        accounts = list(both(before, after))
        page, kinds = await self._desk.first(rollout, [name for name, _, _ in accounts])
        return compared_all(rollout.tenant_id, before, after, page, kinds)

    async def approve(self, tenant_id: str, rollout_id: uuid.UUID, actor: str) -> Rollout:
        """Let a held rollout go on, or end a soak. Raises: NotFound, PreconditionFailed."""
        return await self._steer(
            tenant_id,
            rollout_id,
            actor,
            lambda item: approved_stages(item, self._clock.now()),
            "NOTHING_TO_APPROVE",
        )

    async def hold(self, tenant_id: str, rollout_id: uuid.UUID, actor: str) -> Rollout:
        """Admit no more records until an approval; what is under way goes on. Raises: as `approve`."""
        return await self._steer(
            tenant_id, rollout_id, actor, lambda item: held(item, f"held by {actor}"), "NOTHING_TO_HOLD"
        )

    async def abort(self, tenant_id: str, rollout_id: uuid.UUID, actor: str, reason: str) -> Rollout:
        """End a rollout; a policy change is taken back. Raises: as `approve`."""
        said = f"aborted by {actor}: {reason}" if reason else f"aborted by {actor}"

        def order(item: Rollout) -> Rollout | None:
            return None if item.ended else aborted(item, said, self._clock.now())

        return await self._steer(tenant_id, rollout_id, actor, order, "ROLLOUT_ENDED")

    async def _steer(
        self,
        tenant_id: str,
        rollout_id: uuid.UUID,
        actor: str,
        order: Callable[[Rollout], Rollout | None],
        refusal: str,
    ) -> Rollout:
        async with self._desk.held(Steering(tenant_id, "", actor, ""), rollout_id) as unit:
            if unit is None:
                raise _unknown(rollout_id)
            after = order(unit.rollout)
            if after is None:
                state = unit.rollout.state.name.lower()
                raise PreconditionFailed(f"rollout {rollout_id} is {state}", reason=refusal)
            await unit.save(replace(after, next_time=self._clock.now()))
        return await self._known(tenant_id, rollout_id)

    async def _plan(self, tenant_id: str, wish: Wish) -> _Plan:
        former = await self._desk.text_in_force(tenant_id)
        if not former:
            raise NotFound(f"tenant {tenant_id} has no policy yet", reason="NO_POLICY")
        in_force = load_policy(former)
        document = load_policy(wish.document) if wish.document else in_force
        names = changed_accounts(in_force, document) if wish.document else (wish.connector,)
        if wish.document and alters_values(in_force, document):
            return self._staged(former, in_force, document, wish)
        if wish.connector:
            if wish.connector not in document.connectors:
                raise _unknown_connector(wish.connector)
            names = tuple(name for name in names if name == wish.connector)
        if not names:
            message = "no account's mapping changes: apply the policy without a rollout"
            raise PreconditionFailed(message, reason="NO_MAPPING_CHANGED")
        return _Plan(
            former,
            in_force,
            document,
            {name: document.connectors[name] for name in names},
            Selection(None, wish.object_name, wish.where, wish.look_up),
            terms_of(document, at_once=wish.at_once),
        )

    def _staged(self, former: str, in_force: PolicyDocument, document: PolicyDocument, wish: Wish) -> _Plan:
        if wish.connector:
            message = "the policy changes values, which all accounts show: leave out --connector"
            raise PreconditionFailed(message, reason="VALUES_CHANGE")
        accounts = {name: account for name, _, account in both(in_force, document)}
        terms = terms_of(document, at_once=wish.at_once)
        return _Plan(former, in_force, document, accounts, Selection(), terms, values=True)

    async def _inspect(self, tenant_id: str, plan: _Plan) -> Mapping[str, tuple[Finding, ...]]:
        """Return what the rollout would run into, by account; who is not in force yet cannot be asked."""
        object_name = plan.selection.object_name
        asked = {
            name: objects_written(policy, object_name)
            for name, policy in plan.accounts.items()
            if name in plan.in_force.connectors and plan.in_force.connectors[name].enabled
        }
        told = await self._inspections.inspect(tenant_id, asked)
        return {
            name: findings_of(policy, object_name, told.get(name, _NOT_IN_FORCE))
            for name, policy in plan.accounts.items()
        }

    async def _forecast(
        self,
        tenant_id: str,
        plan: _Plan,
        name: str,
        findings: tuple[Finding, ...],
        acknowledged: frozenset[str],
    ) -> Forecast:
        policy, impact = plan.accounts[name], Impact(name)
        place, objects = uuid.UUID(int=0), sorted(policy.written)
        while True:
            page = await self._desk.scan_page(tenant_id, name, objects, place, PAGE_RECORDS)
            impact.add(policy, plan.selection, page)
            if len(page) < PAGE_RECORDS:
                break
            place = page[-1].claimed.entity_id
            if impact.scanned >= SCAN_MAX:
                impact.complete = False
                break
        impact.quota_used, impact.quota_limit = await quota_of(
            self._operations, tenant_id, name, policy, self._clock.now()
        )
        ends = stage_ends(plan.terms, impact.records) if impact.records else ()
        return Forecast(
            impact,
            findings,
            unacknowledged(findings, acknowledged),
            impact.calls(policy),
            impact.quota_share(policy),
            plan.terms,
            ends,
        )

    async def _of_request(self, tenant_id: str, request_id: uuid.UUID) -> tuple[Rollout, ...]:
        found: list[Rollout] = []
        while True:
            rollout = await self._desk.read(tenant_id, _rollout_id(request_id, len(found)))
            if rollout is None:
                return tuple(found)
            found.append(rollout)

    async def _known(self, tenant_id: str, rollout_id: uuid.UUID) -> Rollout:
        found = await self._desk.read(tenant_id, rollout_id)
        if found is None:
            raise _unknown(rollout_id)
        return found


async def quota_of(
    operations: OperationsStore, tenant_id: str, name: str, policy: ConnectorPolicy, now: dt.datetime
) -> tuple[int, int]:
    """Return how many calls of an account's day are used, and how many there are; 0 where none are stated."""
    (facts,) = await operations.read_accounts(tenant_id, [name], now.date())
    books = await operations.read_books(tenant_id, {name: day_of(now, allowance_of(policy.limits))})
    account = view_account(policy, facts, books[name], now)
    return account.standing.used, account.quota_limit


def _refuse_open(found: Mapping[str, tuple[Finding, ...]], acknowledged: frozenset[str]) -> None:
    left = [
        f"{account}: {item.label}: {item.detail}"
        for account, findings in found.items()
        for item in unacknowledged(findings, acknowledged)
    ]
    if left:
        message = f"{len(left)} findings are not acknowledged: {'; '.join(left[:FINDINGS_SHOWN])}"
        raise PreconditionFailed(message, reason="FINDINGS_OPEN", metadata={"count": str(len(left))})


def _rollout_id(request_id: uuid.UUID, number: int) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, f"{request_id}/{number}")


def _unknown(rollout_id: uuid.UUID) -> NotFound:
    metadata = {"rollout_id": str(rollout_id)}
    return NotFound(f"no rollout {rollout_id}", reason="UNKNOWN_ROLLOUT", metadata=metadata)


def _unknown_connector(connector: str) -> NotFound:
    message = f"the policy names no connector {connector!r}"
    return NotFound(message, reason="UNKNOWN_CONNECTOR", metadata={"connector": connector})
