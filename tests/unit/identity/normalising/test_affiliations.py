"""Long affiliations: the institution is what counts."""

from __future__ import annotations

import pytest

from headwater.identity.domain.normalising import changes_of, normalise
from headwater.identity.domain.normalising.affiliations import NO_AFFILIATION, read_affiliation


@pytest.mark.parametrize(
    ("text", "institution", "place"),
    [
        (
            "Department of Physics, Faculty of Science, University of Utrecht, 3508 TA Utrecht, Netherlands",
            "University of Utrecht",
            "TA Utrecht",
        ),
        ("School of Management, Zhengzhou University, Zhengzhou, China", "Zhengzhou University", "Zhengzhou"),
        ("Charité Hospital, Department of Surgery, Berlin, Germany", "Charité Hospital", "Berlin"),
        ("Institute of Soil, Academy of Sciences, Ukraine", "Academy of Sciences", ""),
    ],
)
def test_institution_and_city_of_an_affiliation(text: str, institution: str, place: str) -> None:
    """The outermost institution counts; the place behind it when a country follows."""
    assert read_affiliation(text) == (institution, place)


@pytest.mark.parametrize("text", ["Acorn Freight, Inc.", "Brindle, Orbeli & Sons, Lawyers", "Acorn", ""])
def test_name_of_a_company_is_no_affiliation(text: str) -> None:
    """Commas alone make no affiliation."""
    assert read_affiliation(text) == NO_AFFILIATION


def test_account_is_its_institution_and_tells_why() -> None:
    """The key is the institution's, the city stands in the address, and the rule is named."""
    text = "School of Management, Zhengzhou University, Zhengzhou, China"
    normal = normalise("account", {"affiliation": text})
    assert normal.company.key == "zhengzhou univ"
    assert normal.address.city == "zhengzhou"
    assert "company.affiliation" in {change.rule for change in changes_of(normal)}


def test_city_field_outweighs_the_affiliation() -> None:
    """What a field of its own says is not guessed from a text."""
    text = "School of Management, Zhengzhou University, Zhengzhou, China"
    assert normalise("account", {"affiliation": text, "city": "Luoyang"}).address.city == "luoyang"
