"""Values in one spelling: what each rule does, that doing it twice changes nothing, and that what was said is kept."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.kernel.errors import FieldViolation
from headwater.policy.contract import compile_contract
from headwater.policy.document import PolicyDocument
from headwater.policy.inbound import canonicalise
from headwater.policy.loading import load_policy
from headwater.policy.normalising.mail import suggestion
from headwater.policy.normalising.rules import RULES, NormaliseRule

POLICY: Final = """\
format: headwater/v1
version: "1"
systems:
  crm:
    layer: record
    owner: sales ops
    backup: rev ops
    runbook: docs/crm
    inbound:
      contact:
        fields: {email: email, phone: phone, first: first_name, last: last_name, company: company, country: country,
          state: state, zip: postal_code, industry: industry, revenue: revenue, site: website, born: born}
objects:
  contact:
    consistent: [[state, country], [postal_code, country]]
    fields:
      email: {type: email, owners: [crm], rule: source_priority, normalise: [email, plus_alias], refuse_personal_mail: true}
      phone: {type: phone, owners: [crm], rule: source_priority, normalise: [e164], country_field: country, format: e164}
      first_name: {type: text, owners: [crm], rule: source_priority, normalise: [person_name]}
      last_name: {type: text, owners: [crm], rule: source_priority, normalise: [person_name], chars_max: 20}
      company: {type: text, owners: [crm], rule: source_priority, normalise: [company]}
      country: {type: text, owners: [crm], rule: source_priority, normalise: [country_code], format: country}
      state: {type: text, owners: [crm], rule: source_priority, normalise: [state_code], country_field: country, format: state}
      postal_code: {type: text, owners: [crm], rule: source_priority, normalise: [postal_code], country_field: country,
        default_country: US, format: postal}
      industry: {type: picklist, owners: [crm], rule: source_priority, allowed: [software, finance],
        aliases: {IT: software, "Information Technology": software, banking: finance}}
      revenue: {type: number, owners: [crm], rule: source_priority, normalise: [amount], min: 0}
      website: {type: url, owners: [crm], rule: source_priority, normalise: [web_address]}
      born: {type: date, owners: [crm], rule: source_priority, normalise: [date_day_first]}
