"""How alike two values of one field are, as a level; level 0 is equal. Pure, symmetric.

A comparison answers (level, value): the value is what both have, so that its rarity can count; it is
empty where nothing equal is shared. None means that one side says nothing.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Final

from rapidfuzz.distance import DamerauLevenshtein, Hamming, JaroWinkler
from rapidfuzz.fuzz import token_sort_ratio

from headwater.identity.domain.normalising.company_tables import COMMON_COMPANY_WORDS
from headwater.identity.domain.scoring.names import COMPARED_MAX, aligned_words, is_slip
from headwater.identity.domain.scoring.parts import Mailbox, Parts

Found = tuple[int, str] | None

MAIL_LEVELS: Final = ("equal", "one letter off", "same name elsewhere", "colleague", "other private", "other")
PHONE_LEVELS: Final = ("equal", "one digit off", "shared line", "differs")
LINKEDIN_LEVELS: Final = ("equal", "differs")
ORGANISATION_LEVELS: Final = ("equal", "alike", "contained", "shares a word", "differs")
CONTAINED: Final = 2
"""Level up to which two organisations' names can be one's."""
DOMAIN_LEVELS: Final = ("equal", "differs")
ADDRESS_LEVELS: Final = ("equal", "same street", "differs")
PLACE_LEVELS: Final = ("same city", "same state or country", "differs")
TEXT_LEVELS: Final = ("equal", "misspelt", "alike", "differs")

_CODE_CHARS_MIN: Final = 4
_LONG_CHARS_MIN: Final = 8
_SLIPS_MAX: Final = 2
TEXT_DIFFERS: Final = 3
"""Level of two texts or codes."""
_WORD_SIMILARITY_MIN: Final = 0.92
"""Jaro-Winkler similarity of two spellings of one city or one domain."""
_TEXT_SIMILARITY_MIN: Final = 0.9
_WORDS_RATIO_MIN: Final = 80
"""Similarity of two texts with their words sorted, of 100."""
_CONTAINED_CHARS_MIN: Final = 4


def compare_mailboxes(ours: Parts, theirs: Parts) -> Found:
    """Compare the mailboxes of persons; role mailboxes say nothing here."""
    if not ours.mailboxes or not theirs.mailboxes:
        return None
    best: tuple[int, str] | None = None
    for one in ours.mailboxes:
        for other in theirs.mailboxes:
            if one.shared or other.shared:
                continue
            level = _mail_level(one, other)
            if level == 0:
                return 0, one.address
            if best is None or level < best[0]:
                best = (level, "")
    return best


def _mail_level(one: Mailbox, other: Mailbox) -> int:
    if one.address == other.address:
        return 0
    if one.domain == other.domain:
        if (
            one.digits == other.digits
            and DamerauLevenshtein.distance(one.local, other.local, score_cutoff=1) <= 1
        ):
            return 1
        return 4 if one.free else 3
    if one.digits and one.local == other.local:
        return 2
    return 4 if one.free and other.free else 5


def compare_phones(ours: Parts, theirs: Parts, shared: AbstractSet[str]) -> Found:
    """Compare phone numbers; one that several surnames share is a line of an organisation.

    Args:
        shared: the numbers that are generic.
    """
    if not ours.phones or not theirs.phones:
        return None
    line = ""
    for number in ours.phones:
        if number in theirs.phones:
            if number not in shared:
                return 0, number
            line = line or number
    if line:
        return 2, line
    if not shared.isdisjoint(ours.phones) or not shared.isdisjoint(theirs.phones):
        return None
    for one in ours.phones:
        for other in theirs.phones:
            if _one_digit_off(one, other):
                return 1, ""
    return 3, ""


def _one_digit_off(one: str, other: str) -> bool:
    return len(one) == len(other) and Hamming.distance(one, other, score_cutoff=1) == 1


def compare_organisations(ours: Parts, theirs: Parts) -> Found:
    """Compare where two people work: name or domain, once, since the one follows from the other."""
    for domain in ours.domains:
        if domain in theirs.domains:
            return 0, domain
    if ours.organisation and theirs.organisation:
        return compare_organisation_names(ours.organisation, theirs.organisation)
    return (4, "") if ours.domains and theirs.domains else _domain_level(ours, theirs)


@lru_cache(COMPARED_MAX)
def compare_organisation_names(ours: str, theirs: str, city: str = "") -> tuple[int, str]:
    """Compare two organisations' names by key.

    Args:
        city: where both are; a name that is in the other says nothing by the city's name and common words
            alone, as `nanjing university`.
    """
    if ours == theirs:
        return 0, ours
    left, right = ours.split(), theirs.split()
    if is_slip("".join(left), "".join(right)):
        return 1, ""
    aligned = aligned_words(left, right)
    if city and aligned < max(len(left), len(right)) and _says_only_where(left, right, city):
        return 4, ""
    if aligned == len(left) == len(right):
        return 1, ""
    if _abbreviates(left, right) or _abbreviates(right, left):
        return (1 if len(left) == len(right) else 2), ""
    if aligned == min(len(left), len(right)) and (aligned > 1 or _only_describes(left, right)):
        return 2, ""
    shared = any(len(word) >= _CONTAINED_CHARS_MIN and word in right for word in left)
    return (3, "") if shared else (4, "")


def _says_only_where(left: list[str], right: list[str], city: str) -> bool:
    """Say whether the shorter name is nothing but the city's and common words."""
    short, where = min(len(left), len(right)), city.split()
    return any(
        len(words) == short and all(word in COMMON_COMPANY_WORDS or word in where for word in words)
        for words in (left, right)
    )


