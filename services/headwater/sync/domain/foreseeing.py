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

from msgspec import structs

from headwater.kernel.ids import OWN_SOURCE, POLICY_OBJECT
from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.sync.domain.impact import Impact, changed_accounts, selected
from headwater.sync.domain.log import START, LogEvent
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.renewing import NOWHERE, renew
from headwater.sync.domain.rollout import Selection
from headwater.sync.domain.states import EntityState, RecordState
from headwater.sync.domain.workbench import Standing

Z_95: Final = 1.959964
"""Quantile of the normal distribution for 95 % confidence."""
_ALL: Final = Selection()


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


@dataclass(slots=True)
class PolicyImpact:
    """What *document* would do in place of *in_force*.

    Args:
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

    def __post_init__(self) -> None:
        """Make room for every account that is written to."""
        for name, policy in sorted(self.document.connectors.items()):
            if policy.enabled and policy.written:
                self.accounts[name] = AccountImpact(policy, Impact(name))

    def add(self, page: EntityPage, now: dt.datetime) -> None:
        """Count the entities of one more page."""
        workspace = Workspace({self.tenant_id: self.document})
        workspace.load(page.entities, page.members)
        tally = renew(workspace, _supposed(self.tenant_id, now))
        self.scanned += tally.scanned
        self.changed += tally.changed
        self.restated += tally.restated
        self.fields.update(tally.fields)
        remapped = set(changed_accounts(self.in_force, self.document))
        for name, account in self.accounts.items():
            _count(account, workspace, page.standings[name], remapped=name in remapped)

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
        after = _as_renewed(standing, workspace.entities[(tenant_id, entity_id)])
        if (tenant_id, name, entity_id) in workspace.marks:
            account.deliveries += 1
            account.writes.add(account.policy, _ALL, [after])
        elif remapped and selected(account.policy, _ALL, after):
            account.mapped += 1


def _as_renewed(standing: Standing, entity: EntityState) -> Standing:
    values = {name: chosen.value for name, chosen in entity.fields.items()}
    claimed = structs.replace(
        standing.claimed, values=values, state=entity.state, merged_into=entity.merged_into
    )
    return Standing(standing.delivery, claimed)


def _supposed(tenant_id: str, now: dt.datetime) -> LogEvent:
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
