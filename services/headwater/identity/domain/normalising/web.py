"""Web addresses: LinkedIn pages and registrable domains, read without the network. Pure.

Rules: `linkedin.*`, `domain.*`.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final
from urllib.parse import unquote

from disposable_email_domains import blocklist
from publicsuffixlist import PublicSuffixList

from headwater.identity.domain.normalising import mail_tables as tables
from headwater.identity.domain.normalising.rules import Note, unheard
from headwater.identity.domain.normalising.text import CACHED_MAX, clean
from headwater.identity.domain.normalising.values import LinkedIn, Website

_PROFILE: Final = re.compile(
    r"(?:https?://)?(?:[a-z0-9-]+\.)*linkedin\.com/(?:m/)?(?P<kind>in|pub|company|school|showcase)/"
    r"(?P<slug>[^/?#\s]+)(?P<rest>[^?#\s]*)",
    re.IGNORECASE,
)
_CANONICAL: Final = re.compile(r"(?P<kind>in|company)/(?P<slug>[^/?#\s]+)(?P<rest>)")
_SLUG: Final = re.compile(r"[^\s/?#%\x00-\x1f\x7f]+")
_NUMBERS: Final = re.compile(r"/([0-9a-z]{1,3})/([0-9a-z]{1,3})/([0-9a-z]{1,3})/?", re.IGNORECASE)
_OPAQUE: Final = re.compile(r"ACoA[\w-]{20,}|[0-9]{4,}")
_HOST: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?(?://)?(?:[^/@\s]*@)?(?P<host>[^/:?#\s@]+)", re.IGNORECASE)


@cache
def _suffixes() -> PublicSuffixList:
    """Return the list that the package carries: no fetch; endings that it does not know are none."""
    return PublicSuffixList(accept_unknown=False)


def read_linkedin(raw: str, note: Note = unheard) -> LinkedIn | None:
    """Return the page that *raw* names, or None when it names no person's or organisation's; idempotent."""
    return (_cached_page if note is unheard else _page)(raw, note) if raw else None


@lru_cache(CACHED_MAX)
def _cached_page(raw: str, note: Note) -> LinkedIn | None:
    return _page(raw, note)


def _page(raw: str, note: Note) -> LinkedIn | None:
    text = clean(raw)
    match = _PROFILE.match(text) or _CANONICAL.fullmatch(text)
    if match is None:
        return None
    kind, slug = match["kind"].lower(), unquote(match["slug"])
    opaque = _OPAQUE.fullmatch(slug) is not None
    slug = slug if opaque else slug.casefold()
    if kind == "pub" and (numbers := _NUMBERS.fullmatch(match["rest"])):
        first, second, third = (number.lower() for number in numbers.groups())
        note("linkedin.old_path", text, f"in/{slug}-{third:0>3}{second:0>3}{first}")
        slug = f"{slug}-{third:0>3}{second:0>3}{first}"
    if not _SLUG.fullmatch(slug) or slug != slug.strip() or len(slug) > _SLUG_CHARS_MAX:
        return None
    path = f"{'in' if kind in {'in', 'pub'} else 'company'}/{slug}"
    if path != text:
        note("linkedin.path", text, path)
    return LinkedIn("in" if path.startswith("in/") else "company", path, opaque)


_SLUG_CHARS_MAX: Final = 200


def read_website(raw: str, note: Note = unheard) -> Website | None:
    """Return the address that *raw* names, or None when it names no registered domain; idempotent on the host."""
    return (_cached_website if note is unheard else _website)(raw, note) if raw else None


@lru_cache(CACHED_MAX)
def _cached_website(raw: str, note: Note) -> Website | None:
    return _website(raw, note)


def _website(raw: str, note: Note) -> Website | None:
    host = _host(raw)
    domain = registrable_domain(host) if host else None
    if domain is None:
        return None
    if domain != raw:
        note("domain.registrable", raw, domain)
    shared = is_shared(domain)
    if shared:
        note("domain.shared_host", domain, "")
    return Website(host.removeprefix("www."), "" if shared else domain)


def _host(raw: str) -> str:
    """Return the host in a URL, host or domain, in ASCII; nothing when there is none."""
    match = _HOST.match(clean(raw).lower())
    host = match["host"].strip(".") if match else ""
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return ""


@lru_cache(CACHED_MAX)
def registrable_domain(raw: str) -> str | None:
    """Return the domain that an organisation registered, from a URL, host or domain; idempotent.

    Hosts that give each customer a name of his own (`name.github.io`) count as endings, as the list says.
    """
    host = _host(raw)
    return _suffixes().privatesuffix(host) if host and _LABELS.fullmatch(host) else None


_LABELS: Final = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")


def organisation_domain(raw: str, note: Note = unheard) -> str:
    """Return the registrable domain; nothing where strangers share it (free mail, hosts of pages)."""
    website = read_website(raw, note)
    return "" if website is None else website.domain


def is_shared(domain: str) -> bool:
    """Say whether *domain* belongs to no single organisation."""
    return (
        domain in tables.FREE_MAIL_DOMAINS
        or domain in blocklist
        or domain in tables.PLACEHOLDER_DOMAINS
        or domain in tables.SHARED_HOSTS
    )
