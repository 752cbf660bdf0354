"""Web addresses: LinkedIn profiles and registrable domains, read without the network. Pure.

Rules, by name: `linkedin_path`, `registrable_domain`, `shared_host`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

import tldextract

from headwater.identity.domain import mail_tables
from headwater.identity.domain.text import clean

_PROFILE: Final = re.compile(
    r"(?:https?://)?(?:[a-z0-9-]+\.)*linkedin\.com/(?P<kind>in|pub)/(?P<slug>[^/?#\s]+)", re.IGNORECASE
)
_CANONICAL: Final = re.compile(r"in/(?P<slug>[^/?#\s]+)")
_SLUG: Final = re.compile(r"[^\s/?#%\x00-\x1f\x7f]+")
_HOST: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/@\s]*@)?(?P<host>[^/:?#\s]+)", re.IGNORECASE)

_extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
"""The snapshot that the package carries: no fetch, no cache on disk."""


@lru_cache(maxsize=65_536)
def normalise_linkedin(raw: str) -> str | None:
    """Return the profile's path as `in/slug`, or None when *raw* is no personal profile; idempotent."""
    text = clean(raw)
    match = _PROFILE.match(text) or _CANONICAL.fullmatch(text)
    if match is None:
        return None
    slug = unquote(match["slug"]).casefold()
    return f"in/{slug}" if _SLUG.fullmatch(slug) else None


@lru_cache(maxsize=65_536)
def registrable_domain(raw: str) -> str | None:
    """Return the domain that an organisation registered, from a URL, host or domain; idempotent."""
    match = _HOST.match(clean(raw).lower())
    if match is None:
        return None
    found = _extract(match["host"].rstrip(".")).top_domain_under_public_suffix
    return found or None


def organisation_domain(raw: str) -> str | None:
    """Return the registrable domain unless strangers share it (free mail, hosts of pages)."""
    domain = registrable_domain(raw)
    return None if domain is None or is_shared(domain) else domain


def is_shared(domain: str) -> bool:
    """Say whether *domain* belongs to no single organisation."""
    return (
        domain in mail_tables.FREE_MAIL_DOMAINS
        or domain in mail_tables.DISPOSABLE_DOMAINS
        or domain in mail_tables.PLACEHOLDER_DOMAINS
        or domain in mail_tables.SHARED_HOSTS
    )
