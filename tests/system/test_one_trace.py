"""From a producer that knows only the protos to both CRMs: the whole graph of spans, as the store has it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from tests.system.graphs import children, loose_links, named, orphans, roles, shape
from tests.system.independent_client import EVENTS, SERVICE
from tests.system.producing import Produced, compile_protos, produce
from tests.system.tenant import Tenant
from tests.system.world import World

from headwater.console.model import StoredSpan
from headwater.kernel.telemetry.names import unregistered

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

RECORD = "headwater.ingest.v1.IngestService/RecordEvent"
RESOLVE = "headwater.identity.v1.IdentityService/ResolveBatch"
PATCH = "PATCH /services/data/{version}/composite/sobjects/{sobject}/{externalIdField}"
UPSERT = "POST /crm/v3/objects/{objectType}/batch/upsert"


@dataclass(frozen=True, slots=True)
class Story:
    """What the independent client recorded, and every span that followed.

    Args:
        own: the trace of the contact, recorded alone.
        around: that trace and those that links lead to.
        everything: the same of every event.
    """

    tenant: Tenant
    produced: dict[str, Produced]
    own: list[StoredSpan]
    around: list[StoredSpan]
    everything: list[StoredSpan]


@pytest.fixture(scope="module")
def story(world: World, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """One contact on its own way, then a mixed batch of everything else, all settled and exported."""
    tenant = world.tenant()
    generated = compile_protos(tmp_path_factory.mktemp("generated"))
    produced = produce(generated, tenant, "contact")
    tenant.wait_until_settled()
    produced |= produce(generated, tenant, "account", "deal", "duplicate", "activity")
    tenant.wait_until_settled()
    traces = [item.trace_id for item in produced.values()]
    world.until(lambda: all(_is_exported(world, item) for item in traces), "every span is exported")
    around = _around(world, [produced["contact"].trace_id])
    own = [span for span in around if span.trace_id == produced["contact"].trace_id]
    return Story(tenant, produced, own, around, _around(world, traces))


def _is_exported(world: World, trace_id: str) -> bool:
    """Say whether the last spans of a trace have come: deliveries, and batch spans that lead to them."""
    spans = _around(world, [trace_id])
    counts = Counter(span.name for span in spans)
    wanted = ("process headwater.deliveries", "settle headwater.deliveries", "receive headwater.events")
    pairs = Counter(span.service for span in spans if span.name == RESOLVE)
    if pairs["identity"] != pairs["sync"]:
        return False
    return not orphans(spans) and not loose_links(spans) and all(counts[name] for name in wanted)


def _around(world: World, trace_ids: list[str]) -> list[StoredSpan]:
    found = dict.fromkeys(trace_ids)
    for trace_id in trace_ids:
        found |= dict.fromkeys(item.summary.trace_id for item in world.console.related(trace_id))
    return [span for trace_id in found for span in world.spans_of(trace_id)]


def _owner(span: StoredSpan) -> str:
    return str(span.attributes.get("headwater.connector"))


def test_every_way_in_accepts_events_of_a_client_built_from_the_protos(story: Story) -> None:
    """Unary call, batch and stream each acknowledge what the independent client sent."""
    assert {step: item.disposition for step, item in story.produced.items()} == dict.fromkeys(
        EVENTS, "DISPOSITION_ACCEPTED"
    )


def test_one_trace_holds_every_span_from_the_producer_to_both_crms(story: Story) -> None:
    """The trace of an event recorded alone has exactly these spans, and none of them failed."""
    assert [span for span in story.own if span.status == "ERROR"] == []
    assert shape(story.own) == {
        (SERVICE, "PRODUCER", "record contact"): 1,
        ("ingest", "SERVER", RECORD): 1,
        ("ingest", "PRODUCER", "send event_log"): 1,
        ("ingest", "CLIENT", "INSERT event"): 1,
        ("sync", "CONSUMER", "process headwater.events"): 1,
        ("sync", "CONSUMER", "process headwater.deliveries"): 2,
        ("sync", "CLIENT", PATCH): 1,
        ("sync", "CLIENT", UPSERT): 1,
    }


def test_each_step_hangs_below_the_one_that_caused_it(story: Story) -> None:
    """Producer, server, projection, delivery, HTTP call: each the parent of the next."""
    (producer,) = named(story.own, "record contact")
    assert producer.parent_span_id is None
    (server,) = children(story.own, producer)
    assert server.name == RECORD
    below = {span.name for span in children(story.own, server)}
    assert below == {"send event_log", "process headwater.events"}
    (projection,) = named(story.own, "process headwater.events")
    deliveries = children(story.own, projection)
    assert {_owner(span) for span in deliveries} == {"hubspot", "salesforce"}
    calls = {_owner(span): [call.name for call in children(story.own, span)] for span in deliveries}
    assert calls == {"hubspot": [UPSERT], "salesforce": [PATCH]}


def test_processing_links_to_the_creation_context(story: Story) -> None:
    """The projection links to the call that recorded the event, each delivery to the projection that asked for it."""
    (server,) = named(story.own, RECORD)
    (projection,) = named(story.own, "process headwater.events")
    assert roles(projection) == {"creation": (server.trace_id, server.span_id)}
    for delivery in named(story.own, "process headwater.deliveries"):
        assert roles(delivery) == {"creation": (projection.trace_id, projection.span_id)}


def test_batch_spans_are_roots_that_link_to_their_members(story: Story) -> None:
    """Receiving links to what is received, settling to the attempts that are settled."""
    (server,) = named(story.own, RECORD)
    (projection,) = named(story.own, "process headwater.events")
    attempts = {span.span_id for span in named(story.own, "process headwater.deliveries")}
    batches = [span for span in story.around if span.name.startswith(("receive", "settle"))]
    assert all(span.parent_span_id is None for span in batches)
    assert shape(batches) == {
        ("sync", "CLIENT", "receive headwater.events"): 1,
        ("sync", "CLIENT", "receive headwater.deliveries"): 2,
        ("sync", "CLIENT", "settle headwater.deliveries"): 2,
    }
    (received,) = named(batches, "receive headwater.events")
    assert roles(received) == {"member": (server.trace_id, server.span_id)}
    for claim in named(batches, "receive headwater.deliveries"):
        assert roles(claim) == {"member": (projection.trace_id, projection.span_id)}
    settled = {roles(span)["member"][1] for span in named(batches, "settle headwater.deliveries")}
    assert settled == attempts


def test_identity_is_asked_below_the_batch_that_asks(story: Story) -> None:
    """The call to identity is one pair of client and server span, below the received batch."""
    (received,) = named(story.around, "receive headwater.events")
    below = {span.name: span for span in children(story.around, received)}
    assert set(below) == {RESOLVE, "INSERT sync.projection"}
    (served,) = children(story.around, below[RESOLVE])
    assert (below[RESOLVE].service, below[RESOLVE].kind) == ("sync", "CLIENT")
    assert (served.service, served.kind, served.name) == ("identity", "SERVER", RESOLVE)


def test_no_span_is_an_orphan_and_no_link_leads_nowhere(story: Story) -> None:
    """Every parent and every link target of the whole mixed batch is in the store."""
    assert len(story.everything) > len(story.around)
    assert orphans(story.everything) == []
    assert loose_links(story.everything) == []


def test_every_attribute_is_registered(story: Story) -> None:
    """Spans, their events and their links carry names of the one table only."""
    ours = [span for span in story.everything if span.service != SERVICE]
    for span in ours:
        carried = [*span.attributes]
        carried += [name for link in span.links for name in link.attributes]
        carried += [name for happened in span.events for name in happened.attributes]
        assert unregistered(carried) == (), span.name


def _personal_words(text: str) -> list[str]:
    payloads = repr([payload for *_, payload in EVENTS.values()]).lower()
    personal = ("wilhelmina", "quince", "ferdinand", "oakapple", "quillfeather", "bobbin", "warp and weft")
    assert all(word in payloads for word in personal)
    return [word for word in personal if word in text.lower()]


def test_no_span_carries_personal_data(story: Story) -> None:
    """No address, name or subject of the input is found in any name, attribute or message."""
    told = " ".join(repr(span) for span in story.everything if span.service != SERVICE)
    assert _personal_words(told) == []
    assert "@" not in told


def test_no_log_line_carries_personal_data(story: Story) -> None:
    """What the processes say on stderr names no person either."""
    told = [child.log.read_text(encoding="utf-8") for child in story.tenant.world.children.values()]
    assert any(told)
    assert _personal_words(" ".join(told)) == []


def test_the_crm_sees_the_producers_trace(story: Story) -> None:
    """The traceparent that arrived at each CRM is the HTTP span of the producer's own trace."""
    contact = story.produced["contact"]
    for vendor, name in (("hubspot", UPSERT), ("salesforce", PATCH)):
        (call,) = named(story.own, name)
        arrived = story.tenant.arrivals(vendor)[0]["traceparent"].split("-")
        assert arrived[1:3] == [contact.trace_id, call.span_id]


