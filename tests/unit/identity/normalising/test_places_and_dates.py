"""Addresses and dates of birth: known cases."""

from __future__ import annotations

import pytest

from headwater.identity.domain.normalising.dates import read_birth_date
from headwater.identity.domain.normalising.places import RawAddress, read_address


@pytest.mark.parametrize(
    ("raw", "region", "wanted"),
    [
        ("1980-12-31", "US", ("1980-12-31", "")),
        ("19801231", "US", ("1980-12-31", "")),
        ("03/04/1980", "US", ("1980-03-04", "1980-04-03")),
        ("03/04/1980", "GB", ("1980-04-03", "1980-03-04")),
        ("31/12/1980", "US", ("1980-12-31", "")),
        ("4. März 1980", "DE", ("1980-03-04", "1980-04-03")),
        ("March 4th, 1980", "US", ("1980-03-04", "1980-04-03")),
        ("30.02.1980", "DE", None),
        ("1900-01-01", "US", None),
        ("yesterday", "US", None),
    ],
)
def test_a_date_of_birth_is_read_as_its_region_writes_it(
    raw: str, region: str, wanted: tuple[str, str] | None
) -> None:
    """The other reading is kept where it is a day too; fillers and nonsense are no date."""
    assert read_birth_date(raw, region) == wanted


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (RawAddress("12 West Main Street, Apt 4b"), ("12", "w main st", "apt 4b", "", "", "", "")),
        (RawAddress("Hauptstraße 12a", city="Köln"), ("12a", "hauptstr", "", "cologne", "", "", "")),
        (
            RawAddress(state="California", postcode="94103-1234", country="usa"),
            ("", "", "", "", "ca", "94103", "US"),
        ),
        (RawAddress(postcode="SW1A 1AA", country="England"), ("", "", "", "", "", "sw1a1aa", "GB")),
    ],
)
def test_an_address_is_parted(raw: RawAddress, wanted: tuple[str, ...]) -> None:
    """House number, street, unit and place, each in one spelling."""
    assert read_address(raw) == wanted
