"""The rules of normalisation by name, their version, and how a change is noted. Pure.

A name is stable once released: explanations cite it and people learn it. Must not hold a rule's code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

NORMALISATION_VERSION: Final = 2
"""Stored with the keys; goes up when a rule or a table changes what any value becomes.

2: names that are also placeholders (Na, Null, Last, Sales) count beside a name; titles that say no job do not.
"""


class Change(NamedTuple):
    """What a rule did to a value.

    Args:
        field: canonical field of the record.
        rule: name in `RULES`.
        after: empty when the value was left out.
    """

    field: str
    rule: str
    before: str
    after: str


Note = Callable[[str, str, str], None]
"""Hears of each rule that changed something: name, value before, value after."""


def unheard(_rule: str, _before: str, _after: str) -> None:
    """Hear and forget: what normalising costs when nobody asks why."""


RULES: Final[Mapping[str, str]] = {
    "address.city_name": "A city has one name in all languages.",
    "address.country_name": "A country is its two-letter code.",
    "address.number": "The house number stands apart from the street.",
    "address.postcode": "A postal code has no spaces, and of US ones the first five digits count.",
    "address.state_name": "A state of the US, Canada or Australia is its code.",
    "address.street_kind": "Kinds of street and points of the compass have one spelling.",
    "address.unit": "Flat, suite and floor stand apart from the street.",
    "company.abbreviation": "Words that are often cut short have one short spelling.",
    "company.affiliation": "Of a long affiliation the institution counts, not its department.",
    "company.ampersand": "`&` reads `and`.",
    "company.article": "A leading `the` does not count.",
    "company.initials": "Letters in a row read as one word.",
    "company.legal_form": "The legal form stands apart from the name.",
    "company.placeholder": "Words that stand for no name are no name.",
    "date.form": "A date of birth is a year, a month and a day.",
    "date.placeholder": "Days that systems fill in are no date of birth.",
    "domain.registrable": "A host counts as the domain that was registered.",
    "domain.shared_host": "A domain that strangers share names no organisation.",
    "email.case": "Case does not count.",
    "email.disposable_address": "A mailbox to throw away names nobody.",
    "email.display_name": "The name beside an address is not part of it.",
    "email.domain_alias": "Domains of one provider that reach one mailbox are one.",
    "email.domain_typo": "A misspelt large provider is that provider.",
    "email.gmail_dots": "Gmail ignores dots.",
    "email.idna": "A domain in other letters is its ASCII form.",
    "email.placeholder": "Addresses that are typed to pass a required field are none.",
    "email.plus_alias": "What follows a plus sign is an alias of one mailbox.",
    "email.provider_letters": "Letters that the provider ignores do not count.",
    "email.role_address": "A post's mailbox names no single person.",
    "linkedin.old_path": "An old public path is the profile that it became.",
    "linkedin.path": "Of a page only kind and slug count.",
    "name.capitals": "In a full name the word in capitals is the family name.",
    "name.comma": "`Last, First` is read in that order.",
    "name.degree": "Letters behind a name do not count.",
    "name.fold": "Case, marks and punctuation do not count.",
    "name.full": "A full name is parted into given and family name.",
    "name.generation": "Jr., Sr. and numbers stand apart from the name.",
    "name.han_order": "In Chinese and Korean letters the family name comes first.",
    "name.particle": "`van der` and its like belong to the family name.",
    "name.placeholder": "Words that stand for no name are no name, but for those that people have, beside a name.",
    "name.repeated": "A name that stands in both fields counts once.",
    "name.title": "A form of address does not count.",
    "name.transliteration": "Letters that are not Latin are written in Latin ones.",
    "official_id.form": "An official number is its letters and digits.",
    "phone.e164": "A number is written with its country code.",
    "phone.extension": "An extension stands apart from the number.",
    "phone.international_prefix": "`00` before a country code reads `+`.",
    "phone.placeholder": "Two digits or fewer in all, or a counting sequence, are no number.",
    "title.abbreviation": "Words of a job title have one spelling.",
    "title.placeholder": "Words that stand for no job are no title.",
}
"""What each rule says, in one sentence."""
