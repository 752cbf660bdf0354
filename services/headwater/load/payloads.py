"""Records as sources send them: contacts, leads and mails that keep the sample policy's contract, or break it. Pure.

Names and companies are drawn from the shipped samples, everything else from the seed. Sizes are met with a note that
no policy maps, as real sources send fields that nobody asked for.
"""

from __future__ import annotations

import csv
import datetime as dt
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

from headwater.load.wire import Record

OBJECTS: Final = ("contact", "lead", "activity")
_CONTACT_SOURCES: Final = ("hubspot", "salesforce", "marketo", "billing")
_FORMS: Final = ("demo", "pricing", "newsletter")
_BASE_TIME: Final = dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC)
_NOTE_OVERHEAD_BYTES: Final = len(b',"notes":""')
_WORDS: Final = (
    "asked about the renewal and the price of twenty more seats, wants an answer this week; the security review is "
    "done, legal still reads the contract, and the pilot team is happy with the first results of the integration; "
)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a payload; what is smaller by nature is filled up, nothing is cut below what it says.

    Args:
        least: 0 leaves every record at its natural size (200 to 450 bytes).
        most: at least *least*, at most 262,144.
    """

    least: int = 0
    most: int = 0


def make_records(chance: random.Random, count: int, sizes: Sizes, invalid_share: float) -> list[Record]:
    """Return *count* records in a mixed order, exactly the rounded share of which break the contract."""
    broken = set(chance.sample(range(count), round(count * invalid_share)))
    return [_record(chance, number, sizes, invalid=number in broken) for number in range(count)]


def _record(chance: random.Random, number: int, sizes: Sizes, *, invalid: bool) -> Record:
    object_name = chance.choices(OBJECTS, weights=(6, 1, 3))[0]
    person = chance.choice(_people())
    source, payload = _MAKERS[object_name](chance, number, person)
    if invalid:
        _break(object_name, payload)
    return Record(
        source, object_name, f"{object_name}-{number:05d}-", _filled(chance, payload, sizes), invalid
    )


def _contact(chance: random.Random, number: int, person: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    columns = ("first_name", "last_name", "title", "company", "website", "city", "state", "country")
    payload: dict[str, Any] = {name: person[name] for name in columns if person[name]}
    payload["email"] = _address(person, number)
    payload["phone"] = f"+1415555{chance.randrange(10_000):04d}"
    payload["lifecycle_stage"] = chance.choice(("subscriber", "lead", "opportunity", "customer"))
    payload["score"] = chance.randrange(100)
    return chance.choice(_CONTACT_SOURCES), payload


def _lead(chance: random.Random, number: int, person: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    fields: dict[str, Any] = {
        name: person[name] for name in ("first_name", "title", "company", "country") if person[name]
    }
    fields["last_name"] = person["last_name"] or "Unknown"
    fields["email"] = _address(person, number)
    submitted = _BASE_TIME + dt.timedelta(seconds=chance.randrange(10_000_000))
    payload = {"form": chance.choice(_FORMS), "submitted_at": submitted.isoformat(), "fields": fields}
    return "webform", payload | {"contact": fields["email"], "page": "/pricing?utm_source=load"}


def _activity(chance: random.Random, number: int, person: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    sent = _BASE_TIME + dt.timedelta(seconds=chance.randrange(10_000_000))
    name = f"{person['first_name']} {person['last_name']}".strip()
    message_id = f"{chance.getrandbits(64):016x}@mail.example.com"
    return "gmail", {
        "kind": "email",
        "subject": f"Re: {person['company'] or 'your'} renewal",
        "direction": chance.choice(("incoming", "outgoing")),
        "time": sent.isoformat().replace("+00:00", "Z"),
        "message_id": message_id,
        "thread_id": message_id,
        "participants": [
            {"role": "from", "address": _address(person, number), "name": name},
            {"role": "to", "address": "sales@example.com", "name": "Sales"},
        ],
        "preview": _WORDS[: chance.randrange(40, 160)],
    }


_MAKERS: Final = {"contact": _contact, "lead": _lead, "activity": _activity}


def _break(object_name: str, payload: dict[str, Any]) -> None:
    """Make a record break one rule of the sample policy's contract: a format, or an allowed value."""
    if object_name == "contact":
        payload["email"] = "no address"
    elif object_name == "lead":
        payload["form"] = "no such form"
    else:
        payload["kind"] = "telegram"


def _filled(chance: random.Random, payload: dict[str, Any], sizes: Sizes) -> bytes:
    natural = _encode(payload)
    wanted = chance.randint(sizes.least, sizes.most) if sizes.most else 0
    missing = wanted - len(natural) - _NOTE_OVERHEAD_BYTES
    if missing <= 0:
        return natural
    note = (_WORDS * (missing // len(_WORDS) + 1))[:missing]
    return _encode(payload | {"notes": note})


def _address(person: Mapping[str, str], number: int) -> str:
    name = "".join(letter for letter in person["last_name"].lower() if letter.isascii() and letter.isalnum())
    return f"{name[:40] or 'person'}.{number}@example.com"


@cache
def _people() -> Sequence[Mapping[str, str]]:
    text = resources.files("headwater.samples").joinpath("contacts.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))