"""
DOCUMENT: Final[PolicyDocument] = load_policy(POLICY)


@pytest.mark.parametrize(
    ("rule", "said", "read"),
    [
        ("spaces", "  Ada   King ", "Ada King"),
        ("person_name", "MCDONALD", "McDonald"),
        ("person_name", "DE LA CRUZ", "de la Cruz"),
        ("person_name", "O'BRIEN-SMITH", "O'Brien-Smith"),
        ("person_name", "KING III", "King III"),
        ("person_name", "de la Cruz", "de la Cruz"),
        ("person_name", "bell hooks", "bell hooks"),
        ("person_name", "AJ", "AJ"),
        ("person_name", "MACKEY", "Mackey"),
        ("person_name", "ÖZDEMIR", "Özdemir"),
        ("company", "Acme, Inc.", "Acme"),
        ("company", "ACME Widgets GmbH & Co. KG", "ACME Widgets"),
        ("company", "Müller  Söhne AG", "Müller Söhne"),
        ("company", "Acme Pty. Ltd.", "Acme"),
        ("company", "Inc.", "Inc."),
        ("company", "Johnson & Johnson", "Johnson & Johnson"),
        ("company_match", "The Acme Company, L.L.C.", "acme"),
        ("company_match", "Müller & Söhne AG", "muller and sohne"),
        ("email", "Ada <mailto:Ada@Example.com>", "Ada@Example.com"),
        ("plus_alias", "ada+news@example.com", "ada@example.com"),
        ("country_code", "Deutschland", "DE"),
        ("country_code", "U.S.A.", "US"),
        ("country_code", "Atlantis", "Atlantis"),
        ("country_name", "gb", "United Kingdom"),
        ("web_address", "WWW.Example.com/", "https://www.example.com"),
        ("amount", "$1.2M", 1_200_000),
        ("amount", "1,5 Mio €", 1_500_000),
        ("amount", "€ 3.000.000,50", 3_000_000.5),
        ("amount", "USD 12k", 12_000),
        ("amount", "2.5 billion", 2_500_000_000),
        ("amount", "1,200", 1_200),
        ("amount", "1'200'000 CHF", 1_200_000),
        ("amount", "12,34,567", 1_234_567),
        ("amount", "-3.5", -3.5),
        ("amount", "about 5", "about 5"),
        ("amount", "5-10", "5-10"),
        ("date_day_first", "31.01.2026", "2026-01-31"),
        ("date_day_first", "3rd March 1999", "1999-03-03"),
        ("date_month_first", "01/31/26", "2026-01-31"),
        ("date_month_first", "Jan 31, 2026", "2026-01-31"),
        ("date_day_first", "2026-01-31", "2026-01-31"),
        ("date_day_first", "31/31/2026", "31/31/2026"),
    ],
)
def test_a_rule_brings_values_into_one_spelling(rule: NormaliseRule, said: str, read: Any) -> None:
    """What it cannot read it leaves as it is."""
    assert RULES[rule].read(said) == read


@pytest.mark.parametrize(
    ("rule", "said", "country", "read"),
    [
        ("e164", "030 901820", "DE", "+4930901820"),
        ("e164", "(415) 555-2671", "US", "+14155552671"),
        ("e164", "0044 20 7946 0958", "", "+442079460958"),
        ("e164", "030 901820", "", "030 901820"),
        ("e164", "12", "US", "12"),
        ("state_code", "new york", "US", "NY"),
        ("state_name", "NY", "US", "New York"),
        ("state_code", "Ontario", "CA", "ON"),
        ("state_code", "Bavaria", "DE", "Bavaria"),
        ("postal_code", "sw1a1aa", "GB", "SW1A 1AA"),
        ("postal_code", "1012ab", "NL", "1012 AB"),
        ("postal_code", "2139", "US", "02139"),
        ("postal_code", "941031234", "US", "94103-1234"),
        ("postal_code", "80 331", "DE", "80331"),
        ("postal_code", "nowhere", "US", "NOWHERE"),
    ],
)
def test_numbers_states_and_codes_are_read_in_their_country(
    rule: NormaliseRule, said: str, country: str, read: str
) -> None:
    """Without one only what names its own is read."""
    assert RULES[rule].read(said, country) == read


TYPED: Final = st.one_of(
    st.text(max_size=60),
    st.from_regex(r"[A-Z' .&-]{0,30}", fullmatch=True),
    st.from_regex(r"[-$€+]?[0-9][0-9., ']{0,12} ?(k|m|Mio|bn|USD)?", fullmatch=True),
    st.from_regex(r"\+?[0-9() -]{5,18}", fullmatch=True),
    st.from_regex(r"[a-z.+]{1,8}@[a-z]{1,8}\.(con|com|de)[>.]?", fullmatch=True),
    st.from_regex(
        r"(The )?[A-Z][a-z]{1,8},? (& )?(Co|Inc|GmbH|AG|Ltd|KG|L\.L\.C|and)\.?( KG| Co)?\.?", fullmatch=True
    ),
    st.sampled_from(
        ["Deutschland", "usa", "NY", "new york", "2139", "sw1a1aa", "1012ab", "3 Jan 2020", "31.1.70"]
    ),
)


@pytest.mark.parametrize("rule", list(RULES))
@given(said=TYPED, country=st.sampled_from(["", "US", "DE", "GB", "CA", "NL", "JP"]))
def test_a_rule_done_twice_changes_nothing(rule: NormaliseRule, said: str, country: str) -> None:
    """And none fails, whatever is typed."""
    item = RULES[rule]

    def read(value: Any) -> Any:
        return item.read(value, country) if item.asks_country else item.read(value)

    once = read(said)
    assert read(once) == once


SAID: Final = {
    "email": "Ada <ada+crm@acme.example.com>", "phone": "030 901820", "first": "ADA", "last": "DE LA CRUZ",
    "company": "Acme GmbH", "country": "Germany", "zip": "80 331", "industry": "information  technology",
    "revenue": "1,5 Mio €", "site": "WWW.Acme.example.com", "born": "31.12.1999",
}  # fmt: skip


def test_a_contact_is_read_in_one_spelling_and_what_was_said_is_kept() -> None:
    """Every field by its rules, the country told by its own field; the source's words beside each changed value."""
    record = canonicalise(DOCUMENT, "crm", "contact", SAID)
    assert record.violations == ()
    assert record.fields == {
        "email": "ada@acme.example.com", "phone": "+4930901820", "first_name": "ADA", "last_name": "de la Cruz",
        "company": "Acme", "country": "DE", "postal_code": "80331", "industry": "software", "revenue": 1_500_000.0,
        "website": "https://www.acme.example.com", "born": "1999-12-31",
    } | {"first_name": "Ada"}  # fmt: skip
    names = {"first": "first_name", "last": "last_name", "zip": "postal_code", "site": "website"}
    assert record.raw == {names.get(path, path): value for path, value in SAID.items()}
    again = {path: record.fields[names.get(path, path)] for path in SAID}
    assert canonicalise(DOCUMENT, "crm", "contact", again).fields == record.fields
    assert canonicalise(DOCUMENT, "crm", "contact", again).raw == {}


