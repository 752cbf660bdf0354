"""What an address, a number and a postal code say by themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.connectors.enriching_local.derive import GUESSED, Found, derive

PERSONAL = frozenset({"gmail.com"})


def said(**inputs: str) -> dict[str, object]:
    """Return the values without their confidence."""
    return {name: value for name, (value, _) in derive(inputs, PERSONAL).items()}


def test_a_company_is_behind_its_addresses() -> None:
    """By the registrable domain, whatever stands before it; its name is a guess."""
    found = derive({"email": "Jo.Doe+x@mail.acme-tools.co.uk"}, PERSONAL)
    assert found["company_domain"][0] == "acme-tools.co.uk"
    assert found["website"][0] == "https://acme-tools.co.uk"
    assert found["company"] == ("Acme Tools", GUESSED)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("a@gmail.com", "personal"),
        ("a@mailinator.com", "disposable"),
        ("info@sap.com", "role"),
        ("ada@sap.com", "business"),
    ],
)
def test_mailboxes_are_told_apart(address: str, kind: str) -> None:
    """Private and disposable ones say nothing of a company."""
    found = said(email=address)
    assert found["mail_kind"] == kind
    assert ("company_domain" in found) == (kind in {"role", "business"})


def test_a_number_tells_country_and_kind_of_line() -> None:
    """A national one by the country given, which is then not told back."""
    mobile = said(phone="+49 151 12345678")
    assert (mobile["phone_country"], mobile["country"], mobile["phone_type"]) == ("DE", "DE", "mobile")
    fixed = said(phone="030 901820", country="Germany")
    assert (fixed["phone_e164"], fixed["phone_type"], fixed["phone_area"]) == (
        "+4930901820",
        "fixed_line",
        "Berlin",
    )
    assert "country" not in fixed
    assert said(phone="030 901820") == said(phone="12") == {}


@pytest.mark.parametrize(
    ("code", "country", "region"),
    [
        ("94103", "USA", "California"),
        ("M5V 2T6", "CA", "Ontario"),
        ("28001", "Spain", "Madrid"),
        ("10115", "DE", None),
    ],
)
def test_a_postal_code_lies_in_a_state(code: str, country: str, region: str | None) -> None:
    """Where the country has such a rule; a code without a country lies nowhere."""
    assert said(postal_code=code, country=country).get("region") == region
    assert said(postal_code=code) == {}


@given(
    st.dictionaries(
        st.sampled_from(["email", "phone", "country", "postal_code"]), st.text(max_size=40), min_size=1
    )
)
def test_nothing_that_is_typed_fails(inputs: dict[str, str]) -> None:
    """Whatever it is, there is an answer, and every confidence is a share."""
    found: Found = derive(inputs, PERSONAL)
    assert all(0 < confidence <= 1 and value for value, confidence in found.values())
