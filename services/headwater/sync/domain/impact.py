"""What a bulk change would do: which records it reaches, field by field, and what that costs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from headwater.policy.document import ConnectorPolicy, PolicyDocument
from headwater.sync.domain.delivering import Send, choose_outbound, field_changes, plan_delivery
from headwater.sync.domain.rollout import Selection, Terms
from headwater.sync.domain.settling import State
from headwater.sync.domain.workbench import Preview, Standing

SAMPLES_MAX: Final = 20
"""Records whose fields a dry run shows."""
RECORDS_MAX: Final = 1_000_000_000
"""More records than any account has: a first stage of so many is the only one."""
NO_DELIVERY: Final = 0
"""State of an entity that the account has no delivery of."""


def terms_of(document: PolicyDocument, *, at_once: bool = False) -> Terms:
    """Return how rollouts go under *document*; *at_once*: in one stage."""
    part = document.rollout
    return Terms(
        records=RECORDS_MAX if at_once else part.records,
        ramp=() if at_once else part.ramp,
        error_share_max=part.error_share_max,
        errors_min=part.errors_min,
        soak_s=part.soak_s,
        rate_per_s=part.rate_per_s,
        approval=part.approval,
    )


def changed_accounts(before: PolicyDocument, after: PolicyDocument) -> tuple[str, ...]:
    """Return the accounts to which entities may look different under *after*."""
    return tuple(
        sorted(
            name
            for name, account in after.connectors.items()
            if account.enabled
            and account.written
            and (name not in before.connectors or _writes(before.connectors[name]) != _writes(account))
        )
    )


def _writes(account: ConnectorPolicy) -> object:
    """Return all by which an account's records are written: mappings, and the consents that these name."""
    purposes = {name for items in account.written.values() for item in items for name in item.consent}
    return account.written, {name: account.consents.get(name) for name in purposes}


def plan_record(policy: ConnectorPolicy, standing: Standing) -> Send | None:
    """Return what would be written of a record under *policy*; None when the CRM holds it all."""
    plan = plan_delivery(policy, standing.claimed, reference_wait_s=0.0)
    return plan if isinstance(plan, Send) else None


def as_wanted(policy: ConnectorPolicy, standing: Standing) -> bool:
    """Return whether the CRM is known to hold what *policy* wants of a record."""
    return plan_record(policy, standing) is None


def selected(policy: ConnectorPolicy, selection: Selection, standing: Standing) -> bool:
    """Return whether a rollout has to reach a record.

    What is under way or dead by itself is not of it: it goes by the policy in force anyway.
    """
    if standing.delivery.state not in {NO_DELIVERY, State.DELIVERED} or not _meets(selection, standing):
        return False
    if selection.look_up:
        return bool(standing.claimed.crm_id) and choose_outbound(policy, standing.claimed) is not None
    return plan_record(policy, standing) is not None


def _meets(selection: Selection, standing: Standing) -> bool:
    claimed = standing.claimed
    if selection.object_name and claimed.object != selection.object_name:
        return False
    return all(str(claimed.values.get(name, "")) == value for name, value in selection.where.items())


@dataclass(slots=True)
class Impact:
    """What a rollout would reach, counted up page by page.

    Args:
        complete: False when there were more records than a dry run looks at.
        fields: CRM field to the records in which it would change.
    """

    connector: str
    scanned: int = 0
    records: int = 0
    creates: int = 0
    under_way: int = 0
    complete: bool = True
    look_ups: int = 0
    quota_used: int = 0
    quota_limit: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    samples: list[Preview] = field(default_factory=list)

    def add(self, policy: ConnectorPolicy, selection: Selection, page: Sequence[Standing]) -> None:
        """Count the records of one more page."""
        self.scanned += len(page)
        for item in page:
            if item.delivery.state not in {NO_DELIVERY, State.DELIVERED}:
                self.under_way += _meets(selection, item)
            elif selected(policy, selection, item):
                self._count(policy, selection, item)

    def _count(self, policy: ConnectorPolicy, selection: Selection, item: Standing) -> None:
        claimed, send = item.claimed, plan_record(policy, item)
        outbound = choose_outbound(policy, claimed)
        crm_object = outbound.target if outbound else ""
        changes = tuple(field_changes(claimed.known, send.write)) if send else ()
        self.records += 1
        self.creates += not claimed.crm_id
        self.look_ups += selection.look_up
        self.targets[crm_object] += 1
        self.fields.update(f"{crm_object}.{change['field']}" for change in changes)
        if len(self.samples) < SAMPLES_MAX:
            action = "create" if not claimed.crm_id else "update" if send else "look_up"
            seen = Preview(item.delivery, action, crm_object, changes, looks_up_first=selection.look_up)
            self.samples.append(seen)

    def calls(self, policy: ConnectorPolicy) -> int:
        """Return the calls that it takes at least: full batches of one CRM object, look-ups included."""
        batches = sum(-(-count // policy.limits.batch_records) for count in self.targets.values())
        return 2 * batches if self.look_ups else batches

    def quota_share(self, policy: ConnectorPolicy) -> float:
        """Return the part of the day's quota that these calls are; 0 where the vendor states none."""
        return self.calls(policy) / self.quota_limit if self.quota_limit else 0.0


Impacts = Mapping[str, Impact]
"""Account to what it would see."""
