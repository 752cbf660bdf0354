"""What a record says once it is normalised: values only. Must not hold a rule.

Text parts are folded (lower case, Latin letters without marks, one space between words) unless they say
otherwise; what is not known is empty. Every value is bounded by `text.VALUE_CHARS_MAX`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import msgspec

LinkedInKind = Literal["in", "company"]


class Email(NamedTuple):
    """A mailbox.

    Args:
        address: in its one form, the key: `local@domain`, lower case, aliases and ignored letters gone.
        domain: of that form.
        blocked_by: why it names no single person (`role_address`, `disposable_address`), or empty.
        free: anyone may have a mailbox at this domain.
        written: as the record has it, lower case, without display name.
        suggestion: what was probably meant, where the domain looks misspelt; empty where it does not.
    """

    address: str
    domain: str
    blocked_by: str
    free: bool
    written: str
    suggestion: str

    @property
    def local(self) -> str:
        """The part before the at sign, of the one form."""
        return self.address.rpartition("@")[0]


class Phone(NamedTuple):
    """A phone number.

    Args:
        e164: `+` and digits, the key.
        extension: digits behind it; never part of the key.
        region: two letters, where it was read; empty when its country code said it.
    """

    e164: str
    extension: str = ""
    region: str = ""


class LinkedIn(NamedTuple):
    """A page at LinkedIn.

    Args:
        path: `in/slug` of a person, `company/slug` of an organisation (schools and showcases too).
        opaque: the slug is an id that stands beside the readable one: a different one is no conflict.
    """

    kind: LinkedInKind
    path: str
    opaque: bool = False


class Website(NamedTuple):
    """A web address.

    Args:
        host: lower case, without `www`.
        domain: that was registered; empty when strangers share it.
    """

    host: str
    domain: str


class PersonName(NamedTuple):
    """A person's name; parts that are not known are empty."""

    given: str = ""
    """All given names, in order; may be initials."""
    family: str = ""
    generation: str = ""
    """`jr`, `sr`, `ii`, … kept apart."""


class Company(NamedTuple):
    """An organisation's name.

    Args:
        name: folded, as written.
        key: without article and legal form, abbreviations in one spelling; never empty while name is not.
        form: its legal form in one spelling (`gmbh`, `llc`), or empty.
    """

    name: str = ""
    key: str = ""
    form: str = ""


class Address(NamedTuple):
    """A postal address.

    Args:
        number: of the house, with its letter.
        street: without number and unit, kinds of street in one spelling.
        state: the code where it is known (`ny`), else folded.
        postcode: lower case without spaces; of US ones the first five digits.
        country: ISO 3166, upper case.
    """

    number: str = ""
    street: str = ""
    unit: str = ""
    city: str = ""
    state: str = ""
    postcode: str = ""
    country: str = ""


class BirthDate(NamedTuple):
    """A date of birth.

    Args:
        iso: `YYYY-MM-DD`.
        other: the same digits with day and month the other way, where both readings are days; else empty.
    """

    iso: str
    other: str = ""


NO_NAME: Final = PersonName()
NO_COMPANY: Final = Company()
NO_ADDRESS: Final = Address()


class Normal(msgspec.Struct, frozen=True, gc=False):
    """A record, normalised.

    Args:
        object: canonical name of the object; for those without rules all else is empty.
        emails: in the order of their fields, each once, `EMAILS_MAX` at the most; so are phones.
        linkedin: page of the person, or of the account itself.
        company_page: LinkedIn page of a person's company.
        domain: of the organisation: from a mailbox that is not free, else from the website.
        titles: forms of address and degrees that stood about the name.
        official_ids: numbers that an authority gave, `kind:value`.
        region: two letters that numbers and dates were read in.
        fields: the raw record, for explanations.
    """

    object: str
    name: PersonName = NO_NAME
    titles: tuple[str, ...] = ()
    emails: tuple[Email, ...] = ()
    phones: tuple[Phone, ...] = ()
    linkedin: LinkedIn | None = None
    company_page: LinkedIn | None = None
    website: Website | None = None
    domain: str = ""
    company: Company = NO_COMPANY
    address: Address = NO_ADDRESS
    job_title: str = ""
    birth_date: BirthDate | None = None
    official_ids: tuple[str, ...] = ()
    region: str = ""
    fields: Mapping[str, str] = {}
