"""E-mail addresses: one form per mailbox, and what kind of mailbox it is. Pure.

Rules, by name: `case`, `plus_alias`, `gmail_dots`, `domain_typo`, `role_address`,
`disposable_address`, `placeholder`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from headwater.identity.domain import mail_tables
from headwater.identity.domain.text import clean

_ADDRESS: Final = re.compile(r"(?P<local>[^\s@<>(),;:\"]+)@(?P<domain>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class Email(NamedTuple):
    """A mailbox in its one form.

    Args:
        address: `local@domain`, lower case.
        domain: of the address.
        blocked_by: why it names no single person (`role_address`, `disposable_address`), or empty.
        free: anyone may have a mailbox at this domain.
    """

    address: str
    domain: str
    blocked_by: str
    free: bool


@lru_cache(maxsize=65_536)
def normalise_email(raw: str) -> Email | None:
    """Return the mailbox that *raw* names, or None when it names none; idempotent on the address."""
    match = _ADDRESS.fullmatch(_bare(raw))
    if match is None:
        return None
    domain = mail_tables.DOMAIN_TYPOS.get(match["domain"], match["domain"])
    local = _local(match["local"], domain)
    if not local or not _is_domain(domain) or _is_placeholder(local, domain):
        return None
    return Email(
        f"{local}@{domain}", domain, _blocked_by(local, domain), domain in mail_tables.FREE_MAIL_DOMAINS
    )


def _bare(raw: str) -> str:
    text = clean(raw).lower().removeprefix("mailto:")
    return text[text.index("<") + 1 : -1] if text.endswith(">") and "<" in text else text


def _local(local: str, domain: str) -> str:
    base = local.partition("+")[0]
    return base.replace(".", "") if domain == "gmail.com" else base


def _is_domain(domain: str) -> bool:
    labels = domain.split(".")
    return len(labels) > 1 and all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()


def _is_placeholder(local: str, domain: str) -> bool:
    return domain in mail_tables.PLACEHOLDER_DOMAINS or local in mail_tables.PLACEHOLDER_MAILBOXES


def _blocked_by(local: str, domain: str) -> str:
    if domain in mail_tables.DISPOSABLE_DOMAINS:
        return "disposable_address"
    return "role_address" if local in mail_tables.ROLE_MAILBOXES else ""
