"""People who are erased: how one is named, by what hashes they are known again, what of a reading is theirs. Pure."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

import msgspec
import phonenumbers

from headwater.kernel.errors import InvalidInput
from headwater.kernel.ids import OBJECTS, ObjectName, parse_uuid
from headwater.policy.document import PolicyDocument
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.reading import (
    Echo,
    IdentityReading,
    Parked,
    PassedOver,
    PolicyReading,
    Reading,
    RecordReading,
)

SUPPRESSED: Final = "suppressed"
"""Rule of events that speak of a person who was erased: nothing of them is taken in."""
DEADLINE_S: Final = 30 * 86_400.0
"""Until every CRM is to have erased a record, unless said otherwise: GDPR Art. 12(3), one month."""
PEOPLE: Final = ("contact", "lead")
"""Objects that stand for a person."""
SOURCE_PARTS: Final = 3
PHONE_DIGITS_MIN: Final = 7
NATIONAL_DIGITS_MIN: Final = 6
"""Of a number without its country, to be looked for in texts: shorter ones stand in any."""
NUMBER: Final = "tel:"
_BETWEEN: Final = "[^0-9A-Za-z@+]{0,3}"
"""What may stand between a number's digits."""

Kind = Literal["record", "email", "phone"]
SubjectKind = Literal["entity", "record", "email", "phone"]
Sign = tuple[Kind, tuple[str, ...]]
"""Kind and parts of an identifier."""
_NO_DIGIT: Final = re.compile(r"\D")
_PHONE: Final = re.compile(r"\+[\d\s().\-/]+")


@dataclass(frozen=True, slots=True)
class Subject:
    """A person as whoever asks names one.

    Args:
        parts: entity id; address; number; or object, source and external id.
    """

    kind: SubjectKind
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """A source's record of a person.

    Args:
        event_key: an event that spoke of it; None where none is known.
        fields: canonical field to value, as the source said it last.
    """

    object: str
    source: str
    external_id: str
    event_key: uuid.UUID | None
    fields: Mapping[str, Any]


def read_subject(text: str) -> Subject:
    """Return what *text* names. Raises: InvalidInput."""
    text = text.strip()
    if (entity := parse_uuid(text)) is not None:
        return Subject("entity", (str(entity),))
    parts = tuple(text.split("/", SOURCE_PARTS - 1))
    if len(parts) == SOURCE_PARTS and parts[1] in OBJECTS and all(parts):
        return Subject("record", (parts[1], parts[0], parts[2]))
    if _PHONE.fullmatch(text) and len(digits := phone_of(text)) >= PHONE_DIGITS_MIN:
        return Subject("phone", (digits,))
    local, _, domain = text.rpartition("@")
    if local and domain and not re.search(r"\s", text):
        return Subject("email", (email_of(text),))
    raise InvalidInput(
        f"subject {text!r} is no entity's id, e-mail address, number as +46 8 123 456, or source/object/external id",
        reason="BAD_SUBJECT",
    )


def email_of(text: str) -> str:
    """Return an address as it is compared."""
    return text.strip().lower()


def phone_of(text: str) -> str:
    """Return a number as it is compared: its digits."""
    return _NO_DIGIT.sub("", text)


def number_of(text: str) -> str:
    """Return a number as it is looked for in texts, as `tel:46:8123456`: country, where it says it, and the rest."""
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return f"{NUMBER}:{phone_of(text).lstrip('0')}"
    return f"{NUMBER}{number.country_code}:{number.national_number}"


def number_pattern(number: str) -> str:
    """Return a regular expression, of Python and of Postgres, for a number of `number_of` however it is written.

    With its country or without, with or without the zero before it, parts set apart; never within a longer one.
    """
    country, _, rest = number.removeprefix(NUMBER).partition(":")
    before = rf"(?:\+|00)?{country}" if country else r"(?:\+|00)[0-9]{1,3}"
    spelled = _BETWEEN.join(rest)
    return rf"(?:^|[^0-9])(?:{before}{_BETWEEN})?(?:0{_BETWEEN})?{spelled}(?:[^0-9]|$)"


def addresses_among(texts: Iterable[str]) -> list[str]:
    """Return those of a person's texts that are addresses."""
    return [text for text in texts if not text.startswith(NUMBER)]


def numbers_among(texts: Iterable[str]) -> list[str]:
    """Return those of a person's texts that are numbers, as `number_of` has them."""
    return [text for text in texts if text.startswith(NUMBER)]


