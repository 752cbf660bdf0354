"""The bits of two people added up in one go: what `compare_people` finds, weighed without being written down. Pure.

A resolve scores some thirty pairs, most of them strangers who share a weak key. Where the two differ, `comparing` is
right and this module is wrong: a test holds them together.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from rapidfuzz.distance import DamerauLevenshtein, Hamming

from headwater.identity.domain.scoring import fields
from headwater.identity.domain.scoring.comparing import POSTCODE
from headwater.identity.domain.scoring.names import EXACT_NAME, UNKNOWN, compare_names
from headwater.identity.domain.scoring.parts import Mailbox, Parts
from headwater.identity.domain.scoring.weights import PeopleScales, Scale


def add_people(ours: Parts, theirs: Parts, scales: PeopleScales, shared: AbstractSet[str]) -> float:  # noqa: C901, PLR0912, PLR0915 - one pass, in line: calls are half of what a pair costs
    """Return the bits of a pair of people.

    Args:
        shared: generic phone numbers and mailboxes.
    """
    total = scales.prior
    mail = -1
    mine, others = ours.mailboxes, theirs.mailboxes
    if mine and others:
        mail, address = _mail(mine, others)
        if mail == 0:
            if address not in shared:
                scale = scales.mail
                total += scale.equal.get(address, scale.rarest)
        elif mail > 0:
            total += scales.mail.bits[mail]

    given, family, other_given, other_family = ours.given, ours.family, theirs.given, theirs.family
    if given == other_given and family == other_family and family and len(given) > 1:
        level = EXACT_NAME
    else:
        level = compare_names(ours, theirs, by_mailbox=mail != 0)
    if level != UNKNOWN:
        bits, given_counts, family_counts = scales.names[level]
        total += bits
        if given_counts:
            scale = scales.given
            value = given if (len(given), given) >= (len(other_given), other_given) else other_given
            total += scale.equal.get(value, scale.rarest) if value else scale.bits[0]
        if family_counts:
            scale = scales.family
            value = family if (len(family), family) >= (len(other_family), other_family) else other_family
            total += scale.equal.get(value, scale.rarest) if value else scale.bits[0]

    page = ours.linkedin
    if page and theirs.linkedin:
        scale = scales.linkedin
        total += scale.equal.get(page, scale.rarest) if page == theirs.linkedin else scale.bits[1]

    organisation = fields.compare_organisations(ours, theirs)
    same_work = organisation is not None and organisation[0] == 0

    same_phone = False
    if ours.phones and theirs.phones:
        phone = _phone(ours, theirs, shared)
        if phone is not None:
            same_phone = phone[0] == 0
            if same_phone:
                scale = scales.phone
                total += scale.equal.get(phone[1], scale.rarest)
            elif not (same_work and phone[0] == _LINE):
                total += scales.phone.bits[phone[0]]

    told = same_phone or mail in _ONE_DOMAIN
    if organisation is not None and not (told and organisation[0] < _ELSEWHERE):
        scale, value = scales.organisation, organisation[1]
        total += scale.equal.get(value, scale.rarest) if same_work and value else scale.bits[organisation[0]]

    if ours.street and theirs.street:
        found = fields.compare_texts(ours.street, theirs.street)
        if not same_work or found[0] >= fields.TEXT_DIFFERS:
            total += _weigh(scales.street, found)
    if ours.house and theirs.house:
        found = fields.compare_codes(ours.house, theirs.house)
        if not same_work or found[0] >= fields.TEXT_DIFFERS:
            total += _weigh(scales.house, found)

    place = fields.compare_places(ours, theirs)
    if place is not None and not ((same_work or told) and place[0] < _ANOTHER_PLACE):
        total += _weigh(scales.place, place)

    if theirs.texts:
        for field, text in ours.texts.items():
            if field in theirs.texts:
                found = fields.compare_texts(text, theirs.texts[field])
                total += _weigh(scales.own.get(field, scales.text), found)
    if theirs.codes:
        for field, one in ours.codes.items():
            if field in theirs.codes:
                found = fields.compare_codes(one, theirs.codes[field])
                if not (same_work and field == POSTCODE and found[0] < fields.TEXT_DIFFERS):
                    total += _weigh(scales.own.get(field, scales.code), found)
    return total


def _weigh(scale: Scale, found: tuple[int, str]) -> float:
    level, value = found
    return scale.bits[level] if level or not value else scale.equal.get(value, scale.rarest)


def _mail(ours: tuple[Mailbox, ...], theirs: tuple[Mailbox, ...]) -> tuple[int, str]:
    """Return the level of two records' mailboxes and the address that both have; -1 where they say nothing."""
    if len(ours) > 1 or len(theirs) > 1:
        found = [_mail((one,), (other,)) for one in ours for other in theirs]
        return min((one for one in found if one[0] >= 0), key=lambda one: one[0], default=(-1, ""))
    one, other = ours[0], theirs[0]
    if one.shared or other.shared:
        return -1, ""
    address = one.address
    if address == other.address:
        return 0, address
    if one.domain == other.domain:
        slip = one.digits == other.digits
        if slip and DamerauLevenshtein.distance(one.local, other.local, score_cutoff=1) <= 1:
            return 1, ""
        return (4 if one.free else 3), ""
    if one.digits and one.local == other.local:
        return 2, ""
    return (4 if one.free and other.free else 5), ""


def _phone(ours: Parts, theirs: Parts, shared: AbstractSet[str]) -> tuple[int, str] | None:
    mine, others = ours.phones, theirs.phones
    if len(mine) > 1 or len(others) > 1:
        return fields.compare_phones(ours, theirs, shared)
    one, other = mine[0], others[0]
    if one == other:
        return (2 if one in shared else 0), one
    if shared and (one in shared or other in shared):
        return None
    if len(one) == len(other) and Hamming.distance(one, other, score_cutoff=1) == 1:
        return 1, ""
    return 3, ""


_ONE_DOMAIN: Final = frozenset({0, 1, 3})
_LINE: Final = 2
_ELSEWHERE: Final = 4
_ANOTHER_PLACE: Final = 2
"""Levels, as in `comparing`."""
