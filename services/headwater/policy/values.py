"""Reading one value by its type: the canonical value, or the rule it breaks. Pure.

Canonical values are JSON: text is trimmed, dates are `YYYY-MM-DD`, moments are RFC 3339 in UTC,
numbers are numbers. An empty text is a missing value.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from headwater.policy import places
from headwater.policy.expressions import ExpressionFailed, evaluate
from headwater.policy.objects import FieldPolicy
from headwater.policy.systems import InboundField
from headwater.policy.words import FieldType

EMAIL_PATTERN: Final = (
    r"[^@\s\"(),:;<>\[\]]{1,64}@(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+[A-Za-z]{2,63}"
)
"""The addresses people have: RFC 5321 without quoted local parts and address literals."""
PERSONAL_MAIL_DOMAINS: Final = frozenset(
    {
        "aol.com", "fastmail.com", "gmail.com", "gmx.at", "gmx.ch", "gmx.com", "gmx.de", "gmx.net",
        "googlemail.com", "hotmail.co.uk", "hotmail.com", "hotmail.fr", "icloud.com", "live.com", "mac.com",
        "mail.com", "mail.ru", "me.com", "msn.com", "orange.fr", "outlook.com", "proton.me", "protonmail.com",
        "qq.com", "rocketmail.com", "t-online.de", "web.de", "yahoo.co.jp", "yahoo.co.uk", "yahoo.com",
        "yahoo.fr", "yandex.com", "yandex.ru", "ymail.com", "zoho.com", "163.com", "126.com",
    }
)  # fmt: skip
"""Providers of private mailboxes that `refuse_personal_mail` speaks of."""
_EMAIL: Final = re.compile(EMAIL_PATTERN)
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
"""ITU-T E.164: country code and number, at most 15 digits."""
_POSTAL: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z -]{0,10}[0-9A-Za-z]")
_PHONE_DIGITS: Final = range(5, 18)
"""E.164 allows 15 digits; two more for a written trunk prefix, five for short national numbers."""
_USUAL_PHONE: Final = re.compile(r"\+?(?:[ ().-]{0,3}[0-9]){5,17}")
"""Numbers that are fine at a glance: the whole rule is asked of the others."""
_SPACE: Final = re.compile(r"\s")
_PARTICIPANTS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Broken:
    """The rule that a value breaks, and what would be right."""

    rule: str
    description: str


Reader = Callable[[Any, str], Any]
"""From what a source said and the ISO code of the record's country to the canonical value, None when it is missing, or
`Broken`."""


def read_value(policy: FieldPolicy, reading: InboundField, raw: Any, country: str = "") -> Any | Broken:
    """Return the canonical value of *raw*, None when it is missing, or the rule it breaks.

    Args:
        country: ISO code of the record's country, for rules that ask for it.
    """
    return reader_of(policy, reading)(raw, country)


def reader_of(policy: FieldPolicy, reading: InboundField) -> Reader:  # noqa: C901 - calls are what reading costs
    """Return what reads values of one field from one place: what they need not ask about each value is asked here.

    In this order: the source's own spelling, rules before the type, the type, rules behind it, the contract.
    """
    kind, steps, values = _READERS[policy.type], policy.steps, reading.values
    before = steps.before if steps is not None else ()
    respell = steps.reader() if steps is not None and (steps.after or steps.aliases) else None
    allowed, chars_max, checks = frozenset(policy.allowed), policy.chars_max, _checks_of(policy)
    is_text = kind is _text

    def read(raw: Any, country: str) -> Any | Broken:  # noqa: C901 - as above
        if isinstance(raw, str):
            raw = raw.strip()
            if values:
                raw = values.get(raw, raw)
        if raw is None or raw == "":
            return None
        for rule in before:
            raw = rule(raw)
        value = raw if is_text and type(raw) is str else kind(raw, reading)
        if isinstance(value, str):
            if respell is not None:
                value = respell(value, country)
            if allowed and value not in allowed:
                return _not_allowed(policy)
            if len(value) > chars_max:
                return Broken("chars_max", f"at most {chars_max} characters, has {len(value)}")
        elif isinstance(value, Broken):
            return value
        elif allowed and value not in policy.allowed:
            return _not_allowed(policy)
        for check in checks:
            if (broken := check(value)) is not None:
                return broken
        return value

    return _expressed(reading.expr, read) if reading.expr else read


def _expressed(expression: str, read: Reader) -> Reader:
    def read_expressed(raw: Any, country: str) -> Any | Broken:
        if raw is not None:
            raw = _evaluated(expression, raw)
            if isinstance(raw, Broken):
                return raw
        return read(raw, country)

    return read_expressed


def _not_allowed(policy: FieldPolicy) -> Broken:
    return Broken("allowed", f"must be one of {', '.join(policy.allowed[:12])}")


def _evaluated(expression: str, raw: Any) -> Any | Broken:
    try:
        return evaluate(expression, raw)
    except ExpressionFailed as error:
        return Broken("expression", f"the policy's expression makes nothing of it: {error}")


def _checks_of(policy: FieldPolicy) -> tuple[Callable[[Any], Broken | None], ...]:
    """Return what a field asks beyond the type: each check the rule that a canonical value breaks, or None."""
    checks: list[Callable[[Any], Broken | None]] = []
    if policy.min is not None or policy.max is not None:
        checks.append(lambda value: _range(policy, value))
    if policy.refuse_personal_mail:
        checks.append(_personal_mail)
    if policy.format in _FORMATS:
        checks.append(_FORMATS[policy.format])
    return tuple(checks)


def _range(policy: FieldPolicy, value: Any) -> Broken | None:
    size = _size(value)
    if size is not None and policy.min is not None and size < policy.min:
        return Broken("min", f"must be at least {policy.min:g}")
    if size is not None and policy.max is not None and size > policy.max:
        return Broken("max", f"must be at most {policy.max:g}")
    return None


def _personal_mail(value: Any) -> Broken | None:
    if str(value).rpartition("@")[2] not in PERSONAL_MAIL_DOMAINS:
        return None
    return Broken("personal_mail", "must not be an address at a provider of private mailboxes")


def _e164(value: Any) -> Broken | None:
    return None if _E164.fullmatch(str(value)) else Broken("format.e164", "must be a number as +4930123456")


def _postal(value: Any) -> Broken | None:
    if _POSTAL.fullmatch(str(value)):
        return None
    return Broken("format.postal", "must be a postal code: 2 to 12 letters, digits, spaces or hyphens")


def _country(value: Any) -> Broken | None:
    if places.country_code(str(value)) is not None:
        return None
    return Broken("format.country", "must be a country's ISO 3166 code of two letters or its English name")


_FORMATS: Final[Mapping[str | None, Callable[[Any], Broken | None]]] = {
    "e164": _e164,
    "postal": _postal,
    "country": _country,
}
"""What each format asks of a single value; `state` is asked together with its country."""


def _size(value: Any) -> float | None:
    """Return what `min` and `max` are held against: a number, or the year of a date."""
    if isinstance(value, str):
        return float(value[:4]) if value[:4].isdecimal() else None
    return float(value) if isinstance(value, (int, float)) else None


def _text(raw: Any, _: InboundField) -> str | Broken:
    if isinstance(raw, bool) or not isinstance(raw, (str, int, float)):
        return Broken("type.text", "must be a text")
    return str(int(raw)) if isinstance(raw, float) and raw.is_integer() else str(raw)


def _email(raw: Any, _: InboundField) -> str | Broken:
    if isinstance(raw, str) and _EMAIL.fullmatch(raw):
        return raw.lower()
    return Broken("format.email", "must be an address as name@example.com")


def _phone(raw: Any, _: InboundField) -> str | Broken:
    text = str(raw)
    if _USUAL_PHONE.fullmatch(text):
        return text
    if sum(character.isdigit() for character in text) in _PHONE_DIGITS and not re.search(r"[@\n]", text):
        return text
    return Broken("format.phone", "must be a phone number of 5 to 17 digits")


def _url(raw: Any, _: InboundField) -> str | Broken:
    if isinstance(raw, str) and "." in raw and not _SPACE.search(raw):
        return raw
    return Broken("format.url", "must be a web address or a domain")


def _date(raw: Any, reading: InboundField) -> str | Broken:
    try:
        if reading.date_format:
            return dt.datetime.strptime(str(raw), reading.date_format).date().isoformat()  # noqa: DTZ007 - a date has no zone
        return dt.date.fromisoformat(str(raw)[:10]).isoformat()
    except ValueError:
        return Broken("format.date", f"must be a date as {reading.date_format or 'YYYY-MM-DD'}")


def _datetime(raw: Any, _: InboundField) -> str | Broken:
    try:
        moment = dt.datetime.fromisoformat(str(raw))
        aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return aware.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return Broken("format.datetime", "must be a moment as 2026-01-31T12:00:00Z")


def _number(raw: Any, _: InboundField) -> float | Broken:
    try:
        value = float(raw)
    except (TypeError, ValueError, OverflowError):
        return Broken("type.number", "must be a number")
    return (
        value
        if math.isfinite(value) and not isinstance(raw, bool)
        else Broken("type.number", "must be a number")
    )


def _integer(raw: Any, reading: InboundField) -> int | Broken:
    value = _number(raw, reading)
    if isinstance(value, Broken) or not value.is_integer():
        return Broken("type.integer", "must be a whole number")
    return int(value)


def _boolean(raw: Any, _: InboundField) -> bool | Broken:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    value = known.get(str(raw).lower())
    return Broken("type.boolean", "must be true or false") if value is None else value


def _participants(raw: Any, _: InboundField) -> list[dict[str, str]] | Broken:
    if not isinstance(raw, list) or len(raw) > _PARTICIPANTS_MAX:
        return Broken("type.participants", f"must be a list of at most {_PARTICIPANTS_MAX} participants")
    read: list[dict[str, str]] = []
    for item in raw:
        if not isinstance(item, Mapping) or not isinstance(item.get("address"), str):
            return Broken("type.participants", "each participant needs role, address and name as texts")
        read.append({key: str(item.get(key, "")) for key in ("role", "address", "name")})
    return read


_READERS: Final[Mapping[FieldType, Callable[[Any, InboundField], Any]]] = {
    "text": _text,
    "email": _email,
    "phone": _phone,
    "url": _url,
    "date": _date,
    "datetime": _datetime,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "picklist": _text,
    "reference": _text,
    "participants": _participants,
}
