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
_PARTICIPANTS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Broken:
    """The rule that a value breaks, and what would be right."""

    rule: str
    description: str


def read_value(policy: FieldPolicy, reading: InboundField, raw: Any, country: str = "") -> Any | Broken:
    """Return the canonical value of *raw*, None when it is missing, or the rule it breaks.

    Args:
        country: ISO code of the record's country, for rules that ask for it.
    """
    if reading.expr and raw is not None:
        raw = _evaluated(reading.expr, raw)
        if isinstance(raw, Broken):
            return raw
    if isinstance(raw, str):
        raw = raw.strip()
        if reading.values:
            raw = reading.values.get(raw, raw)
    if raw is None or raw == "":
        return None
    steps = policy.steps
    value = _READERS[policy.type](_read_before(steps.before, raw) if steps is not None else raw, reading)
    if isinstance(value, Broken):
        return value
    if steps is not None and isinstance(value, str):
        value = steps.read_after(value, country)
    return _judged(policy, value)


def _judged(policy: FieldPolicy, value: Any) -> Any | Broken:
    """Hold a canonical value to its field."""
    if policy.allowed and value not in policy.allowed:
        return Broken("allowed", f"must be one of {', '.join(policy.allowed[:12])}")
    if isinstance(value, str) and len(value) > policy.chars_max:
        return Broken("chars_max", f"at most {policy.chars_max} characters, has {len(value)}")
    return _narrowed(policy, value) if policy.is_special else value


def _evaluated(expression: str, raw: Any) -> Any | Broken:
    try:
        return evaluate(expression, raw)
    except ExpressionFailed as error:
        return Broken("expression", f"the policy's expression makes nothing of it: {error}")


def _read_before(rules: tuple[Callable[[Any], Any], ...], raw: Any) -> Any:
    for rule in rules:
        raw = rule(raw)
    return raw


def _narrowed(policy: FieldPolicy, value: Any) -> Any | Broken:
    """Hold a canonical value to what its field asks beyond the type."""
    size = _size(value)
    if size is not None and policy.min is not None and size < policy.min:
        return Broken("min", f"must be at least {policy.min:g}")
    if size is not None and policy.max is not None and size > policy.max:
        return Broken("max", f"must be at most {policy.max:g}")
    if policy.refuse_personal_mail and str(value).rpartition("@")[2] in PERSONAL_MAIL_DOMAINS:
        return Broken("personal_mail", "must not be an address at a provider of private mailboxes")
    if policy.format == "e164" and not _E164.fullmatch(str(value)):
        return Broken("format.e164", "must be a number as +4930123456")
    if policy.format == "postal" and not _POSTAL.fullmatch(str(value)):
        return Broken("format.postal", "must be a postal code: 2 to 12 letters, digits, spaces or hyphens")
    if policy.format == "country" and places.country_code(str(value)) is None:
        return Broken(
            "format.country", "must be a country's ISO 3166 code of two letters or its English name"
        )
    return value


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
    if sum(character.isdigit() for character in text) in _PHONE_DIGITS and not re.search(r"[@\n]", text):
        return text
    return Broken("format.phone", "must be a phone number of 5 to 17 digits")


def _url(raw: Any, _: InboundField) -> str | Broken:
    if isinstance(raw, str) and "." in raw and not re.search(r"\s", raw):
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
