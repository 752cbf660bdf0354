"""What a bulk change would do: records, fields, calls, accounts."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.tenant import POLICY, key, policy

from headwater.policy.loading import load_policy
from headwater.sync.domain.impact import Impact, as_wanted, changed_accounts, selected, terms_of
from headwater.sync.domain.operating import Delivery
from headwater.sync.domain.rollout import Selection, stage_ends
from headwater.sync.domain.workbench import Standing

ACCOUNT = policy().connectors["salesforce"]


def standing(number: int, state: int = 2, **changed: Any) -> Standing:
    """Return a contact that the CRM holds with another title than is wanted."""
    fields: dict[str, Any] = {
        "entity_id": key(number), "values": {"email": "a@x.io", "title": "Cto"}, "crm_object": "Contact",
        "crm_id": f"003{number}", "known": {"Email": "a@x.io", "LastName": "unknown", "Title": "Cto"},
    }  # fmt: skip
    item = replace(claimed(), **{**fields, **changed})
    delivery = Delivery(
        "salesforce", "contact", item.entity_id, state, 1, 1, item.crm_id, 0, None, "", "", key(9), None
    )
    return Standing(delivery, item)


HELD = {"Email": "a@x.io", "LastName": "unknown", "Title": "CTO"}


def test_records_and_fields_are_counted_up() -> None:
    """Those that differ, field by field, once each; those that are as wanted or under way are not."""
    impact = Impact("salesforce")
    page = [
        standing(1),
        standing(2, known=HELD),
        standing(3, state=1),
        standing(4, state=0, crm_id="", known={}),
    ]
    impact.add(ACCOUNT, Selection(), page)
    assert (impact.scanned, impact.records, impact.creates, impact.under_way) == (4, 2, 1, 1)
    assert impact.fields == {"Contact.Title": 2, "Contact.Email": 1, "Contact.LastName": 1}
    assert [item.action for item in impact.samples] == ["update", "create"]


def test_calls_are_full_batches_and_look_ups() -> None:
    """A hundred and one records take two batches; asked about first, four calls."""
    written, asked = Impact("salesforce"), Impact("salesforce")
    page = [standing(number) for number in range(101)]
    written.add(ACCOUNT, Selection(), page)
    asked.add(ACCOUNT, Selection(look_up=True), page)
    assert (written.calls(ACCOUNT), asked.calls(ACCOUNT)) == (2, 4)


def test_a_look_up_reaches_records_that_seem_as_wanted() -> None:
    """What the CRM holds is only believed until it is asked; what it never had cannot be asked for."""
    assert selected(ACCOUNT, Selection(look_up=True), standing(1, known=HELD))
    assert not selected(ACCOUNT, Selection(look_up=True), standing(1, state=0, crm_id="", known={}))
    assert as_wanted(ACCOUNT, standing(1, known=HELD))


def test_conditions_narrow_the_set() -> None:
    """Object and values must be those given."""
    item = standing(1)
    assert selected(ACCOUNT, Selection(object_name="contact", where={"title": "Cto"}), item)
    assert not selected(ACCOUNT, Selection(object_name="account"), item)
    assert not selected(ACCOUNT, Selection(where={"title": "Vp"}), item)


def test_accounts_whose_mapping_changes_are_named() -> None:
    """Other parts of the policy, and accounts that are switched off, need no rollout."""
    after = load_policy(POLICY.replace("transform: upper", "transform: lower"))
    assert changed_accounts(policy(), after) == ("salesforce",)
    assert (
        changed_accounts(policy(), load_policy(POLICY.replace("daily_calls: 15000", "daily_calls: 1"))) == ()
    )
    off = POLICY.replace('env:OLD"', 'env:OLD"\n    timeout_s: 3').replace(
        "headwater_id, fields", "other_id, fields"
    )
    assert changed_accounts(policy(), load_policy(off)) == ()


def test_at_once_is_one_stage() -> None:
    """All records in the first stage, with the same limit of failures."""
    terms = terms_of(policy(), at_once=True)
    assert stage_ends(terms, 4321) == (4321,)
    assert terms.error_share_max == policy().rollout.error_share_max