def test_attempts_name_the_trace_of_their_span(story: Story) -> None:
    """What became of the event tells the trace and span of each attempt."""
    contact = story.produced["contact"]
    attempts = {item.connector: item.span_id for item in story.tenant.fate(contact.event_key).attempts}
    spans = named(story.own, "process headwater.deliveries")
    assert attempts == {_owner(span): span.span_id for span in spans}
    assert {item.trace_id for item in story.tenant.fate(contact.event_key).attempts} == {contact.trace_id}


@pytest.mark.parametrize("step", list(EVENTS))
def test_events_of_batches_and_streams_keep_their_own_trace(story: Story, step: str) -> None:
    """Whatever way it came in by, an event is projected and delivered in its producer's trace."""
    item = story.produced[step]
    own = [span for span in story.everything if span.trace_id == item.trace_id]
    (projection,) = named(own, "process headwater.events")
    assert projection.attributes["headwater.event_key"] == item.event_key
    deliveries = named(own, "process headwater.deliveries")
    assert {_owner(span) for span in deliveries} == {"hubspot", "salesforce"}
    assert {span.attributes["headwater.event_key"] for span in deliveries} == {item.event_key}


@pytest.mark.parametrize("vendor", ["hubspot", "salesforce"])
def test_every_write_to_a_crm_belongs_to_a_producers_trace(story: Story, vendor: str) -> None:
    """Also where events shared a batch, each write arrived in the trace of one of those who caused it."""
    arrived = {line["traceparent"].split("-")[1] for line in story.tenant.arrivals(vendor)}
    assert arrived <= {item.trace_id for item in story.produced.values()}
    assert len(arrived) > 1


def test_a_duplicate_person_is_one_contact_in_each_crm(story: Story) -> None:
    """The same address from another source adds its title to the contact that is there."""
    people = story.tenant.records("hubspot", "contacts").values()
    titles = {one["fields"]["email"].partition("@")[0]: one["fields"].get("jobtitle") for one in people}
    assert titles == {"wilhelmina.quince": "Head weaver", "ferdinand.oakapple": None}
    assert len(story.tenant.records("salesforce", "Contact")) == len(people)
