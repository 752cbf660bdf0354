"""What another policy would do to a tenant's entities and to each account, counted up page by page. Pure.

An entity is renewed here exactly as it will be once the policy is in force (`renewing`), and what would be written is
planned exactly as the account's actor will plan it (`impact`).
"""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from headwater.kernel.ids import OWN_SOURCE, POLICY_OBJECT
from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.sync.domain.impact import Impact, changed_accounts, selected
from headwater.sync.domain.log import START, LogEvent
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.reaching import Compared, Firsts, as_renewed, both, compared, load_both, reached
from headwater.sync.domain.renewing import NOWHERE, renew
from headwater.sync.domain.rollout import Selection
from headwater.sync.domain.states import EntityState, RecordState
from headwater.sync.domain.workbench import Standing

Z_95: Final = 1.959964
"""Quantile of the normal distribution for 95 % confidence."""
_ALL: Final = Selection()
NOON: Final = dt.datetime(2000, 1, 1, 12, tzinfo=dt.UTC)
"""Time of an event that never was."""


@dataclass(frozen=True, slots=True)
class EntityPage:
    """A page of entities with all their records, and how accounts have them."""

    entities: Sequence[EntityState]
    members: Sequence[RecordState]
    standings: Mapping[str, Sequence[Standing]]


@dataclass(slots=True)
class AccountImpact:
    """What would come upon one account.

    Args:
        deliveries: entities that would be made due.
        writes: what of them would be written.
        mapped: further records that look different by their mapping alone.
    """

    policy: ConnectorPolicy
    writes: Impact
    deliveries: int = 0
    mapped: int = 0


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is needed to show one entity."""

    entity: EntityState
    records: Sequence[RecordState]
    standings: Mapping[str, Sequence[Standing]]
    kinds: tuple[str, ...]


@dataclass(slots=True)
class PolicyImpact:
    """What *document* would do in place of *in_force*.

    Args:
        seed: by which the entities of a staged change are drawn.
        total: entities that the tenant has; more than are *scanned* where these are a sample.
        changed: entities that would show another value.
        restated: entities whose values stay and get another provenance.
    """

    tenant_id: str
    in_force: PolicyDocument
    document: PolicyDocument
    total: int = 0
    scanned: int = 0
    changed: int = 0
    restated: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    accounts: dict[str, AccountImpact] = field(default_factory=dict)
    seed: uuid.UUID = NOWHERE
    _kept: dict[uuid.UUID, _Kept] = field(default_factory=dict)
    firsts: Firsts = field(init=False)

    def __post_init__(self) -> None:
        """Make room for every account that is written to."""
        self.firsts = Firsts(self.seed, self.document.rollout.records)
        for name, policy in sorted(self.document.connectors.items()):
            if policy.enabled and policy.written:
                self.accounts[name] = AccountImpact(policy, Impact(name))

    def add(self, page: EntityPage, now: dt.datetime) -> None:
        """Count the entities of one more page."""
        workspace = Workspace({self.tenant_id: self.document})
        workspace.load(page.entities, page.members)
        tally = renew(workspace, supposed(self.tenant_id, now))
        self.scanned += tally.scanned
        self.changed += tally.changed
        self.restated += tally.restated
        self.fields.update(tally.fields)
        remapped = set(changed_accounts(self.in_force, self.document))
        for name, account in self.accounts.items():
            _count(account, workspace, page.standings[name], remapped=name in remapped)
        self._keep(page, workspace)

    def _keep(self, page: EntityPage, workspace: Workspace) -> None:
        """Keep what is needed to show the entities that would be reached first."""
        found = reached(self.in_force, self.document, workspace, page.standings, self.tenant_id)
        self.firsts.add(found)
        leading = self.firsts.leading()
        new = {item.entity_id: item.kinds for item in found if item.entity_id in leading}
        self._kept = {key: item for key, item in self._kept.items() if key in leading}
        for entity_id, kinds in new.items():
            key = (self.tenant_id, entity_id)
            standings = {
                name: [one for one in held if one.claimed.entity_id == entity_id]
                for name, held in page.standings.items()
            }
            records = list(workspace.members.get(key, {}).values())
            self._kept[entity_id] = _Kept(workspace.entities[key], records, standings, kinds)

    def first(self) -> list[Compared]:
        """Return the entities that a staged change would reach first, under both policies."""
        found = []
        for entity_id in self.firsts.chosen():
            kept = self._kept[entity_id]
            page = EntityPage([kept.entity], kept.records, kept.standings)
            kinds = {entity_id: kept.kinds}
            found += compared_all(self.tenant_id, self.in_force, self.document, page, kinds, shown=False)
        return found

    @property
    def exact(self) -> bool:
        """Whether every entity was computed."""
        return self.scanned >= self.total

    def scaled(self, count: int) -> int:
        """Return what *count* of the sample stands for among all entities."""
        return count if self.exact or not self.scanned else round(count * self.total / self.scanned)

    def changed_range(self) -> tuple[int, int]:
        """Return the least and the most entities that would change, with 95 % confidence."""
        if self.exact or not self.scanned:
            return self.changed, self.changed
        low, high = wilson(self.changed, self.scanned)
        return max(self.changed, math.floor(low * self.total)), min(self.total, math.ceil(high * self.total))

    def calls(self, account: AccountImpact) -> int:
        """Return the calls that the writes to an account take at least."""
        return self.scaled(account.writes.calls(account.policy))

    def quota_left_share(self, account: AccountImpact) -> float:
        """Return the part of what is left of the account's day that these calls are; 0 without a limit."""
        writes = account.writes
        if not writes.quota_limit:
            return 0.0
        return self.calls(account) / max(1, writes.quota_limit - writes.quota_used)


