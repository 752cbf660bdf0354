"""From a normalised record to the parts that pairs are compared on. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from headwater.identity.domain.normalising import Normal, record, strong_of
from headwater.identity.domain.normalising.text import clean, fold
from headwater.identity.domain.normalising.values import Email
from headwater.identity.domain.scoring.parts import Mailbox, Parts

Fields = Sequence[tuple[str, str]]
"""Fields that no rule reads, with their raw values."""
NO_IDS: Final[Mapping[str, str]] = {}


def parts_of(normal: Normal, sole_ids: Mapping[str, str] = NO_IDS) -> Parts:
    """Return the parts of *normal*.

    Args:
        sole_ids: ids that it has in systems which hold each thing once, by system.
    """
    address, domain, fields = normal.address, normal.domain, normal.fields
    others: Fields = ()
    if not fields.keys() <= _READ:
        others = [
            (name, raw) for name, raw in fields.items() if name not in _READ and _is_comparable(name, raw)
        ]
    return Parts(
        normal.name.given,
        normal.name.family,
        normal.name.generation,
        tuple([mailbox_of(email) for email in normal.emails]),
        tuple([phone.e164 for phone in normal.phones]),
        normal.linkedin.path if normal.linkedin is not None else "",
        normal.company.key,
        (domain,) if domain else (),
        address.number,
        address.street,
        address.city,
        address.state,
        address.country,
        _texts(normal, others),
        _codes(normal, others),
        tuple(strong_of(normal)),
        _numbers(normal, sole_ids),
        normal.object == "account",
    )


def _numbers(normal: Normal, sole_ids: Mapping[str, str]) -> Mapping[str, str]:
    if not normal.official_ids and not sole_ids:
        return NO_IDS
    numbers = {f"source:{source}": value for source, value in sole_ids.items()}
    for official_id in normal.official_ids:
        authority, _, value = official_id.partition(":")
        numbers.setdefault(authority, value)
    return numbers


def mailbox_of(email: Email) -> Mailbox:
    """Return what pairs are compared on of a mailbox."""
    local = email.local
    letters = local if local.isalnum() else _bare(local)
    digits = "" if letters.isalpha() else "".join(filter(str.isdigit, local))
    return Mailbox(email.address, letters, digits, email.domain, email.free, bool(email.blocked_by))


def _bare(local: str) -> str:
    """Return the letters and digits of *local*."""
    return local.translate(_PUNCTUATION) if local.isascii() else "".join(filter(str.isalnum, local))


_PUNCTUATION: Final = {code: None for code in range(128) if not chr(code).isalnum()}


def _texts(normal: Normal, others: Fields) -> dict[str, str]:
    texts = {"job_title": normal.job_title} if normal.job_title else {}
    if others:
        texts.update({name: fold(clean(raw)) for name, raw in others if not _is_code(raw)})
    return texts


def _codes(normal: Normal, others: Fields) -> dict[str, str]:
    codes = {"postcode": normal.address.postcode} if normal.address.postcode else {}
    if normal.birth_date is not None:
        codes["birth_date"] = normal.birth_date.iso.replace("-", "")
    for official_id in normal.official_ids:
        kind, _, value = official_id.partition(":")
        codes[kind] = value
    if others:
        codes.update({name: fold(clean(raw)).replace(" ", "") for name, raw in others if _is_code(raw)})
    return codes


def _is_comparable(name: str, raw: str) -> bool:
    """Say whether a field that no rule reads says who a record is: not when it tells its own record or time."""
    return bool(raw) and says_who(name) and len(raw) <= _TEXT_CHARS_MAX


@lru_cache
def says_who(name: str) -> bool:
    """Say whether a field of this name can tell what its record is about."""
    return name in _READ or not (name.endswith(_RECORD_ENDINGS) or name in _RECORD_FIELDS)


def _is_code(raw: str) -> bool:
    return 2 * sum(c.isdigit() for c in raw) > len(raw)


_READ: Final = frozenset(
    name for part, names in record.FIELDS.items() if part != "unit" for name in names
) | frozenset(record.OFFICIAL_ID)
"""Fields that the normal form has read; a unit is compared as it stands."""
_RECORD_ENDINGS: Final = ("_at", "_time", "_date", "_id", "_url", "_by")
_RECORD_FIELDS: Final = frozenset(
    {"id", "source", "owner", "status", "created", "updated", "notes", "description"}
)
"""Fields that tell of a record, not of what it is about."""
_TEXT_CHARS_MAX: Final = 120
