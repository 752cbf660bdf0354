"""One tenant of a world: its events in, its CRMs, its operations API. Asserts nothing."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import httpx
from google.protobuf.timestamp_pb2 import Timestamp
from tests.system.policies import policy_text

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.policy.loading import policy_digest
from headwater.sync.v1 import sync_pb2

if TYPE_CHECKING:
    from tests.system.world import World

BATCH_EVENTS: Final = 500
EPOCH: Final = dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC)
"""When events happen that state no time; a number of seconds is added."""
ACTOR: Final = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="operator-1", display_name="An operator")
UNSETTLED: Final = frozenset(
    {
        sync_pb2.DELIVERY_STATE_PENDING,
        sync_pb2.DELIVERY_STATE_RETRYING,
        sync_pb2.DELIVERY_STATE_IN_DOUBT,
    }
)
UNSENT: Final = "select count(*) from identity.change where tenant_id = $1 and sent_time is null"
PREPARED: Final = "select count(*) from sync.connector_state where tenant_id = $1 and finding = ''"
CRM_WRITES: Final[Mapping[str, str]] = {
    "hubspot": "POST /crm/v3/objects/[^/]+/batch/(upsert|update)",
    "salesforce": "PATCH /services/data/[^/]+/composite/sobjects",
}
"""For `Tenant.arm`: matches the calls of a vendor that write records, and no other."""
SETTLED_LOOKS: Final = 2
"""Looks in a row that find nothing moving: an event may be between two counts of one look."""


def event(source: str, kind: str, external_id: str, after_s: float = 0, /, **payload: Any) -> event_pb2.Event:
    """An event that happened *after_s* seconds after the epoch of these tests."""
    when = Timestamp()
    when.FromDatetime(EPOCH + dt.timedelta(seconds=after_s))
    body = json.dumps(payload).encode()
    return event_pb2.Event(source=source, object=kind, external_id=external_id, event_time=when, payload=body)


class Tenant:
    """A tenant and its accounts at the sandbox, which bear its name."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.id = name

    def apply_policy(self, **policy: Any) -> None:
        """Put a policy in force and wait until sync goes by it; arguments as of `policy_text`."""
        secret = f"HEADWATER_SECRET_{self.id.upper()}"
        text = policy_text(self.world.sandbox_url, self.id, secret, **policy)
        digest = policy_digest(text)
        recorded = event("headwater", "policy", self.id, document=text, digest=digest)
        recorded.request_id = f"policy:{digest}"
        self.record_one(recorded)
        self.world.until(self._is_served, f"both accounts of {self.id} have a holder")

    def _is_served(self) -> bool:
        """Say whether both actors have prepared their accounts, which they note down when done."""
        prepared = self.world.fetch(PREPARED, self.id)[0][0]
        return prepared == 2 and all(item.holder for item in self.connectors().values())

    def record_one(self, item: event_pb2.Event) -> ingest_pb2.EventOutcome:
        """Record one event by the unary call."""
        request = ingest_pb2.RecordEventRequest(tenant_id=self.id, event=item)
        return self.world.ingest.RecordEvent(request, timeout=20).outcome

    def record(self, events: Sequence[event_pb2.Event]) -> list[ingest_pb2.EventOutcome]:
        """Record events batch by batch; one outcome each, in order."""
        outcomes: list[ingest_pb2.EventOutcome] = []
        for start in range(0, len(events), BATCH_EVENTS):
            part = events[start : start + BATCH_EVENTS]
            request = ingest_pb2.BatchRecordEventsRequest(tenant_id=self.id, events=part)
            outcomes += self.world.ingest.BatchRecordEvents(request, timeout=20).outcomes
        return outcomes

    def wait_until_settled(self, timeout_s: float = 20.0, *connectors: str) -> None:
        """Wait until nothing is on its way to a connector (default: to any)."""
        quiet = 0

        def settled() -> bool:
            nonlocal quiet
            quiet = quiet + 1 if self._is_settled(connectors) else 0
            return quiet >= SETTLED_LOOKS

        self.world.until(settled, f"everything of {self.id} is settled", timeout_s)

    def _is_settled(self, connectors: Sequence[str]) -> bool:
        status = self.status()
        if status.events_waiting or self.world.fetch(UNSENT, self.id)[0][0]:
            return False
        return not any(
            row.count
            for row in status.deliveries
            if row.state in UNSETTLED and (not connectors or row.connector in connectors)
        )

    def status(self) -> sync_pb2.GetStatusResponse:
        """Counts of projection and delivery."""
        return self.world.sync.GetStatus(sync_pb2.GetStatusRequest(tenant_id=self.id), timeout=20)

    def connectors(self) -> dict[str, sync_pb2.Connector]:
        """Connector accounts by name."""
        request = sync_pb2.ListConnectorsRequest(tenant_id=self.id)
        return {item.connector: item for item in self.world.sync.ListConnectors(request).connectors}

    def fate(self, event_key: str) -> sync_pb2.EventFate:
        """What became of an event."""
        request = sync_pb2.GetEventFateRequest(tenant_id=self.id, event_key=event_key)
        return self.world.sync.GetEventFate(request).fate

    def entity_of(self, event_key: str) -> str:
        """The entity that the event of one record touched."""
        (entity_id,) = self.fate(event_key).entity_ids
        return entity_id

    def entity(self, entity_id: str) -> sync_pb2.GetEntityStateResponse:
        """An entity with its values."""
        request = sync_pb2.GetEntityStateRequest(tenant_id=self.id, entity_id=entity_id)
        return self.world.sync.GetEntityState(request)

    def deliveries(self) -> list[sync_pb2.Delivery]:
        """Every delivery."""
        return list(self._pages(self.world.sync.ListDeliveries, sync_pb2.ListDeliveriesRequest, "deliveries"))

    def audit(self, **selected: str) -> list[sync_pb2.AuditEntry]:
        """Audit entries, newest first."""
        return list(self._pages(self.world.sync.ListAudit, sync_pb2.ListAuditRequest, "entries", **selected))

    def _pages(self, call: Any, request: Any, rows: str, **selected: str) -> Iterator[Any]:
        token = ""
        while True:
            page = call(request(tenant_id=self.id, page_size=500, page_token=token, **selected), timeout=20)
            yield from getattr(page, rows)
            token = page.next_page_token
            if not token:
                return

    def arrivals(self, vendor: str) -> list[dict[str, Any]]:
        """What reached a CRM, record write by record write, with its effect."""
        lines: list[dict[str, Any]] = []
        while page := self._ask(vendor, "arrivals", after=lines[-1]["sequence"] if lines else 0)["arrivals"]:
            lines += page
        return lines

    def records(self, vendor: str, kind: str) -> dict[str, dict[str, Any]]:
        """The live records of a CRM's object by the CRM's id."""
        found = self._ask(vendor, "records", object=kind)["records"][kind]
        return {one["id"]: one for one in found if not one["archived"]}

    def session(self, vendor: str) -> httpx.Client:
        """A client that talks to a CRM of the tenant as a person's tool does."""
        paths = {"hubspot": "/oauth/v1/token", "salesforce": "/services/oauth2/token"}
        base = f"{self.world.sandbox_url}/{vendor}/{self.id}"
        form = {
            "grant_type": "refresh_token", "client_id": "tool", "client_secret": "sandbox-secret",
            "refresh_token": f"sandbox-refresh-{self.id}",
        }  # fmt: skip
        token = (
            self.world.http.post(f"/{vendor}/{self.id}{paths[vendor]}", data=form).raise_for_status().json()
        )
        return httpx.Client(
            base_url=base, headers={"Authorization": f"Bearer {token['access_token']}"}, timeout=20
        )

    def calls(self, vendor: str) -> dict[str, Any]:
        """The CRM's own account of the calls made to it."""
        return self._ask(vendor, "calls")

    def arm(self, vendor: str, *faults: Mapping[str, object]) -> None:
        """Replace the faults of a CRM; none heals it."""
        self.world.http.put(self._place(vendor, "faults"), json={"faults": faults}).raise_for_status()

    def faults_fired(self, vendor: str) -> int:
        """How often the armed faults of a CRM have fired."""
        return sum(item["fired"] for item in self._ask(vendor, "faults")["faults"])

    def _ask(self, vendor: str, what: str, **query: Any) -> dict[str, Any]:
        answer = self.world.http.get(self._place(vendor, what), params=query).raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def _place(self, vendor: str, what: str) -> str:
        return f"/_sandbox/{vendor}/{self.id}/{what}"
