"""Merges of entities followed into both CRMs and undone there: what they hold at the end is what they held before.

Random sequences of merges, splits and corrections, over gRPC and HTTP, with lost answers, refusals and a process that
dies in between. More of them with HEADWATER_MERGE_SEQUENCES=1000.
"""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import pytest
from tests.system.tenant import ACTOR, Tenant, event
from tests.system.world import World

from headwater.identity.v1 import identity_pb2
from headwater.sync.v1 import merges_pb2, merges_pb2_grpc, sync_pb2

SEQUENCES: Final = int(os.environ.get("HEADWATER_MERGE_SEQUENCES", "40"))
PEOPLE: Final = 3
"""People of one sequence."""
OPERATIONS_MAX: Final = 4
SETTLE_S: Final = 40.0 + SEQUENCES / 2
KINDS: Final = {"hubspot": "contacts", "salesforce": "Contact"}
KEYS: Final = {"hubspot": "headwater_id", "salesforce": "Headwater_Id__c"}
EXTRA: Final = {"hubspot": "city", "salesforce": "MailingCity"}
"""A field that no mapping writes: a person's."""
OPEN: Final = frozenset({"planned", "merging", "undoing"})
LOST: Final[Mapping[str, str]] = {
    "hubspot": "POST /crm/v3/objects/contacts(/merge)?$|batch/archive",
    "salesforce": "POST /services/Soap/|PATCH /services/data/[^/]+/(sobjects/Contact|composite)",
}
"""Calls of following whose answers are lost."""
_OWN: Final = frozenset(
    {
        "Id", "CreatedDate", "LastModifiedDate", "SystemModstamp", "createdate", "lastmodifieddate", "hs_object_id",
        "hs_all_contact_vids", "hs_merged_object_ids", "hs_lifecyclestage_lead_date", "hs_lastmodifieddate",
        "hs_createdate",
    }
)  # fmt: skip
"""Fields that are the vendor's own: ids, stamps, and what a HubSpot record remembers of merges."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 3 * SEQUENCES)]


@dataclass(slots=True)
class Story:
    """A tenant, its people, and what is asked of identity and of sync."""

    tenant: Tenant
    merges: merges_pb2_grpc.MergeServiceStub
    chance: random.Random
    people: list[list[str]] = field(default_factory=list)
    journal: list[str] = field(default_factory=list)
    clock_s: float = 0.0

    def make(self) -> None:
        """Make people in the CRMs, with fields and ties that persons gave them."""
        events = [
            event(
                "erp", "contact", f"c-{group}-{one}", email=f"g{group}p{one}@firm{group}.example",
                first_name=f"First{group}x{one}", last_name=f"Last{one}x{group}", title=f"Title {one}",
            )
            for group in range(SEQUENCES)
            for one in range(PEOPLE)
        ]  # fmt: skip
        keys = [outcome.event_key for outcome in self.tenant.record(events)]
        self.tenant.wait_until_settled(60)
        entities = [self.tenant.entity_of(key) for key in keys]
        self.people = [entities[start : start + PEOPLE] for start in range(0, len(entities), PEOPLE)]
        self._dress()

    def _dress(self) -> None:
        """Let persons fill fields and tie records, some of two people to the same one."""
        crm_ids = {
            vendor: {
                one["fields"][KEYS[vendor]]: crm_id
                for crm_id, one in self.tenant.records(vendor, kind).items()
            }
            for vendor, kind in KINDS.items()
        }
        with self._session("hubspot") as hubspot, self._session("salesforce") as salesforce:
            for number, group in enumerate(self.people):
                firm = _made(
                    hubspot.post("/crm/v3/objects/companies", json={"properties": {"name": f"F{number}"}})
                )
                for entity in group:
                    contact = crm_ids["hubspot"][entity]
                    if self.chance.random() < 0.6:
                        path = f"/crm/v4/objects/contacts/{contact}/associations/default/companies/{firm}"
                        hubspot.put(path).raise_for_status()
                    if self.chance.random() < 0.5:
                        body = {"properties": {EXTRA["hubspot"]: f"City {entity[:4]}"}}
                        hubspot.patch(f"/crm/v3/objects/contacts/{contact}", json=body).raise_for_status()
                    row = crm_ids["salesforce"][entity]
                    if self.chance.random() < 0.6:
                        task = {"Subject": "Call", "WhoId": row}
                        salesforce.post("/services/data/v61.0/sobjects/Task", json=task).raise_for_status()
                    if self.chance.random() < 0.5:
                        path = f"/services/data/v61.0/sobjects/Contact/{row}"
                        salesforce.patch(
                            path, json={EXTRA["salesforce"]: f"City {entity[:4]}"}
                        ).raise_for_status()

    def _session(self, vendor: str) -> Any:
        return self.tenant.session(vendor)

    def merge(self, winner: str, loser: str) -> str:
        """Merge two entities; return the merge."""
        request = identity_pb2.MergeRequest(
            tenant_id=self.tenant.id, winner_entity_id=winner, loser_entity_id=loser, actor=ACTOR,
            merge_reason="system test", request_id=str(uuid.uuid4()),
        )  # fmt: skip
        merge_id = self.tenant.world.identity.Merge(request, timeout=20).merge_id
        self.journal.append(f"{loser} into {winner}: {merge_id}")
        return merge_id

    def split(self, merge_id: str) -> None:
        """Undo a merge."""
        request = identity_pb2.SplitRequest(tenant_id=self.tenant.id, merge_id=merge_id, actor=ACTOR)
        self.tenant.world.identity.Split(request, timeout=20)
        self.journal.append(f"split {merge_id}")

    def correct(self, entity: str, title: str | None) -> None:
        """Let an operator set a title, or take it back."""
        self.clock_s += 1
        said = event("operator", "contact", entity, self.clock_s, title=title)
        said.actor.CopyFrom(ACTOR)
        self.tenant.record_one(said)
        self.journal.append(f"correct {entity}: {title}")

    def explain(self, wrong: Iterable[object]) -> str:
        """Return what was asked about the groups that *wrong* names, what the accounts did, and the audit."""
        said = str(list(wrong))
        known = {name for group in self.people if any(one in said for one in group) for name in group}
        rows = [one for one in self.followed() if {one.winner_entity_id, one.loser_entity_id} & known]
        names = {*known, *(one.merge_id for one in rows)}
        lines = [line for line in self.journal if any(name in line for name in names)]
        for entity in sorted(known):
            audit = sync_pb2.ListAuditRequest(tenant_id=self.tenant.id, entity_id=entity, page_size=200)
            lines += [
                f"{one.audit_time.ToDatetime():%M:%S.%f} {one.action} {one.connector} {entity[:4]} "
                + ", ".join(f"{each.field} {each.before_json}>{each.after_json}" for each in one.changes)
                for one in self.tenant.world.sync.ListAudit(audit, timeout=20).entries
            ]
        return "\n".join([*lines, *(str(one).replace("\n", " ") for one in reversed(rows))])

    def run_sequence(self, group: list[str]) -> None:
        """Merge, split and correct at random; at last split what stands and take corrections back."""
        standing: dict[str, str] = {}
        corrected: set[str] = set()
        for _ in range(self.chance.randint(1, OPERATIONS_MAX)):
            alone = [one for one in group if one not in standing.values()]
            dice = self.chance.random()
            if dice < 0.25:
                corrected.add(entity := self.chance.choice(alone))
                self.correct(entity, f"Corrected {entity[:4]}")
            elif standing and (len(alone) < 2 or dice < 0.5):
                merge_id = self.chance.choice(list(standing))
                self.split(merge_id)
                del standing[merge_id]
            else:
                winner, loser = self.chance.sample(alone, 2)
                standing[self.merge(winner, loser)] = loser
            if self.chance.random() < 0.3:
                self.wait_until_followed()
                self.journal.append(f"followed: {group}")
        for merge_id in self.chance.sample(list(standing), len(standing)):
            self.split(merge_id)
        for entity in sorted(corrected):
            self.correct(entity, None)

    def followed(self) -> list[merges_pb2.RecordMerge]:
        """Return what the accounts did about merges."""
        request = merges_pb2.ListRecordMergesRequest(tenant_id=self.tenant.id)
        return list(self.merges.ListRecordMerges(request, timeout=20).merges)

    def wait_until_followed(self) -> None:
        """Wait until no merge is under way in an account and no delivery waits."""

        def done() -> bool:
            return not any(
                one.state in OPEN or (one.state == "merged" and one.wanted == "split")
                for one in self.followed()
            )

        self.tenant.wait_until_settled(SETTLE_S)
        self.tenant.world.until(done, f"merges are followed: {self.followed()[:3]}", SETTLE_S)
        self.tenant.wait_until_settled(SETTLE_S)

    def undelivered(self) -> list[str]:
        """Return the deliveries that did not end well."""
        return [
            f"{one.connector} {one.entity_id}: {one.last_error}"
            for one in self.tenant.deliveries()
            if one.state != sync_pb2.DELIVERY_STATE_DELIVERED
        ]

    def contents(self) -> dict[str, Any]:
        """Return what both CRMs hold, ids of contacts replaced by their entities."""
        return {vendor: _contents(self.tenant, vendor) for vendor in KINDS}


def _made(answer: Any) -> str:
    return str(answer.raise_for_status().json()["id"])


def _contents(tenant: Tenant, vendor: str) -> dict[str, Any]:
    kinds = {"hubspot": ("contacts", "companies"), "salesforce": ("Contact", "Task")}[vendor]
    found = {kind: tenant.records(vendor, kind) for kind in kinds}
    names = {crm_id: one["fields"].get(KEYS[vendor], crm_id) for crm_id, one in found[kinds[0]].items()}
    return {
        f"{kind}/{names.get(crm_id, crm_id)}": {
            "fields": {
                name: names.get(str(value), value)
                for name, value in one["fields"].items()
                if name not in _OWN
            },
            "ties": sorted(
                (link["to_object"], names.get(link["to_id"], link["to_id"])) for link in one["associations"]
            ),
        }
        for kind in kinds
        for crm_id, one in found[kind].items()
    }


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs, record by record."""
    found: dict[str, Any] = {}
    for vendor in KINDS:
        for name in {*before[vendor], *after[vendor]}:
            old, new = before[vendor].get(name, {}), after[vendor].get(name, {})
            if old == new:
                continue
            told = {**old.get("fields", {}), "#ties": old.get("ties")}
            now = {**new.get("fields", {}), "#ties": new.get("ties")}
            parts = {part for part in {*told, *now} if told.get(part) != now.get(part)}
            found[f"{vendor}/{name}"] = {part: (told.get(part), now.get(part)) for part in parts}
    return found


