"""What two tenants have before anybody calls: people whose every value bears the tenant's mark, projected, some in trouble."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.fuzz import values
from tests.system.policies import policy_text

from headwater.client import IngestClient
from headwater.event.v1 import event_pb2
from headwater.policy.loading import policy_digest

SOURCE: Final = "erp"
SECRET: Final = "HEADWATER_SECRET_CALLERS"
NOWHERE: Final = "http://127.0.0.1:1"
"""Where the CRMs are: nobody answers, so deliveries wait, fail and are told of."""


@dataclass(frozen=True, slots=True)
class Lines:
    """How many people each tenant has, and when they were heard of."""

    people: int = 60
    time_s: int = 1_767_603_600

    def payload(self, chance: random.Random, tenant: str) -> bytes:
        """Return what a system says of one of them, each value with the tenant's mark."""
        number = chance.randrange(self.people)
        said: dict[str, Any] = {
            "email": f"p{number}@{mark(tenant)}.example",
            "first_name": marked(tenant),
            "last_name": f"{mark(tenant)} {chance.randrange(20)}",
            "phone": f"+4930901{number:04}",
            "title": f"{mark(tenant)} lead",
        }
        for name in [one for one in said if chance.random() < 0.2]:
            said[name] = chance.choice((None, 7, "", mark(tenant)))
        return json.dumps(said).encode()


LINES: Final = Lines()


def mark(tenant: str) -> str:
    """Return the word that only this tenant's data holds; letters and digits, so that no normalising parts it."""
    return f"zq{tenant}zq"


def marked(tenant: str) -> str:
    """Return a text with the mark in it."""
    return f"Ana {mark(tenant)}"


def external_id(number: int, tenant: str) -> str:
    """Return how the tenant's system names one of its people."""
    return f"c-{number}-{mark(tenant)}"


async def plant(client: IngestClient, tenant: str) -> int:
    """Put the tenant's policy in force and record its people; return how many events."""
    text = policy_text(NOWHERE, tenant, SECRET).replace("system-1", f"{mark(tenant)}-1")
    events = [_event("headwater", "policy", tenant, {"document": text, "digest": policy_digest(text)})]
    events[0].request_id = f"policy:{policy_digest(text)}"
    await client.record_one(events[0])
    people = list(_people(random.Random(tenant), tenant))
    await client.record(people)
    return len(people)


def _people(chance: random.Random, tenant: str) -> Iterator[event_pb2.Event]:
    for number in range(LINES.people):
        for turn in range(2):
            said = json.loads(LINES.payload(chance, tenant))
            yield _event(SOURCE, "contact", external_id(number, tenant), said, LINES.time_s + turn)


def _event(
    source: str, kind: str, external_id: str, said: dict[str, Any], time_s: int = LINES.time_s
) -> event_pb2.Event:
    return event_pb2.Event(
        source=source, object=kind, external_id=external_id, payload=json.dumps(said).encode(),
        event_time=values.stamp(time_s),
    )  # fmt: skip