def broken(**fields: Any) -> set[str]:
    """Return the rules that a contact breaks."""
    violations: tuple[FieldViolation, ...] = canonicalise(DOCUMENT, "crm", "contact", fields).violations
    return {item.rule for item in violations}


def test_the_contract_judges_what_comes_out() -> None:
    """Consistency across fields, allowed values, private mail; what no rule can read is told as it is."""
    assert broken(state="Ontario", country="Canada", zip="m5v2t6") == set()
    assert broken(state="Ontario", country="USA") == {"consistent.state"}
    assert broken(zip="80331", country="Canada") == {"consistent.postal"}
    assert broken(industry="Banking") == set()
    assert broken(industry="Shoes") == {"allowed"}
    assert broken(email="me+x@gmail.com") == {"personal_mail"}
    assert broken(phone="030 901820", country="DE") == set()
    assert broken(phone="030 901820") == {"format.e164"}
    assert broken(revenue="-$5M") == {"min"}
    assert broken(revenue="a lot") == {"type.number"}


def test_a_value_that_would_grow_too_long_stays_as_it_is() -> None:
    """Rules lengthen nothing beyond what the field takes."""
    text = POLICY.replace(
        "normalise: [country_code], format: country", "normalise: [country_name], chars_max: 3"
    ).replace("    consistent: [[state, country], [postal_code, country]]\n", "")
    read = canonicalise(load_policy(text), "crm", "contact", {"country": "DE"}).fields
    assert read["country"] == "DE"


@given(
    payload=st.dictionaries(
        st.sampled_from([*SAID, "state"]),
        st.one_of(TYPED, st.sampled_from(list(SAID.values())), st.none(), st.integers(-5, 10**7)),
        max_size=6,
    )
)
def test_the_compiled_contract_never_lets_a_fault_through(payload: dict[str, Any]) -> None:
    """Where it says yes, the whole reading finds nothing; also without fields that hang on a country."""
    simple = load_policy(POLICY.replace(", country_field: country, format: e164", "").replace(
        "country_field: country, format: state", "default_country: US").replace(
        "default_country: US, format: postal", "default_country: US").replace(
        "    consistent: [[state, country], [postal_code, country]]\n", ""))  # fmt: skip
    keeps = compile_contract(simple, "crm", "contact")
    assert keeps is not None
    if keeps(payload):
        assert canonicalise(simple, "crm", "contact", payload).violations == ()
    assert compile_contract(DOCUMENT, "crm", "contact") is None


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("ada@gmial.com", "ada@gmail.com"),
        ("ada@hotmail.con", "ada@hotmail.com"),
        ("ada@acme.con", "ada@acme.com"),
        ("ada@gmail.com", ""),
        ("ada@mail.com", ""),
        ("ada@acme.example.com", ""),
    ],
)
def test_a_misspelt_domain_is_suggested_never_changed(address: str, meant: str) -> None:
    """The address stays as it was said; people are told what was probably meant."""
    assert suggestion(address) == meant
    assert RULES["plus_alias"].read(address) == address
