"""Which entities another policy reaches, by what, and how each looks before and after. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import structs

from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.policy.outbound import Unwritable, wanted_fields
from headwater.policy.sharing import draw
from headwater.sync.domain.delivering import choose_outbound, field_changes
from headwater.sync.domain.impact import NO_DELIVERY, changed_accounts, plan_record
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.settling import State
from headwater.sync.domain.staging import NAMED_MAX, spread
from headwater.sync.domain.states import EntityState, RecordState
from headwater.sync.domain.workbench import Standing

_STUCK: Final = frozenset({State.DEAD, State.DISCARDED, State.HELD})


@dataclass(frozen=True, slots=True)
class Reached:
    """An entity that looks different under another policy.

    Args:
        kinds: `object.field` of its values; `account:object.field` of what a mapping alone writes otherwise.
        stuck: an account has a delivery of it that failed or is held by itself: it says nothing of the change.
    """

    entity_id: uuid.UUID
    kinds: tuple[str, ...]
    stuck: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """One field under both policies.

    Args:
        held: what the CRM is known to hold; of values of the entity itself, what it shows.
    """

    field: str
    before: Any
    after: Any
    held: Any


@dataclass(frozen=True, slots=True)
class Compared:
    """An entity under both policies.

    Args:
        accounts: account to the fields that it would hold otherwise.
        states: account to how the delivery stands (`State`), and the last error.
    """

    entity_id: uuid.UUID
    object: str
    kinds: tuple[str, ...]
    values: tuple[Difference, ...]
    accounts: Mapping[str, tuple[Difference, ...]]
    states: Mapping[str, tuple[int, str]]


def both(
    before: PolicyDocument, after: PolicyDocument
) -> Iterator[tuple[str, ConnectorPolicy, ConnectorPolicy]]:
    """Yield the accounts that are written to under both policies: those that a stage can be watched at."""
    for name, account in sorted(after.connectors.items()):
        former = before.connectors.get(name)
        if former is not None and former.enabled and account.enabled and (account.written or former.written):
            yield name, former, account


def as_renewed(standing: Standing, entity: EntityState) -> Standing:
    """Return a standing as it is once its entity shows other values."""
    values = {name: chosen.value for name, chosen in entity.fields.items()}
    claimed = structs.replace(
        standing.claimed, values=values, state=entity.state, merged_into=entity.merged_into
    )
    return Standing(standing.delivery, claimed)


def lacks(policy: ConnectorPolicy, standing: Standing) -> bool:
    """Return whether something is left to write; what cannot be written counts, so that it is tried and told."""
    try:
        return plan_record(policy, standing) is not None
    except Unwritable:
        return True


def reached(
    before: PolicyDocument, after: PolicyDocument, workspace: Workspace,
    standings: Mapping[str, Sequence[Standing]], tenant_id: str,
) -> list[Reached]:  # fmt: skip
    """Return the entities of *workspace*, renewed under *after*, that look different by value or by mapping."""
    kinds: dict[uuid.UUID, set[str]] = {}
    stuck: set[uuid.UUID] = set()
    for note in workspace.audit:
        kind = workspace.entities[(tenant_id, note.entity_id)].object
        kinds.setdefault(note.entity_id, set()).update(f"{kind}.{item['field']}" for item in note.changes)
    changed, remapped = frozenset(kinds), frozenset(changed_accounts(before, after))
    for name, former, account in both(before, after):
        for standing in standings.get(name, ()):
            entity_id = standing.claimed.entity_id
            if standing.delivery.state in _STUCK:
                stuck.add(entity_id)
            elif entity_id not in changed and name in remapped:
                found = _by_mapping(name, former, account, standing)
                if found:
                    kinds.setdefault(entity_id, set()).update(found)
    return [Reached(one, tuple(sorted(found)), one in stuck) for one, found in kinds.items()]


def _by_mapping(
    name: str, former: ConnectorPolicy, account: ConnectorPolicy, standing: Standing
) -> list[str]:
    """Return the CRM fields that *account* writes otherwise of a record that is as *former* wants it."""
    if standing.delivery.state not in {NO_DELIVERY, State.DELIVERED} or lacks(former, standing):
        return []
    try:
        send = plan_record(account, standing)
    except Unwritable:
        return [f"{name}:unwritable"]
    if send is None:
        return []
    changes = field_changes(standing.claimed.known, send.write)
    found = [f"{name}:{send.target.crm_object}.{item['field']}" for item in changes]
    return found or [f"{name}:{send.target.crm_object}"]


def compared(
    before: Workspace, after: Workspace, accounts: Iterable[tuple[str, ConnectorPolicy, ConnectorPolicy]],
    standings: Mapping[str, Sequence[Standing]], entity: EntityState, kinds: tuple[str, ...],
) -> Compared:  # fmt: skip
    """Return *entity*, as it is now, under the policies of two workspaces in which it was renewed."""
    old, new = before.entities[entity.key], after.entities[entity.key]
    shown: dict[str, tuple[Difference, ...]] = {}
    states: dict[str, tuple[int, str]] = {}
    for name, former, account in accounts:
        item = next(
            (one for one in standings.get(name, ()) if one.claimed.entity_id == entity.entity_id), None
        )
        if item is None:
            continue
        states[name] = (item.delivery.state, item.delivery.last_error)
        was, becomes = _wanted(former, as_renewed(item, old)), _wanted(account, as_renewed(item, new))
        fields = tuple(_differences(was, becomes, item.claimed.known))
        if fields:
            shown[name] = fields
    values = _differences(_plain(old), _plain(new), _plain(entity))
    return Compared(entity.entity_id, entity.object, kinds, tuple(values), shown, states)


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any], held: Mapping[str, Any]
) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Difference(name, before.get(name), after.get(name), held.get(name))


def _plain(entity: EntityState) -> dict[str, Any]:
    return {name: chosen.value for name, chosen in entity.fields.items()}


def _wanted(policy: ConnectorPolicy, item: Standing) -> Mapping[str, Any]:
    outbound = choose_outbound(policy, item.claimed)
    if outbound is None or item.claimed.state != "active":
        return {}
    try:
        return wanted_fields(outbound, item.claimed.values, policy.consents).fields
    except Unwritable as error:
        return {"": f"cannot be written: {error}"}


@dataclass(slots=True)
class Firsts:
    """The entities that a change would reach first, found page by page: of each kind those that are drawn first."""

    seed: uuid.UUID
    count: int
    total: int = 0
    _by_kind: dict[str, list[tuple[int, uuid.UUID]]] = field(default_factory=dict)

    def add(self, found: Iterable[Reached]) -> None:
        """Take one more page."""
        kept = min(self.count, NAMED_MAX)
        for item in found:
            if item.stuck:
                continue
            self.total += 1
            place = draw(self.seed, item.entity_id)
            for kind in item.kinds:
                line = self._by_kind.setdefault(kind, [])
                line.append((place, item.entity_id))
                line.sort()
                del line[kept:]

    def leading(self) -> frozenset[uuid.UUID]:
        """Return those that may be chosen as it stands now."""
        return frozenset(entity_id for line in self._by_kind.values() for _, entity_id in line)

    def chosen(self) -> tuple[uuid.UUID, ...]:
        """Return them, in their order."""
        held = ((kind, *item) for kind, line in self._by_kind.items() for item in line)
        return spread(held, min(self.count, NAMED_MAX))


def load_both(
    tenant_id: str, policies: Sequence[PolicyDocument], entities: Sequence[EntityState],
    members: Sequence[RecordState],
) -> list[Workspace]:  # fmt: skip
    """Return a workspace of copies for each of *policies*: what one renews, another does not see."""
    found = []
    for policy in policies:
        workspace = Workspace({tenant_id: policy})
        workspace.load([_copy(item) for item in entities], [_copy_record(item) for item in members])
        found.append(workspace)
    return found


def _copy(item: EntityState) -> EntityState:
    return EntityState(
        item.tenant_id, item.entity_id, item.object, item.state, item.merged_into, item.version,
        dict(item.fields), item.policy_version, item.state_seq,
    )  # fmt: skip


def _copy_record(item: RecordState) -> RecordState:
    return RecordState(
        item.key, item.entity_id, dict(item.fields), item.deleted, item.delete_time, item.home_seq, item.fresh
    )
