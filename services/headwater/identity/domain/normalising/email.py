"""E-mail addresses: one form per mailbox, and what kind of mailbox it is. Pure.

Rules: `email.*`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from disposable_email_domains import blocklist
from rapidfuzz.distance import OSA

from headwater.identity.domain.normalising import mail_tables as tables
from headwater.identity.domain.normalising.rules import Note, unheard
from headwater.identity.domain.normalising.text import CACHED_MAX, VALUE_CHARS_MAX, clean
from headwater.identity.domain.normalising.values import Email
from headwater.identity.domain.normalising.web import registrable_domain

ADDRESSES_MAX: Final = 4
"""Addresses that are read out of one field."""

_ADDRESS: Final = re.compile(r"(?P<local>[^\s@<>(),;:\"\[\]\\|/]+)@(?P<domain>[^\s@<>(),;:\"\[\]\\|/]+)")
_PLAIN_LOCAL: Final = re.compile(r"[a-z0-9._+-]+")
_PLAIN_DOMAIN: Final = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_BETWEEN: Final = re.compile(r"[;,|/]")
_PROVIDERS: Final = ("gmail.com", "hotmail.com", "icloud.com", "outlook.com", "yahoo.com", "protonmail.com")
_PROVIDER_CHARS: Final = range(8, 16)
"""Lengths of domains one slip from one of them."""


def read_emails(raw: str, note: Note = unheard) -> tuple[Email, ...]:
    """Return the mailboxes that one field names, in order."""
    if not raw:
        return ()
    read = _cached if note is unheard else _read
    whole = read(raw, note)
    if whole is not None:
        return (whole,)
    if not _BETWEEN.search(raw):
        return ()
    pieces = _BETWEEN.split(clean(raw), maxsplit=2 * ADDRESSES_MAX)
    return tuple([email for piece in pieces if (email := read(piece, note))][:ADDRESSES_MAX])


def read_email(raw: str, note: Note = unheard) -> Email | None:
    """Return the mailbox that *raw* names, or None when it names none; idempotent on the address."""
    return (_cached if note is unheard else _read)(raw, note)


@lru_cache(CACHED_MAX)
def _cached(raw: str, note: Note) -> Email | None:
    return _plain(raw) or _read(raw, note)


def _plain(raw: str) -> Email | None:
    """Return what `_read` does for a plain address, in any case, at a third of the cost; None for all others."""
    text = raw.strip().lower()
    local, _, domain = text.partition("@")
    host = _host_of(domain) if _PLAIN_LOCAL.fullmatch(local) and len(text) <= VALUE_CHARS_MAX else None
    if host is None or local in tables.PLACEHOLDER_MAILBOXES:
        return None
    stem = local.partition("+")[0] if "+" in local else local
    bare = stem.translate(host.ignored) if host.ignored else stem
    if not bare or bare in tables.PLACEHOLDER_MAILBOXES:
        return None
    suggestion = f"{local}@{host.meant}" if host.meant else ""
    blocked_by = "disposable_address" if host.disposable else _post(bare)
    return Email(f"{bare}@{host.domain}", host.domain, blocked_by, host.free, text, suggestion)


class _Host(NamedTuple):
    """What all plain addresses of a domain have in common: their one domain, letters that do not count, and so on."""

    domain: str
    ignored: Mapping[int, None]
    disposable: bool
    free: bool
    meant: str


@lru_cache(CACHED_MAX)
def _host_of(domain: str) -> _Host | None:
    """Return what a plain domain says; None for others, and where all addresses are placeholders."""
    if not _PLAIN_DOMAIN.fullmatch(domain) or not _is_domain(domain):
        return None
    right = _corrected(domain, unheard)
    one, letters = tables.PROVIDERS.get(right, (right, ""))
    if not tables.PLACEHOLDER_DOMAINS.isdisjoint((domain, one)):
        return None
    meant = right if right != domain else _provider_near(domain)
    ignored = dict.fromkeys(map(ord, letters))
    return _Host(one, ignored, _is_disposable(one), one in tables.FREE_MAIL_DOMAINS, meant)


def _read(raw: str, note: Note) -> Email | None:
    written = _bare(raw, note)
    match = _ADDRESS.fullmatch(written)
    domain = _ascii_domain(match["domain"], note) if match else ""
    if match is None or not _is_domain(domain):
        return None
    if _is_placeholder(match["local"], domain):
        note("email.placeholder", written, "")
        return None
    right = _corrected(domain, note)
    address = _one_form(match["local"], right, note)
    local, _, one_domain = address.rpartition("@")
    if not local or _is_placeholder(local, one_domain):
        note("email.placeholder", written, "")
        return None
    blocked_by = _blocked_by(local, one_domain)
    if blocked_by:
        note(f"email.{blocked_by}", address, "")
    meant = right if right != domain else _provider_near(domain)
    suggestion = f"{match['local']}@{meant}" if meant else ""
    return Email(address, one_domain, blocked_by, one_domain in tables.FREE_MAIL_DOMAINS, written, suggestion)


def _bare(raw: str, note: Note) -> str:
    text = clean(raw)
    lower = text.lower()
    if lower != text:
        note("email.case", text, lower)
    bare = lower.removeprefix("mailto:")
    if bare.endswith(">") and "<" in bare:
        bare = bare[bare.index("<") + 1 : -1].strip()
    if bare != lower:
        note("email.display_name", lower, bare)
    return bare.rstrip(".")


def _ascii_domain(domain: str, note: Note) -> str:
    if domain.isascii():
        return domain
    try:
        found = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return ""
    note("email.idna", domain, found)
    return found


@lru_cache(CACHED_MAX)
def _is_domain(domain: str) -> bool:
    labels = domain.split(".")
    return len(labels) > 1 and all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()


def _corrected(domain: str, note: Note) -> str:
    """Return *domain* without a listed mistake."""
    head, _, ending = domain.rpartition(".")
    right = f"{head}.{tables.TLD_TYPOS[ending]}" if ending in tables.TLD_TYPOS else domain
    right = tables.DOMAIN_TYPOS.get(right, right)
    if right != domain:
        note("email.domain_typo", domain, right)
    return right


def _one_form(written_local: str, written_domain: str, note: Note) -> str:
    local, domain = written_local.partition("+")[0], written_domain
    if local != written_local:
        note("email.plus_alias", f"{written_local}@{domain}", f"{local}@{domain}")
    known = tables.PROVIDERS.get(domain)
    if known is None:
        return f"{local}@{domain}"
    bare = "".join([letter for letter in local if letter not in known[1]]) if known[1] else local
    if bare != local:
        rule = "email.gmail_dots" if known[0] == "gmail.com" else "email.provider_letters"
        note(rule, f"{local}@{domain}", f"{bare}@{domain}")
    if known[0] != domain:
        note("email.domain_alias", f"{bare}@{domain}", f"{bare}@{known[0]}")
    return f"{bare}@{known[0]}"


def _is_placeholder(local: str, domain: str) -> bool:
    return domain in tables.PLACEHOLDER_DOMAINS or local in tables.PLACEHOLDER_MAILBOXES


@lru_cache(CACHED_MAX)
def _is_disposable(domain: str) -> bool:
    return domain in blocklist or registrable_domain(domain) in blocklist


def _blocked_by(local: str, domain: str) -> str:
    if _is_disposable(domain):
        return "disposable_address"
    return _post(local)


def _post(local: str) -> str:
    """Return `role_address` where a mailbox is a post's, else nothing."""
    if local in tables.ROLE_MAILBOXES:
        return "role_address"
    stem, parted, _ = local.replace("-", ".").replace("_", ".").partition(".")
    return "role_address" if parted and stem in tables.ROLE_STEMS else ""


@lru_cache(CACHED_MAX)
def _provider_near(domain: str) -> str:
    """Return the large provider that *domain* is one slip away from, or nothing."""
    if domain in tables.FREE_MAIL_DOMAINS or len(domain) not in _PROVIDER_CHARS:
        return ""
    return next((one for one in _PROVIDERS if OSA.distance(domain, one, score_cutoff=1) == 1), "")
