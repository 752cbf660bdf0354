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
    return not orphans(spans) and not loose_links(spans) and all(counts[name] for name in wanted)


def _around(world: World, trace_ids: list[str]) -> list[StoredSpan]:
    found = dict.fromkeys(trace_ids)
    for trace_id in trace_ids:
        found |= dict.fromkeys(item.summary.trace_id for item in world.console.related(trace_id))
    return [span for trace_id in found for span in world.spans_of(trace_id)]


def test_x(story: Story):
    print(shape(story.own)); print(shape(story.around)); print(shape(story.everything)); print(story.produced)
    for v,k in (("hubspot","contacts"),("hubspot","deals"),("hubspot","companies"),("hubspot","emails"),("salesforce","Contact"),("salesforce","Opportunity"),("salesforce","Account"),("salesforce","Task")):
        print(v,k,*story.tenant.records(v,k).values(),sep="\n   ")
    for s in story.around: print(s.trace_id[:6],s.span_id[:6],(s.parent_span_id or "")[:6],s.service,s.kind,s.name,[(l.trace_id[:6],l.span_id[:6],l.attributes) for l in s.links])
