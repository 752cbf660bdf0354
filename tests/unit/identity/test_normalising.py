"""Normalising of addresses, numbers and names: known cases, and that doing it twice changes nothing."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headwater.identity.domain.namesakes import are_strangers
from headwater.identity.domain.normalising.company import read_company
from headwater.identity.domain.normalising.email import read_email
from headwater.identity.domain.normalising.person import read_person
from headwater.identity.domain.normalising.phone import REGION_DEFAULT, read_phone
from headwater.identity.domain.normalising.places import country_of
from headwater.identity.domain.normalising.text import clean, fold
from headwater.identity.domain.normalising.values import NO_NAME, Email, PersonName
from headwater.identity.domain.normalising.web import organisation_domain, read_linkedin, registrable_domain


def _form_of(email: Email | None) -> tuple[str, str, str, bool] | None:
    return email and email[:4]


def normalise_company(raw: str) -> str:
    return read_company(raw).key


def normalise_phone(raw: str, region: str = REGION_DEFAULT) -> str | None:
    found = read_phone(raw, region)
    return found.e164 if found else None


def normalise_linkedin(raw: str) -> str | None:
    found = read_linkedin(raw)
    return found.path if found else None


PARTS = st.text(alphabet="abcxyzABC.éß'&- ", max_size=12)
MAIL_TEXT = st.text(alphabet="abz019.+-_@ <>GMgmailco", max_size=30)


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (" Ann.Lee+crm@GoogleMail.com ", "annlee@gmail.com"),
        ("ann.lee+x@firm.io", "ann.lee@firm.io"),
        ("ann@gmial.com", "ann@gmail.com"),
        ("Ann Lee <ann@firm.io>", "ann@firm.io"),
        ("mailto:ann@firm.io", "ann@firm.io"),
        ("test@test.com", None),
        ("noemail@firm.io", None),
        ("ann@localhost", None),
        ("ann@@firm.io", None),
        ("+only@firm.io", None),
        ("ann\x00@firm.io", None),
        ("a" * 250 + "@firm.io", None),
        ("", None),
    ],
)
def test_an_address_has_one_form(raw: str, wanted: str | None) -> None:
    """Case, alias, dots and known typos vanish; placeholders are no address."""
    found = read_email(raw)
    assert (found.address if found else None) == wanted


@pytest.mark.parametrize(
    ("raw", "blocked_by", "free"),
    [
        ("sales@firm.io", "role_address", False),
        ("ann@mailinator.com", "disposable_address", False),
        ("ann@gmx.de", "", True),
        ("ann@firm.io", "", False),
    ],
)
def test_an_address_says_what_kind_of_mailbox_it_is(raw: str, blocked_by: str, *, free: bool) -> None:
    """Posts and throw-away mailboxes are blocked, free mail is known."""
    found = read_email(raw)
    assert found is not None
    assert (found.blocked_by, found.free) == (blocked_by, free)


@given(MAIL_TEXT | st.emails())
def test_normalising_an_address_twice_changes_nothing(raw: str) -> None:
    """The one form is a fixed point."""
    once = read_email(raw)
    assert once is None or _form_of(read_email(once.address)) == _form_of(once)


@pytest.mark.parametrize(
    ("raw", "country", "wanted"),
    [
        ("(212) 555-7812", "", "+12125557812"),
        ("030 39345145", "Germany", "+493039345145"),
        ("0049 30 39345145", "de", "+493039345145"),
        ("5125189070 ext. 62", "US", "+15125189070"),
        ("+1 111 111 1111", "", None),
        ("123456789", "", None),
        ("N/A", "", None),
        ("12", "", None),
    ],
)
def test_a_number_is_read_in_its_country(raw: str, country: str, wanted: str | None) -> None:
    """E.164 without extension; placeholders are no number."""
    assert normalise_phone(raw, country_of(country) or REGION_DEFAULT) == wanted


@given(st.from_regex(r"\+?[0-9 ()-]{5,18}", fullmatch=True))
def test_normalising_a_number_twice_changes_nothing(raw: str) -> None:
    """E.164 reads the same in any country."""
    once = normalise_phone(raw, "DE")
    assert once is None or normalise_phone(once, "US") == once


@given(st.from_regex(r"\+(1|7|39|44|49|52|54|55|86|351|800|999)([ -]?[0-9]){5,13}", fullmatch=True))
@example("+49 30 9000000")
@example("+39 06 1234567")
@example("+54 9 11 2345 6789")
def test_a_number_with_its_country_code_reads_as_the_library_reads_it(raw: str) -> None:
    """The short way for plain numbers comes to what the long way would: the library's own form, or nothing."""
    number = normalise_phone(raw)
    if number is not None:
        read = phonenumbers.parse(raw, "US")
        assert number == phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164)
        assert phonenumbers.is_possible_number(read)


