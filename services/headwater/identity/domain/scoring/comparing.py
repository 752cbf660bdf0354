"""What two records say about each other, field by field: levels, before any weighing. Pure, symmetric.

Correlated evidence is told once: a shared work mailbox says where both work, a shared organisation
says where both are, down to the house, and a shared line says no more than the organisation it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from headwater.identity.domain.scoring import fields
from headwater.identity.domain.scoring.names import MAILBOX, PART_LEVELS, UNKNOWN, compare_names
from headwater.identity.domain.scoring.parts import Parts

NAME, MAIL, PHONE, LINKEDIN = "name", "mail", "phone", "linkedin"
ORGANISATION, DOMAIN, PLACE, ADDRESS = "organisation", "domain", "place", "address"
STREET, HOUSE = "street", "house number"
GIVEN_RARITY, FAMILY_RARITY = "given name", "family name"
POSTCODE, JOB_TITLE = "postcode", "job_title"
TEXT, CODE = "text", "code"
"""Fields that stand for all texts and codes without weights of their own."""

Shared = AbstractSet[str]
NONE_SHARED: Final[Shared] = frozenset()


Finding = tuple[str, int, str, str]
"""Field, its level, what both have when equal, and the field to weigh by when this one has no weights.

A plain tuple: a pair has a handful and most pairs are only added up.
"""

_ONE_DOMAIN: Final = frozenset({0, 1, 3})
"""Levels of mailboxes that have their domain in common."""
_LINE: Final = 2
"""Level of a number that is an organisation's line."""
_ELSEWHERE: Final = 4
"""Level of two organisations."""
_ANOTHER_PLACE: Final = 2
"""Level of two places."""

Compare = Callable[[Parts, Parts, Shared], list[Finding]]


def compare_people(ours: Parts, theirs: Parts, shared: Shared = NONE_SHARED) -> list[Finding]:
    """Compare two records of people.

    Args:
        shared: phone numbers and mailboxes that are generic: they identify nobody.
    """
    found: list[Finding] = []
    mail = fields.compare_mailboxes(ours, theirs)
    if mail is not None and not (mail[0] == 0 and mail[1] in shared):
        found.append((MAIL, mail[0], mail[1], MAIL))
    same_mail = mail is not None and mail[0] == 0
    one_domain = mail is not None and mail[0] in _ONE_DOMAIN
    _names(ours, theirs, found, by_mailbox=not same_mail)
    if ours.linkedin and theirs.linkedin:
        found.append(_linkedin(ours.linkedin, theirs.linkedin))
    organisation = fields.compare_organisations(ours, theirs)
    same_work = organisation is not None and organisation[0] == 0
    phone = fields.compare_phones(ours, theirs, shared)
    same_phone = phone is not None and phone[0] == 0
    if phone is not None and not (same_work and phone[0] == _LINE):
        found.append((PHONE, phone[0], phone[1], PHONE))
    told = one_domain or same_phone
    if organisation is not None and not (told and organisation[0] < _ELSEWHERE):
        found.append((ORGANISATION, organisation[0], organisation[1], ORGANISATION))
    if ours.street and theirs.street:
        level, value = fields.compare_texts(ours.street, theirs.street)
        if not same_work or level >= fields.TEXT_DIFFERS:
            found.append((STREET, level, value, TEXT))
    if ours.house and theirs.house:
        level, value = fields.compare_codes(ours.house, theirs.house)
        if not same_work or level >= fields.TEXT_DIFFERS:
            found.append((HOUSE, level, value, CODE))
    place = fields.compare_places(ours, theirs)
    if place is not None and not ((same_work or told) and place[0] < _ANOTHER_PLACE):
        found.append((PLACE, place[0], place[1], PLACE))
    _others(ours, theirs, found, same_place=same_work)
    return found


def compare_accounts(ours: Parts, theirs: Parts, shared: Shared = NONE_SHARED) -> list[Finding]:
    """Compare two records of organisations; name and domain both count, a place does not follow from either."""
    found: list[Finding] = []
    if ours.organisation and theirs.organisation:
        city = ours.city if ours.city == theirs.city else ""
        level, value = fields.compare_organisation_names(ours.organisation, theirs.organisation, city)
        found.append((ORGANISATION, level, value, ORGANISATION))
    domain = fields.compare_domains(ours, theirs, shared)
    if domain is not None:
        found.append((DOMAIN, domain[0], domain[1], DOMAIN))
    phone = fields.compare_phones(ours, theirs, shared)
    if phone is not None:
        found.append((PHONE, phone[0], phone[1], PHONE))
    if ours.linkedin and theirs.linkedin:
        found.append(_linkedin(ours.linkedin, theirs.linkedin))
    same_house = _address(ours, theirs, found)
    place = fields.compare_places(ours, theirs)
    if place is not None and not (same_house and place[0] < _ANOTHER_PLACE):
        found.append((PLACE, place[0], place[1], PLACE))
    _others(ours, theirs, found, same_place=False)
    return found


COMPARES: Final[Mapping[str, Compare]] = {
    "contact": compare_people,
    "lead": compare_people,
    "account": compare_accounts,
}


def _names(ours: Parts, theirs: Parts, found: list[Finding], *, by_mailbox: bool) -> None:
    level = compare_names(ours, theirs, by_mailbox=by_mailbox)
    if level == UNKNOWN:
        return
    found.append((NAME, level, "", NAME))
    given, family = divmod(level, PART_LEVELS)
    if given <= MAILBOX:
        found.append((GIVEN_RARITY, 0, _longer(ours.given, theirs.given), GIVEN_RARITY))
    if family <= MAILBOX:
        found.append((FAMILY_RARITY, 0, _longer(ours.family, theirs.family), FAMILY_RARITY))


def _longer(one: str, other: str) -> str:
    return one if (len(one), one) >= (len(other), other) else other


def _linkedin(ours: str, theirs: str) -> Finding:
    return (LINKEDIN, 0, ours, LINKEDIN) if ours == theirs else (LINKEDIN, 1, "", LINKEDIN)


def _address(ours: Parts, theirs: Parts, found: list[Finding]) -> bool:
    """Compare addresses; return whether house and street are equal, so that the city adds nothing."""
    address = fields.compare_addresses(ours, theirs)
    if address is not None:
        found.append((ADDRESS, address[0], address[1], ADDRESS))
    return address is not None and address[0] == 0


def _others(ours: Parts, theirs: Parts, found: list[Finding], *, same_place: bool) -> None:
    """Compare what no comparison of its own reads.

    Args:
        same_place: something has told already that both are in one place: an equal postal code follows from it.
    """
    if theirs.texts:
        for field, text in ours.texts.items():
            if field in theirs.texts:
                level, value = fields.compare_texts(text, theirs.texts[field])
                found.append((field, level, value, TEXT))
    if theirs.codes:
        for field, code in ours.codes.items():
            if field in theirs.codes:
                level, value = fields.compare_codes(code, theirs.codes[field])
                if not (same_place and field == POSTCODE and level < fields.TEXT_DIFFERS):
                    found.append((field, level, value, CODE))