def _only_describes(left: list[str], right: list[str]) -> bool:
    """Say whether the names differ by nothing but words that many have, as `restaurant`, and share another."""
    both = {*left} & {*right}
    return not both <= COMMON_COMPANY_WORDS and {*left} ^ {*right} <= COMMON_COMPANY_WORDS


def _abbreviates(short: list[str], full: list[str]) -> bool:
    """Say whether each word of *short* begins, in order, a word of *full*, the first in full."""
    if len(short) > len(full) or len(short[0]) < _CONTAINED_CHARS_MIN - 1 or short[0] != full[0]:
        return False
    rest = iter(full)
    return all(any(word.startswith(one) for word in rest) for one in short)


def _domain_level(ours: Parts, theirs: Parts) -> Found:
    """Compare the domain of one with the name of the other, where each side has one of them."""
    if ours.organisation and theirs.domains:
        return _name_in_domain(ours.organisation, theirs.domains)
    if theirs.organisation and ours.domains:
        return _name_in_domain(theirs.organisation, ours.domains)
    return None


def _name_in_domain(name: str, domains: tuple[str, ...]) -> tuple[int, str]:
    squeezed = name.replace(" and ", "").replace(" ", "")
    labels = [domain.partition(".")[0].replace("-", "") for domain in domains]
    if squeezed in labels:
        return 0, name
    return (
        1 if any(JaroWinkler.similarity(squeezed, label) > _WORD_SIMILARITY_MIN for label in labels) else 4
    ), ""


def compare_domains(ours: Parts, theirs: Parts, shared: AbstractSet[str]) -> Found:
    """Compare the domains of organisations; one that several share tells nothing.

    Args:
        shared: the domains that are generic.
    """
    if not ours.domains or not theirs.domains:
        return None
    common = next((domain for domain in ours.domains if domain in theirs.domains), "")
    if not common:
        return 1, ""
    return None if common in shared else (0, common)


def compare_places(ours: Parts, theirs: Parts) -> Found:
    """Compare where two records are: city, else state, else country."""
    if ours.city and theirs.city:
        if ours.city == theirs.city or JaroWinkler.similarity(ours.city, theirs.city) > _WORD_SIMILARITY_MIN:
            return 0, min(ours.city, theirs.city)
        return 2, ""
    for one, other in ((ours.state, theirs.state), (ours.country, theirs.country)):
        if one and other:
            return (1, one) if one == other else (2, "")
    return None


def compare_addresses(ours: Parts, theirs: Parts) -> Found:
    """Compare house and street as one: two things in one house share both."""
    left, right = ours.street, theirs.street
    if not left or not right:
        return None
    if left != right and compare_texts(left, right)[0] == TEXT_DIFFERS:
        return 2, ""
    if ours.house and theirs.house and ours.house != theirs.house:
        return 1, ""
    return 0, f"{min(ours.house, theirs.house)} {min(left, right)}"


@lru_cache(COMPARED_MAX)
def compare_texts(ours: str, theirs: str) -> tuple[int, str]:
    """Compare two folded texts."""
    if ours == theirs:
        return 0, ours
    if ours > theirs:
        ours, theirs = theirs, ours
    if DamerauLevenshtein.distance(ours, theirs, score_cutoff=2) <= (1 if len(ours) < _LONG_CHARS_MIN else 2):
        return 1, ""
    if (
        JaroWinkler.similarity(ours, theirs) >= _TEXT_SIMILARITY_MIN
        or token_sort_ratio(ours, theirs) >= _WORDS_RATIO_MIN
    ):
        return 2, ""
    return 3, ""


def compare_codes(ours: str, theirs: str) -> tuple[int, str]:
    """Compare two codes (numbers, dates, ids): a digit more makes another one, unless it is a slip in a long one."""
    if ours == theirs:
        return 0, ours
    short = min(len(ours), len(theirs))
    if short >= _CODE_CHARS_MIN:
        distance = DamerauLevenshtein.distance(ours, theirs, score_cutoff=2)
        if distance <= 1:
            return 1, ""
        if distance <= _SLIPS_MAX and short >= _LONG_CHARS_MIN:
            return 2, ""
    return 3, ""
