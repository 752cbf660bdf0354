"""The bounded set of records that a writer keeps changing, and their events. Pure.

A change's version stands in one field that every CRM shows; its event time rises with the version.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from tests.system.chaos.journal import Place, Sent

from headwater.event.v1 import event_pb2

CONTACTS: Final = 60
ACCOUNTS: Final = 12
DEALS: Final = 24
MAILS: Final = 48
PARTICIPANTS: Final = 2
EPOCH: Final = dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC)
VERSION_FIELDS: Final = {
    ("hubspot", "contacts"): "jobtitle",
    ("hubspot", "companies"): "name",
    ("hubspot", "deals"): "dealname",
    ("salesforce", "Contact"): "Title",
    ("salesforce", "Account"): "Name",
    ("salesforce", "Opportunity"): "Name",
}
"""CRM field that shows the version, under the policy of `tests.system.policies`."""
_SYLLABLES: Final = ("ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "ru")
_STAGES: Final = ("Prospecting", "Engaging", "Won", "Lost")


def places() -> list[Place]:
    """Return every record."""
    return [
        *(Place("erp", "account", f"a{number}") for number in range(ACCOUNTS)),
        *(Place("erp", "deal", f"d{number}") for number in range(DEALS)),
        *(Place("erp", "contact", f"c{number}") for number in range(CONTACTS)),
        *(Place("mail", "activity", f"m{number}") for number in range(MAILS)),
    ]


class Facts:
    """Makes the next change of records; one per sender, which alone changes its records."""

    def __init__(self, own: list[Place], chance: random.Random) -> None:
        self._chance = chance
        self._versions = dict.fromkeys(own, 0)
        self._fresh = own[::-1]

    def next(self) -> Sent:
        """Return the next change: of each record its first one, then of any that can change again."""
        while True:
            place = self._fresh.pop() if self._fresh else self._chance.choice(list(self._versions))
            if place.object != "activity" or not self._versions[place]:
                break
        version = self._versions[place] = self._versions[place] + 1
        moment = EPOCH + dt.timedelta(seconds=version)
        return Sent(
            request_id=f"{place.external_id}-v{version}",
            place=place,
            version=version,
            event_time_us=round(moment.timestamp() * 1_000_000),
            payload=json.dumps(_payload(place, version), sort_keys=True, separators=(",", ":")).encode(),
        )


def as_event(item: Sent) -> event_pb2.Event:
    """Return *item* as it is sent."""
    when = Timestamp()
    when.FromMicroseconds(item.event_time_us)
    return event_pb2.Event(
        source=item.place.source,
        object=item.place.object,
        external_id=item.place.external_id,
        event_time=when,
        payload=item.payload,
        request_id=item.request_id,
    )


def _payload(place: Place, version: int) -> dict[str, Any]:
    number = int(place.external_id[1:])
    match place.object:
        case "contact":
            first, last = _person(number)
            return {
                "email": _address(number), "first_name": first, "last_name": last, "title": f"Role v{version}",
            }  # fmt: skip
        case "account":
            return {"name": f"{_word(number)} Works v{version}"}
        case "deal":
            return {
                "name": f"{_word(number)} renewal v{version}",
                "stage": _STAGES[version % len(_STAGES)],
                "account": f"a{number % ACCOUNTS}",
            }
    members = [(number * 7 + step) % CONTACTS for step in range(PARTICIPANTS)]
    return {
        "kind": "email",
        "subject": f"Subject {number}",
        "occurred_time": EPOCH.isoformat(),
        "participants": [
            {"role": "to", "address": _address(item), "name": " ".join(_person(item))} for item in members
        ],
    }


def _word(number: int) -> str:
    return f"{_SYLLABLES[number // 10 % 10]}{_SYLLABLES[number % 10]}r".capitalize()


def _person(number: int) -> tuple[str, str]:
    return _word(number), f"{_word(number)[::-1].capitalize()}son"


def _address(number: int) -> str:
    return f"{_word(number).lower()}@{_word(number).lower()}.example"
