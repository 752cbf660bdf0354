"""The parts of a policy about routing: the sample fits the starter, and people go by each account's ids."""

from __future__ import annotations

from tests.unit.policy.routed import ROUTED

from headwater.cli.policy_files import routing_text, schema, starter_text
from headwater.policy.inbound import canonicalise
from headwater.policy.loading import load_parts, load_policy
from headwater.policy.outbound import desired_fields


def test_the_sample_fits_the_starter() -> None:
    """What `headwater routing init` writes goes beside what `headwater policy init` writes."""
    read = load_parts({"base.yaml": starter_text(), "routing.yaml": routing_text()})
    routing = read.document.routing
    assert routing is not None
    assert [item.name for item in routing.rules] == ["dach", "london"]
    assert read.document.tended == {"contact", "activity"}
    assert load_policy(read.text) == read.document


def test_people_are_written_and_read_by_their_ids_in_each_account() -> None:
    """The CRM is told 72 for bea, and 72 in its record is bea; an id that nobody has stays as it is."""
    document = load_policy(ROUTED)
    target = document.connectors["hubspot"].objects["contact"][0]
    assert desired_fields(target, {"owner": "bea"})["hubspot_owner_id"] == "72"
    for crm_id, person in (("72", "bea"), ("99", "99")):
        read = canonicalise(document, "crm", "contact", {"Owner": crm_id})
        assert read.fields == {"owner": person}


def test_what_routing_tells_is_read_under_any_policy() -> None:
    """Its details are no fields; what is not text, or an object that there is not, breaks the contract."""
    document = load_policy(ROUTED)
    told = {"owner": "somebody else", "headwater.routing": {"rule": "dach"}}
    read = canonicalise(document, "routing", "contact", told)
    assert (dict(read.fields), read.violations) == ({"owner": "somebody else"}, ())
    assert canonicalise(document, "routing", "deal", told).violations[0].rule == "mapped_object"
    assert canonicalise(document, "routing", "contact", {"owner": "x" * 2000}).violations


def test_a_policy_without_routing_hears_of_nothing() -> None:
    """Then the projector marks nothing."""
    assert load_policy(starter_text()).tended == frozenset()


def test_the_schema_has_routing_and_slas() -> None:
    """Editors complete them."""
    properties = schema()["properties"]
    assert {"routing", "sla"} <= properties.keys()
