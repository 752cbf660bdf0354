"""What a person types to ask why, to look ahead at a policy and to see the records' quality, against Postgres."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from tests.doubles.fake_ingest import FakeIngest, serving
from tests.integration.cli.desk import Desk
from tests.integration.sync.renewing import NEW, OLD, Renewal
from tests.integration.sync.world import World, served
from tests.unit.sync.tenant import TENANT, key

from headwater.policy.loading import policy_digest


@pytest.fixture
def desk(migrated_database_url: str, tmp_path: Path) -> Iterator[Desk[World]]:
    """Two contacts under the old policy, which is in force at ingest too."""
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(serving(FakeIngest())) as ingest,
        portal.wrap_async_context_manager(served(migrated_database_url)) as world,
    ):
        environment = {
            "HEADWATER_INGEST_ADDRESS": ingest,
            "HEADWATER_SYNC_ADDRESS": world.address,
            "HEADWATER_IDENTITY_ADDRESS": "127.0.0.1:1",
            "HEADWATER_DATA_DIR": str(tmp_path / "data"),
            "HEADWATER_TENANT": TENANT,
            "HEADWATER_ACTOR": "jo",
        }
        renewal = Renewal(world)
        for number in (11, 12):
            portal.call(renewal.contact, number)
        portal.call(world.enforce, OLD)
        desk = Desk(portal, world, environment, tmp_path)
        yield desk


def test_why_draws_winner_losers_and_crms(desk: Desk[World]) -> None:
    """A tree a field: the rule, who won, who lost and by what, what each CRM holds; and where it is delivered."""
    shown = desk.type("why", "crm/contact/c11").stdout
    for told in (
        "first_name = ",
        '"Rob"',
        "won",
        "lost",
        "lower rank",
        "salesforce Contact.FirstName holds",
        "0031",
    ):
        assert told in shown, shown
    one = desk.json("why", key(11), "first_name")
    assert [item["field"] for item in one["fields"]] == ["first_name"]
    assert [item["source"] for item in one["fields"][0]["statements"]] == ["crm", "site"]


def test_why_masks_a_secret(desk: Desk[World]) -> None:
    """For people as for programs."""
    secret = OLD.replace(
        "rule: most_recent}\n      last_name", "rule: most_recent, class: secret}\n      last_name"
    )
    assert secret != OLD
    desk.portal.call(desk.world.enforce, secret, 2)
    shown = desk.type("why", key(11), "first_name").stdout
    assert "(secret)" in shown
    assert "Rob" not in shown
    assert "Rob" not in json.dumps(desk.json("why", key(11), "first_name"))


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("nobody",), 1, None),
        (("00000000-0000-0000-0000-0000000000ff",), 1, "UNKNOWN_ENTITY"),
        (("crm/contact/c11", "shoe_size"), 1, "UNKNOWN_FIELD"),
        (("crm/contact/none",), 1, "UNKNOWN_RECORD"),
    ],
)
def test_why_ends_with_an_error_when_nothing_is_known(
    desk: Desk[World], words: tuple[str, ...], code: int, reason: str | None
) -> None:
    """Exit code and reason for programs."""
    done = desk.type("why", *words, "--json")
    assert done.exit_code == code
    if reason:
        assert json.loads(done.stdout)["error"]["reason"] == reason


def test_impact_is_told_before_anything_is_done(desk: Desk[World]) -> None:
    """As JSON with exact counts; as tables with fields and accounts."""
    file = desk.write(NEW)
    found = desk.json("policy", "impact", file)
    assert (found["changed_count"], found["entity_count"], found["exact"]) == ("2", "2", True)
    assert (found["digest"], found["digest_in_force"]) == (policy_digest(NEW), policy_digest(OLD))
    shown = desk.type("policy", "impact", file).stdout
    assert "2 of 2 entities change (exact)" in shown
    assert "contact.first_name" in shown
    assert "of 15,000" in shown


def test_a_broken_policy_has_no_impact(desk: Desk[World]) -> None:
    """It is refused with its lines, before sync is asked."""
    done = desk.type("policy", "impact", desk.write(NEW.replace("rule: longest", "rule: loudest")), "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["reason"] == "POLICY_REFUSED"


def test_applying_tells_difference_and_impact_and_going_back_is_a_dry_run(desk: Desk[World]) -> None:
    """The result for programs has both; without --yes a rollback changes nothing."""
    desk.json("policy", "apply", desk.write(OLD))
    applied = desk.json("policy", "apply", desk.write(NEW))
    assert (applied["changed"], applied["impact"]["changed_count"]) == (True, "2")
    assert {item["path"] for item in applied["difference"]} == {
        "objects.contact.fields.first_name.owners",
        "objects.contact.fields.first_name.rule",
        "version",
    }
    dry = desk.json("policy", "rollback")
    assert (dry["dry_run"], dry["digest"]) == (True, policy_digest(OLD))
    assert desk.json("policy", "show")["digest"] == policy_digest(NEW)
    back = desk.json("policy", "rollback", "--to", policy_digest(OLD), "--yes")
    assert (back["changed"], desk.json("policy", "show")["digest"]) == (True, policy_digest(OLD))
    assert desk.json("policy", "rollback")["digest"] == policy_digest(NEW), "a rollback can be taken back"


@pytest.mark.parametrize(("digest", "reason"), [("0" * 16, "UNKNOWN_VERSION"), (None, "IN_FORCE")])
def test_a_version_that_cannot_be_gone_back_to_is_told(
    desk: Desk[World], digest: str | None, reason: str
) -> None:
    """One that never was; the one in force."""
    desk.json("policy", "apply", desk.write(OLD))
    done = desk.type("policy", "rollback", "--to", digest or policy_digest(OLD), "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["reason"] == reason


def test_a_policy_is_applied_while_sync_is_away(desk: Desk[World]) -> None:
    """The log takes it; that its impact is not known is said."""
    desk.environment["HEADWATER_SYNC_ADDRESS"] = "127.0.0.1:1"
    applied = desk.json("policy", "apply", desk.write(OLD))
    assert (applied["changed"], applied["impact"]) == (True, None)
    assert "sync does not answer" in applied["impact_missing_reason"]


def test_quality_is_reported_as_json_as_tables_and_as_a_page(desk: Desk[World]) -> None:
    """Measured, shown, written to a page that loads nothing; then shown again as it was kept."""
    page = desk.folder / "quality.html"
    found = desk.json("quality", "--html", page)
    whole = next(item for item in found["records"] if not item["source"])
    assert (whole["record_count"], whole["entity_count"], whole["duplicate_share"]) == ("4", "2", 0.5)
    html = page.read_text(encoding="utf-8")
    assert "<h2>Fields</h2>" in html
    for loaded in ("<script", "src=", "href=", "@import"):
        assert loaded not in html
    shown = desk.type("quality", "--kept").stdout
    assert "3 pairs wait for a person" in shown
    assert "first_name" in shown
    assert "50.0%" in shown
    assert desk.json("quality", "--kept")["records"] == found["records"]
