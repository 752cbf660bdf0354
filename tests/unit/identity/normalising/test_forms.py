"""Normalising of addresses, numbers and names: known cases, and that doing it twice changes nothing."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headwater.identity.domain.normalising.company import read_company
from headwater.identity.domain.normalising.email import read_email, read_emails
from headwater.identity.domain.normalising.nicknaming import canonical_names
from headwater.identity.domain.normalising.person import read_person
from headwater.identity.domain.normalising.phone import REGION_DEFAULT, read_phone, read_phones
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
        r"(1[ .-])?\(?0?[1-9][0-9]{1,3}\)?[ .-]?[0-9]{3,7}([ .-][0-9]{4})?( (ext\.|x) ?[0-9]{1,3})?",
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
        ("Na", "Wang", "", PersonName("na", "wang")),
        ("NA", "WANG", "", PersonName("na", "wang")),
        ("娜", "WANG", "", PersonName("na", "wang")),
        ("", "", "Na Wang", PersonName("na", "wang")),
        ("Marta", "Sales", "", PersonName("marta", "sales")),
        ("N/A", "Wang", "", PersonName("", "wang")),
        ("NA", "Wang", "", PersonName("", "wang")),
        ("na", "Wang", "", PersonName("", "wang")),
        ("Na", "", "", NO_NAME),
        ("Na", "Null", "", NO_NAME),
        ("Sales", "Wang", "", PersonName("", "wang")),
        ("First", "Last", "", NO_NAME),
    ],
)
def test_a_persons_name_is_folded(first: str, last: str, full: str, wanted: PersonName) -> None:
    """Titles and degrees vanish, generations are kept apart; placeholders name nobody, but beside a name some are one."""
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


def test_a_value_that_is_too_long_identifies_nobody() -> None:
    """Control characters vanish, and what is longer than a value may be reads as empty."""
    assert clean(" a\x00b\n") == "a b"
    assert clean("x" * 256) == ""


@pytest.mark.parametrize(
    ("full", "wanted", "titles"),
    [
        ("LEE Ann", ("ann", "lee", ""), ()),
        ("Prof. Dr. Ann van der Berg", ("ann", "van der berg", ""), ("prof", "dr")),
        ("Dr. Lee", ("", "lee", ""), ("dr",)),
        ("Lee, Ann, MBA", ("ann", "lee", ""), ("mba",)),
        ("Ann Lee, Jr.", ("ann", "lee", "jr"), ()),
        ("Jack Ma", ("jack", "ma", ""), ()),
        ("Ann Lee MA", ("ann", "lee", ""), ("ma",)),
        ("王伟", ("wei", "wang", ""), ()),
        ("欧阳丽", ("li", "ouyang", ""), ()),
        ("김철수", ("cheolsu", "gim", ""), ()),
        ("Дмитрий Петров", ("dmitriy", "petrov", ""), ()),
        ("Ann", ("ann", "", ""), ()),
    ],
)
def test_a_full_name_is_parted(full: str, wanted: tuple[str, str, str], titles: tuple[str, ...]) -> None:
    """Commas, capitals, particles, titles and scripts each say where the family name is."""
    found = read_person("", "", full)
    assert found.name == wanted
    assert found.titles == titles


def test_a_name_typed_into_one_field_is_parted_at_its_comma() -> None:
    """`Lee, Ann` as first or last name reads as both; a word alone stays where it was typed."""
    assert read_person("Lee, Ann", "", "").name == ("ann", "lee", "")
    assert read_person("", "Lee, Ann", "").name == ("ann", "lee", "")
    assert read_person("", "Lee", "").name == ("", "lee", "")


@pytest.mark.parametrize(
    ("raw", "key", "form"),
    [
        ("Acme S.p.A.", "acme", "spa"),
        ("Acme Sp. z o.o.", "acme", "spzoo"),
        ("Acme Sdn. Bhd.", "acme", "bhd"),
        ("Acme S. de R.L. de C.V.", "acme", "srl"),
        ("Acme Pty Limited", "acme", "ltd"),
        ("OOO Romashka", "romashka", "ooo"),
        ("ООО «Ромашка»", "romashka", "ooo"),  # noqa: RUF001 - Cyrillic is meant
        ("トヨタ自動車株式会社", "toyotazidongche", "kk"),
        ("株式会社日立", "rili", "kk"),
        ("上海汽车有限公司", "shanghaiqiche", "ltd"),
        ("주식회사 한빛", "hanbich", "jusik"),
        ("SiemensAG", "siemens", "ag"),
        ("Nokia Oyj", "nokia", "oy"),
        ("The Limited", "limited", ""),
        ("GmbH", "gmbh", ""),
        ("Acme Technologies International", "acme tech intl", ""),
        ("A.B.C. Company", "abc", "co"),
    ],
)
def test_a_legal_form_of_any_country_stands_apart(raw: str, key: str, form: str) -> None:
    """Before or behind the name, in any script; what is left is never nothing."""
    found = read_company(raw)
    assert (found.key, found.form) == (key, form)


@pytest.mark.parametrize(
    ("raw", "suggestion"),
    [
        ("ann@gmial.com", "ann@gmail.com"),
        ("ann@hotmall.com", "ann@hotmail.com"),
        ("ann@firm.con", "ann@firm.com"),
        ("ann@mail.com", ""),
        ("ann@ymail.com", ""),
        ("ann@firm.io", ""),
    ],
)
def test_a_misspelt_domain_brings_a_suggestion(raw: str, suggestion: str) -> None:
    """One slip from a large provider is suggested; providers of like names are left alone."""
    found = read_email(raw)
    assert found is not None
    assert found.suggestion == suggestion


def test_only_listed_mistakes_change_the_one_form() -> None:
    """A domain that is merely like a provider's may be somebody's own."""
    hotmall, gmial = read_email("ann@hotmall.com"), read_email("ann@gmial.com")
    assert hotmall is not None
    assert hotmall.address == "ann@hotmall.com"
    assert gmial is not None
    assert gmial.address == "ann@gmail.com"


def test_several_values_in_one_field_are_each_read() -> None:
    """Addresses and numbers parted by a semicolon or a slash."""
    assert [one.address for one in read_emails("ann@firm.io; bob@firm.io; nonsense")] == [
        "ann@firm.io",
        "bob@firm.io",
    ]
    assert [one.e164 for one in read_phones("+12125557812 / +12125557813", "US")] == [
        "+12125557812",
        "+12125557813",
    ]


def test_an_id_for_a_slug_is_no_readable_one() -> None:
    """It keeps its case, and a different one is no conflict."""
    member = read_linkedin("https://www.linkedin.com/in/ACoAAABcDeFgHiJkLmNoPqRsTuVw")
    assert member == ("in", "in/ACoAAABcDeFgHiJkLmNoPqRsTuVw", True)
    vanity = read_linkedin("linkedin.com/in/ann-lee")
    assert vanity is not None
    assert not vanity.opaque


@pytest.mark.parametrize(
    ("ours", "theirs", "agree"),
    [
        ("bob", "robert", True),
        ("kate", "katherine", True),
        ("sasha", "aleksandr", True),
        ("mohammed", "muhammad", True),
        ("ann", "robert", False),
    ],
)
def test_nicknames_have_a_full_name_in_common(ours: str, theirs: str, *, agree: bool) -> None:
    """English ones from the library, others from our own rows."""
    assert bool(canonical_names(ours) & canonical_names(theirs)) is agree