@pytest.fixture(scope="module")
def story(world: World) -> Any:
    """People in both CRMs of a tenant whose contacts are merged there."""
    tenant = world.tenant(merge="merge", timeout_s=2.0)
    with grpc.insecure_channel(world.address("sync")) as channel:
        made = Story(tenant, merges_pb2_grpc.MergeServiceStub(channel), random.Random(20261122))
        made.make()
        yield made


def test_random_merges_splits_and_corrections_leave_both_crms_as_they_were(story: Story) -> None:
    """With lost answers and a sync process killed in the middle, every field and tie is as before."""
    before = story.contents()
    for vendor, path in LOST.items():
        story.tenant.arm(vendor, {"kind": "commit_then_reset", "probability": 0.15, "path": path})
    for number, group in enumerate(story.people):
        story.run_sequence(group)
        if number == len(story.people) // 2:
            story.tenant.world.kill("sync")
            story.tenant.world.restart("sync")
    story.wait_until_followed()
    fired = {vendor: story.tenant.faults_fired(vendor) for vendor in KINDS}
    for vendor in KINDS:
        story.tenant.arm(vendor)
    after, followed = story.contents(), story.followed()
    told = [f"{one.connector} {one.state}: {one.finding}" for one in followed if one.state == "failed"]
    assert told == []
    assert min(fired.values()) > 0
    assert {one.state for one in followed} <= {"undone", "not_needed"}
    assert sum(one.state == "undone" for one in followed) >= SEQUENCES // 2
    left = story.undelivered()
    assert left == [], story.explain(left)
    found = differences(before, after)
    assert found == {}, story.explain(found.items())