def wilson(hits: int, tries: int) -> tuple[float, float]:
    """Return the interval in which a share lies with 95 % confidence. Source: E. B. Wilson 1927."""
    share, z2 = hits / tries, Z_95**2
    middle = (share + z2 / (2 * tries)) / (1 + z2 / tries)
    half = Z_95 * math.sqrt(share * (1 - share) / tries + z2 / (4 * tries**2)) / (1 + z2 / tries)
    return max(0.0, middle - half), min(1.0, middle + half)


def stride_of(total: int, entities_max: int) -> int:
    """Return of how many entities one is computed, so that no more than about *entities_max* are."""
    return max(1, -(-total // entities_max))


def _count(
    account: AccountImpact, workspace: Workspace, standings: Sequence[Standing], *, remapped: bool
) -> None:
    name = account.writes.connector
    for standing in standings:
        tenant_id, entity_id = standing.claimed.tenant_id, standing.claimed.entity_id
        after = as_renewed(standing, workspace.entities[(tenant_id, entity_id)])
        if (tenant_id, name, entity_id) in workspace.marks:
            account.deliveries += 1
            account.writes.add(account.policy, _ALL, [after])
        elif remapped and selected(account.policy, _ALL, after):
            account.mapped += 1


def supposed(tenant_id: str, now: dt.datetime) -> LogEvent:
    """Return the event that a change of the policy would be."""
    source, object_name = OWN_SOURCE, POLICY_OBJECT
    return LogEvent(
        tenant_id,
        uuid.UUID(int=NOWHERE.int),
        source,
        object_name,
        tenant_id,
        now,
        now,
        1,
        "",
        b"",
        None,
        0,
        START,
    )


def compared_all(
    tenant_id: str, before: PolicyDocument, after: PolicyDocument, page: EntityPage,
    kinds: Mapping[uuid.UUID, tuple[str, ...]], *, shown: bool = True,
) -> list[Compared]:  # fmt: skip
    """Return the entities of *page* under both policies, in the order of *kinds*.

    Args:
        shown: the page has them as they are; else they are supposed to be as *before* has them.
    """
    old, new = load_both(tenant_id, (before, after), page.entities, page.members)
    renew(old, supposed(tenant_id, NOON))
    renew(new, supposed(tenant_id, NOON))
    accounts = list(both(before, after))
    entities = {item.entity_id: item for item in page.entities}
    return [
        compared(
            old, new, accounts, page.standings,
            entities[one] if shown else old.entities[(tenant_id, one)], kinds[one],
        )
        for one in kinds
        if one in entities
    ]  # fmt: skip
