"""Hashed keys: what names somebody, what only brings candidates together, and what does neither."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from headwater.identity.domain.normalising import (
    EXCLUSIVE,
    NORMALISATION_VERSION,
    HashedKey,
    external_key,
    hash_of,
    keys_of,
    normalise,
)
from headwater.identity.domain.normalising.keys import rarest, skeleton

PERSON = {
    "first_name": "Robert",
    "last_name": "Müller",
    "email": "robert.muller@firm.io",
    "phone": "+12125557812",
    "company": "Firm Motors Inc.",
    "city": "New York",
}


def shared(ours: dict[str, str], theirs: dict[str, str], object_name: str = "contact") -> set[str]:
    """Return the kinds of the keys that two records have in common."""
    left, right = keys_of(normalise(object_name, ours)), keys_of(normalise(object_name, theirs))
    return {key.kind for key in (*left.strong, *left.weak) if key in (*right.strong, *right.weak)}


def test_a_hash_is_the_first_eight_bytes_of_blake2b_of_kind_and_value() -> None:
    """Another program can compute it."""
    wanted = int.from_bytes(blake2b(b"email|ann@firm.io", digest_size=8).digest(), "big", signed=True)
    assert hash_of("email", "ann@firm.io") == wanted
    (key,) = keys_of(normalise("contact", {"email": "Ann@Firm.io"})).strong
    assert key == HashedKey("email", wanted, "ann@firm.io")


def test_keys_carry_the_version_of_the_rules() -> None:
    """What was hashed under older rules can be told apart."""
    assert keys_of(normalise("contact", PERSON)).version == NORMALISATION_VERSION


def test_strong_keys_name_the_person_strongest_first() -> None:
    """Page, official number, mailbox, phone."""
    fields = {**PERSON, "linkedin_url": "linkedin.com/in/rm", "tax_id": "12-345-678"}
    found = keys_of(normalise("contact", fields)).strong
    assert [(key.kind, key.value) for key in found] == [
        ("linkedin", "in/rm"),
        ("official_id", "tax:12345678"),
        ("email", "robert.muller@firm.io"),
        ("phone", "+12125557812"),
    ]


@pytest.mark.parametrize(
    "generic",
    [
        {"email": "info@firm.io"},
        {"email": "sales.uk@firm.io"},
        {"email": "ann@mailinator.com"},
        {"email": "test@test.com"},
        {"phone": "111-111-1111"},
        {"phone": "123456789"},
        {"website": "gmail.com"},
        {"website": "https://facebook.com/acme"},
        {"tax_id": "000000000"},
    ],
)
@pytest.mark.parametrize("object_name", ["contact", "account"])
def test_what_strangers_share_is_no_strong_key(object_name: str, generic: dict[str, str]) -> None:
    """Posts, throw-away and free mail, placeholders: none names anybody."""
    strong = keys_of(normalise(object_name, generic)).strong
    assert [key for key in strong if key.kind != "domain" or object_name == "contact"] == []


def test_a_free_mail_domain_is_no_key_of_an_account() -> None:
    """An account whose only address is free mail has no domain."""
    assert keys_of(normalise("account", {"name": "Acme", "email": "acme@gmail.com"})).strong == ()


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"last_name": "Mueller"}, {"names", "family_domain", "sound_domain"}),
        ({"first_name": "Bob"}, {"names", "family_company"}),
        ({"first_name": "Müller", "last_name": "Robert"}, {"names", "names_sound"}),
        ({"last_name": "Muler"}, {"names_sound", "given_company", "sound_domain"}),
        ({"company": "The Firm Motors"}, {"family_company", "given_company"}),
        ({"email": "robert.muller@gmail.com"}, {"mailbox", "names"}),
        ({"phone": "+44 212 555 7812"}, {"phone_tail", "names"}),
    ],
)
def test_a_slip_leaves_keys_in_common(change: dict[str, str], kinds: set[str]) -> None:
    """Umlauts, nicknames, swaps, typos, other mail and other country codes still meet."""
    assert kinds <= shared(PERSON, {**PERSON, **change})


def test_a_lead_finds_its_contact() -> None:
    """Kinds mean the same for both."""
    ours, theirs = keys_of(normalise("lead", PERSON)), keys_of(normalise("contact", PERSON))
    assert ours == theirs


def test_strangers_have_nothing_in_common() -> None:
    """Two people of one free-mail provider and one city share no key."""
    other = {"first_name": "Nora", "last_name": "Keller", "email": "nora@gmail.com", "city": "New York"}
    assert shared({**PERSON, "email": "rob@gmail.com"}, other) == set()


@pytest.mark.parametrize(
    ("ours", "theirs", "kinds"),
    [
        ({"name": "Acme Motors GmbH"}, {"name": "ACME MOTORS"}, {"company", "company_words"}),
        ({"name": "Motors of Acme"}, {"name": "Acme Motors"}, {"company_words"}),
        ({"name": "Acme", "website": "acme.de"}, {"name": "X", "domain": "www.acme.de"}, {"domain"}),
        (
            {"name": "Aqua", "street": "12 Main Street", "postcode": "10001"},
            {"name": "Zebra", "street": "12 Main St", "postcode": "10001-1234"},
            {"number_postcode", "street"},
        ),
    ],
)
def test_accounts_meet_by_domain_name_and_address(
    ours: dict[str, str], theirs: dict[str, str], kinds: set[str]
) -> None:
    """Legal forms, order of words and spellings of streets do not part them."""
    assert kinds <= shared(ours, theirs, "account")


def test_a_records_own_id_is_an_exclusive_key_of_its_source() -> None:
    """The same id in another source is another key."""
    assert external_key("crm", "1") != external_key("billing", "1")
    assert external_key("crm", "1").kind in EXCLUSIVE


def test_what_couples_share_is_not_exclusive() -> None:
    """A mailbox and a phone may stand in two entities."""
    assert not {"email", "phone", "domain"} & EXCLUSIVE


def test_the_rarest_words_are_uncommon_and_long() -> None:
    """Words that many companies have come last."""
    assert rarest("global zebra of brightwater tech") == ["brightwater", "zebra"]


def test_a_skeleton_joins_spellings_of_umlauts() -> None:
    """Both ways of writing them come to one."""
    assert skeleton("mueller") == skeleton("muller") == "muller"
    assert skeleton("van der berg") == "vanderberg"