def test_a_preview_says_what_follows_and_writes_nothing(story: Story) -> None:
    """Which record stays, what changes, what is sent, what cannot be undone; then the same of the undoing."""
    first, second = story.people[0][:2]
    before = {vendor: len(story.tenant.arrivals(vendor)) for vendor in KINDS}
    request = merges_pb2.PreviewMergeRequest(
        tenant_id=story.tenant.id, winner_entity_id=first, loser_entity_id=second
    )
    told = {one.connector: one for one in story.merges.PreviewMerge(request, timeout=20).forecasts}
    assert {vendor: len(story.tenant.arrivals(vendor)) for vendor in KINDS} == before
    assert {(one.mode, one.call_count, one.hindrance) for one in told.values()} == {("merge", 1, "")}
    assert all(one.survivor_crm_id and one.loser_crm_id and len(one.notes) == 3 for one in told.values())
    assert "hs_additional_emails" in {change.field for change in told["hubspot"].changes}
    merge_id = story.merge(first, second)
    story.wait_until_followed()
    undo = merges_pb2.PreviewSplitRequest(tenant_id=story.tenant.id, merge_id=merge_id)
    undone = {one.connector: one for one in story.merges.PreviewSplit(undo, timeout=20).forecasts}
    assert {one.mode for one in undone.values()} == {"undo"}
    assert any("new id" in step for step in undone["hubspot"].steps)
    assert any("bin" in step for step in undone["salesforce"].steps)
    story.split(merge_id)
    story.wait_until_followed()
