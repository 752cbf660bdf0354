"""People as normalised parts, for the tests of scoring and clustering."""

from __future__ import annotations

from hypothesis import strategies as st

from headwater.identity.domain.clustering.memory import Keyed
from headwater.identity.domain.normalising import keys_of, normalise
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.taking_apart import parts_of

GIVEN = ("Kaya", "Kay", "Mirela", "M.", "Tovik", "Tovki", "Kaya Lin", "")
FAMILY = ("Orbeli", "Orbelli", "Santanov", "Brack-Orbeli", "Kaya", "")
EMAIL = ("kaya.orbeli@acorn.test", "k.orbeli2@acorn.test", "kaya77@gmail.com", "info@acorn.test", "")
PHONE = ("+12125550147", "+12125550148", "+442079460011", "")
LINKEDIN = ("linkedin.com/in/kaya-orbeli-1", "linkedin.com/in/kaya-orbeli-2", "", "")
COMPANY = ("Acorn Freight Ltd", "Acorn Freight", "Brindle Foods", "")
CITY = ("London", "Paris", "")
TITLE = ("Buyer", "Head of Freight", "", "")
STREET = ("4 Mill Lane", "9 Quay Road", "", "")

FIELDS = st.fixed_dictionaries(
    {
        "first_name": st.sampled_from(GIVEN),
        "last_name": st.sampled_from(FAMILY),
        "email": st.sampled_from(EMAIL),
        "phone": st.sampled_from(PHONE),
        "linkedin_url": st.sampled_from(LINKEDIN),
        "company": st.sampled_from(COMPANY),
        "city": st.sampled_from(CITY),
        "title": st.sampled_from(TITLE),
        "street": st.sampled_from(STREET),
    }
)
"""Fields of a contact, drawn so that many pairs share something."""


def parts(**fields: str) -> Parts:
    """Return the parts of a contact."""
    return parts_of(normalise("contact", {name: value for name, value in fields.items() if value}))


def keyed(record_id: str, **fields: str) -> Keyed:
    """Return a contact with its keys."""
    normal = normalise("contact", {name: value for name, value in fields.items() if value})
    keys = keys_of(normal)
    return Keyed(record_id, parts_of(normal), tuple(key.hash for key in (*keys.strong, *keys.weak)))
