"""What each step of ingest's door costs, in CPU microseconds an event: from the message to the gather, and back.

Run it as ``python -m tests.load.ingest.door_cost``; it uses no network and no database. The same steps run hot
here; in a busy server the data is cold and each costs up to twice as much.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from headwater.event.v1 import event_pb2
from headwater.ingest.domain.event import Disposition, Outcome
from headwater.ingest.domain.keys import canonical_payload, identify, stem_of
from headwater.ingest.domain.passage import Door
from headwater.ingest.rpc.outcomes import write_stream_answer
from headwater.ingest.rpc.translate import read_arrival, write_outcome
from headwater.ingest.usecases.ticket import Ticket
from headwater.ingest.v1 import ingest_pb2
from headwater.policy.contract import compile_contract
from headwater.policy.inbound import canonicalise
from headwater.policy.loading import load_policy

EVENTS: Final = 100
ROUNDS: Final = 9
ROUND_S: Final = 0.15
NOW_US: Final = 1_760_000_000_000_000
TENANT: Final = "acme"
SAMPLE: Final = Path(__file__).parents[3] / "services/headwater/samples/policy.yaml"


def main() -> None:
    """Print the table."""
    policy = load_policy(SAMPLE.read_text())
    raw = _message().SerializeToString()
    message = ingest_pb2.StreamEventsRequest.FromString(raw)
    arrivals = [read_arrival(item) for item in message.events]
    payloads = [msgspec.json.decode(item.payload) for item in arrivals]
    canonical = canonical_payload(payloads[0])
    stem = stem_of(TENANT, "hubspot", "contact")
    keeps = compile_contract(policy, "hubspot", "contact")
    assert keeps is not None
    door = Door(TENANT, policy)
    events = [door.admit(item, NOW_US, None) for item in arrivals]
    assert None not in events, "the sample payload must keep the sample policy"
    outcomes = [Outcome(Disposition.ACCEPTED, item.event_key) for item in events if item is not None]
    decode = msgspec.json.Decoder(dict).decode

    def whole() -> None:
        read = ingest_pb2.StreamEventsRequest.FromString(raw)
        admit = door.admit
        taken = [admit(read_arrival(item), NOW_US, None) for item in read.events]
        ticket = Ticket(taken)  # type: ignore[arg-type] # none is None, as asserted above
        ticket.settle(outcomes)
        write_stream_answer(1, ticket.result())

    steps: list[tuple[str, Callable[[], Any]]] = [
        ("parse the message", lambda: ingest_pb2.StreamEventsRequest.FromString(raw)),
        ("read its events", lambda: [read_arrival(item) for item in message.events]),
        ("decode the payload", lambda: [decode(item.payload) for item in arrivals]),
        ("contract, compiled", lambda: [keeps(item) for item in payloads]),
        ("canonical payload", lambda: [canonical_payload(item) for item in payloads]),
        ("keys", lambda: [identify(TENANT, stem, item, NOW_US, 1, canonical) for item in arrivals]),
        ("admit: the four above and the event", lambda: [door.admit(item, NOW_US, None) for item in arrivals]),
        ("ticket", lambda: Ticket(events)),  # type: ignore[arg-type] # as above
        ("answer, bytes", lambda: write_stream_answer(1, outcomes)),
        ("ALL: message to ticket, outcomes to bytes", whole),
        ("(contract, in full: canonicalise)", lambda: [
            canonicalise(policy, "hubspot", "contact", item) for item in payloads
        ]),
        ("(answer, by messages)", lambda: ingest_pb2.StreamEventsResponse(
            outcomes=[write_outcome(item) for item in outcomes]
        ).SerializeToString()),
    ]  # fmt: skip
    print(f"payload {len(arrivals[0].payload)} bytes, {EVENTS} events a message; CPU us an event")  # noqa: T201
    for name, step in steps:
        least, median = _cost_us(step)
        print(f"{name:45} median {median:6.2f}   least {least:6.2f}")  # noqa: T201


def _cost_us(step: Callable[[], Any]) -> tuple[float, float]:
    """Return the least and the median CPU time of one event over the rounds."""
    costs = []
    for _ in range(ROUNDS):
        turns, begun = 0, time.process_time()
        while (passed := time.process_time() - begun) < ROUND_S:
            for _ in range(10):
                step()
            turns += 10
        costs.append(passed / turns / EVENTS * 1e6)
    costs.sort()
    return costs[0], costs[len(costs) // 2]


def _message() -> ingest_pb2.StreamEventsRequest:
    message = ingest_pb2.StreamEventsRequest(batch_number=1, tenant_id=TENANT)
    for number in range(EVENTS):
        payload = {
            "email": f"anna.lindqvist{number}@northwind.example",
            "first_name": "Anna",
            "last_name": "Lindqvist",
            "phone": f"+4670123{number:04}",
            "title": "Head of Procurement",
            "company": "Northwind Traders",
            "website": "northwind.example",
            "city": "Stockholm",
            "country": "Sweden",
            "notes": "x" * 110,
        }
        event = event_pb2.Event(
            source="hubspot",
            object="contact",
            external_id=f"c-{number:08}",
            payload=json.dumps(payload).encode(),
        )
        event.event_time.FromMicroseconds(NOW_US - number * 1_000)
        message.events.append(event)
    return message


if __name__ == "__main__":
    main()
