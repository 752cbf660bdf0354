"""Rules: each one is named, seen to change what it says, and cited by an explanation."""

from __future__ import annotations

import pytest

from headwater.identity.domain.normalising import RULES, changes_of, normalise

CASES = [
    ("address.city_name", {"city": "München"}, "munich"),
    ("address.country_name", {"country": "Deutschland"}, "DE"),
    ("address.number", {"street": "Hauptstraße 12a"}, "12a"),
    ("address.postcode", {"postcode": "12345-6789"}, "12345"),
    ("address.state_name", {"state": "California"}, "ca"),
    ("address.street_kind", {"street": "1 West Avenue"}, "w ave"),
    ("address.unit", {"street": "1 Main St, Apt 4b"}, "apt 4b"),
    ("company.abbreviation", {"company": "Acme Technologies"}, "acme tech"),
    ("company.affiliation", {"affiliation": "Chair of Law, Acme College, Bath, UK"}, "Acme College"),
    ("company.ampersand", {"company": "Lee & Sons"}, "lee and sons"),
    ("company.article", {"company": "The Acme"}, "acme"),
    ("company.initials", {"company": "A.B.C. Motors"}, "abc motors"),
    ("company.legal_form", {"company": "Acme GmbH & Co. KG"}, "acme"),
    ("company.placeholder", {"company": "N/A"}, ""),
    ("date.form", {"birth_date": "31.12.1980"}, "1980-12-31"),
    ("date.placeholder", {"birth_date": "1900-01-01"}, ""),
    ("domain.registrable", {"website": "https://shop.acme.co.uk/x"}, "acme.co.uk"),
    ("domain.shared_host", {"website": "facebook.com/acme"}, ""),
    ("email.case", {"email": "Ann@Firm.io"}, "ann@firm.io"),
    ("email.display_name", {"email": "Ann Lee <ann@firm.io>"}, "ann@firm.io"),
    ("email.disposable_address", {"email": "ann@mailinator.com"}, ""),
    ("email.domain_alias", {"email": "ann@googlemail.com"}, "ann@gmail.com"),
    ("email.domain_typo", {"email": "ann@gmial.com"}, "gmail.com"),
    ("email.gmail_dots", {"email": "a.lee@gmail.com"}, "alee@gmail.com"),
    ("email.idna", {"email": "ann@münchen.de"}, "xn--mnchen-3ya.de"),
    ("email.placeholder", {"email": "test@test.com"}, ""),
    ("email.plus_alias", {"email": "ann+crm@firm.io"}, "ann@firm.io"),
    ("email.provider_letters", {"email": "a-n.n@proton.me"}, "ann@proton.me"),
    ("email.role_address", {"email": "info@firm.io"}, ""),
    ("linkedin.old_path", {"linkedin_url": "linkedin.com/pub/ann-lee/4/38b/a5"}, "in/ann-lee-0a538b4"),
    ("linkedin.path", {"linkedin_url": "https://de.linkedin.com/in/Ann-Lee/"}, "in/ann-lee"),
    ("name.capitals", {"name": "LEE Ann"}, "LEE"),
    ("name.comma", {"name": "Lee, Ann"}, "Ann Lee"),
    ("name.degree", {"last_name": "Lee PhD"}, "lee"),
    ("name.fold", {"first_name": "José"}, "jose"),
    ("name.full", {"name": "Ann Lee"}, "Lee"),
    ("name.generation", {"last_name": "Lee Jr."}, "lee"),
    ("name.han_order", {"name": "王伟"}, "伟 王"),
    ("name.particle", {"name": "Ann van der Berg"}, "van der Berg"),
    ("name.placeholder", {"first_name": "Test"}, ""),
    ("name.repeated", {"first_name": "Ann Lee", "last_name": "Ann Lee"}, "lee"),
    ("name.title", {"first_name": "Dr. Ann"}, "ann"),
    ("name.transliteration", {"last_name": "Петров"}, "petrov"),
    ("official_id.form", {"tax_id": "12-345.678"}, "12345678"),
    ("phone.e164", {"phone": "(212) 555-7812"}, "+12125557812"),
    ("phone.extension", {"phone": "(212) 555-7812 ext. 9"}, "9"),
    ("phone.international_prefix", {"phone": "0049 30 39345145"}, "+49 30 39345145"),
    ("phone.placeholder", {"phone": "000-000-0000"}, ""),
    ("title.abbreviation", {"title": "VP Sales"}, "vice president sales"),
    ("title.placeholder", {"title": "Unknown"}, ""),
]


@pytest.mark.parametrize(("rule", "fields", "after"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_is_cited_with_what_it_made_of_the_value(
    rule: str, fields: dict[str, str], after: str
) -> None:
    """The explanation names the rule and the value behind it."""
    found = changes_of(normalise("contact", fields))
    assert (rule, after) in {(change.rule, change.after) for change in found}


def test_every_rule_has_a_case_and_every_case_a_rule() -> None:
    """No rule is listed that nobody has seen work."""
    assert {case[0] for case in CASES} == set(RULES)


def test_a_change_names_the_field_that_was_read() -> None:
    """Of several mailboxes the explanation says which one."""
    found = changes_of(normalise("lead", {"email": "ann@firm.io", "work_email": "ANN@other.io"}))
    assert [(change.field, change.rule) for change in found] == [("work_email", "email.case")]


def test_a_record_in_its_one_form_has_nothing_to_explain() -> None:
    """Values that no rule touches cite none."""
    fields = {"first_name": "ann", "last_name": "lee", "email": "ann@firm.io", "company": "acme motors"}
    assert changes_of(normalise("contact", fields)) == ()
