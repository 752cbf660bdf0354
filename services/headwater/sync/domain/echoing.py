"""Our own write coming back, told from a change that somebody made in the CRM, field by field. Pure.

What a delivery is known to hold decides: a value that equals it, in whichever form the CRM shows it, is an echo.
A value that differs is a change, save one: a look at the record as it was before a later write of ours. Values that
count become what the CRM is known to hold, so that they are not written back; but a value that we have overwritten
once already does not, so that two who insist, or a CRM that turns our value into another one, come to rest.

    same as known                                     echo
    same as what is on its way now, or may have been  echo
    same as before a write of ours that is not older  stale echo
    else                                              a change, and known from now on, unless
                                                      a write of ours is not older, or we overwrote it before
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headwater.policy.outbound import same_value
from headwater.policy.words import FieldType

ECHO: Final = "echo"
"""Rule of events that say only what we have written ourselves."""
GONE_RECORD: Final = "gone_record"
"""Rule of events that show a record that we wrote as it was before its delivery had to give it up."""
REFERENCES_KEY: Final = "#references"
"""Place of the delivered references among the known fields."""
PHONE_DIGITS_MIN: Final = 7
"""A shorter number is compared as a whole: its end alone says little."""
PREFIX_DIGITS_MAX: Final = 5
"""Country code and trunk prefix that one form of a number may have and the other not."""
_SALESFORCE_ID: Final = re.compile(r"[A-Za-z0-9]{15}(?:[A-Z0-5]{3})?")
_URL_NOISE: Final = re.compile(r"^(?:[a-z][a-z0-9+.-]*://)?(?:www\.)?", re.IGNORECASE)
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ].*)?|\d{12,14}")


CrmKey = tuple[str, str, str, str]
"""Tenant, connector, CRM object and CRM id."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a CRM record was seen to hold; an entity that has no record there yet is bound to it."""

    key: CrmKey
    entity_id: uuid.UUID
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ruling:
    """What was decided about one event that shows a record of ours; kept for ever, so that a rebuild decides alike.

    Args:
        entity_id: whose record it is.
        kept: canonical fields of the event that count.
        rule: what ends the event when none of them does.
    """

    tenant_id: str
    event_key: uuid.UUID
    entity_id: uuid.UUID
    kept: tuple[str, ...]
    rule: str = ECHO


@dataclass(frozen=True, slots=True)
class FormerRecord:
    """A CRM record that a delivery held until it was gone from the CRM, or until another took its place.

    Args:
        end_time: when we learnt of it. What is younger was said of a record that somebody has brought back.
    """

    entity_id: uuid.UUID
    end_time: dt.datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """What a batch has learnt of CRM records, to be stored with it."""

    observations: Sequence[Observation] = ()
    rulings: Sequence[Ruling] = ()

    def __bool__(self) -> bool:
        return bool(self.observations or self.rulings)


NOTHING_SEEN: Final = Seen()


@dataclass(frozen=True, slots=True)
class OwnWrite:
    """One field of one write of ours, from the audit."""

    name: str
    before: Any
    after: Any
    time: dt.datetime


