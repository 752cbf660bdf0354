"""The trace page of a delivery that failed for good: the real services tell what became of the event."""

from __future__ import annotations

import json
from dataclasses import dataclass

import httpx
import pytest
from tests.system.graphs import named
from tests.system.tenant import Tenant, event
from tests.system.world import World
from typer.testing import CliRunner

from headwater.cli.app import app
from headwater.console.life import EventLife

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

ACCOUNTS = ("hubspot", "salesforce")
PERSONAL = ("life@person.example", "+14155550123", "Bartholomew")
LONG_NAME = f"{PERSONAL[2]} Maximilian Ferdinand Cornelius Augustus"
"""More than the 40 characters that Salesforce takes for a first name."""


@dataclass(frozen=True, slots=True)
class Story:
    """One contact from two sources: in HubSpot, and dead at Salesforce."""

    tenant: Tenant
    event_key: str
    life: EventLife

    @property
    def page(self) -> str:
        """The page of the event's own trace."""
        (trace_id,) = {item.trace_id for item in self.life.traces if item.part == "recorded"}
        console = self.tenant.world.address("console")
        return httpx.get(f"http://{console}/trace/{trace_id}").raise_for_status().text


@pytest.fixture(scope="module")
def story(world: World) -> Story:
    """Salesforce refuses the record itself, and says so with the name."""
    tenant = world.tenant()
    other = event("shop", "contact", "s-1", email=PERSONAL[0], phone=PERSONAL[1])
    tenant.record_one(other)
    tenant.wait_until_settled()
    said = {"email": PERSONAL[0], "phone": PERSONAL[1], "first_name": LONG_NAME, "title": "Clerk"}
    key = tenant.record_one(event("erp", "contact", "c-1", 60, **said)).event_key
    tenant.wait_until_settled()

    def exported() -> bool:
        return len(named(world.spans(key), "process headwater.deliveries")) == len(ACCOUNTS)

    world.until(exported, "the span of each delivery is in the store")
    return Story(tenant, key, world.console.life(tenant.id, key))


def test_the_life_is_what_became_of_the_event(story: Story) -> None:
    """Recorded, joined to the other source's record, projected, decided field by field, and written or not."""
    life = story.life
    assert life.missing == ()
    assert life.recorded is not None
    assert life.projected is not None
    assert (life.recorded.source, life.recorded.object, life.recorded.outcome) == (
        "erp",
        "contact",
        "accepted",
    )
    (resolved,) = life.resolved
    assert (resolved.records, set(resolved.sources), resolved.entity_id) == (
        2, {"erp", "shop"}, story.tenant.entity_of(story.event_key),
    )  # fmt: skip
    assert resolved.rule
    changed = {
        name.partition(":")[0]
        for one in life.decisions
        if one.action == "field_changed"
        for name in one.fields
    }
    assert {"first_name", "title"} <= changed
    done, dead = life.deliveries
    assert (done.connector, done.state, bool(done.crm_id)) == ("hubspot", "delivered", True)
    assert (dead.connector, dead.state, dead.what_to_do) == ("salesforce", "dead", "validation")
    assert [(one.outcome, one.error) for one in dead.attempts] == [("failed", "validation STRING_TOO_LONG")]


def test_the_page_leads_from_the_dead_letter_to_its_span_and_its_runbook(story: Story) -> None:
    """And shows nothing that was said of the person."""
    page = story.page
    tried = story.life.deliveries[1].attempts[0]
    assert f'href="/trace/{tried.trace_id}#s{tried.span_id}"' in page
    assert '<a href="/runbook/validation">' in page
    assert [value for value in PERSONAL if value in page] == []


def test_the_terminal_tells_the_life_too(story: Story) -> None:
    """`headwater trace KEY`, for people and as JSON, with the waterfalls; without a console still the life."""
    world = story.tenant.world
    environment = {
        **{f"HEADWATER_{one.upper()}_ADDRESS": world.address(one) for one in ("ingest", "identity", "sync")},
        "HEADWATER_CONSOLE_URL": f"http://{world.address('console')}",
        "HEADWATER_TENANT": story.tenant.id,
    }
    shown = CliRunner().invoke(app, ["trace", story.event_key], env=environment)
    assert shown.exit_code == 0, shown.output
    for part in ("erp / contact", "headwater runbook validation", "process headwater.deliveries"):
        assert part in shown.stdout
    assert [value for value in PERSONAL if value in shown.stdout] == []
    away = {**environment, "HEADWATER_CONSOLE_URL": "http://127.0.0.1:1"}
    told = json.loads(CliRunner().invoke(app, ["trace", story.event_key, "--json"], env=away).stdout)
    assert [one["state"] for one in told["life"]["deliveries"]] == ["delivered", "dead"]
    assert (told["traces"], "does not answer" in told["traces_missing"]) == ([], True)
