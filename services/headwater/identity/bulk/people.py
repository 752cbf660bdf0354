"""The usual record of a person, read in one go: each value is worked out once, with all that follows from it.

A shorter way to what `normalise`, `parts_of` and `weak_of` say of most people's records: one given and one family
name, one mailbox, number and page at the most, an employer, a place by name. Declines every other record.
Must not say anything else than they do: tests hold both against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Final, NamedTuple

from headwater.identity.bulk.lines import Line, full_names
from headwater.identity.domain.normalising import keys, values
from headwater.identity.domain.normalising.affiliations import read_affiliation
from headwater.identity.domain.normalising.company import read_company
from headwater.identity.domain.normalising.email import read_emails
from headwater.identity.domain.normalising.jobs import read_job_title
from headwater.identity.domain.normalising.person import read_part
from headwater.identity.domain.normalising.phone import REGION_DEFAULT, read_phones
from headwater.identity.domain.normalising.places import RawAddress, read_address, region_of
from headwater.identity.domain.normalising.record import FIELDS, RAW_CHARS_MAX
from headwater.identity.domain.normalising.text import clean
from headwater.identity.domain.normalising.web import organisation_domain, read_linkedin
from headwater.identity.domain.scoring.parts import Mailbox, Told
from headwater.identity.domain.scoring.taking_apart import mailbox_of, says_who

USUAL: Final = (
    "first",
    "last",
    "email",
    "phone",
    "linkedin",
    "company",
    "web",
    "city",
    "state",
    "country",
    "job",
)
"""Parts of a record that this way reads; a record that says more goes the long way."""
_KEPT: Final = 32_768
"""Values of one kind that a worker remembers with what follows from them: about 10 MB a kind."""

Values = Sequence[str | None]


class _Name(NamedTuple):
    """One field of a name; others: full names that it may be short for, for keys; full_names: for the bound."""

    name: str
    skeleton: str
    sound: str
    generation: str
    words: int
    others: tuple[str, ...]
    full_names: tuple[str, ...]


class _Mail(NamedTuple):
    """A mailbox; domain: of the organisation that it tells; key: of what it spells, or nothing."""

    box: Mailbox
    domain: str
    key: str


@dataclass(frozen=True, slots=True)
class People:
    """Reads rows of a file whose columns stand as they do.

    Args:
        pick: takes the usual parts out of a row, in their order.
        rest: takes out what goes the long way when it says anything.
        region: two letters; where numbers are read when a record does not tell; or nothing.
    """

    pick: Callable[[Values], tuple[str | None, ...]]
    rest: Callable[[Values], tuple[str | None, ...]] | None
    region: str

    @classmethod
    def of(cls, fields: Sequence[str], region: str | None) -> People:
        """Return what reads rows of these fields."""
        part_of = {name: part for part in USUAL for name in FIELDS[part]}
        place: dict[str, int] = {}
        rest: list[int] = []
        for at, name in enumerate(fields):
            part = part_of.get(name)
            if part is not None and part not in place:
                place[part] = at
            elif says_who(name):
                rest.append(at)
        nowhere = len(fields)
        pick = itemgetter(*(place.get(part, nowhere) for part in USUAL))
        return cls(pick, itemgetter(*rest, nowhere) if rest else None, region or "")

    def read(self, row: Values) -> tuple[Told, Line] | None:
        """Return a record's parts and its line, without its number; None where it goes the long way."""
        whole = (*row, None)
        if self.rest is not None and any(self.rest(whole)):
            return None
        first, last, *raw = self.pick(whole)
        given, family = _name(first or ""), _name(last or "")
        if given is None or family is None or (given.name == family.name and given.words > 1):
            return None
        return _put_together(given, family, raw, self.region)


def _put_together(
    given: _Name, family: _Name, raw: Sequence[str | None], region: str
) -> tuple[Told, Line] | None:
    mail_raw, phone_raw, page_raw, company_raw, web_raw, city, state, country, job_raw = raw
    mail = _mail(mail_raw) if mail_raw else _NO_MAIL
    company = _company(company_raw) if company_raw else ""
    page = _page(page_raw) if page_raw else ""
    job = _job(job_raw) if job_raw else ""
    place = _place(city or "", state or "", country or "") if city or state or country else values.NO_ADDRESS
    web = _web(web_raw) if web_raw else ""
    if mail is None or company is None or page is None or job is None or place is None or web is None:
        return None
    domain = mail.domain or web
    here = region_of(place, domain, region) or REGION_DEFAULT
    phone = _phone(phone_raw, here) if phone_raw else ""
    if phone is None:
        return None
    found = _weak(given, family, company, domain, mail.key, phone, place.city)
    return _told(given, family, _Said(mail.box, phone, page, company, domain, place, job), found)


class _Said(NamedTuple):
    """What a record says beside the name; what is unknown is empty."""

    box: Mailbox
    phone: str
    page: str
    company: str
    domain: str
    place: values.Address
    job: str