def numbers_of_person(
    document: PolicyDocument | None, records: Iterable[HeldRecord], named: Subject | None
) -> frozenset[str]:
    """Return the numbers that a person's records have, to be looked for in others' texts; nobody is suppressed by them."""
    found = {
        number_of(text)
        for record in records
        if record.object in PEOPLE
        for text in _typed(document, record.object, record.fields, "phone")
    }
    if named is not None and named.kind == "phone":
        found.add(number_of("+" + named.parts[0]))
    return frozenset(item for item in found if len(item.rpartition(":")[2]) >= NATIONAL_DIGITS_MIN)


def digest_of(key: bytes, sign: Sign) -> bytes:
    """Return the keyed hash of an identifier, 16 bytes."""
    kind, parts = sign
    said = "\x1f".join((kind, *parts)).encode()
    return hashlib.blake2b(said, digest_size=16, key=key).digest()


def signs_of_person(
    document: PolicyDocument | None, records: Iterable[HeldRecord], named: Subject | None
) -> frozenset[Sign]:
    """Return by what a person is known again: every record, every address; a number only where it named the person."""
    found: set[Sign] = set()
    if named is not None and named.kind in {"email", "phone", "record"}:
        found.add((named.kind, named.parts))
    for record in records:
        found.add(("record", (record.object, record.source, record.external_id)))
        if record.object in PEOPLE:
            found.update(("email", (item,)) for item in _addresses(document, record.object, record.fields))
            if "@" in record.external_id:
                found.add(("email", (email_of(record.external_id),)))
    return frozenset(found)


def signs_of_reading(document: PolicyDocument | None, reading: Reading) -> frozenset[Sign]:
    """Return the identifiers of the people that a reading itself is about; who is merely referred to is not among them."""
    if isinstance(reading, (PassedOver, Parked, PolicyReading, IdentityReading)):
        return frozenset()
    found = {_sign(reading.event.record_key)}
    if isinstance(reading, RecordReading):
        if reading.event.object in PEOPLE:
            found.update(
                ("email", (item,)) for item in _addresses(document, reading.event.object, reading.fields)
            )
            found.update(
                ("phone", (item,)) for item in _numbers(document, reading.event.object, reading.fields)
            )
        found.update(("email", (email_of(address),)) for address in reading.participants)
    return frozenset(found)


def signs_beside(reading: Reading) -> frozenset[Sign]:
    """Return the records that a reading refers to or moves."""
    if isinstance(reading, RecordReading):
        return frozenset(_sign(subject.key) for subject in reading.references.values())
    if isinstance(reading, IdentityReading):
        return frozenset(_sign(key) for key in reading.moved)
    return frozenset()


def without_suppressed(
    document: PolicyDocument | None, reading: Reading, suppressed: Collection[Sign]
) -> Reading:
    """Return what is left of a reading: nothing where it is about a suppressed person, else all but references to one."""
    if not suppressed or isinstance(reading, (PassedOver, Parked, PolicyReading)):
        return reading
    if not signs_of_reading(document, reading).isdisjoint(suppressed):
        return Echo(reading.event, SUPPRESSED)
    if isinstance(reading, IdentityReading):
        stays = tuple(key for key in reading.moved if _sign(key) not in suppressed)
        if reading.moved and not stays:
            return Echo(reading.event, SUPPRESSED)
        return replace(reading, moved=stays)
    if isinstance(reading, RecordReading):
        gone = {name for name, item in reading.references.items() if _sign(item.key) in suppressed}
        if gone:
            return msgspec.structs.replace(
                reading,
                fields={name: value for name, value in reading.fields.items() if name not in gone},
                references={name: item for name, item in reading.references.items() if name not in gone},
            )
    return reading


def is_suppressed(reading: Reading) -> bool:
    """Say whether a reading speaks of a person who was erased."""
    return isinstance(reading, Echo) and reading.rule == SUPPRESSED


def _sign(key: RecordKey) -> Sign:
    return ("record", (key.object, key.source, key.external_id))


def _addresses(document: PolicyDocument | None, object_name: str, fields: Mapping[str, Any]) -> Iterable[str]:
    return (email_of(item) for item in _typed(document, object_name, fields, "email") if "@" in item)


def _numbers(document: PolicyDocument | None, object_name: str, fields: Mapping[str, Any]) -> Iterable[str]:
    found = (phone_of(item) for item in _typed(document, object_name, fields, "phone"))
    return (item for item in found if len(item) >= PHONE_DIGITS_MIN)


def _typed(
    document: PolicyDocument | None, object_name: str, fields: Mapping[str, Any], wanted: str
) -> Iterable[str]:
    """Yield the texts of fields of a type; without a policy a field's name is taken for its type."""
    known = document.objects.get(cast("ObjectName", object_name)) if document is not None else None
    for name, value in fields.items():
        field = known.fields.get(name) if known is not None else None
        if isinstance(value, str) and (field.type if field is not None else name) == wanted:
            yield value
