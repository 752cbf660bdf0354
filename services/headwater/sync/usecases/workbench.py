"""Looking into failures and replaying them: orders effects, holds no state.

NotFound            UNKNOWN_ERROR_GROUP, UNKNOWN_REPLAY, UNKNOWN_CONNECTOR
PreconditionFailed  REPLAY_ENDED
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

from headwater.kernel.clock import Clock
from headwater.kernel.errors import NotFound, PreconditionFailed
from headwater.policy.document import PolicyDocument
from headwater.sync.desk_ports import OperationsStore, WorkbenchStore
from headwater.sync.domain.operating import Delivery, Steering, view_account
from headwater.sync.domain.quota import allowance_of, day_of
from headwater.sync.domain.replaying import ENDED, Replay, ReplayState, Scope
from headwater.sync.domain.workbench import (
    PREVIEWS_MAX,
    ErrorGroup,
    ErrorGroupView,
    GroupFilter,
    GroupPlace,
    Prediction,
    predict,
    view_group,
)
from headwater.sync.ports import Policies, Replays


class Workbench:
    """The workbench of one sync process, for any tenant."""

    def __init__(
        self,
        store: WorkbenchStore,
        replays: Replays,
        operations: OperationsStore,
        policies: Policies,
        clock: Clock,
    ) -> None:
        self._store = store
        self._replays = replays
        self._operations = operations
        self._policies = policies
        self._clock = clock

    async def groups(
        self, tenant_id: str, wanted: GroupFilter, before: GroupPlace, page_size: int
    ) -> tuple[tuple[ErrorGroupView, ...], bool]:
        """Return one page of groups, the newest first, and whether there are more."""
        found = await self._store.list_groups(tenant_id, wanted, before, page_size + 1)
        document = self._policies.current().get(tenant_id)
        return tuple(view_group(document, item) for item in found[:page_size]), len(found) > page_size

    async def group(
        self, tenant_id: str, group_id: uuid.UUID, after: uuid.UUID, page_size: int
    ) -> tuple[ErrorGroupView, tuple[Delivery, ...], bool]:
        """Return a group, one page of the deliveries that stand in it, and whether there are more.

        Raises: NotFound (UNKNOWN_ERROR_GROUP).
        """
        group = await self._known_group(tenant_id, group_id)
        rows = await self._store.list_group_deliveries(tenant_id, group_id, after, page_size + 1)
        view = view_group(self._policies.current().get(tenant_id), group)
        return view, rows[:page_size], len(rows) > page_size

    async def preview(
        self, tenant_id: str, connector: str, group_id: uuid.UUID | None, entities: Sequence[uuid.UUID]
    ) -> Prediction:
        """Return what deliveries would write now; writes nothing.

        Args:
            entities: 0..100; none with a group: the first ones that stand in it.

        Raises: NotFound (UNKNOWN_ERROR_GROUP, UNKNOWN_CONNECTOR).
        """
        if group_id is not None:
            group = await self._known_group(tenant_id, group_id)
            connector = group.connector
            if not entities:
                first = uuid.UUID(int=0)
                rows = await self._store.list_group_deliveries(tenant_id, group_id, first, PREVIEWS_MAX)
                entities = [row.entity_id for row in rows]
        document = self._known_connector(tenant_id, connector)
        policy = document.connectors[connector]
        standing = await self._store.read_standing(tenant_id, connector, entities)
        previews, calls = predict(policy, standing, document.retry_of(connector).reference_wait_s)
        now = self._clock.now()
        (facts,) = await self._operations.read_accounts(tenant_id, [connector], now.date())
        day = day_of(now, allowance_of(policy.limits))
        books = await self._operations.read_books(tenant_id, {connector: day})
        account = view_account(policy, facts, books[connector], now)
        return Prediction(previews, calls, account.standing.used, account.quota_limit)

    async def start_replay(
        self,
        tenant_id: str,
        replay_id: uuid.UUID,
        scope: Scope,
        rate_per_s: float,
        actor: str,
        discard_reason: str,
        *,
        dry_run: bool,
    ) -> Replay:
        """Begin a replay, or return it as it stands when it was begun before.

        What an account left behind that the policy does not name any more can be discarded, not replayed.

        Raises: NotFound (UNKNOWN_ERROR_GROUP, UNKNOWN_CONNECTOR).
        """
        if scope.group_id is not None:
            group = await self._known_group(tenant_id, scope.group_id)
            scope = replace(scope, connector=group.connector)
        if scope.connector and not discard_reason:
            self._known_connector(tenant_id, scope.connector)
        planned = Replay(
            tenant_id=tenant_id,
            replay_id=replay_id,
            scope=scope,
            rate_per_s=rate_per_s,
            state=ReplayState.RUNNING,
            total_count=await self._replays.count(tenant_id, scope, dead_only=bool(discard_reason)),
            replayed_count=0,
            next_time=self._clock.now(),
            actor=actor,
            policy_version=self._policy_version(tenant_id),
            discard_reason=discard_reason,
        )
        if dry_run:
            return planned
        await self._replays.start(planned)
        return await self.replay(tenant_id, replay_id)

    async def replay(self, tenant_id: str, replay_id: uuid.UUID) -> Replay:
        """Return a replay as it stands.

        Raises: NotFound (UNKNOWN_REPLAY).
        """
        found = await self._replays.read(tenant_id, replay_id)
        if found is None:
            metadata = {"replay_id": str(replay_id)}
            raise NotFound(f"no replay {replay_id}", reason="UNKNOWN_REPLAY", metadata=metadata)
        return found

    async def replays(
        self, tenant_id: str, before: GroupPlace, page_size: int
    ) -> tuple[tuple[Replay, ...], bool]:
        """Return one page of replays, the newest first, and whether there are more."""
        found = await self._replays.list_replays(tenant_id, before, page_size + 1)
        return found[:page_size], len(found) > page_size

    async def steer(self, tenant_id: str, replay_id: uuid.UUID, actor: str, *, state: ReplayState) -> Replay:
        """Pause, resume or cancel a replay. Idempotent.

        Raises: NotFound (UNKNOWN_REPLAY); PreconditionFailed (REPLAY_ENDED).
        """
        order = Steering(tenant_id, "", actor, self._policy_version(tenant_id))
        await self._replays.steer(order, replay_id, state, self._clock.now())
        found = await self.replay(tenant_id, replay_id)
        if found.state in ENDED and found.state is not state:
            message = f"replay {replay_id} has ended: {found.state.name.lower()}"
            raise PreconditionFailed(message, reason="REPLAY_ENDED")
        return found

    async def _known_group(self, tenant_id: str, group_id: uuid.UUID) -> ErrorGroup:
        group = await self._store.read_group(tenant_id, group_id)
        if group is None:
            metadata = {"group_id": str(group_id)}
            raise NotFound(f"no error group {group_id}", reason="UNKNOWN_ERROR_GROUP", metadata=metadata)
        return group

    def _known_connector(self, tenant_id: str, connector: str) -> PolicyDocument:
        document = self._policies.current().get(tenant_id)
        if document is None or connector not in document.connectors:
            message = f"the policy in force names no connector {connector!r}"
            raise NotFound(message, reason="UNKNOWN_CONNECTOR", metadata={"connector": connector})
        return document

    def _policy_version(self, tenant_id: str) -> str:
        document = self._policies.current().get(tenant_id)
        return document.version if document else ""
