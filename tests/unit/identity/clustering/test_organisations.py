"""Organisations: what keeps them apart, what several share, and what may be merged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.identity.domain.clustering.conflicts import conflict, organisations_fit
from headwater.identity.domain.clustering.guards import NAME, OFFICIAL_ID, Guards
from headwater.identity.domain.clustering.linkage import Rules
from headwater.identity.domain.clustering.memory import Keyed, Memory
from headwater.identity.domain.clustering.sharing import shared_values
from headwater.identity.domain.clustering.stream import Stream
from headwater.identity.domain.clustering.tiers import Merging
from headwater.identity.domain.normalising import keys_of, normalise
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.priors import shipped
from headwater.identity.domain.scoring.scores import score_bits
from headwater.identity.domain.scoring.taking_apart import parts_of

HOUSE: dict[str, str] = {"phone": "+17027917111", "street": "3400 Harbour Rd", "city": "Portsmouth"}


def account(**fields: str) -> Parts:
    return parts_of(normalise("account", fields))


def billed(system: str, own_id: str) -> Parts:
    return parts_of(normalise("account", {"name": "Acorn"}), {system: own_id})


def refusal(ours: Parts, theirs: Parts) -> str:
    return Guards({"a": ours, "b": theirs}, Rules())(("a",), ("b",))


def test_organisations_in_one_house_on_one_line_stay_apart() -> None:
    """A line and a house say where an organisation is, not which one it is."""
    assert refusal(account(name="Mikado", **HOUSE), account(name="Quayside Bistro", **HOUSE)) == NAME
    assert refusal(account(name="Mikado", **HOUSE), account(name="Mikado Restaurant", **HOUSE)) == ""


def test_renamed_organisation_with_its_domain_is_not_kept_apart() -> None:
    """What says which organisation it is outweighs its name."""
    web = "https://acornfreight.io"
    assert refusal(account(name="Mikado", website=web), account(name="Brindle", website=web)) == ""


def test_two_numbers_of_one_authority_keep_organisations_apart() -> None:
    """A register gives an organisation one number, whatever its name."""
    one, other = account(name="Acorn", duns="150483782"), account(name="Acorn", duns="972640315")
    assert refusal(one, other) == OFFICIAL_ID
    assert refusal(one, account(name="Acorn", duns="150483782")) == ""


def test_two_ids_of_a_system_that_holds_each_once_keep_apart() -> None:
    """Where a system holds each thing once, its ids are never a slip."""
    one = billed("billing", "A-10001")
    assert refusal(one, billed("billing", "A-10002")) == OFFICIAL_ID
    assert refusal(one, billed("shop", "A-10002")) == ""


def test_number_that_a_person_typed_forbids_a_merge_but_no_link() -> None:
    """A person's number from the wrong card must not tear an entity apart, nor may it be merged away."""
    one, other = (
        parts_of(normalise("contact", {"last_name": "Orbeli", "national_id": number}))
        for number in ("83150274", "19640273")
    )
    assert conflict(one, other)
    assert refusal(one, other) == ""


def test_number_that_differs_by_a_slip_is_no_conflict() -> None:
    """One digit may be a slip of the hand."""
    assert not conflict(account(duns="150483782"), account(duns="150483702"))


def test_domain_of_a_group_of_companies_turns_generic() -> None:
    """Several organisations on one domain: it tells nothing of two of them any more."""
    web = "https://acorngroup.io"
    names = ("Acorn Freight", "Brindle Foods", "Cobalt Mining")
    accounts = [account(name=name, website=web) for name in names]
    assert shared_values(accounts) == {"acorngroup.io"}
    assert shared_values(accounts[:2]) == frozenset()
    weights = shipped("account")
    told = score_bits(accounts[0], accounts[1], weights)
    assert score_bits(accounts[0], accounts[1], weights, {"acorngroup.io"}) < told


def test_domain_that_turns_generic_lets_go_of_what_it_joined() -> None:
    """Organisations that only the group's domain joined come apart when it turns generic."""
    stream = Stream(Memory(shipped("account", 500), Rules()))
    sizes = []
    for name in ("Acorn Freight", "Brindle Foods", "Cobalt Mining"):
        normal = normalise("account", {"name": name, "website": "https://acorngroup.io", **HOUSE})
        keys = keys_of(normal)
        hashes = tuple(key.hash for key in (*keys.strong, *keys.weak))
        stream.resolve(Keyed(name, parts_of(normal), hashes))
        sizes.append(sorted(map(len, stream.groups())))
    assert sizes == [[1], [2], [1, 1, 1]]


def test_merge_of_organisations_needs_a_fitting_name() -> None:
    """Two restaurants of one hotel share line and house; they are linked at most."""
    people = {
        "cafe": account(name="Grandview Cafe", **HOUSE),
        "grill": account(name="Grandview Grill", **HOUSE),
        "again": account(name="Cafe Grandview", **HOUSE),
    }
    merging = Merging(people, frozenset())
    assert merging.allows("cafe", "again", 20.0)
    assert not merging.allows("cafe", "grill", 20.0)


@pytest.mark.parametrize(
    ("ours", "theirs", "city", "fit"),
    [
        ("Nanjing University", "Nanjing Technical University of Posts", "Nanjing", False),
        ("Zhengzhou University", "Zhengzhou University", "Zhengzhou", True),
        ("Le Chardonnay", "Le Chardonnay Los Angeles", "Los Angeles", True),
        ("Katsu", "Restaurant Katsu", "", True),
    ],
)
def test_name_within_another_must_say_more_than_the_city(
    ours: str, theirs: str, city: str, *, fit: bool
) -> None:
    """What is left of the shorter name without city and common words decides."""
    one, other = account(name=ours, city=city), account(name=theirs, city=city)
    assert organisations_fit(one, other) is fit


NAMES = ("Nanjing University", "University Nanjing Tech", "Katsu", "Restaurant Katsu", "Acorn", "Acorn Grill")
ACCOUNTS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "city": st.sampled_from(["Nanjing", "Portsmouth", ""]),
        "phone": st.sampled_from(["+17027917111", "+17027917112", ""]),
        "website": st.sampled_from(["https://acorngroup.io", "https://katsu.io", ""]),
        "duns": st.sampled_from(["150483782", "972640315", ""]),
    }
)


@given(ACCOUNTS, ACCOUNTS, st.sampled_from([frozenset[str](), frozenset({"acorngroup.io", "+17027917111"})]))
@settings(max_examples=300, deadline=None)
def test_organisations_compare_alike_both_ways_round(
    ours: dict[str, str], theirs: dict[str, str], shared: frozenset[str]
) -> None:
    """Score and guards do not depend on which record is named first."""
    one, other = account(**ours), account(**theirs)
    weights = shipped("account")
    assert score_bits(one, other, weights, shared) == score_bits(other, one, weights, shared)
    assert refusal(one, other) == refusal(other, one)