@dataclass(slots=True)
class HeldRecord:
    """A CRM record as a delivery holds it.

    Args:
        known: CRM field to value; moves on while a batch is judged.
        mapped: CRM fields that we write.
        coming: what is to be written and differs from what is known; it may be on its way.
        waits_since: since when something is to be written, or is being written; None: the CRM is up to date.
        sought: what a write whose end nobody knows yet may have carried, CRM field to values.
        writes: our writes of late, any order.
    """

    tenant_id: str
    connector: str
    entity_id: uuid.UUID
    object: str
    crm_object: str
    crm_id: str
    known: dict[str, Any]
    mapped: frozenset[str] = frozenset()
    coming: Mapping[str, Any] = field(default_factory=dict)
    writes: Sequence[OwnWrite] = ()
    sought: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    waits_since: dt.datetime | None = None

    @property
    def key(self) -> CrmKey:
        """The CRM record."""
        return (self.tenant_id, self.connector, self.crm_object, self.crm_id)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What of a look at a CRM record counts.

    Args:
        changed: names of the fields that somebody changed.
        observed: of those, what the CRM is known to hold from now on; None where it holds nothing.
    """

    changed: frozenset[str]
    observed: Mapping[str, Any] = field(default_factory=dict)


def differs(held: HeldRecord, shown: Mapping[str, Any], types: Mapping[str, FieldType]) -> bool:
    """Tell whether any field needs more than what is known: then our writes of late are asked for."""
    return any(not _is_known(held, name, value, types[name]) for name, value in shown.items())


def judge(
    held: HeldRecord,
    shown: Mapping[str, Any],
    types: Mapping[str, FieldType],
    event_time: dt.datetime,
    skew_s: float,
) -> Verdict:
    """Return what of *shown* counts, and move on what is known of the record.

    Args:
        shown: CRM field to value as the CRM shows it; only fields that an inbound mapping reads.
        types: canonical type of each.
        event_time: when the record was changed last, by the CRM's clock.
        skew_s: how far that clock may differ from ours.
    """
    changed: set[str] = set()
    observed: dict[str, Any] = {}
    since = event_time - dt.timedelta(seconds=skew_s)
    for name, value in shown.items():
        kind = types[name]
        if _is_known(held, name, value, kind):
            continue
        writes = [write for write in held.writes if write.name == name]
        later = [write for write in writes if write.time >= since]
        if any(same_form(write.before, value, kind) for write in later):
            continue
        changed.add(name)
        overwritten = any(same_form(write.before, value, kind) for write in writes)
        if not later and not overwritten and name in held.mapped:
            observed[name] = value
            held.known[name] = value
    return Verdict(frozenset(changed), observed)


def _is_known(held: HeldRecord, name: str, value: Any, kind: FieldType) -> bool:
    references: Mapping[str, Sequence[str]] = held.known.get(REFERENCES_KEY, {})
    if name in references:
        return any(_same_id(crm_id, value) for crm_id in references[name])
    coming = held.coming.get(name)
    if same_form(held.known.get(name), value, kind) or (
        coming is not None and same_form(coming, value, kind)
    ):
        return True
    return any(item is not None and same_form(item, value, kind) for item in held.sought.get(name, ()))


def same_form(held: Any, shown: Any, kind: FieldType) -> bool:
    """Tell whether a CRM that was given *held* may show it as *shown*: case, blanks, phone and date formats."""
    if same_value(held, shown):
        return True
    if held in (None, "") or shown in (None, ""):
        return False
    one, two = str(held), str(shown)
    if _plain(one) == _plain(two):
        return True
    if kind == "phone":
        return _same_number(one, two)
    if kind == "url":
        return _plain(_URL_NOISE.sub("", one)).rstrip("/") == _plain(_URL_NOISE.sub("", two)).rstrip("/")
    if kind in {"number", "integer"}:
        return _same_amount(one, two)
    if kind in {"date", "datetime"}:
        return _same_moment(one, two, whole_days=kind == "date")
    parts = (_parts(one), _parts(two))
    return len(parts[0]) > 1 and parts[0] == parts[1]


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _parts(text: str) -> set[str]:
    return {_plain(part) for part in text.split(";") if part.strip()}


def _same_number(one: str, two: str) -> bool:
    digits = sorted((re.sub(r"\D", "", one).lstrip("0"), re.sub(r"\D", "", two).lstrip("0")), key=len)
    short, long = digits
    if short == long:
        return True
    is_tail = long.endswith(short) and len(long) - len(short) <= PREFIX_DIGITS_MAX
    return len(short) >= PHONE_DIGITS_MIN and is_tail


def _same_amount(one: str, two: str) -> bool:
    try:
        return float(one) == float(two)
    except ValueError:
        return False


def _same_moment(one: str, two: str, *, whole_days: bool) -> bool:
    moments = (_moment(one), _moment(two))
    if moments[0] is None or moments[1] is None:
        return False
    if whole_days:
        return moments[0].date() == moments[1].date()
    return abs((moments[0] - moments[1]).total_seconds()) < 1.0  # Salesforce keeps whole seconds


def _moment(text: str) -> dt.datetime | None:
    text = text.strip()
    if not _MOMENT.fullmatch(text):
        return None
    try:
        if text.isdigit():
            return dt.datetime.fromtimestamp(int(text) / 1000, dt.UTC)
        moment = dt.datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _same_id(crm_id: str, shown: Any) -> bool:
    """Compare ids; Salesforce's have a long and a short form."""
    text = str(shown or "")
    if _SALESFORCE_ID.fullmatch(crm_id) and _SALESFORCE_ID.fullmatch(text):
        return crm_id[:15] == text[:15]
    return crm_id == text