@given(
    st.sampled_from(["US", "CA", "DE", "GB", "FR", "NL", "IN", "AU", "IT", "BR", "JP"]),
    st.from_regex(
        r"(1[ .-])?\(?0?[0-9]{2,4}\)?[ .-]?[0-9]{3,7}([ .-][0-9]{4})?( (ext\.|x) ?[0-9]{1,3})?",
        fullmatch=True,
    ),
)
@example("DE", "030 39345145")
@example("US", "1.415.962.1439")
@example("US", "4159621439 ext. 62")
@example("GB", "02079460958")
def test_a_national_number_reads_as_the_library_reads_it(region: str, raw: str) -> None:
    """The short way for trunk prefixes comes to what the long way would, extension too."""
    found = read_phone(raw, region)
    if found is not None:
        read = phonenumbers.parse(raw, region)
        assert found.e164 == phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164)
        assert found.extension == (read.extension or "")
        assert phonenumbers.is_possible_number(read)


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("https://de.linkedin.com/in/Ann-Lee-01ea91/", "in/ann-lee-01ea91"),
        ("www.linkedin.com/in/ann-lee/en?trk=abc", "in/ann-lee"),
        ("linkedin.com/company/Firm/about", "company/firm"),
        ("linkedin.com/feed/update/1", None),
        ("https://evil.example/linkedin.com/in/ann", None),
        ("https://notlinkedin.com/in/ann", None),
        ("linkedin.com/in/ann%00lee", None),
        ("", None),
    ],
)
def test_a_profile_has_one_path(raw: str, wanted: str | None) -> None:
    """Host, language and tracking vanish; a kind of page stays, and what is no page is nothing."""
    assert normalise_linkedin(raw) == wanted


@given(st.text(alphabet="abcé%20/?#-", max_size=20))
def test_normalising_a_profile_twice_changes_nothing(slug: str) -> None:
    """The path is a fixed point."""
    once = normalise_linkedin(f"https://linkedin.com/in/{slug}")
    assert once is None or normalise_linkedin(once) == once


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("https://www.Shop.acme.co.uk:8080/x?y", "acme.co.uk"),
        ("acme.com.", "acme.com"),
        ("localhost", None),
        ("10.0.0.1", None),
        ("", None),
    ],
)
def test_a_domain_is_what_was_registered(raw: str, wanted: str | None) -> None:
    """Hosts, ports and paths vanish; addresses of machines are no domain."""
    assert registrable_domain(raw) == wanted


@pytest.mark.parametrize("raw", ["gmail.com", "https://facebook.com/acme", "test.com", "mailinator.com"])
def test_a_domain_that_strangers_share_names_no_organisation(raw: str) -> None:
    """Free mail, hosts of pages, placeholders and throw-away mail."""
    assert organisation_domain(raw) == ""


@pytest.mark.parametrize(
    ("first", "last", "full", "wanted"),
    [
        ("Dr. José", "O'Neil Jr.", "", PersonName("jose", "oneil", "jr")),
        ("", "", "Lee, Ann", PersonName("ann", "lee")),
        ("", "", "Ann Maria Lee PhD", PersonName("ann maria", "lee")),
        ("", "", "Ann Lee III", PersonName("ann", "lee", "iii")),
        ("Test", "N/A", "", NO_NAME),
        ("", "", "", NO_NAME),
    ],
)
def test_a_persons_name_is_folded(first: str, last: str, full: str, wanted: PersonName) -> None:
    """Titles and degrees vanish, generations are kept apart, placeholders name nobody."""
    assert read_person(first, last, full).name == wanted


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("The Acme Motors B.V.", "acme motors"),
        ("Müller & Söhne GmbH & Co. KG", "muller and sohne"),
        ("ACME, Inc.", "acme"),
        ("Limited", "limited"),
        ("N/A", ""),
    ],
)
def test_a_companys_name_loses_its_legal_form(raw: str, wanted: str) -> None:
    """Article and forms vanish, but never the whole name."""
    assert normalise_company(raw) == wanted


@given(st.text(max_size=40) | PARTS)
@example("X&")
def test_folding_twice_changes_nothing(text: str) -> None:
    """Folded text is a fixed point, and so is a company's name."""
    assert fold(fold(text)) == fold(text)
    once = normalise_company(text)
    assert normalise_company(once) == once


@given(PARTS, PARTS, PARTS, PARTS)
def test_strangers_are_strangers_both_ways(a: str, b: str, c: str, d: str) -> None:
    """Whether two names conflict does not depend on the order, and nobody is a stranger to himself."""
    ours, theirs = read_person(a, b, "").name, read_person(c, d, "").name
    assert are_strangers(ours, theirs) == are_strangers(theirs, ours)
    assert not are_strangers(ours, ours)


@pytest.mark.parametrize(
    ("ours", "theirs", "strangers"),
    [
        (("nora", "keller"), ("paul", "brandt"), True),
        (("nora", "keller"), ("nora", "brandt"), False),
        (("n", "keller"), ("nora", "brandt"), False),
        (("bob", "keller"), ("robert", "brandt"), False),
        (("keller", "nora"), ("nora", "keller"), False),
        (("", "keller"), ("", "brandt"), True),
        (("nora", "keller"), ("paul", "keller"), True),
        (("geeorge", "keller"), ("george", "keller"), False),
        (("nora", ""), ("paul", "brandt"), False),
        (("nora", "casey brown"), ("noor", "brown"), False),
    ],
)
def test_names_conflict_only_when_nothing_explains_them(
    ours: tuple[str, str], theirs: tuple[str, str], *, strangers: bool
) -> None:
    """Marriage, initials, nicknames, swaps and typos explain; a household is two people."""
    assert are_strangers(PersonName(*ours), PersonName(*theirs)) is strangers


def test_a_value_that_is_too_long_identifies_nobody() -> None:
    """Control characters vanish, and what is longer than a value may be reads as empty."""
    assert clean(" a\x00b\n") == "a b"
    assert clean("x" * 256) == ""