def _told(given: _Name, family: _Name, said: _Said, weak: list[str]) -> tuple[Told, Line]:
    """Write down what a record says, once for scoring and once for the database."""
    box, phone, page, company, domain, place, job = said
    strong: list[tuple[str, str]] = [("linkedin", page)] if page else []
    found = [f"linkedin|{page}"] if page else []
    watched: list[str] = []
    own = _NO_BOX if box.shared else box
    if own.address:
        strong.append(("email", own.address))
        watched.append(f"email|{own.address}")
    if phone:
        strong.append(("phone", phone))
        watched.append(f"phone|{phone}")
    phones, domains = (phone,) if phone else (), (domain,) if domain else ()
    told = Told(
        given.name,
        family.name,
        family.generation or given.generation,
        (box,) if box.address else (),
        phones,
        page,
        company,
        domains,
        "",
        "",
        place.city,
        place.state,
        place.country,
        {"job_title": job} if job else {},
        {},
        tuple(strong),
    )
    line = Line(
        0,
        [*found, *watched, *weak],
        watched,
        given.name,
        family.name,
        given.full_names,
        own.local,
        [own.address] if own.address else [],
        own.local,
        own.digits,
        own.domain,
        own.free,
        phones,
        page,
        company,
        domains,
        "",
        "",
        place.city,
        place.state,
        place.country,
        job,
    )
    return told, line


def _weak(
    given: _Name, family: _Name, company: str, domain: str, mailbox: str, phone: str, city: str
) -> list[str]:
    """Return `kind|value` of the weak keys, in the order of `weak_of`; so few that none is left out there."""
    one, other, sound = given.skeleton, family.skeleton, family.sound
    found = _name_keys(given, other, sound) if len(one) + len(other) >= keys.NAMES_CHARS_MIN else []
    joined = company.replace(" ", "")
    if joined:
        found += f"family_company|{other[:4]}|{joined[:6]}", f"given_company|{one[:3]}|{joined[:8]}"
    if domain:
        found.append(f"family_domain|{other[:4]}|{domain}")
    if joined or domain:
        found.append(f"given_family_company|{one[:3]}|{other}|{(joined or domain)[:3]}")
        if domain:
            found.append(f"sound_domain|{one[0]}|{sound}|{domain}")
    if mailbox:
        found.append(f"mailbox|{mailbox}")
    if phone:
        found.append(f"phone_tail|{phone[-keys.TAIL_DIGITS :]}|{min(one[0], other[0])}")
    if city and sound:
        found.append(f"sound_city|{one[0]}|{sound}|{city}")
    return found


def _name_keys(given: _Name, family: str, sound: str) -> list[str]:
    one, first = given.skeleton, given.sound
    found = [f"names|{one}|{family}" if one < family else f"names|{family}|{one}"]
    if given.others:
        found += [
            f"names|{full}|{family}" if full < family else f"names|{family}|{full}" for full in given.others
        ]
    start, end = one[:_START], family[:_START]
    if len(start) == _START == len(end):
        found.append(f"names_start|{start}|{end}" if start < end else f"names_start|{end}|{start}")
    if first and len(one) > 1:
        found.append(f"names_sound|{first}|{sound}" if first < sound else f"names_sound|{sound}|{first}")
    return found


@lru_cache(_KEPT)
def _name(raw: str) -> _Name | None:
    """Read one field of a name; None where the record goes the long way."""
    if not clean(raw) or len(raw) > RAW_CHARS_MAX:
        return None
    part = read_part(raw)
    skeleton = keys.skeleton(part.name)
    if not skeleton:
        return None
    others = dict.fromkeys(one for one in keys.full_names(part.name) if one != skeleton)
    first = part.name.partition(" ")[0]
    return _Name(
        part.name,
        skeleton,
        keys.sound_of(skeleton),
        part.generation,
        len(part.words),
        tuple(others),
        full_names(first),
    )


@lru_cache(_KEPT)
def _mail(raw: str) -> _Mail | None:
    found = read_emails(raw) if len(raw) <= RAW_CHARS_MAX else ()
    if len(found) != 1:
        return None if found or len(raw) > RAW_CHARS_MAX else _NO_MAIL
    email = found[0]
    key = "" if email.blocked_by else keys.mailbox_key(email.local)
    return _Mail(mailbox_of(email), "" if email.free else organisation_domain(email.domain), key)


@lru_cache(_KEPT)
def _phone(raw: str, region: str) -> str | None:
    found = read_phones(raw, region)
    return found[0].e164 if len(found) == 1 else None if found or len(raw) > RAW_CHARS_MAX else ""


@lru_cache(_KEPT)
def _page(raw: str) -> str | None:
    page = read_linkedin(raw)
    if len(raw) > RAW_CHARS_MAX:
        return None
    return page.path if page is not None and page.kind == "in" else ""


@lru_cache(_KEPT)
def _company(raw: str) -> str | None:
    if len(raw) > RAW_CHARS_MAX:
        return None
    return read_company(read_affiliation(raw).institution or raw).key


@lru_cache(_KEPT)
def _web(raw: str) -> str | None:
    return None if len(raw) > RAW_CHARS_MAX else organisation_domain(raw)


@lru_cache(_KEPT)
def _job(raw: str) -> str | None:
    return None if len(raw) > RAW_CHARS_MAX else read_job_title(raw)


@lru_cache(_KEPT)
def _place(city: str, state: str, country: str) -> values.Address | None:
    if max(len(city), len(state), len(country)) > RAW_CHARS_MAX:
        return None
    return read_address(RawAddress("", "", city, state, "", country))


_START: Final = 3
"""Letters of `names_start`."""
_NO_BOX: Final = Mailbox("", "", "", "")
_NO_MAIL: Final = _Mail(_NO_BOX, "", "")
