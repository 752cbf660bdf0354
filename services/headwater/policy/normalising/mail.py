"""E-mail addresses: tidied, without what a mailbox ignores, and what a misspelt domain probably means. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from rapidfuzz.distance import OSA

KEPT: Final = 8192
"""Addresses at hand."""
PROVIDERS: Final = (
    "gmail.com", "hotmail.com", "icloud.com", "outlook.com", "yahoo.com", "protonmail.com", "googlemail.com",
    "live.com", "aol.com", "gmx.de", "gmx.net", "web.de", "yahoo.co.uk", "hotmail.co.uk", "mail.ru", "yandex.ru",
)  # fmt: skip
"""Large providers that a domain may be one slip away from."""
_LONG_ENOUGH: Final = 8
"""Shorter domains are too near to too many others."""
_REAL: Final = frozenset(
    {"ymail.com", "gmail.co", "mail.com", "email.com", "hotmail.co", "rocketmail.com", "live.co.uk"}
)
"""Domains near a provider's that are somebody's own."""
_ENDINGS: Final = {"con": "com", "cmo": "com", "ocm": "com", "comm": "com", "coom": "com", "vom": "com", "xom": "com", "nte": "net", "ogr": "org"}  # fmt: skip


@lru_cache(KEPT, typed=True)
def tidy(raw: Any) -> Any:
    """Return an address without display name, `mailto:`, brackets and a trailing point; idempotent."""
    if not isinstance(raw, str):
        return raw
    text = raw.strip()
    if text.endswith(">") and "<" in text:
        text = text[text.rindex("<") + 1 : -1].strip()
    if text[:7].lower() == "mailto:":
        text = text[7:].strip()
    bare = text.rstrip(".,;").strip()
    return bare if bare == raw else tidy(bare)


@lru_cache(KEPT)
def without_alias(address: str) -> str:
    """Return an address without what stands between a plus and the at sign; idempotent."""
    local, at, domain = address.rpartition("@")
    stem = local.partition("+")[0]
    return f"{stem}{at}{domain}" if stem else address


@lru_cache(KEPT)
def suggestion(address: str) -> str:
    """Return what was probably meant where the domain looks misspelt; empty where it does not. Never applied by itself."""
    local, at, domain = address.rpartition("@")
    if not at or not local:
        return ""
    head, _, ending = domain.rpartition(".")
    right = f"{head}.{_ENDINGS[ending]}" if ending in _ENDINGS else domain
    if right in PROVIDERS or right in _REAL or len(right) < _LONG_ENOUGH:
        near = right
    else:
        near = next((one for one in PROVIDERS if OSA.distance(right, one, score_cutoff=1) == 1), right)
    return f"{local}@{near}" if near != domain else ""
